package cloudsim

import "net/http"

// API is a quota API that the cloud publishes.
type API struct {
	Service string                     // its label, by which faults, counters and stated quotas name it
	Path    string                     // with {project_id} where the id of the project goes; without query
	Host    func(region string) string // first label of its host name in a region
	Action  string                     // IAM action that callers need; empty if none is documented
	Example []byte                     // the answer about a project that states no quotas of the service
	Shape   Shape                      // how stated quotas are written
}

// api is one API that the gateway publishes, or one of the machine's.
type api struct {
	service  string
	method   string
	path     string                     // with {project_id} where the id of the project goes
	host     func(region string) string // first label of the host name; empty: not at the cloud's own host names
	denied   string                     // message to a caller without permission
	open     bool                       // the gateway lets everybody in; if proof is needed, the API asks for it
	byHeader bool                       // X-Project-Id names the project, because the path does not
	answer   func(c *Cloud, q call) answer

	quotas API // of a quota API
}

const (
	get  = http.MethodGet
	post = http.MethodPost
	put  = http.MethodPut
)

// ownAPIs are what every cloud publishes, and what answers on the machine itself. Paths are those of the documents: "Querying Project
// Information", "Obtaining a User Token Through Password Authentication", "Obtaining a Token with an OpenID Connect ID Token" and
// "Obtaining a Temporary Access Key and Security Token Through an Agency" or "Through a Token" (IAM). Those of the machine are what
// Huawei's SDK asks; the path of pod identity is a stand-in, because pods are told theirs.
func ownAPIs() []api {
	iam, machine := label("iam"), label("")
	return []api{
		{service: "iam", method: get, path: "/v3/projects", host: iam, answer: (*Cloud).listProjects},
		{service: "iam", method: post, path: "/v3/auth/tokens", host: iam, open: true, answer: (*Cloud).createToken},
		{service: "iam", method: post, path: "/v3.0/OS-AUTH/id-token/tokens", host: iam, open: true, answer: (*Cloud).createTokenByIDToken},
		{service: "iam", method: post, path: "/v3.0/OS-CREDENTIAL/securitytokens", host: iam, open: true, answer: (*Cloud).createKeys},
		{service: "metadata", method: put, path: "/meta-data/latest/api/token", host: machine, open: true, answer: (*Cloud).createMetadataToken},
		{service: "metadata", method: get, path: "/openstack/latest/securitykey", host: machine, open: true, answer: (*Cloud).showSecurityKey},
		{service: "pod_identity", method: post, path: "/pod-identity/credentials", host: machine, open: true, answer: (*Cloud).createPodKeys},
	}
}

// published returns the quota API as the gateway publishes it.
func (a API) published() api {
	p := api{service: a.Service, method: get, path: a.Path, host: a.Host, denied: denied(a.Action), answer: (*Cloud).showQuotas, quotas: a}
	p.byHeader = !namesProject(a.Path)
	return p
}

// denied is what a caller without permission is answered.
func denied(action string) string {
	if action == "" {
		return "Authorization failed."
	}
	return "Policy doesn't allow [" + action + "] to be performed"
}

func label(name string) func(string) string { return func(string) string { return name } }
