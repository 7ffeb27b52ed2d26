package providers

import "strings"

// taurusDB is TaurusDB: GET /v3/{project_id}/project-quotas, "Querying the Instance Quotas of a Tenant". Resource type instance. A
// quota of -1 means no limit. The document's own example writes "instance," and "4,".
func taurusDB() Service {
	return Service{
		Name:   "taurusdb",
		Action: "gaussdbformysql:quota:list",
		Host:   taurusDBHost,
		Quotas: dialect{
			path:     "/v3/{project_id}/project-quotas?type=instance",
			typeName: withoutComma,
			noLimit:  -1,
		}.ask,
	}
}

func withoutComma(name string) string { return strings.TrimRight(name, ", ") }

// taurusDBHost follows the endpoints of Huawei's own SDK and, for eu-de, those of Open Telekom Cloud; the other services are called the same everywhere.
func taurusDBHost(region string) string {
	switch region {
	case "ap-southeast-1", "ap-southeast-2", "cn-north-11", "me-east-1", "tr-west-1":
		return "gaussdbformysql"
	case "af-south-1", "cn-east-5", "cn-southwest-3", "eu-de", "la-north-2":
		return "gaussdb-mysql"
	default:
		return "gaussdb"
	}
}
