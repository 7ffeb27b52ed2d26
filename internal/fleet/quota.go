package fleet

import (
	"fmt"
	"slices"
	"strconv"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/providers"
)

// Quota is a quota with what follows from its numbers and from the configuration.
type Quota struct {
	providers.Quota

	// Thresholds are the used/limit ratios at which alerts are due, by severity. None means that the quota is muted.
	Thresholds map[string]float64
}

// Ratio returns used/limit: 0 without a limit, +Inf if the limit is 0 and something is used; false if it is not known or, as for 0
// of 0, means nothing.
func (q Quota) Ratio() (float64, bool) {
	if q.Used == nil || q.Limit == nil || *q.Limit == 0 && *q.Used == 0 {
		return 0, false
	}
	return *q.Used / *q.Limit, true
}

// applyRules makes quotas of what a service reports, by the limits and thresholds that are stated; the first that fits counts. Stated limits that
// can't be are returned as errors.
func applyRules(c *config.Config, service, project string, reported []providers.Quota) (quotas []Quota, refused []error) {
	quotas = make([]Quota, len(reported))
	for i, q := range reported {
		l := slices.IndexFunc(c.Limits, func(l config.Limit) bool { return l.Fits(service, project, q.ResourceType) })
		if l >= 0 {
			stated := c.Limits[l].Limit
			switch {
			case q.Used != nil || q.Remaining == nil:
				q.Limit, q.Remaining = &stated, nil // what remains follows from the new limit
			case stated >= *q.Remaining:
				q.Limit, q.Used = &stated, new(stated-*q.Remaining)
			default:
				refused = append(refused, huaweicloud.Advise(fmt.Errorf("type %q: the stated limit %s is below what remains, %s, and is not used",
					q.ResourceType, plain(stated), plain(*q.Remaining)), "raise or remove it"))
			}
		}
		if q.Remaining == nil && q.Limit != nil && q.Used != nil {
			q.Remaining = new(*q.Limit - *q.Used)
		}
		quotas[i].Quota = q
		t := slices.IndexFunc(c.Thresholds, func(t config.Threshold) bool { return t.Fits(service, project, q.ResourceType) })
		if t >= 0 {
			quotas[i].Thresholds = c.Thresholds[t].Ratios
		}
	}
	return quotas, refused
}

func plain(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }
