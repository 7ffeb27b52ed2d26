// Package huaweicloud sends requests to Huawei Cloud APIs: it authorizes them, limits the responses, and returns one typed error for
// each kind of failure. Quota services are defined in package providers.
package huaweicloud

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cloud_quota_exporter/internal/secret"
)

const (
	maxBody      = 1 << 20  // bytes of a 2xx; the largest documented one is under 1 KiB
	maxErrorBody = 64 << 10 // bytes that are read of other responses, and searched for text in malformed ones

	// staleAfter is the idle time after which a connection may be dead: NATs and load balancers drop idle connections silently.
	staleAfter = 5 * time.Second
	// maxSilence is how long a previously idle connection may be silent before the request is also sent on a new one. It is a quarter of
	// the remaining time if that is less.
	maxSilence = 2 * time.Second
)

// Authorizer authorizes the requests of an account. Its methods are safe for concurrent use.
type Authorizer interface {
	// Grant returns the current authorization for requests of a scope. An error means that there is neither a key nor a token.
	Grant(ctx context.Context, s Scope) (Grant, error)
	// Reject reports that the cloud rejected g with a 401. It is renewed unless that has happened already, so that a hundred concurrent
	// rejections cause one renewal.
	Reject(g Grant)
}

// Scope is the target of a request.
type Scope struct {
	ProjectID string // empty for requests without a project, such as those to IAM
	DomainID  string // of the account, for requests to account-level APIs; otherwise empty. ProjectID is then any project of it
	Region    string // of the project
}

// Grant is one set of keys, or one token.
type Grant interface {
	// Authorize adds the signature or token to a request with this body.
	Authorize(req *http.Request, body []byte)
	// Hide returns text with the secrets of the grant replaced: a server may echo the request.
	Hide(text string) string
}

// Events is called for every HTTP request with the service's label, the status code or "error" if there was no response, and the
// time from sending to the end of the response.
type Events func(service, code string, took time.Duration)

// Client sends requests to one API for one account and one project.
type Client struct {
	HTTP   *http.Client
	Auth   Authorizer
	Proofs *Proofs // of the process; nil: every request is sent
	Hosts  *Hosts  // of the account; nil: no limit on concurrent requests

	// Suspend stops the clock of a fetch until resume is called, so that waiting for other requests does not count. what is what it
	// waits for, or nil. Proofs and Hosts use it.
	Suspend func(ctx context.Context, what error) (resume func())

	Service   string // label of the service, "iam" for IAM
	IsIAM     bool   // requests keys, projects, or the account ID, not quotas like the service "iam"
	API       string // identity of the API for rejected keys; empty: the service
	Doubt     string // why a 401 may not be the key's fault. APIs with the same doubt count as one, and are never the first to prove a key
	Action    string // IAM action to grant after a 403; empty if none is documented
	BaseURL   string // scheme, host, and, with a gateway in between, the prefix of the documented paths
	QuotaPath string // path and query that replace the documented ones; usually empty
	Scope     Scope  // of its requests
	UserAgent string
	Events    Events

	Advice map[string]string // replaces the usual remedies, by reason

	maxBody int // bytes of a 2xx, if more than usual
}

// Answer is a 2xx response with a body of at most 1 MiB, or 8 MiB for a list of projects. In the body of a Get, the secrets of the
// request are hidden, so that an echo does not get into labels or errors.
type Answer struct {
	Request string // method and URL
	Header  http.Header
	Body    []byte

	issuesKeys bool
}

// request is a request before authorization.
type request struct {
	method, url string
	header      http.Header
	body        []byte
	issuesKeys  bool // the response may contain new secrets: errors show nothing of a 2xx, nor what net/http quotes
}

func (r request) String() string { return r.method + " " + r.url }

// Malformed returns the error for a response that cannot be parsed, with the start of the body.
func (a *Answer) Malformed(what string) error {
	if a.issuesKeys {
		return &MalformedError{Request: a.Request, What: "cannot parse the response (not shown because it may contain keys)"}
	}
	beginning := "it is empty"
	if len(a.Body) > 0 {
		beginning = "begins with: " + cmp.Or(oneLine(string(a.Body[:min(len(a.Body), maxErrorBody)])), "nothing printable")
	}
	return &MalformedError{Request: a.Request, What: "cannot parse the response: " + what + " (" + beginning + ")"}
}

// Get sends a GET request and returns the response. {project_id} and {domain_id} in path are replaced by those of the client's
// scope. The errors are *CredentialsError, *TransportError, *APIError, and *MalformedError; Reason classifies them.
func (c *Client) Get(ctx context.Context, path string) (*Answer, error) {
	path = strings.NewReplacer("{project_id}", url.PathEscape(c.Scope.ProjectID), "{domain_id}", url.PathEscape(c.Scope.DomainID)).Replace(path)
	return c.send(ctx, request{method: http.MethodGet, url: c.BaseURL + path})
}

