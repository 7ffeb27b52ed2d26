package providers

// cts is Cloud Trace Service: GET /v3/{project_id}/quotas, "Querying the Tracker Quota of a Tenant". Resource types data_tracker and
// system_tracker, and whatever else it sends. A system_tracker is there once in each project: 1 of 1 is how it should be.
func cts() Service {
	return Service{
		Name:   "cts",
		Action: "cts:quota:get",
		Host:   host("cts"),
		Quotas: dialect{path: "/v3/{project_id}/quotas", topLevel: true}.ask,
	}
}
