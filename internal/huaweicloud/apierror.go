package huaweicloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	maxSkew       = 15 * time.Minute // the gateway rejects signatures beyond it
	maxRetryAfter = time.Hour        // a longer pause is a server error
)

// APIError is a response other than 2xx.
type APIError struct {
	Request    string // method and URL
	Service    string
	IsIAM      bool // the request was for keys, projects, or the account ID, not for quotas
	Status     int
	Code       string        // error code of the service or the gateway, such as "APIGW.0301"; may be empty
	Message    string        // one line; the start of the body if its format is unknown
	RequestID  string        // for Huawei Cloud's support; may be empty
	Action     string        // IAM action to grant after a 403; empty if none is documented
	Account    bool          // the request was about an account, not about a project
	NoProject  bool          // the request was about an account and had no project ID
	Location   string        // scheme and host of a redirect's target; empty if it is not a redirect
	RetryAfter time.Duration // how long to wait after a 429 or 503, or until a rejected key is used again; 0: unknown
	Skew       time.Duration // for a 401: this machine's clock minus the cloud's, if they differ by more than 15 minutes
	Advice     string        // replaces the usual remedy; usually empty
}

// apiError parses a response other than 2xx.
func (c *Client) apiError(r request, resp *http.Response, body []byte, hide func(string) string) *APIError {
	show := func(text string) string { return oneLine(hide(text)) }
	parsed := readError(body)
	e := &APIError{
		Request:   r.String(),
		Service:   c.Service,
		IsIAM:     c.IsIAM,
		Account:   c.Scope.DomainID != "",
		NoProject: c.Scope.DomainID != "" && c.Scope.ProjectID == "",
		Status:    resp.StatusCode,
		Code:      show(parsed.code()),
		Message:   show(parsed.message),
		RequestID: show(firstOf(resp.Header.Get("X-Request-Id"), resp.Header.Get("X-IAM-Trace-Id"), parsed.requestID)),
	}
	if location, err := resp.Location(); err == nil && resp.StatusCode/100 == 3 {
		e.Location = show((&url.URL{Scheme: location.Scheme, Host: location.Host}).String())
	}
	if resp.StatusCode == http.StatusUnauthorized {
		e.Skew = clockSkew(resp.Header)
	}
	switch e.reason() {
	case ReasonForbidden:
		e.Action = c.Action
	case ReasonThrottled:
		e.RetryAfter = min(max(retryAfter(resp.Header), retryHint(parsed.message)), maxRetryAfter)
	case ReasonServerError:
		if e.Status == http.StatusServiceUnavailable {
			e.RetryAfter = min(retryAfter(resp.Header), maxRetryAfter)
		}
	}
	e.Advice = c.Advice[e.reason()]
	return e
}

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
	if e.Skew < 0 {
		fmt.Fprintf(&b, " (this machine's clock is %s behind the cloud's)", -e.Skew.Round(time.Second))
	}
	if e.Skew > 0 {
		fmt.Fprintf(&b, " (this machine's clock is %s ahead of the cloud's)", e.Skew.Round(time.Second))
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, " (request ID %s)", e.RequestID)
	}
	return b.String() + ending(e.Remedy())
}

