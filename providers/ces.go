package providers

import (
	"cmp"
	"context"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
)

// ces is Cloud Eye: GET /V1.0/{project_id}/quotas, "Querying Quotas". Resource type alarm: alarm rules. Its gateway allows each user
// about 200 calls in 5 minutes, hence the longer CacheTTL.
func ces() Service {
	return Service{Name: "ces", Action: "ces:quotas:get", Host: host("ces"), CacheTTL: 15 * time.Minute, Quotas: cesQuotas}
}

func cesQuotas(ctx context.Context, c *huaweicloud.Client, _ Options) (Result, error) {
	answer, err := c.Get(ctx, cmp.Or(c.QuotaPath, "/V1.0/{project_id}/quotas"))
	if err != nil {
		return Result{}, err
	}
	var body nested
	if err := decode(answer, &body); err != nil {
		return Result{}, err
	}
	return dialect{}.read(answer, body.Quotas.Resources)
}
