package cloudsim

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// maxBody is more than any request to these APIs carries.
const maxBody = 1 << 20

// Call is a request that the gateway has received.
type Call struct {
	*http.Request

	ID        string // of the request
	Body      []byte
	Service   string // label of the service; empty if there is no API at the path
	Path      string // of the API, with {project_id} or {domain_id} in it; if there is no API, of the request
	ProjectID string // in the path or, for some APIs, in the header
	Account   bool   // the API is account-level
	DomainID  string // of an account-level API: in the path, otherwise the query, otherwise the header
	Region    string // second label of the host name if it is one of the cloud's; IAM's global host has the name of the cloud there

	api       *API // nil if there is no API at the path
	published bool // the API is at the host of the request
	project   Project
	caller    string // name of the account
}

// Answer is a response of the cloud.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	// Send, if it is not nil, sends the status and the body. The headers are set.
	Send func(w http.ResponseWriter, a Answer)
}

// ServeHTTP responds like the cloud's gateway and the services behind it.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := c.route(r)
	q.ID = c.requestID()
	// net/http notices only after the body is read that a client went away.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	q.Body = body
	q.send(w, c.Intercept(q, c.answer))
}

func (c *Cloud) requestID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serial++
	return fmt.Sprintf("%032x", c.serial)
}

// answer makes the checks of the gateway, in its order, and calls the API.
func (c *Cloud) answer(q Call) Answer {
	project := c.project(q.ProjectID)
	q.project = project.Project
	if q.api == nil || !q.published {
		return q.notPublished()
	}
	if q.Method != q.api.Method {
		a := q.GatewayError(http.StatusMethodNotAllowed, "The API does not support the method "+q.Method)
		a.Header = http.Header{"Allow": {q.api.Method}}
		return a
	}
	if q.api.Answer != nil {
		return q.api.Answer(q)
	}
	caller, refusal := c.Authenticate(q)
	if refusal != nil {
		return *refusal
	}
	// A project that does not exist has no region.
	if q.Region != "" && project.Region != "" && q.Region != project.Region {
		return q.notPublished()
	}
	if q.Account {
		if refusal := c.refusal(q, caller); refusal != nil {
			return *refusal
		}
	}
	if q.ProjectID != "" || q.api.byHeader {
		stated := q.Header.Get("X-Project-Id")
		if project.ID == "" || project.owner != caller || (stated != "" && stated != q.ProjectID) {
			return q.denied()
		}
	}
	q.caller = caller
	return q.api.own(c, q)
}

// refusal returns the response to a caller that requests another account, or omits what the API requires; nil if the request is
// valid. A token belongs to an account, a signature does not name one.
func (c *Cloud) refusal(q Call, caller string) *Answer {
	own, query, header := ID(caller), q.URL.Query().Get("domain_id"), q.Header.Get("X-Domain-Id")
	project := c.project(q.Header.Get("X-Project-Id"))
	var a Answer
	switch {
	case q.api.NeedsDomain && query != own:
		a = q.GatewayError(http.StatusUnauthorized, "Incorrect IAM authentication information: domain_id is not that of the caller")
	case q.api.NeedsProject && (project.ID == "" || project.owner != caller):
		a = q.GatewayError(http.StatusUnauthorized, "Incorrect IAM authentication information: X-Project-Id is not that of a project of the caller")
	case q.DomainID == "" && q.Header.Get("X-Auth-Token") == "", q.DomainID != "" && q.DomainID != own, header != "" && header != own:
		a = q.denied()
	default:
		return nil
	}
	return &a
}

// denied returns the response to a caller without permission.
func (q Call) denied() Answer {
	if q.api.Action == "" {
		return q.ServiceError(http.StatusForbidden, "Authorization failed.")
	}
	return q.ServiceError(http.StatusForbidden, "Policy doesn't allow ["+q.api.Action+"] to be performed")
}

func (q Call) send(w http.ResponseWriter, a Answer) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	header.Set("X-Request-Id", q.ID)
	if q.Service == "iam" {
		header.Set("X-IAM-Trace-Id", q.ID)
	}
	maps.Copy(header, a.Header)
	header.Set("Content-Length", strconv.Itoa(len(a.Body)))
	if a.Send != nil {
		a.Send(w, a)
		return
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // the client may have gone away
}

func (q Call) notPublished() Answer {
	return q.GatewayError(http.StatusNotFound, "The API does not exist or has not been published in the environment")
}

// GatewayError returns an error of the gateway.
func (q Call) GatewayError(status int, message string) Answer {
	return Answer{Status: status, Body: gatewayBody(gatewayCode(status), message, q.ID)}
}

// ServiceError returns an error in the form of the service.
func (q Call) ServiceError(status int, message string) Answer {
	return Answer{Status: status, Body: ErrorBody(q.Service, status, message)}
}
