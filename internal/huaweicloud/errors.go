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
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
	"unicode"
)

// The reasons of failed fetches, as in cloud_quota_last_failure_reason. The set is closed.
const (
	ReasonTimeout      = "timeout"      // timeout of the service, or 408
	ReasonNetwork      = "network"      // no such host, connection refused or reset, no route
	ReasonTLS          = "tls"          // invalid certificate, or the server does not use TLS 1.2 or later
	ReasonUnauthorized = "unauthorized" // 401
	ReasonClockSkew    = "clock_skew"   // 401 while the clocks differ by more than 15 minutes
	ReasonForbidden    = "forbidden"    // 403
	ReasonNotFound     = "not_found"    // 404, or no project with the region's name, or no account ID
	ReasonThrottled    = "throttled"    // 429, and APIGW.0308 with any status
	ReasonServerError  = "server_error" // 5xx
	ReasonClientError  = "client_error" // 3xx and other 4xx
	ReasonMalformed    = "malformed"    // a 2xx that cannot be parsed
	ReasonCredentials  = "credentials"  // no keys or token
)

// ErrPaused is the error of a fetch that is not started because the service has throttled the account.
var ErrPaused = Advise(errors.New("request not sent because the service is throttling the account"), "the exporter retries after the pause")

// ErrHangs is the error of a fetch that is not started because as many fetches in a row as allowed concurrently have timed out.
var ErrHangs = Advise(errors.New("request not sent because max_in_flight fetches in a row timed out"),
	"check the network and the service, or increase its timeout")

// Reason classifies the error of a fetch; empty for nil. All reasons come from here.
func Reason(err error) string {
	var api *APIError
	switch {
	case err == nil:
		return ""
	case isA[*CredentialsError](err): // first, because it may wrap any of the others
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

// isA reports whether the tree of err has an error of type E.
func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func isTLS(err error) bool {
	alert, ok := errors.AsType[*net.OpError](err) // how crypto/tls reports alerts of either side
	return ok && (alert.Op == "remote error" || alert.Op == "local error") ||
		isA[*tls.CertificateVerificationError](err) || isA[tls.RecordHeaderError](err) || isA[x509.UnknownAuthorityError](err) ||
		isA[*CAFileError](err) || isInvalidHandshake(err) || errors.Is(err, http.ErrSchemeMismatch)
}

// handshakeError is an error of a TLS handshake. Most of these have no type of their own.
type handshakeError struct{ error }

// Unwrap returns the error itself.
func (e *handshakeError) Unwrap() error { return e.error }

// isInvalidHandshake reports whether a TLS handshake failed, and not its connection.
func isInvalidHandshake(err error) bool {
	return isA[*handshakeError](err) && !isA[net.Error](err) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF)
}

// isBadlyPacked reports whether a body cannot be decompressed.
func isBadlyPacked(err error) bool {
	return isA[flate.CorruptInputError](err) || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum)
}

// IsNotOffered reports whether an error of a request to a service is what a region without the service would cause: the gateway does
// not know the API, or there is no such host. A 404 of the service itself and errors of IAM are not.
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

// isUnknownHost reports whether the API's host does not exist, according to the resolver or a Squid. The host of a proxy does not
// count.
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

// Backoff returns the pause after so many failures in a row: 15 s, doubled with each failure up to longest, or what the cloud
// requests if that is longer. A request that was held back because of a rejected key is sent when the key is tried again. One
// without keys or certificate authorities is retried soon, because no request was sent and renewing keys has its own pauses.
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

// remedied is an error with a remedy. Its text ends with the remedy.
type remedied interface {
	error
	// Remedy consists of the program's own text and values of the configuration. Nothing in it comes from the network, because people
	// follow it, and problems with the same remedy are merged.
	Remedy() string
}

type advisedError struct {
	err    error
	remedy string
}

// Advise returns err with a remedy, which replaces that of err.
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

// What returns the text of err without the remedy: what was tried, and the response. If the text does not end with the remedy, What
// returns all of it. Joined errors with the same remedy lose it on each line.
func What(err error) string {
	end := ending(Remedy(err))
	text, found := strings.CutSuffix(err.Error(), end)
	if !found {
		return text
	}
	return strings.ReplaceAll(text, end+"\n", "\n")
}

// ending returns the end of the text of an error with a remedy.
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
	return fmt.Sprintf("%s: no response after %s: %v", e.Request, e.After.Round(time.Millisecond), e.Err) + ending(e.Remedy())
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
		return fmt.Sprintf("check the network, or increase services.%s.timeout", e.Service)
	case reason == ReasonTLS:
		return "set ca_file if the cloud has a private certificate authority, otherwise check endpoints and the proxy"
	case reason == ReasonMalformed:
		return answeredByOther
	case isUnknownHost(e.Err):
		return otherHost(e.Service)
	default:
		return fmt.Sprintf("check the network, and HTTPS_PROXY and endpoints.%s if they are set", e.Service)
	}
}

// otherHost is the remedy if a region does not seem to offer a service.
func otherHost(service string) string {
	return fmt.Sprintf("set endpoints.%s if the service has another host in this region (the region may not offer it)", service)
}

// MalformedError is the error of a 2xx that cannot be parsed, or of a 1xx.
type MalformedError struct {
	Request string // method and URL
	What    string // what is wrong with the response
	Advice  string // what to do; empty: the usual
}

func (e *MalformedError) Error() string { return e.Request + ": " + e.What + ending(e.Remedy()) }

// Remedy returns the advice.
func (e *MalformedError) Remedy() string { return cmp.Or(e.Advice, answeredByOther) }

const answeredByOther = "check endpoints and the proxy (something other than the API may have responded)"

// CredentialsError is the error of a request without keys or a token.
type CredentialsError struct{ Err error }

func (e *CredentialsError) Error() string { return "no credentials: " + e.Err.Error() }
func (e *CredentialsError) Unwrap() error { return e.Err }

// ProjectError means that IAM does not list exactly one project with a name.
type ProjectError struct {
	URL  string
	Name string   // that of the region for its default project
	IDs  []string // of the projects with that name; none or several

	Skipped Skipped // projects with invalid entries, which may have that name
}

func (e *ProjectError) Error() string {
	found := "no project"
	switch {
	case len(e.IDs) > maxIDs:
		found = fmt.Sprintf("more than %d projects (%s, ...)", maxIDs, strings.Join(e.IDs[:maxIDs], ", "))
	case len(e.IDs) > 0:
		found = fmt.Sprintf("%d projects (%s)", len(e.IDs), strings.Join(e.IDs, ", "))
	}
	text := fmt.Sprintf("GET %s: IAM lists %s with the name %s", e.URL, found, e.Name)
	if e.Skipped.Count > 0 {
		text += fmt.Sprintf(" (%d are invalid: %v)", e.Skipped.Count, e.Skipped.Reasons[0])
	}
	return text + ending(e.Remedy())
}

// Remedy shows the region, if the name has one.
func (e *ProjectError) Remedy() string {
	region := Project{Name: e.Name}.Region()
	if !regionName.MatchString(region) {
		region = "..."
	}
	return fmt.Sprintf("set the project ID: projects: [{id: ..., region: %s, name: ...}]", region)
}

// hiddenError is another error with secrets removed from its text. For example, net/http quotes a response that is not HTTP.
type hiddenError struct {
	text string
	err  error
}

func (e *hiddenError) Error() string { return e.text }
func (e *hiddenError) Unwrap() error { return e.err }

const maxShown = 200 // characters of a response's text in an error

// oneLine returns the start of text as one printable line. Secrets must be hidden first, because the rest of a truncated one would
// not be found.
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
