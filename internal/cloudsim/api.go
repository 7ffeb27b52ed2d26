package cloudsim

import (
	"net"
	"net/http"
	"strings"
)

// api is one API that the gateway publishes.
type api struct {
	service string
	path    string                     // with {project_id} where the id of the project stands
	host    func(region string) string // first label of the host name
	denied  string                     // message to whom has no permission
	answer  func(c *Cloud, q call) answer
}

// apis is what the gateway publishes. Paths are those of the documents: "Querying Project Information" (IAM), "Querying the
// Tracker Quota of a Tenant" (CTS), "Querying Quotas" (CES), "Querying the Instance Quotas of a Tenant" (TaurusDB), "Querying the
// Tenant Quotas" (DCS), "Querying Account Quota Information" (DBSS; the path under /v1 is the only one that partner clouds document)
// and "Query the audit instance list" (DBSS).
var apis = []api{
	{"iam", "/v3/projects", label("iam"), "", (*Cloud).listProjects},
	{"cts", "/v3/{project_id}/quotas", label("cts"), denied("cts:quota:get"), (*Cloud).showQuotas},
	{"ces", "/V1.0/{project_id}/quotas", label("ces"), denied("ces:quotas:get"), (*Cloud).showQuotas},
	{"taurusdb", "/v3/{project_id}/project-quotas", taurusdbLabel, denied("gaussdbformysql:quota:list"), (*Cloud).showQuotas},
	{"dcs", "/v2/{project_id}/quota", label("dcs"), denied("dcs:quota:get"), (*Cloud).showQuotas},
	// No document names the action of DBSS's quota.
	{"dbss", "/v2/{project_id}/audit/quota", label("dbss"), "Authorization failed.", (*Cloud).showRemaining},
	{"dbss", "/v1/{project_id}/dbss/audit/quota", label("dbss"), "Authorization failed.", (*Cloud).showRemaining},
	{"dbss", "/v2/{project_id}/audit/instances", label("dbss"), denied("dbss:auditInstance:list"), (*Cloud).listAuditInstances},
}

func denied(action string) string { return "Policy doesn't allow [" + action + "] to be performed" }

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

// call is a request on its way through the gateway.
type call struct {
	*http.Request

	id        string // of the request
	body      []byte
	api       *api   // nil for a path at which there is nothing
	path      string // the API's, or what was asked for
	projectID string // as the path has it
	project   Project
	caller    *account
}

func newCall(r *http.Request) call {
	for i := range apis {
		if id, found := apis[i].match(r.URL.Path); found {
			return call{Request: r, api: &apis[i], path: apis[i].path, projectID: id}
		}
	}
	return call{Request: r, path: r.URL.Path}
}

// match tells whether path is the API's, and the id of the project in it.
func (a api) match(path string) (projectID string, found bool) {
	before, after, perProject := strings.Cut(a.path, "{project_id}")
	if !perProject {
		return "", path == a.path
	}
	rest, hasPrefix := strings.CutPrefix(path, before)
	projectID, hasSuffix := strings.CutSuffix(rest, after)
	if !hasPrefix || !hasSuffix || projectID == "" || strings.Contains(projectID, "/") {
		return "", false
	}
	return projectID, true
}

// published tells whether the API is to be had at this host for projects of that region. Only the cloud's own host names are
// looked at, so that a cloud under 127.0.0.1 works too. An empty region, of a project that does not exist, fits any.
func (a api) published(host, region string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	labels := strings.SplitN(strings.ToLower(host), ".", 3)
	if len(labels) < 3 || !isServiceLabel(labels[0]) {
		return true
	}
	return labels[0] == a.host(labels[1]) && (region == "" || region == labels[1])
}

func isServiceLabel(name string) bool {
	switch name {
	case "cts", "ces", "dcs", "dbss", "iam", "gaussdb", "gaussdbformysql", "gaussdb-mysql":
		return true
	}
	return false
}