func (e *APIError) reason() string {
	switch {
	case e.Status == http.StatusTooManyRequests, e.isOfGateway("0308"):
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

// isOfGateway reports whether the code is one of API Gateway, which has two spellings.
func (e *APIError) isOfGateway(number string) bool {
	return e.Code == "APIGW."+number || e.Code == "APIG."+number
}

// isNotOffered reports whether the gateway does not know the API in this region.
func (e *APIError) isNotOffered() bool {
	return e.Status == http.StatusNotFound && e.isOfGateway("0101") || e.Status == http.StatusForbidden && e.isOfGateway("0801")
}

// Remedy depends on the reason and the service, not on the text of the response.
func (e *APIError) Remedy() string {
	switch reason := e.reason(); {
	case reason == ReasonClientError && e.Location != "":
		return fmt.Sprintf("set endpoints.%s if the service has moved (redirects are not followed)", e.Service)
	case reason == ReasonClientError && e.Status/100 == 3, e.Status == http.StatusMethodNotAllowed, e.Status == http.StatusNetworkAuthenticationRequired:
		return answeredByOther
	case reason == ReasonForbidden && e.isNotOffered():
		return otherHost(e.Service)
	case reason == ReasonForbidden && e.isOfGateway("0802"):
		return "check the region and the project ID, and authorize the user for this project in IAM"
	case e.Advice != "":
		return e.Advice
	case reason == ReasonClockSkew:
		return "synchronize this machine's clock with NTP"
	case reason == ReasonUnauthorized && e.NoProject:
		return "check that a project of the account is configured or discovered, and that the credentials are correct, active, and issued by this cloud"
	case reason == ReasonUnauthorized:
		return "check that the credentials are correct, active, and issued by this cloud"
	case reason == ReasonForbidden:
		return e.grant()
	case reason == ReasonNotFound && e.IsIAM:
		return "check endpoints.iam (this API does not exist at this URL)"
	case reason == ReasonNotFound && e.Account:
		return fmt.Sprintf("check that the account uses the service, or set the correct host in endpoints.%s", e.Service)
	case reason == ReasonNotFound:
		return fmt.Sprintf("check that the region offers the service and that the project exists, or set the correct host in endpoints.%s", e.Service)
	case reason == ReasonThrottled && e.IsIAM:
		return "the exporter retries IAM after a pause"
	case reason == ReasonThrottled:
		return fmt.Sprintf("increase services.%s.cache_ttl to send fewer requests (the service is paused for the account)", e.Service)
	case reason == ReasonServerError || reason == ReasonTimeout:
		return "the failure is on the cloud's side, and the exporter will retry"
	case e.IsIAM:
		return "check the region and the names in credentials"
	case e.Account:
		return "check the domain_id of the account, and that a project of the account is configured or discovered"
	default:
		return "check the region and the project ID"
	}
}

// grant returns the permission to grant, and which of the two custom policies has the action.
func (e *APIError) grant() string {
	remedy, level := "grant the role Tenant Guest (no IAM action is documented)", "account-level"
	if e.Action != "" {
		remedy = "grant the IAM action " + e.Action
	}
	if !e.Account && !e.IsIAM {
		remedy, level = remedy+", and check that the project ID belongs to this account", "project-level"
	}
	if e.Action != "" {
		remedy += "; cloud_quota_exporter policy prints the " + level + " policy"
	}
	return remedy
}

// errorBody is the parsed body of an error.
type errorBody struct {
	codes     []string
	message   string
	requestID string
}

// readError parses the documented formats and some others: {"error_code", "error_msg"}, also inside "error" or "details"; CES's
// {"http_code", "message": {"code", "details"}}; IAM's {"error": {"code": 401, "message", "title"}}. A body in another format is the
// message.
func readError(body []byte) errorBody {
	var b errorBody
	var v any
	if json.Unmarshal(body, &v) == nil {
		b.read(v)
	}
	b.message = firstOf(b.message, string(body))
	return b
}

func (b *errorBody) read(v any) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			b.read(item)
		}
	case map[string]any:
		for _, key := range []string{"error_code", "code", "http_code"} {
			if code := text(v[key]); code != "" {
				b.codes = append(b.codes, code)
			}
		}
		for _, key := range []string{"error_msg", "message", "details", "error_message", "title"} {
			message, _ := v[key].(string)
			b.message = firstOf(b.message, message)
		}
		b.requestID = firstOf(b.requestID, text(v["request_id"]))
		for _, key := range []string{"error", "message", "details"} {
			b.read(v[key])
		}
	}
}

// code returns the first code that is not a number, such as "ces.0014", otherwise the first one, which repeats the status.
func (b *errorBody) code() string {
	for _, code := range b.codes {
		if _, err := strconv.Atoi(code); err != nil {
			return code
		}
	}
	return firstOf(b.codes...)
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return ""
	}
}

// firstOf returns the first text that is not blank.
func firstOf(texts ...string) string {
	for _, t := range texts {
		if strings.TrimSpace(t) != "" {
			return t
		}
	}
	return ""
}

// clockSkew returns this machine's clock minus the Date of a response; 0 if the difference does not invalidate signatures.
func clockSkew(h http.Header) time.Duration {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0
	}
	if skew := time.Since(date); skew.Abs() > maxSkew {
		return skew
	}
	return 0
}

// retryAfter parses the header Retry-After, in seconds (some servers send fractions) or as a date; 0 if it has neither.
func retryAfter(h http.Header) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseFloat(value, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		if !(seconds > 0) { // also rejects NaN
			return 0
		}
		return time.Duration(min(seconds, maxRetryAfter.Seconds()) * float64(time.Second))
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(time.Until(date), 0)
	}
	return 0
}

// throttleHint matches the limit in a message of the gateway: "policy user over ratelimit,limit:200,time:5 minute".
var throttleHint = regexp.MustCompile(`time:\s*(\d{1,6})\s*(second|minute|hour|day)`)

// retryHint parses the period of the limit in the message of APIGW.0308; 0 if there is none.
func retryHint(message string) time.Duration {
	m := throttleHint.FindStringSubmatch(message)
	if m == nil {
		return 0
	}
	if m[2] == "day" { // longer than maxRetryAfter in any case
		return maxRetryAfter
	}
	period, _ := time.ParseDuration(m[1] + m[2][:1]) // never fails: the text is like 5m
	return period
}