// Issue sends a request for keys or a token, and returns the unmodified response. body is encoded as JSON; nil: no body. The errors
// are those of Get, but show nothing of a 2xx.
func (c *Client) Issue(ctx context.Context, method, path string, header http.Header, body any) (*Answer, error) {
	r := request{method: method, url: c.BaseURL + path, header: header, issuesKeys: true}
	if body != nil {
		var err error
		if r.body, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("%s: %w", r, err)
		}
	}
	return c.send(ctx, r)
}

// errNoOutcome is the outcome of a request that shows nothing about the key.
var errNoOutcome = errors.New("no outcome")

// send sends a request, and again if its keys were rejected and have been replaced meanwhile.
func (c *Client) send(ctx context.Context, r request) (*Answer, error) {
	if _, err := url.Parse(r.url); err != nil {
		return nil, fmt.Errorf("%s: invalid URL, check endpoints: %w", c.Service, err)
	}
	grant, err := c.Auth.Grant(ctx, c.Scope)
	if err != nil {
		return nil, &CredentialsError{err}
	}
	answer, err := c.sendWith(ctx, r, grant)
	if keys, ok := grant.(*Keys); ok && keys.Origin == nil && err != nil && Reason(err) == ReasonUnauthorized {
		if now, failed := c.Auth.Grant(ctx, c.Scope); failed == nil && KeyID(now) != KeyID(grant) {
			return c.sendWith(ctx, r, now)
		}
	}
	return answer, err
}

// sendWith sends a request once Proofs allows it.
func (c *Client) sendWith(ctx context.Context, r request, grant Grant) (*Answer, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, bytes.NewReader(r.body))
	if err != nil { // send has already parsed the URL
		return nil, err
	}
	leave, err := c.Hosts.enter(ctx, req.URL.Host, c.Suspend) // first, because the key may be rejected meanwhile
	if err != nil {
		return nil, err
	}
	defer leave()
	pass, err := c.enter(ctx, grant)
	if err != nil {
		return nil, err
	}
	outcome := errNoOutcome // if the rest panics
	defer func() { pass.end(outcome) }()
	if pass != nil && pass.isFirst {
		c.HTTP.CloseIdleConnections() // a dead connection would lose the request
	}
	answer, err := c.exchange(req, r, grant)
	outcome = err
	if err == nil && !isJSON(answer.Body) {
		outcome = errNoOutcome // for example a page of a proxy
	}
	return answer, err
}

// isJSON reports whether a body may be JSON, or is empty.
func isJSON(body []byte) bool {
	body = bytes.TrimSpace(body)
	return len(body) == 0 || body[0] == '{' || body[0] == '['
}

