package providers

import (
	"cmp"
	"context"

	"cloud_quota_exporter/internal/huaweicloud"
)

// dcs is Distributed Cache Service: GET /v2/{project_id}/quota, "Querying the Tenant Quotas". Resource types instance, which the
// document's table calls "instances", and ram in GB. The unit of instance is {}, null or missing.
func dcs() Service {
	return Service{Name: "dcs", Action: "dcs:quota:get", Host: host("dcs"), Quotas: dcsQuotas}
}

func dcsQuotas(ctx context.Context, c *huaweicloud.Client, _ Options) (Result, error) {
	answer, err := c.Get(ctx, cmp.Or(c.QuotaPath, "/v2/{project_id}/quota"))
	if err != nil {
		return Result{}, err
	}
	var body nested
	if err := decode(answer, &body); err != nil {
		return Result{}, err
	}
	singular := func(name string) string {
		if name == "instances" {
			return "instance"
		}
		return name
	}
	return dialect{typeName: singular}.read(answer, body.Quotas.Resources)
}
