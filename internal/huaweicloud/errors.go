package huaweicloud

import (
	"cmp"
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
	"unicode"
)

// The reasons for which a fetch fails, as cloud_quota_last_failure_reason shows them. The set is closed.
const (
	ReasonTimeout      = "timeout"      // the service's timeout ended the fetch, or 408
	ReasonNetwork      = "network"      // no such host, refused, reset, no route
	ReasonTLS          = "tls"          // certificate, or no TLS at the other end
	ReasonUnauthorized = "unauthorized" // 401
	ReasonClockSkew    = "clock_skew"   // 401 while the clocks differ by more than 15 minutes
	ReasonForbidden    = "forbidden"    // 403
	ReasonNotFound     = "not_found"    // 404, or no project of the region's name, or no id of the account
	ReasonThrottled    = "throttled"    // 429, and APIGW.0308 whatever the status
	ReasonServerError  = "server_error" // 5xx
	ReasonClientError  = "client_error" // 3xx and other 4xx
	ReasonMalformed    = "malformed"    // a 2xx that can't be read
	ReasonCredentials  = "credentials"  // no keys or token
)

// ErrPaused is the error of a fetch that is not sent because the service has throttled the account.
var ErrPaused = Advise(errors.New("not asked, since it throttles the account"), "it is asked again after the pause")

// ErrHangs is the error of a fetch that is not sent because as many in a row as may be in flight have timed out.
var ErrHangs = Advise(errors.New("not asked, since as many fetches in a row as there may be at a time timed out"),
	"check the network and the service, or raise its timeout")

// Reason classifies the error of a fetch; it is empty for no error. It is the only place that does.
func Reason(err error) string {
	var api *APIError
	switch {
	case err == nil:
		return ""
	case isA[*CredentialsError](err): // first: it may wrap any of the others
		return ReasonCredentials
	case errors.As(err, &api):
		return api.reason()
	case isA[*MalformedError](err), isBadlyPacked(err):
		return ReasonMalformed
	case isA[*ProjectError](err), isA[*AccountError](err):
		return ReasonNotFound
	case errors.Is(err, ErrPaused):
		return ReasonThrottled
	case errors.Is(err, ErrHangs), errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return ReasonTimeout
	case isTLS(err):
		return ReasonTLS
	default:
		return ReasonNetwork
	}
}

// isA returns whether there is an error of a type in the tree of err.
func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func isTLS(err error) bool {
	alert, ok := errors.AsType[*net.OpError](err) // how crypto/tls reports the other end's alerts, and its own
	return ok && (alert.Op == "remote error" || alert.Op == "local error") ||
		isA[*tls.CertificateVerificationError](err) || isA[tls.RecordHeaderError](err) || isA[x509.UnknownAuthorityError](err) ||
		isA[*CAFileError](err) || errors.Is(err, http.ErrSchemeMismatch)
}

// isBadlyPacked returns whether a body can't be decompressed.
func isBadlyPacked(err error) bool {
	return isA[flate.CorruptInputError](err) || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum)
}

// IsNotOffered returns whether a region without the service would cause the error of a request to it: the gateway does not know the API, or there is no
// such host. A 404 of the service itself is something else, and so is what IAM responds on the way.
func IsNotOffered(service string, err error) bool {
	if isA[*CredentialsError](err) {
		return false
	}
	if api, ok := errors.AsType[*APIError](err); ok {
		return api.Service == service && !api.IsIAM && api.isNotOffered()
	}
	transport, ok := errors.AsType[*TransportError](err)
	return ok && transport.Service == service && !transport.IsIAM && isUnknownHost(err)
}

// isUnknownHost returns whether the host of the API does not exist, as the resolver or a Squid says. The host of a proxy does not count.
func isUnknownHost(err error) bool {
	if proxy, ok := errors.AsType[*ProxyError](err); ok {
		return proxy.UnknownHost
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "proxyconnect" {
		return false
	}
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && dns.IsNotFound
}

const minBackoff = 15 * time.Second

// Backoff returns how long nothing is sent after so many failures in a row: 15 s, doubled for each further failure up to longest, or what the cloud asks
// for if that is longer. A request that was not sent because of a refused key is sent when the key is tried again, and one that had no keys or no
// certificate authorities soon: nothing was asked, and what gets keys makes pauses of its own.
func Backoff(streak int, err error, longest time.Duration) time.Duration {
	if isA[*CredentialsError](err) || isA[*CAFileError](err) {
		return 0
	}
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return time.Until(refused.Until)
	}
	if isA[*waitError](err) {
		return minBackoff
	}
	p := minBackoff
	for ; streak > 1 && p < longest; streak-- {
		p *= 2
	}
	p = max(min(p, longest), minBackoff)
	if api, ok := errors.AsType[*APIError](err); ok {
		p = max(p, api.RetryAfter)
	}
	return p
}

// remedied is an error that says what to do about it. Its text ends with the remedy.
type remedied interface {
	error
	// Remedy consists of this program's own words and those of the configuration. Nothing in it came from the network, neither text nor numbers:
	// people do what it says, and problems with the same remedy are shown as one.
	Remedy() string
}

type advisedError struct {
	err    error
	remedy string
}

// Advise returns err with a remedy, which replaces the one that it may have.
func Advise(err error, remedy string) error { return &advisedError{err, remedy} }

