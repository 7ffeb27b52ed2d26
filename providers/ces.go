package providers

import "time"

// ces is Cloud Eye: GET /V1.0/{project_id}/quotas, "Querying Quotas". Resource type alarm: alarm rules. Its gateway allows each user
// about 200 calls in 5 minutes, hence the longer CacheTTL.
func ces() Service {
	return Service{
		Name:     "ces",
		Action:   "ces:quotas:get",
		Host:     host("ces"),
		CacheTTL: 15 * time.Minute,
		Quotas:   dialect{path: "/V1.0/{project_id}/quotas"}.ask,
	}
}
