package huaweicloud

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	maxSkew       = 15 * time.Minute // beyond it the gateway refuses signatures
	maxRetryAfter = time.Hour        // a pause that nobody would wait out is a mistake of the server's
)

// apiError makes the typed error of an answer other than 2xx.
func (c *Client) apiError(resp *http.Response, body []byte, grant Grant) *APIError {
	said := errorBody(body)
	e := &APIError{
		Request:   resp.Request.Method + " " + resp.Request.URL.String(),
		Service:   c.Service,
		Status:    resp.StatusCode,
		Code:      OneLine(grant.Hide(said.code())),
		Message:   OneLine(grant.Hide(said.message)),
		RequestID: OneLine(grant.Hide(firstOf(resp.Header.Get("X-Request-Id"), resp.Header.Get("X-IAM-Trace-Id"), said.requestID))),
	}
	if location, err := resp.Location(); err == nil && resp.StatusCode/100 == 3 {
		e.Location = OneLine(grant.Hide((&url.URL{Scheme: location.Scheme, Host: location.Host}).String()))
	}
	if resp.StatusCode == http.StatusUnauthorized {
		e.Skew = clockSkew(resp.Header)
	}
	switch e.reason() {
	case ReasonForbidden:
		e.Action = c.Action
	case ReasonThrottled:
		e.RetryAfter = min(max(retryAfter(resp.Header), pauseHint(said.message)), maxRetryAfter)
	}
	e.Advice = c.Advice[e.reason()]
	return e
}

// said is what an error's body tells, in whichever of the services' shapes.
type said struct {
	codes     []string
	message   string
	requestID string
}

// errorBody reads the shapes that the documents show and some that they don't: {"error_code", "error_msg"}, the same inside "error"
// or "details"; CES's {"http_code", "message": {"code", "details"}}; IAM's {"error": {"code": 401, "message", "title"}}. A body of no
// known shape is its own message.
func errorBody(body []byte) said {
	var s said
	var v any
	if json.Unmarshal(body, &v) == nil {
		s.read(v)
	}
	if s.message == "" {
		s.message = string(body)
	}
	return s
}

func (s *said) read(v any) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			s.read(item)
		}
	case map[string]any:
		for _, key := range []string{"error_code", "code", "http_code"} {
			if code := text(v[key]); code != "" {
				s.codes = append(s.codes, code)
			}
		}
		for _, key := range []string{"error_msg", "message", "details", "error_message", "title"} {
			message, _ := v[key].(string)
			s.message = firstOf(s.message, message)
		}
		s.requestID = firstOf(s.requestID, text(v["request_id"]))
		for _, key := range []string{"error", "message", "details"} {
			s.read(v[key])
		}
	}
}

// code prefers a service's own code, such as "ces.0014", to one that repeats the status.
func (s *said) code() string {
	for _, code := range s.codes {
		if _, err := strconv.Atoi(code); err != nil {
			return code
		}
	}
	return firstOf(s.codes...)
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

func firstOf(texts ...string) string {
	for _, t := range texts {
		if strings.TrimSpace(t) != "" {
			return t
		}
	}
	return ""
}

// clockSkew compares this machine's clock with the answer's Date; 0 where they agree well enough for signatures.
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

// retryAfter reads the header of that name, in seconds or as a date; 0 where it says nothing.
func retryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil {
		return seconds64(seconds)
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(time.Until(date), 0)
	}
	return 0
}

// seconds64 keeps absurd numbers from overflowing into the past.
func seconds64(n int) time.Duration {
	return time.Duration(min(max(n, 0), int(maxRetryAfter/time.Second))) * time.Second
}

// throttleHint is how the gateway states its limit: "policy user over ratelimit,limit:200,time:5 minute".
var throttleHint = regexp.MustCompile(`time:\s*(\d{1,6})\s*(second|minute|hour)`)

// pauseHint reads the period of the limit out of a message of APIGW.0308; 0 where it says none.
func pauseHint(message string) time.Duration {
	m := throttleHint.FindStringSubmatch(message)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1]) // digits by the expression
	unit := map[string]time.Duration{"second": time.Second, "minute": time.Minute, "hour": time.Hour}[m[2]]
	return time.Duration(n) * unit
}
