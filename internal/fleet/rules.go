package fleet

import "cloud_quota_exporter/providers"

// derive adds to the quotas of an answer what follows from their numbers: what remains is the limit less what is used, unless the
// service reports it itself.
func derive(reported []providers.Quota) []providers.Quota {
	quotas := make([]providers.Quota, len(reported))
	for i, q := range reported {
		if q.Remaining == nil && q.Limit != nil && q.Used != nil {
			remaining := *q.Limit - *q.Used
			q.Remaining = &remaining
		}
		quotas[i] = q
	}
	return quotas
}
