package providers

// dcs is Distributed Cache Service: GET /v2/{project_id}/quota, "Querying the Tenant Quotas". Resource types instance, which the
// document's table calls "instances", and ram in GB. The unit of instance is {}, null or missing.
func dcs() Service {
	return Service{
		Name:   "dcs",
		Action: "dcs:quota:get",
		Host:   host("dcs"),
		Quotas: dialect{path: "/v2/{project_id}/quota", typeName: singular}.ask,
	}
}

func singular(name string) string {
	if name == "instances" {
		return "instance"
	}
	return name
}
