package huaweicloud

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"os"
)

// The reasons for which a fetch fails, as cloud_quota_last_failure_reason shows them. The set is closed.
const (
	ReasonTimeout      = "timeout"      // the service's timeout ended the fetch, or 408
	ReasonNetwork      = "network"      // no such host, refused, reset, no route
	ReasonTLS          = "tls"          // certificate, or no TLS at the other end
	ReasonUnauthorized = "unauthorized" // 401
	ReasonClockSkew    = "clock_skew"   // 401 while the clocks differ by more than 15 minutes
	ReasonForbidden    = "forbidden"    // 403
	ReasonNotFound     = "not_found"    // 404, or no project of the region's name
	ReasonThrottled    = "throttled"    // 429, and APIGW.0308 whatever the status
	ReasonServerError  = "server_error" // 5xx
	ReasonClientError  = "client_error" // 3xx and other 4xx
	ReasonMalformed    = "malformed"    // a 2xx that can't be read
	ReasonCredentials  = "credentials"  // no keys or token could be had
)

// ErrPaused is why nothing was asked: the service throttled the account a moment ago.
var ErrPaused = Advise(errors.New("not asked, since it throttles the account"), "it is asked again after the pause")

// ErrHangs is why nothing was asked: as many fetches in a row as there may be at a time have timed out.
var ErrHangs = Advise(errors.New("not asked, since as many fetches in a row as there may be at a time timed out"),
	"check the network and the service, or raise its timeout")

// Reason classifies the error of a fetch. It is the only place that does.
func Reason(err error) string {
	var api *APIError
	var malformed *MalformedError
	var credentials *CredentialsError
	var project *ProjectError
	switch {
	case errors.As(err, &credentials): // first: why there are none may be any of the others
		return ReasonCredentials
	case errors.As(err, &api):
		return api.reason()
	case errors.As(err, &malformed):
		return ReasonMalformed
	case errors.As(err, &project):
		return ReasonNotFound
	case errors.Is(err, ErrPaused):
		return ReasonThrottled
	case errors.Is(err, ErrHangs), errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return ReasonTimeout
	case isTLS(err):
		return ReasonTLS
	case isBadlyPacked(err):
		return ReasonMalformed
	default:
		return ReasonNetwork
	}
}

func (e *APIError) reason() string {
	switch {
	case e.Status == http.StatusTooManyRequests, e.Code == "APIGW.0308", e.Code == "APIG.0308":
		return ReasonThrottled
	case e.Status == http.StatusUnauthorized && e.Skew != 0:
		return ReasonClockSkew
	case e.Status == http.StatusUnauthorized:
		return ReasonUnauthorized
	case e.Status == http.StatusForbidden:
		return ReasonForbidden
	case e.Status == http.StatusNotFound:
		return ReasonNotFound
	case e.Status == http.StatusRequestTimeout:
		return ReasonTimeout
	case e.Status >= http.StatusInternalServerError:
		return ReasonServerError
	default:
		return ReasonClientError
	}
}

func isTLS(err error) bool {
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert *net.OpError // how crypto/tls reports the other end's alerts, and its own
	var unknown x509.UnknownAuthorityError
	var file *CAFileError
	return errors.As(err, &verification) || errors.As(err, &record) || errors.As(err, &unknown) || errors.As(err, &file) ||
		errors.As(err, &alert) && (alert.Op == "remote error" || alert.Op == "local error") ||
		errors.Is(err, http.ErrSchemeMismatch)
}

// isBadlyPacked tells whether a body came that can't be unpacked.
func isBadlyPacked(err error) bool {
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	return corrupt || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum)
}

// IsThrottled tells whether the API asks to be left alone for a while.
func IsThrottled(err error) bool {
	api, ok := errors.AsType[*APIError](err)
	return ok && api.reason() == ReasonThrottled
}

// IsNotOffered tells whether the error is what a region answers that does not have the service: 404, or no such host.
func IsNotOffered(err error) bool {
	if Reason(err) == ReasonCredentials { // that IAM can't be found says nothing of the service
		return false
	}
	api, ok := errors.AsType[*APIError](err)
	return ok && api.Status == http.StatusNotFound || isUnknownHost(err)
}

// isUnknownHost tells whether there is no such host as the cloud's. That there is none as the proxy's says nothing of the cloud.
func isUnknownHost(err error) bool {
	var dns *net.DNSError
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "proxyconnect" {
		return false
	}
	return errors.As(err, &dns) && dns.IsNotFound
}
