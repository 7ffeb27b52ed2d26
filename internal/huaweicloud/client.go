// Package huaweicloud speaks HTTP with Huawei Cloud: it authorises requests, sends them, bounds what comes back, and makes one typed
// error of every way in which an API says no. It knows no quota service; providers does.
package huaweicloud

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"cloud_quota_exporter/internal/secret"
)

const (
	maxBody      = 1 << 20  // bytes of an answer; the largest documented one is under 1 KiB
	maxErrorBody = 64 << 10 // bytes that are looked at of an error's body, or of one to complain about
)

// Authorizer authorises the requests of an account. Its methods are safe for concurrent use.
type Authorizer interface {
	// Grant returns what authorises requests of a scope now. An error means that no keys or token could be had.
	Grant(ctx context.Context, s Scope) (Grant, error)
	// Reject says that the cloud refused g with a 401: it is fetched anew, unless that has happened already, so that a hundred
	// refusals at once make one fetch.
	Reject(g Grant)
}

// Scope is what a request concerns.
type Scope struct {
	ProjectID string // empty where it is no project, as with IAM's requests
	Region    string // of the project
}

// Grant is one set of keys, or one token.
type Grant interface {
	// Authorize puts on a request with this body what proves who sends it.
	Authorize(req *http.Request, body []byte)
	// Hide returns text with the grant's secrets replaced: a server may echo what it was sent.
	Hide(text string) string
}

// Events is told of every HTTP request: the service's label, the status code or "error" where there was no answer, and the time from
// sending to the end of the answer.
type Events func(service, code string, took time.Duration)

// Client asks one API in the name of one account, for one project.
type Client struct {
	HTTP   *http.Client
	Auth   Authorizer
	Proofs *Proofs // that the process has; nil: none, every request is sent

	// Extend, if not nil, puts off the end of a fetch: to wait for another request that proves the key must not cost a service its time.
	Extend func(ctx context.Context, by time.Duration)

	Service   string // label of the service, "iam" for IAM
	Action    string // IAM action to grant where the API answers 403; empty where none is documented
	BaseURL   string // scheme, host and, with a gateway in between, the path in front of the documented ones
	QuotaPath string // path and query that the configuration puts in place of the documented one; usually empty
	Scope     Scope  // of its requests
	UserAgent string
	Events    Events

	Advice map[string]string // by reason: what to do about an error, in place of the usual; nil: none
}

// Answer is a 2xx, with a body of at most 1 MiB. A server may echo what it was sent: in the body of a Get, the secrets that it was asked with
// are replaced before anybody reads it, so that none becomes a label or a part of an error.
type Answer struct {
	Header http.Header
	Body   []byte

	request string // method and URL
	status  int
	private bool // keys were asked for: nothing of the answer is shown
}

// request is what was sent.
type request struct {
	method, url string
	header      http.Header
	body        []byte
	private     bool // keys are asked for
}

// Malformed returns the error for an answer that can't be read: what is wrong with it, and how it begins.
func (a *Answer) Malformed(what string) error {
	if a.private {
		return &MalformedError{Request: a.request, Status: a.status, Private: true}
	}
	beginning := OneLine(string(a.Body[:min(len(a.Body), maxErrorBody)]))
	if beginning == "" && len(a.Body) > 0 {
		beginning = "(nothing that could be shown)"
	}
	return &MalformedError{Request: a.request, Status: a.status, What: what, Beginning: beginning}
}

// Get sends one GET request and returns its answer. In path, {project_id} stands for the project of the client's scope. The errors are
// *CredentialsError, *TransportError, *APIError and *MalformedError; Reason classifies them.
func (c *Client) Get(ctx context.Context, path string) (*Answer, error) {
	path = strings.ReplaceAll(path, "{project_id}", url.PathEscape(c.Scope.ProjectID))
	return c.ask(ctx, request{method: http.MethodGet, url: c.BaseURL + path})
}

// Post sends body, which JSON can show, and returns the answer, as Get does. It is for requests that ask for keys: no error shows
// anything of an answer that is no error itself.
func (c *Client) Post(ctx context.Context, path string, header http.Header, body any) (*Answer, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("POST %s: %w", path, err)
	}
	return c.ask(ctx, request{method: http.MethodPost, url: c.BaseURL + path, header: header, body: text, private: true})
}