func (e *advisedError) Error() string  { return What(e.err) + ending(e.remedy) }
func (e *advisedError) Unwrap() error  { return e.err }
func (e *advisedError) Remedy() string { return e.remedy }

// Remedy returns the remedy of the first error in the tree of err that has one, or "".
func Remedy(err error) string {
	if e, ok := errors.AsType[remedied](err); ok {
		return e.Remedy()
	}
	return ""
}

// What returns the text of err without the remedy: what was tried, and what came back. If the text does not end with the remedy, What returns all
// of it.
func What(err error) string { return strings.TrimSuffix(err.Error(), ending(Remedy(err))) }

// ending is the end of the text of an error with a remedy.
func ending(remedy string) string {
	if remedy == "" {
		return ""
	}
	return "; " + remedy
}

// TransportError is the error of a request without a complete response.
type TransportError struct {
	Request string // method and URL
	Service string
	IsIAM   bool          // the request was not for quotas
	After   time.Duration // from sending to giving up
	Err     error
}

func (e *TransportError) Error() string {
	return fmt.Sprintf("%s: no answer after %s: %v", e.Request, e.After.Round(time.Millisecond), e.Err) + ending(e.Remedy())
}

func (e *TransportError) Unwrap() error { return e.Err }

// Remedy depends on the kind of the cause.
func (e *TransportError) Remedy() string {
	proxy, byProxy := errors.AsType[*ProxyError](e.Err)
	switch reason := Reason(e.Err); {
	case byProxy && !proxy.UnknownHost:
		return proxy.advice()
	case reason == ReasonTimeout && e.IsIAM:
		return "check the network, and endpoints.iam if it is set"
	case reason == ReasonTimeout:
		return fmt.Sprintf("check the network, or raise services.%s.timeout", e.Service)
	case reason == ReasonTLS:
		return "a cloud with a certificate authority of its own needs ca_file, otherwise check endpoints and proxy"
	case reason == ReasonMalformed:
		return answeredByOther
	case isUnknownHost(e.Err):
		return otherHost(e.Service)
	default:
		return fmt.Sprintf("check the network, the proxy if HTTPS_PROXY is set, and endpoints.%s if it is", e.Service)
	}
}

// otherHost is the remedy if a region does not seem to have a service.
func otherHost(service string) string {
	return fmt.Sprintf("the region may not offer the service, or it has another host there: set endpoints.%s", service)
}

// MalformedError is the error of a 2xx that can't be read, or of a 1xx.
type MalformedError struct {
	Request string // method and URL
	What    string // what is wrong with the response
	Advice  string // what to do; empty if nothing is known that is better than the usual
}

func (e *MalformedError) Error() string { return e.Request + ": " + e.What + ending(e.Remedy()) }

// Remedy returns the advice.
func (e *MalformedError) Remedy() string { return cmp.Or(e.Advice, answeredByOther) }

const answeredByOther = "a proxy or a wrong endpoint may have answered"

// CredentialsError is the error of a request without keys and token to authorize it.
type CredentialsError struct{ Err error }

func (e *CredentialsError) Error() string { return "no credentials: " + e.Err.Error() }
func (e *CredentialsError) Unwrap() error { return e.Err }

// ProjectError means that IAM does not know exactly one project of a name.
type ProjectError struct {
	URL  string
	Name string   // the region's, for its own project
	IDs  []string // of the projects of that name; none or several

	Skipped Skipped // projects in the list that can't be read; they may be of that name
}

func (e *ProjectError) Error() string {
	found := "no project"
	switch {
	case len(e.IDs) > maxIDs:
		found = fmt.Sprintf("more than %d projects (%s, ...)", maxIDs, strings.Join(e.IDs[:maxIDs], ", "))
	case len(e.IDs) > 0:
		found = fmt.Sprintf("%d projects (%s)", len(e.IDs), strings.Join(e.IDs, ", "))
	}
	text := fmt.Sprintf("GET %s: IAM knows %s of the name %s", e.URL, found, e.Name)
	if e.Skipped.Count > 0 {
		text += fmt.Sprintf(" (%d can't be read: %v)", e.Skipped.Count, e.Skipped.Reasons[0])
	}
	return text + ending(e.Remedy())
}

// Remedy shows the region, if the name has one.
func (e *ProjectError) Remedy() string {
	region := Project{Name: e.Name}.Region()
	if !regionName.MatchString(region) {
		region = "..."
	}
	return fmt.Sprintf("state the project's id: projects: [{id: ..., region: %s, name: ...}]", region)
}

// hiddenError has the text of another error without the secrets in it: net/http, for example, quotes a response that is no HTTP.
type hiddenError struct {
	text string
	err  error
}

func (e *hiddenError) Error() string { return e.text }
func (e *hiddenError) Unwrap() error { return e.err }

const maxShown = 200 // characters of a text of a response in an error

// oneLine returns the beginning of text as one printable line. Secrets are hidden before, since what is left of one that is cut off would not be
// found.
func oneLine(text string) string {
	printable := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, "\uFFFD"))
	line := []rune(strings.Join(strings.Fields(printable), " "))
	if len(line) > maxShown {
		return string(line[:maxShown]) + "..."
	}
	return string(line)
}
