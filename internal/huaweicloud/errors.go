package huaweicloud

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// APIError is an answer other than 2xx.
type APIError struct {
	Request    string // method and URL
	Service    string
	Status     int
	Code       string        // error code of the service or the gateway, such as "APIGW.0301"; empty where none came
	Message    string        // one line; the beginning of the body where it isn't an error of a known shape
	RequestID  string        // to give to Huawei's support; empty where none came
	Action     string        // IAM action to grant, of a 403; empty where none is documented
	Location   string        // scheme and host that a redirect points to; empty if it is none
	RetryAfter time.Duration // what a throttling answer asks to wait, or how long a refused key is not used again; 0: nothing is known
	Skew       time.Duration // of a 401: this machine's clock minus the cloud's, where they differ by more than 15 minutes
	Advice     string        // what to do, in place of the usual; usually empty
}

// Error says what was tried, what came back and what to do.
func (e *APIError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d %s", e.Request, e.Status, http.StatusText(e.Status))
	if e.Code != "" && e.Code != strconv.Itoa(e.Status) {
		fmt.Fprintf(&b, " %s", e.Code)
	}
	if e.Message != "" {
		fmt.Fprintf(&b, ": %s", e.Message)
	}
	if e.Location != "" {
		fmt.Fprintf(&b, " (redirect to %s)", e.Location)
	}
	if e.Skew != 0 {
		fmt.Fprintf(&b, " (the clock of this machine is %s)", skewText(e.Skew))
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, " (request id %s)", e.RequestID)
	}
	return b.String() + ending(e.Remedy())
}

// Remedy says what to do, whatever the answer's own words are.
func (e *APIError) Remedy() string {
	switch reason := e.reason(); {
	case reason == ReasonClientError && e.Location != "":
		return fmt.Sprintf("redirects are not followed: set endpoints.%s if the service has moved", e.Service)
	case e.Advice != "":
		return e.Advice
	case reason == ReasonClockSkew:
		return "set the clock of this machine by NTP"
	case reason == ReasonUnauthorized:
		return "check that the keys are right, active and of this cloud"
	case reason == ReasonForbidden && e.Action == "":
		return "grant the role Tenant Guest (the IAM action is not documented), and check that the project id belongs to this account"
	case reason == ReasonForbidden && e.Service == "iam":
		return fmt.Sprintf("grant the IAM action %s", e.Action)
	case reason == ReasonForbidden:
		return fmt.Sprintf("grant the IAM action %s, and check that the project id belongs to this account", e.Action)
	case reason == ReasonNotFound && e.Service == "iam":
		return "check endpoints.iam: there is no such API at this address"
	case reason == ReasonNotFound:
		return fmt.Sprintf("check that the region offers the service and that the project exists, or set the right host by endpoints.%s", e.Service)
	case reason == ReasonThrottled && e.Service == "iam":
		return "IAM is asked again after a pause"
	case reason == ReasonThrottled:
		return fmt.Sprintf("the service is paused for the account; a longer services.%s.cache_ttl asks less often", e.Service)
	case reason == ReasonServerError || reason == ReasonTimeout:
		return "the cloud's own trouble, it is asked again"
	case e.Service == "iam":
		return "check the region, and the names in credentials"
	default:
		return "check the region and the id of the project"
	}
}

func skewText(skew time.Duration) string {
	if skew < 0 {
		return fmt.Sprintf("%s behind the cloud's", -skew.Round(time.Second))
	}
	return fmt.Sprintf("%s ahead of the cloud's", skew.Round(time.Second))
}

// TransportError is a request that got no whole answer.
type TransportError struct {
	Request string // method and URL
	Service string
	After   time.Duration // from sending to giving up
	Err     error
}

// Error says what was tried, what came back and what to do.
func (e *TransportError) Error() string {
	return fmt.Sprintf("%s: no answer after %s: %v", e.Request, e.After.Round(time.Millisecond), e.Err) + ending(e.Remedy())
}

// Remedy says what to do, by the kind of the cause.
func (e *TransportError) Remedy() string {
	switch reason := Reason(e.Err); {
	case reason == ReasonTimeout && e.Service == "iam":
		return "check the network, and endpoints.iam if it is set"
	case reason == ReasonTimeout:
		return fmt.Sprintf("check the network, or raise services.%s.timeout", e.Service)
	case reason == ReasonTLS:
		return "a cloud with a certificate authority of its own needs ca_file, otherwise check endpoints and proxy"
	case reason == ReasonMalformed:
		return answeredByOther
	case isUnknownHost(e.Err):
		return fmt.Sprintf("the region may not offer the service, or it has another host there: set endpoints.%s", e.Service)
	default:
		return fmt.Sprintf("check the network, the proxy if HTTPS_PROXY is set, and endpoints.%s if it is", e.Service)
	}
}

// Unwrap returns the cause.
func (e *TransportError) Unwrap() error { return e.Err }

// MalformedError is a 2xx that can't be read, or a 1xx, which is no answer.
type MalformedError struct {
	Request   string // method and URL
	Status    int
	What      string // what is wrong with it
	Beginning string // of the body, one line
	Private   bool   // keys may stand in it: the two above are empty
}

// Error says what was tried, what came back and what to do.
func (e *MalformedError) Error() string {
	if e.Status > 0 && e.Status < http.StatusOK {
		return fmt.Sprintf("%s: %d %s, which is no answer to this request", e.Request, e.Status, http.StatusText(e.Status)) + ending(e.Remedy())
	}
	if e.Private {
		return fmt.Sprintf("%s: the answer can't be read (it is not shown, as keys may stand in it)", e.Request) + ending(e.Remedy())
	}
	beginning := "it is empty"
	if e.Beginning != "" {
		beginning = "it begins with: " + e.Beginning
	}
	return fmt.Sprintf("%s: the answer can't be read: %s; %s", e.Request, e.What, beginning) + ending(e.Remedy())
}

// Remedy says what to do.
func (e *MalformedError) Remedy() string { return answeredByOther }

const answeredByOther = "a proxy or a wrong endpoint may have answered"

// CredentialsError is a request that could not be authorised: there were no keys and no token.
type CredentialsError struct{ Err error }

// Error says why there are none.
func (e *CredentialsError) Error() string { return "no credentials: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *CredentialsError) Unwrap() error { return e.Err }

// ProjectError is a region's project that IAM could not tell.
type ProjectError struct {
	URL    string
	Region string
	IDs    []string // of the projects of that name; none or several
}

// Error says what was tried, what came back and what to do.
func (e *ProjectError) Error() string {
	found := "no project"
	switch {
	case len(e.IDs) > maxIDs:
		found = fmt.Sprintf("more than %d projects (%s, ...)", maxIDs, strings.Join(e.IDs[:maxIDs], ", "))
	case len(e.IDs) > 0:
		found = fmt.Sprintf("%d projects (%s)", len(e.IDs), strings.Join(e.IDs, ", "))
	}
	return fmt.Sprintf("GET %s: IAM knows %s of the name %s", e.URL, found, e.Region) + ending(e.Remedy())
}

// Remedy says what to do.
func (e *ProjectError) Remedy() string {
	return fmt.Sprintf("state the project's id: projects: [{id: ..., region: %s, name: ...}]", e.Region)
}

const maxShown = 200 // runes of a body or message in an error

// OneLine returns the beginning of text as one printable line. Secrets are hidden before: a cut one would not be recognised.
func OneLine(text string) string {
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
