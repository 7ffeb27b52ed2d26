package cloudsim

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
)

// API is an API that the cloud publishes: a quota API or, if it has an Answer, any other.
type API struct {
	Service string                     // its label, as in Project.Quotas and Call
	Method  string                     // default: GET
	Path    string                     // without query; {project_id} is the ID of the project, {domain_id} that of the account
	Host    func(region string) string // first label of its host name in a region; empty: not at the host names of the cloud
	Action  string                     // IAM action that callers need; empty if none is documented

	Example []byte // response of a quota API for a project without configured quotas of the service
	Shape   Shape  // format of configured quotas

	Account      bool                   // the quotas are those of an account
	At           func(host string) bool // whether an account-level API is at a host name of the cloud; nil: at those that start with Host
	NeedsProject bool                   // an account-level API rejects requests whose X-Project-Id is not that of a project of the account
	NeedsDomain  bool                   // an account-level API rejects requests whose query does not have the account's domain_id

	// Answer, if it is not nil, handles every request. The gateway does not authenticate the caller.
	Answer func(q Call) Answer

	own      func(c *Cloud, q Call) Answer // used if Answer is nil
	quotas   bool                          // it is a quota API
	byHeader bool                          // X-Project-Id names the project, because the path does not
}

// The part of an API's path that is replaced with the ID of a project or an account.
const (
	projectParameter = "{project_id}"
	domainParameter  = "{domain_id}"
)

// Publish adds APIs. Call it before the cloud serves.
func (c *Cloud) Publish(apis ...API) {
	for _, a := range apis {
		a.Method = cmp.Or(a.Method, http.MethodGet)
		if a.Answer == nil && a.own == nil {
			a.own, a.quotas, a.byHeader = (*Cloud).showQuotas, true, !a.Account && !strings.Contains(a.Path, projectParameter)
		}
		c.apis = append(c.apis, &a)
		if a.Service == "dbss" {
			list := a
			list.Path, list.Action, list.own = "/v2/{project_id}/audit/instances", "dbss:auditInstance:list", (*Cloud).listAuditInstances
			c.apis = append(c.apis, &list)
		}
	}
}

// checkQuotas returns why the APIs cannot show the quotas of a project or an account, by label of the service.
func (c *Cloud) checkQuotas(all map[string][]Quota, ofAccount bool) error {
	for service, quotas := range all {
		i := slices.IndexFunc(c.apis, func(a *API) bool { return a.Service == service && a.quotas && a.Account == ofAccount })
		if i < 0 {
			return fmt.Errorf("quotas of %q: there is no such quota API", service)
		}
		if err := c.apis[i].Shape.check(quotas); err != nil {
			return fmt.Errorf("quotas of %q: %w", service, err)
		}
	}
	return nil
}

// match returns whether an API has the path of a request, and the ID of the project or the account in it.
func (a *API) match(path string) (id string, matches bool) {
	parameter := projectParameter
	if a.Account {
		parameter = domainParameter
	}
	before, _, hasID := strings.Cut(a.Path, parameter)
	rest, found := strings.CutPrefix(path, before)
	if hasID {
		id, _, _ = strings.Cut(rest, "/")
		found = found && id != ""
	}
	return id, found && strings.ReplaceAll(a.Path, parameter, id) == path
}

// isAt returns whether an API is at a host name of the cloud.
func (a *API) isAt(host, label, region string) bool {
	if a.At != nil {
		return a.At(host)
	}
	return label == a.Host(region)
}

// route finds the API of a request: the first one at its host that has its method. If there is none, it is the first one at the host, or
// else the first one with the path. Among several, an account-level one has precedence if the request has X-Domain-Id, or otherwise the others.
func (c *Cloud) route(request *http.Request) Call {
	q := Call{Request: request, Path: request.URL.Path}
	host := hostName(request.Host)
	label, region := c.hostLabels(host)
	q.Region = region
	best := 0
	for _, a := range c.apis {
		id, matches := a.match(request.URL.Path)
		if !matches {
			continue
		}
		published := label == "" || a.isAt(host, label, region)
		rank := 1
		if published {
			rank = 2
		}
		if published && a.Method == request.Method {
			rank = 3
		}
		if rank *= 2; a.Account == (request.Header.Get("X-Domain-Id") != "") {
			rank++
		}
		if rank > best {
			best = rank
			q.api, q.published, q.Service, q.Path, q.ProjectID = a, published, a.Service, a.Path, id
		}
	}
	switch {
	case q.api == nil:
	case q.api.Account:
		q.Account = true
		q.DomainID, q.ProjectID = cmp.Or(q.ProjectID, request.URL.Query().Get("domain_id"), request.Header.Get("X-Domain-Id")), ""
	case q.api.byHeader:
		q.ProjectID = request.Header.Get("X-Project-Id")
	}
	return q
}

// hostName returns a host in lower case, without its port.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(host)
}

// hostLabels returns the first two labels of a host name of the cloud. They are empty for other hosts, so that a cloud at 127.0.0.1 works
// too. The cloud's host names are those in its domain and, because partner clouds have their own domains, those that start with the label
// of an API.
func (c *Cloud) hostLabels(host string) (label, region string) {
	labels := strings.SplitN(host, ".", 3)
	if len(labels) < 3 {
		return "", ""
	}
	isLabel := func(a *API) bool { return a.Host(labels[1]) == labels[0] }
	if !strings.HasSuffix(host, ".myhuaweicloud.com") && !strings.HasSuffix(host, ".myhuaweicloud.eu") && !slices.ContainsFunc(c.apis, isLabel) {
		return "", ""
	}
	return labels[0], labels[1]
}
