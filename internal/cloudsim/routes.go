package cloudsim

import (
	"cmp"
	"errors"
	"net"
	"net/http"
	"slices"
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

	own      func(c *Cloud, q Call) Answer // answers if Answer does not
	byHeader bool                          // X-Project-Id names the project, because the path does not
}

// projectParameter is the part of an API's path that is replaced with the ID of a project.
const projectParameter = "{project_id}"

// Publish adds APIs. Call it before the cloud serves.
func (c *Cloud) Publish(apis ...API) {
	for _, a := range apis {
		a.Method = cmp.Or(a.Method, http.MethodGet)
		if a.Answer == nil && a.own == nil {
			a.own, a.byHeader = (*Cloud).showQuotas, !strings.Contains(a.Path, projectParameter)
		}
		c.apis = append(c.apis, &a)
		if a.Service == "dbss" {
			list := a
			list.Path, list.Action, list.own = "/v2/{project_id}/audit/instances", "dbss:auditInstance:list", (*Cloud).listAuditInstances
			c.apis = append(c.apis, &list)
		}
	}
}

// checkQuotas returns why the API of a service can't show quotas.
func (c *Cloud) checkQuotas(service string, quotas []Quota) error {
	i := slices.IndexFunc(c.apis, func(a *API) bool { return a.Service == service })
	if i < 0 {
		return errors.New("there is no quota API of that name")
	}
	return c.apis[i].Shape.check(quotas)
}

// match returns whether an API has the path of a request, and the ID of the project in it.
func (a *API) match(path string) (projectID string, matches bool) {
	before, _, ofProject := strings.Cut(a.Path, projectParameter)
	rest, found := strings.CutPrefix(path, before)
	if ofProject {
		projectID, _, _ = strings.Cut(rest, "/")
		found = found && projectID != ""
	}
	return projectID, found && strings.ReplaceAll(a.Path, projectParameter, projectID) == path
}

// route finds the API of a request: the first one at its host that has its method. If there is none, it is the first one at the host, or
// else the first one with the path.
func (c *Cloud) route(request *http.Request) Call {
	q := Call{Request: request, Path: request.URL.Path}
	label, region := c.hostLabels(request.Host)
	q.Region = region
	best := 0
	for _, a := range c.apis {
		id, matches := a.match(request.URL.Path)
		if !matches {
			continue
		}
		published := label == "" || label == a.Host(region)
		rank := 1
		if published {
			rank = 2
		}
		if published && a.Method == request.Method {
			rank = 3
		}
		if rank > best {
			best = rank
			q.api, q.published, q.Service, q.Path, q.ProjectID = a, published, a.Service, a.Path, id
		}
	}
	if q.api != nil && q.api.byHeader {
		q.ProjectID = request.Header.Get("X-Project-Id")
	}
	return q
}

// hostLabels returns the first two labels of a host name of the cloud. They are empty for other hosts, so that a cloud at 127.0.0.1 works
// too. The cloud's host names are those in its domain and, because partner clouds have their own domains, those that begin with the label
// of an API.
func (c *Cloud) hostLabels(host string) (label, region string) {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(host)
	labels := strings.SplitN(host, ".", 3)
	if len(labels) < 3 {
		return "", ""
	}
	isLabel := func(a *API) bool { return a.Host(labels[1]) == labels[0] }
	if !strings.HasSuffix(host, ".myhuaweicloud.com") && !slices.ContainsFunc(c.apis, isLabel) {
		return "", ""
	}
	return labels[0], labels[1]
}
