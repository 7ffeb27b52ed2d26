package cloudsim

import (
	"cmp"
	"net/http"
	"strings"
)

// API is an API that the cloud publishes: a quota API or, if it has an Answer, any other.
type API struct {
	Service string                     // its label, as in Project.Quotas and Call
	Method  string                     // default: GET
	Path    string                     // without query; {project_id} stands for the ID of the project
	Host    func(region string) string // first label of its host name in a region; empty: not at the host names of the cloud
	Action  string                     // IAM action that callers need; empty if none is documented

	Example []byte // answer of a quota API about a project without stated quotas of the service
	Shape   Shape  // how a quota API writes stated quotas

	// Answer, if it is not nil, answers every request. The gateway does not authenticate the caller.
	Answer func(q Call) Answer
}

// projectParameter is the part of an API's path that is replaced with the ID of a project.
const projectParameter = "{project_id}"

// api is an API as the gateway publishes it.
type api struct {
	API

	own      func(c *Cloud, q Call) Answer // answers if API has no Answer
	byHeader bool                          // X-Project-Id names the project, because the path does not
}

// published returns what the gateway publishes for an API.
func (a API) published() []*api {
	a.Method = cmp.Or(a.Method, http.MethodGet)
	if a.Answer != nil {
		return []*api{{API: a}}
	}
	apis := []*api{{API: a, own: (*Cloud).showQuotas, byHeader: !strings.Contains(a.Path, projectParameter)}}
	if a.Service == "dbss" {
		apis = append(apis, dbssExtras(*apis[0])...)
	}
	return apis
}

// denied returns the message to a caller without permission.
func (a API) denied() string {
	if a.Action == "" {
		return "Authorization failed."
	}
	return "Policy doesn't allow [" + a.Action + "] to be performed"
}