func (c *Client) ask(ctx context.Context, r request) (*Answer, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, bytes.NewReader(r.body))
	if err != nil {
		return nil, fmt.Errorf("%s: the URL of the API is wrong, check endpoints: %w", c.Service, err)
	}
	grant, err := c.Auth.Grant(ctx, c.Scope)
	if err != nil {
		return nil, &CredentialsError{err}
	}
	pass, err := c.Proofs.enter(ctx, grant, c.Service, c.Scope.Region, c.Extend)
	if err != nil {
		return nil, err
	}
	outcome := errNoOutcome // should what follows panic
	defer func() { pass.end(outcome) }()
	if pass.isFirst() {
		c.HTTP.CloseIdleConnections() // a dead one would take the request along
	}
	answer, err := c.exchange(req, r, grant)
	outcome = err
	if err == nil && !answer.isJSON() {
		outcome = errNoOutcome // a page of a proxy's, say, shows nothing
	}
	return answer, err
}

// isJSON returns whether the body may be JSON, or is empty.
func (a *Answer) isJSON() bool {
	body := bytes.TrimSpace(a.Body)
	return len(body) == 0 || body[0] == '{' || body[0] == '['
}

// errNoOutcome is that of a request of which nothing is known.
var errNoOutcome = errors.New("no outcome")

// exchange authorizes a request, sends it and reads the answer.
func (c *Client) exchange(req *http.Request, r request, grant Grant) (*Answer, error) {
	maps.Copy(req.Header, r.header)
	req.Header.Set("Content-Type", "application/json; charset=UTF-8") // recommended by CES's document
	req.Header.Set("User-Agent", c.UserAgent)
	if c.Scope.ProjectID != "" {
		req.Header.Set("X-Project-Id", c.Scope.ProjectID) // sub-projects are refused without it
	}
	grant.Authorize(req, r.body)

	start := time.Now()
	resp, body, err := c.send(req)                      //nolint:bodyclose // send has closed it
	if ca, ok := errors.AsType[*CAFileError](err); ok { // nothing was sent
		return nil, ca
	}
	if err != nil {
		return nil, &TransportError{Request: r.method + " " + req.URL.String(), Service: c.Service, After: time.Since(start), Err: quiet(err, grant, r.private)}
	}
	if resp.StatusCode < http.StatusOK {
		return nil, &MalformedError{Request: r.method + " " + req.URL.String(), Status: resp.StatusCode, Private: r.private}
	}
	if resp.StatusCode/100 != 2 {
		if resp.StatusCode == http.StatusUnauthorized {
			c.Auth.Reject(grant)
		}
		return nil, c.apiError(resp, body, grant)
	}
	answer := &Answer{Header: resp.Header, Body: body, request: r.method + " " + req.URL.String(), status: resp.StatusCode, private: r.private}
	if !r.private { // what keys are issued by must be read as it is, and is never shown
		answer.Body = []byte(grant.Hide(string(body)))
	}
	if len(body) > maxBody {
		return nil, answer.Malformed(fmt.Sprintf("it is longer than %d bytes", maxBody))
	}
	return answer, nil
}

// quiet returns the error with its text as one line, without secrets. Of an answer that should hold keys, which nobody knows yet, it quotes nothing.
func quiet(err error, grant Grant, private bool) error {
	return secret.Quiet(err, func(text string) string {
		text = grant.Hide(text)
		if private {
			text = secret.HideQuoted(text)
		}
		return OneLine(text)
	})
}

// send returns the answer with as much of its body as is looked at, and one byte more if it is longer. Of a 1xx nothing is read: after "101
// Switching Protocols" the connection is the body, which no context ends.
func (c *Client) send(req *http.Request) (*http.Response, []byte, error) {
	x := c.do(req)
	defer x.end()
	if x.err != nil {
		if wrapped, ok := errors.AsType[*url.Error](x.err); ok { // it repeats the URL, which TransportError says already
			x.err = wrapped.Err
		}
		return nil, nil, x.err
	}
	if x.resp.StatusCode < http.StatusOK {
		return x.resp, nil, nil
	}
	limit := int64(maxBody + 1)
	if x.resp.StatusCode/100 != 2 {
		limit = maxErrorBody
	}
	body, err := io.ReadAll(io.LimitReader(x.resp.Body, limit))
	if err != nil && x.resp.StatusCode/100 == 2 { // of an error, the status says enough
		return nil, nil, fmt.Errorf("%q, but its body broke off: %w", x.resp.Status, err)
	}
	return x.resp, body, nil
}
