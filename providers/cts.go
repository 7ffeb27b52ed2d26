package providers

import (
	"cmp"
	"context"

	"cloud_quota_exporter/internal/huaweicloud"
)

// cts is Cloud Trace Service: GET /v3/{project_id}/quotas, "Querying the Tracker Quota of a Tenant". Resource types data_tracker and
// system_tracker, and whatever else it sends. A system_tracker is there once in each project: 1 of 1 is how it should be.
func cts() Service {
	return Service{Name: "cts", Action: "cts:quota:get", Host: host("cts"), Quotas: ctsQuotas}
}

func ctsQuotas(ctx context.Context, c *huaweicloud.Client, _ Options) (Result, error) {
	answer, err := c.Get(ctx, cmp.Or(c.QuotaPath, "/v3/{project_id}/quotas"))
	if err != nil {
		return Result{}, err
	}
	var body struct {
		Resources []resource `json:"resources"` // at the top level, unlike the others'
	}
	if err := decode(answer, &body); err != nil {
		return Result{}, err
	}
	return dialect{}.read(answer, body.Resources)
}
