package fleet

import (
	"fmt"
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

// Ratio returns used/limit: 0 without a limit, +Inf where the limit is 0 and something is used; false where it can't be told or, as for 0
// of 0, means nothing.
func (q Quota) Ratio() (float64, bool) {
	if q.Used == nil || q.Limit == nil || *q.Limit == 0 && *q.Used == 0 {
		return 0, false
	}
	return *q.Used / *q.Limit, true
}

// rules are what the configuration says about single quotas.
type rules struct {
	limits     []config.Limit
	thresholds []config.Threshold
}

// apply makes quotas of what a service reports. Stated limits that can't be are told as errors.
func (r rules) apply(service, project string, reported []providers.Quota) (quotas []Quota, refused []error) {
	quotas = make([]Quota, len(reported))
	for i, q := range reported {
		if limit := r.limit(service, project, q.ResourceType); limit != nil {
			if q.Remaining != nil && q.Used == nil && *limit < *q.Remaining {
				refused = append(refused, huaweicloud.Advise(fmt.Errorf("type %q: the stated limit %s is below what remains, %s, and is not used",
					q.ResourceType, plain(*limit), plain(*q.Remaining)), "raise or remove it"))
			} else {
				q = restate(q, limit)
			}
		}
		if q.Remaining == nil && q.Limit != nil && q.Used != nil {
			q.Remaining = new(*q.Limit - *q.Used)
		}
		quotas[i] = Quota{q, r.ratios(service, project, q.ResourceType)}
	}
	return quotas, refused
}

func plain(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// restate puts a stated limit in place of the reported one. Where only what remains is known, it tells what is used.
func restate(q providers.Quota, limit *float64) providers.Quota {
	q.Limit = limit
	switch {
	case q.Used != nil:
		q.Remaining = nil // follows from the new limit
	case q.Remaining != nil:
		q.Used = new(*limit - *q.Remaining)
	}
	return q
}

// limit returns the stated limit of a quota, or nil.
func (r rules) limit(service, project, resourceType string) *float64 {
	for _, l := range r.limits {
		if l.Fits(service, project, resourceType) {
			return &l.Limit
		}
	}
	return nil
}

func (r rules) ratios(service, project, resourceType string) map[string]float64 {
	for _, t := range r.thresholds {
		if t.Fits(service, project, resourceType) {
			return t.Ratios
		}
	}
	return nil
}
