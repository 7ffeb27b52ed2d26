// Package democloud is the simulated cloud with the services of the exporter: what the demo command shows, and what tests and benchmarks
// read.
package democloud

import "cloud_quota_exporter/internal/cloudsim"

// New returns a cloud that publishes all APIs, with these accounts.
func New(accounts ...cloudsim.Account) *cloudsim.Cloud {
	return cloudsim.New(APIs(), accounts...)
}

// APIs returns the quota API of every service. Paths are those of the documents: "Querying the Tracker Quota of a Tenant" (CTS), "Querying
// Quotas" (CES), "Querying the Instance Quotas of a Tenant" (TaurusDB), "Querying the Tenant Quotas" (DCS) and "Querying Account Quota
// Information" (DBSS).
func APIs() []cloudsim.API {
	shape := cloudsim.Shape{List: "quotas.resources", Type: "type", Used: "used", Limit: "quota", Unit: "unit", Min: "min", Max: "max"}
	unitless, top := shape, shape
	unitless.Unit = ""
	top.List, top.Unit = "resources", ""
	audit := cloudsim.Shape{Pairs: []cloudsim.Pair{
		{Type: "audit_instance", Remaining: "audit_quota"}, {Type: "cpu", Remaining: "cpu"}, {Type: "ram", Remaining: "ram"},
	}}
	return []cloudsim.API{
		{
			Service: "cts", Path: "/v3/{project_id}/quotas", Host: label("cts"), Action: "cts:quota:get",
			Example: []byte(ctsExample), Shape: top,
		},
		{
			Service: "ces", Path: "/V1.0/{project_id}/quotas", Host: label("ces"), Action: "ces:quotas:get",
			Example: []byte(cesExample), Shape: shape,
		},
		{
			Service: "taurusdb", Path: "/v3/{project_id}/project-quotas", Host: taurusdbLabel, Action: "gaussdbformysql:quota:list",
			Example: []byte(taurusdbExample), Shape: unitless,
		},
		{
			Service: "dcs", Path: "/v2/{project_id}/quota", Host: label("dcs"), Action: "dcs:quota:get",
			Example: []byte(dcsExample), Shape: shape,
		},
		{ // no document names the action
			Service: "dbss", Path: "/v2/{project_id}/audit/quota", Host: label("dbss"),
			Example: []byte(dbssExample), Shape: audit,
		},
	}
}

func label(name string) func(string) string { return func(string) string { return name } }

// taurusdbLabel is where TaurusDB lives, as the endpoint lists of Huawei's SDK and of Open Telekom Cloud (eu-de) have it.
func taurusdbLabel(region string) string {
	switch region {
	case "tr-west-1", "ap-southeast-1", "ap-southeast-2", "cn-north-11", "me-east-1":
		return "gaussdbformysql"
	case "af-south-1", "cn-east-5", "la-north-2", "cn-southwest-3", "eu-de":
		return "gaussdb-mysql"
	default:
		return "gaussdb"
	}
}
