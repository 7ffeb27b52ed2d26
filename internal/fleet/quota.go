package fleet

import (
	"fmt"
	"slices"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/printable"
	"cloud_quota_exporter/providers"
)

// Quota is a quota with the values derived from it and from the configuration.
type Quota struct {
	providers.Quota

	// Thresholds are the used/limit ratios at which alerts should fire, by severity. Empty if the quota is muted.
	Thresholds map[string]float64
}

// Measured reports whether used and limit are both known.
func (q Quota) Measured() bool { return q.Used != nil && q.Limit != nil }

// Ratio returns used/limit: 0 without a limit, +Inf if the limit is 0 and something is used. If used or limit is unknown, it is 1 if
// nothing remains, as in the alert CloudQuotaExhausted. It returns false if the ratio is unknown or, as for 0 of 0, undefined.
func (q Quota) Ratio() (float64, bool) {
	ofNothing := q.Limit != nil && *q.Limit == 0
	switch {
	case q.Measured() && !(ofNothing && *q.Used == 0):
		return *q.Used / *q.Limit, true
	case !q.Measured() && !ofNothing && q.Remaining != nil && *q.Remaining <= 0:
		return 1, true
	default:
		return 0, false
	}
}

// applyRules makes quotas of what a service reports, by the first matching rules for limits and thresholds. If only one of used and
// remaining is reported, the other one is derived by the limit. It returns an error for each configured limit that is impossible.
func applyRules(c *config.Config, service, project string, reported []providers.Quota) (quotas []Quota, refused []error) {
	quotas = make([]Quota, len(reported))
	for i, q := range reported {
		if q.Used == nil && q.Limit != nil && q.Remaining != nil && *q.Limit >= *q.Remaining {
			q.Used = new(printable.Subtract(*q.Limit, *q.Remaining))
		}
		l := slices.IndexFunc(c.Limits, func(l config.Limit) bool { return l.Fits(service, project, q.ResourceType) })
		if l >= 0 {
			stated := c.Limits[l].Limit
			switch {
			case q.Used != nil || q.Remaining == nil:
				q.Limit, q.Remaining = &stated, nil // remaining follows from the new limit
			case stated >= *q.Remaining:
				q.Limit, q.Used = &stated, new(printable.Subtract(stated, *q.Remaining))
			default:
				refused = append(refused, huaweicloud.Advise(fmt.Errorf("type %q: ignored the configured limit %s because it is below the remaining amount %s",
					q.ResourceType, printable.Number(stated), printable.Number(*q.Remaining)), "increase or remove it"))
			}
		}
		if q.Remaining == nil && q.Limit != nil && q.Used != nil {
			q.Remaining = new(printable.Subtract(*q.Limit, *q.Used))
		}
		quotas[i].Quota = q
		t := slices.IndexFunc(c.Thresholds, func(t config.Threshold) bool { return t.Fits(service, project, q.ResourceType) })
		if t >= 0 {
			quotas[i].Thresholds = c.Thresholds[t].Ratios
		}
	}
	return quotas, refused
}