// exchange authorizes and sends a request, and reads the response.
func (c *Client) exchange(req *http.Request, r request, grant Grant) (*Answer, error) {
	maps.Copy(req.Header, r.header)
	req.Header.Set("Content-Type", "application/json; charset=UTF-8") // recommended by CES's documentation
	req.Header.Set("User-Agent", c.UserAgent)
	if c.Scope.ProjectID != "" {
		req.Header.Set("X-Project-Id", c.Scope.ProjectID) // subprojects are rejected without it, and some account-level APIs reject all
	}
	if c.Scope.DomainID != "" {
		req.Header.Set("X-Domain-Id", c.Scope.DomainID)
	}
	grant.Authorize(req, r.body)
	hide := func(text string) string { return c.hide(text, req, grant, false) }

	start := time.Now()
	resp, body, err := c.roundTrip(req)                 //nolint:bodyclose // roundTrip has closed it
	if ca, ok := errors.AsType[*CAFileError](err); ok { // nothing was sent
		return nil, ca
	}
	if err != nil {
		text := hide(err.Error())
		if r.issuesKeys {
			text = secret.HideQuoted(text)
		}
		return nil, &TransportError{Request: r.String(), Service: c.Service, IsIAM: c.IsIAM, After: time.Since(start), Err: &hiddenError{oneLine(text), err}}
	}
	switch {
	case resp.StatusCode < http.StatusOK:
		what := fmt.Sprintf("unexpected status %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
		return nil, &MalformedError{Request: r.String(), What: what}
	case resp.StatusCode == http.StatusUnauthorized:
		c.Auth.Reject(grant)
		fallthrough
	case resp.StatusCode/100 != 2:
		return nil, c.apiError(r, resp, body, hide)
	}
	if !r.issuesKeys {
		body = []byte(c.hide(string(body), req, grant, isJSON(body)))
	}
	answer := &Answer{r.String(), resp.Header, body, r.issuesKeys}
	if most := max(maxBody, c.maxBody); len(body) > most {
		return nil, answer.Malformed(fmt.Sprintf("it is longer than %d bytes", most))
	}
	return answer, nil
}

// hide returns text without the secrets of the request: those of the grant, its signature, and those of the proxy. In JSON, a short
// password or user could be any word, so that these are only hidden together.
func (c *Client) hide(text string, req *http.Request, grant Grant, inJSON bool) string {
	secrets := c.proxies().secrets
	if inJSON {
		secrets = c.proxies().whole
	}
	_, signature, _ := strings.Cut(req.Header.Get("Authorization"), "Signature=") // not part of the grant
	return secret.Hide(secret.Hide(grant.Hide(text), secrets...), secret.New(signature))
}

// proxies returns the proxies that the client may use.
func (c *Client) proxies() *proxies {
	if t, ok := c.HTTP.Transport.(*transport); ok {
		return t.proxies
	}
	return new(proxies)
}

// roundTrip returns the response with its body up to the limit, and one byte more if it is longer. It does not read the body of a
// 1xx: after "101 Switching Protocols" that is the connection, which no context ends.
func (c *Client) roundTrip(req *http.Request) (*http.Response, []byte, error) {
	a := c.do(req)
	defer a.end()
	if wrapped, ok := errors.AsType[*url.Error](a.err); ok { // url.Error repeats the URL
		return nil, nil, wrapped.Err
	}
	if a.err != nil || a.resp.StatusCode < http.StatusOK {
		return a.resp, nil, a.err
	}
	limit, isGood := int64(maxErrorBody), a.resp.StatusCode/100 == 2
	if isGood {
		limit = int64(max(maxBody, c.maxBody)) + 1
	}
	body, err := io.ReadAll(io.LimitReader(a.resp.Body, limit))
	if err != nil && isGood { // for an error response, the status is enough
		return nil, nil, fmt.Errorf("%q, but the body is incomplete: %w", a.resp.Status, err)
	}
	return a.resp, body, nil
}

// attempt is a request in flight, then its response or error. end reports it to Events.
type attempt struct {
	resp *http.Response
	err  error

	cancel context.CancelFunc
	done   chan struct{} // closed when resp or err is set
	silent chan struct{} // closed when the connection may be dead: it was idle for long, and no byte of the response has arrived for some time
	heard  atomic.Bool   // a byte of the response arrived
	report func(code string)
}

// do sends a request and waits for the response. If a GET gets no response on a previously idle connection, it is sent again on a
// new one, and the first response is used.
func (c *Client) do(req *http.Request) *attempt {
	first := c.begin(req)
	select {
	case <-first.done:
		return first
	case <-first.silent:
	}
	c.HTTP.CloseIdleConnections() // they may be dead as well
	second := c.begin(req.Clone(req.Context()))
	select {
	case <-first.done:
		return firstResponse(first, second)
	case <-second.done:
		return firstResponse(second, first)
	}
}

// firstResponse returns a, which is done, or the other attempt if only that one gets a response. It ends the attempt that it does
// not return.
func firstResponse(a, other *attempt) *attempt {
	if a.err != nil {
		<-other.done
		if other.err == nil {
			a, other = other, a
		}
	}
	other.cancel()
	go func() {
		<-other.done
		other.end()
	}()
	return a
}

func (c *Client) begin(req *http.Request) *attempt {
	ctx, cancel := context.WithCancel(req.Context())
	start := time.Now()
	a := &attempt{cancel: cancel, done: make(chan struct{}), silent: make(chan struct{})}
	a.report = func(code string) { c.Events(c.Service, code, time.Since(start)) }
	setSilent := sync.OnceFunc(func() { close(a.silent) })
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			if req.Method != http.MethodGet || !info.Reused || info.IdleTime < staleAfter {
				return
			}
			silence := maxSilence
			if deadline, ok := ctx.Deadline(); ok {
				silence = min(silence, time.Until(deadline)/4)
			}
			time.AfterFunc(silence, func() {
				if !a.heard.Load() {
					setSilent()
				}
			})
		},
		GotFirstResponseByte: func() { a.heard.Store(true) },
	})
	go func() {
		defer close(a.done)
		a.resp, a.err = c.HTTP.Do(req.WithContext(ctx)) //nolint:bodyclose // end does
	}()
	return a
}

// end releases and reports an attempt that is done.
func (a *attempt) end() {
	a.cancel()
	if a.resp != nil {
		_ = a.resp.Body.Close()
		a.report(strconv.Itoa(a.resp.StatusCode))
		return
	}
	if !isA[*CAFileError](a.err) { // otherwise nothing was sent
		a.report("error")
	}
}

// BaseURL returns the base URL of a host in a region: https://<host>.<region>.<cloud>, or https://<host>.<cloud> without a region.
// If cloud is empty, it is the public cloud of the region.
func BaseURL(host, region, cloud string) string {
	if region != "" {
		host += "." + region
	}
	return "https://" + host + "." + Domain(region, cloud)
}

// Domain returns the domain of a cloud: the configured one or, if empty, that of the region's public cloud. The European site has
// the regions eu-west-1xx.
func Domain(region, stated string) string {
	switch {
	case stated != "":
		return stated
	case strings.HasPrefix(region, "eu-west-1"):
		return "myhuaweicloud.eu"
	default:
		return "myhuaweicloud.com"
	}
}
