package cloudsim

import (
	"net"
	"net/http"
	"strings"
)

// api is one API that the gateway publishes, or one of the machine's.
type api struct {
	service string
	method  string
	path    string                     // with {project_id} where the id of the project stands
	host    func(region string) string // first label of the host name; empty: not to be had at the cloud's own host names
	denied  string                     // message to whom has no permission
	open    bool                       // the gateway lets everybody in; where proof is needed, the API asks for it
	answer  func(c *Cloud, q call) answer
}

const (
	get  = http.MethodGet
	post = http.MethodPost
	put  = http.MethodPut

	open, closed = true, false
)

// apis is what the gateway publishes, and what answers on the machine itself. Paths are those of the documents: "Querying Project
// Information", "Obtaining a User Token Through Password Authentication", "Obtaining a Token with an OpenID Connect ID Token" and
// "Obtaining a Temporary Access Key and Security Token Through an Agency" or "Through a Token" (IAM), "Querying the Tracker Quota of
// a Tenant" (CTS), "Querying Quotas" (CES), "Querying the Instance Quotas of a Tenant" (TaurusDB), "Querying the Tenant Quotas"
// (DCS), "Querying Account Quota Information" (DBSS; the path under /v1 is the only one that partner clouds document) and "Query the
// audit instance list" (DBSS). Those of the machine are what Huawei's SDK asks; the path of pod identity is a stand-in, because pods
// are told theirs.
var apis = []api{
	{"iam", get, "/v3/projects", label("iam"), "", closed, (*Cloud).listProjects},
	{"iam", post, "/v3/auth/tokens", label("iam"), "", open, (*Cloud).createToken},
	{"iam", post, "/v3.0/OS-AUTH/id-token/tokens", label("iam"), "", open, (*Cloud).createTokenByIDToken},
	{"iam", post, "/v3.0/OS-CREDENTIAL/securitytokens", label("iam"), "", open, (*Cloud).createKeys},
	{"metadata", put, "/meta-data/latest/api/token", label(""), "", open, (*Cloud).createMetadataToken},
	{"metadata", get, "/openstack/latest/securitykey", label(""), "", open, (*Cloud).showSecurityKey},
	{"pod_identity", post, "/pod-identity/credentials", label(""), "", open, (*Cloud).createPodKeys},
	{"cts", get, "/v3/{project_id}/quotas", label("cts"), denied("cts:quota:get"), closed, (*Cloud).showQuotas},
	{"ces", get, "/V1.0/{project_id}/quotas", label("ces"), denied("ces:quotas:get"), closed, (*Cloud).showQuotas},
	{"taurusdb", get, "/v3/{project_id}/project-quotas", taurusdbLabel, denied("gaussdbformysql:quota:list"), closed, (*Cloud).showQuotas},
	{"dcs", get, "/v2/{project_id}/quota", label("dcs"), denied("dcs:quota:get"), closed, (*Cloud).showQuotas},
	// No document names the action of DBSS's quota.
	{"dbss", get, "/v2/{project_id}/audit/quota", label("dbss"), "Authorization failed.", closed, (*Cloud).showRemaining},
	{"dbss", get, "/v1/{project_id}/dbss/audit/quota", label("dbss"), "Authorization failed.", closed, (*Cloud).showRemaining},
	{"dbss", get, "/v2/{project_id}/audit/instances", label("dbss"), denied("dbss:auditInstance:list"), closed, (*Cloud).listAuditInstances},
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

// published tells whether the API is to be had at this host.
func (a api) published(host string) bool {
	service, region := hostLabels(host)
	return service == "" || service == a.host(region)
}

// elsewhere tells whether the request was sent to another region than its project's. The region is empty where the project does not
// exist, which fits any.
func (q call) elsewhere() bool {
	_, region := hostLabels(q.Host)
	return region != "" && q.project.Region != "" && region != q.project.Region
}

// hostLabels returns the first two labels of the cloud's own host names, and nothing for others, so that a cloud under 127.0.0.1
// works too.
func hostLabels(host string) (service, region string) {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	labels := strings.SplitN(strings.ToLower(host), ".", 3)
	if len(labels) < 3 || !isServiceLabel(labels[0]) {
		return "", ""
	}
	return labels[0], labels[1]
}

func isServiceLabel(name string) bool {
	switch name {
	case "cts", "ces", "dcs", "dbss", "iam", "gaussdb", "gaussdbformysql", "gaussdb-mysql":
		return true
	}
	return false
}
