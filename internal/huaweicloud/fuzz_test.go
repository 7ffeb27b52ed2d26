package huaweicloud_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"cloud_quota_exporter/internal/huaweicloud"
)

// echoed is a secret that a server may echo; in fuzzed text, its start represents it.
const (
	echoed    = "SECRETKEY-of-forty-characters-0123456789"
	beginning = "SECRETKEY"
)

var reasons = map[string]bool{
	"timeout": true, "network": true, "tls": true, "unauthorized": true, "clock_skew": true, "forbidden": true, "not_found": true,
	"throttled": true, "server_error": true, "client_error": true, "malformed": true, "credentials": true,
}

// asking returns a client for a fuzzed response.
func asking(transport http.RoundTripper) *huaweicloud.Client {
	c := clientOf(nil)
	c.HTTP.Transport = transport
	c.Auth = &auth{keys: keys("AK-of-the-test", echoed, "")}
	return c
}

// answering is a transport that responds without a network.
type answering http.Response

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	response := http.Response(a)
	response.Request = r
	return &response, nil
}

func newAnswer(status int, body string, header ...string) answering {
	a := answering{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(strings.ReplaceAll(body, beginning, echoed)))}
	for i := 0; i < len(header); i += 2 {
		a.Header.Set(header[i], strings.ReplaceAll(header[i+1], beginning, echoed))
	}
	return a
}

// wantTold asserts that an error can be shown to anyone: one line without secrets, with a known reason.
func wantTold(t *testing.T, err error) {
	t.Helper()
	if !reasons[huaweicloud.Reason(err)] {
		t.Errorf("reason %q", huaweicloud.Reason(err))
	}
	text := err.Error()
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if strings.Contains(text, echoed[:len(beginning)+4]) || !utf8.ValidString(text) || strings.ContainsFunc(text, unprintable) || len(text) > 4000 {
		t.Errorf("%d bytes: %.2000q", len(text), text)
	}
}

// FuzzAPIError: every response other than 2xx results in an error of its status that can be shown. The response determines which remedy it has, but
// none of its words.
func FuzzAPIError(f *testing.F) {
	for _, body := range []string{
		`{"error_msg":"ak SECRETKEY not exist","error_code":"APIGW.0301","request_id":"9ac2"}`,
		`{"http_code":"403","message":{"details":"Policy doesn't allow [ces:alarms:get]","code":"403"}}`,
		`{"code":400,"element":"project_id","message":"bad","details":{"details":"Invalid.","code":"ces.0014"}}`,
		`{"error_code":"DBSS.0403","error_msg":"no","details":[{"error_code":"PDP5.1","error_msg":"denied"}]}`,
		`{"error":{"code":401,"message":"The request requires authentication.","title":"Unauthorized"}}`,
		`{"error_code":"APIGW.0308","error_msg":"limit:200,time:5 minute"}`, `{"error_code":"LURE","error_msg":"LURE"}`, "<html>SECRETKEY\x00", `"text"`, `[[{}]]`, "",
	} {
		for _, status := range []uint16{301, 400, 401, 403, 404, 408, 429, 500, 999} {
			f.Add(status, body, "SECRETKEY", "https://SECRETKEY.example.com/x", "Sat, 01 Jan 2000 00:00:00 GMT")
			f.Add(status, body, "LURE", "https://LURE.example.com/x", "LURE")
		}
	}
	f.Fuzz(func(t *testing.T, number uint16, body, requestID, location, date string) {
		status := int(number)
		if status < 300 || status > 999 {
			status = 300 + status%700
		}
		if _, err := url.Parse(strings.ReplaceAll(location, beginning, echoed)); err != nil {
			location = "" // the result of the transport
		}
		answer := newAnswer(status, body, "X-Request-Id", requestID, "Location", location, "Date", date, "Retry-After", date)
		_, err := asking(answer).Get(t.Context(), "/")
		e, ok := errors.AsType[*huaweicloud.APIError](err)
		if !ok {
			t.Fatalf("got %v, want an APIError", err)
		}
		wantTold(t, err)
		if remedy := huaweicloud.Remedy(err); remedy == "" || strings.Contains(remedy, "LURE") {
			t.Errorf("the remedy is %q", remedy)
		}
		if e.Status != status || e.RetryAfter < 0 || e.RetryAfter > time.Hour || e.RetryAfter > 0 && status != 503 && huaweicloud.Reason(err) != "throttled" {
			t.Errorf("status %d, pause %s, reason %s", e.Status, e.RetryAfter, huaweicloud.Reason(err))
		}
	})
}

// FuzzPause: the pause that a throttled response requests is kept, but is at most an hour.
func FuzzPause(f *testing.F) {
	for _, header := range []string{"", "120", "-5", "+7", "1e3", "99999999999999999999", "Fri, 31 Dec 2100 23:59:59 GMT", "soon"} {
		for _, message := range []string{"", "policy user over ratelimit,limit:200,time:5 minute", "time: 999999 hour", "time:0 second"} {
			f.Add(header, message, uint16(5), uint8(1))
		}
	}
	f.Fuzz(func(t *testing.T, header, message string, period uint16, unit uint8) {
		units := []string{"second", "minute", "hour"}
		length := time.Duration(period) * []time.Duration{time.Second, time.Minute, time.Hour}[unit%3]
		message = "limit:200,time:" + strconv.Itoa(int(period)) + " " + units[unit%3] + message
		_, err := asking(newAnswer(http.StatusTooManyRequests, message, "Retry-After", header)).Get(t.Context(), "/")
		e, ok := errors.AsType[*huaweicloud.APIError](err)
		if !ok {
			t.Fatalf("got %v, want an APIError", err)
		}
		want := min(length, time.Hour)
		if seconds, err := strconv.Atoi(header); err == nil && seconds > 0 {
			want = max(want, min(time.Duration(min(seconds, 3600))*time.Second, time.Hour))
		}
		if e.RetryAfter < want || e.RetryAfter > time.Hour {
			t.Errorf("pause %s, want %s to an hour", e.RetryAfter, want)
		}
	})
}

// FuzzProjects: whatever IAM lists, each project is unique and has an ID.
func FuzzProjects(f *testing.F) {
	for _, body := range []string{
		`{"links":{},"projects":[{"is_domain":false,"enabled":true,"id":"06f1","name":"ap-southeast-1"},{"id":"06f1","name":"ap-southeast-1"}]}`,
		`{"projects":[{"id":"a\nb SECRETKEY","name":"ap-southeast-1"},{"id":"b","name":"ap-southeast-1"},{"id":"","name":null,"enabled":null}]}`,
		`{"projects":[{"id":5}]}`, `{"projects":null}`, `{"projects":{}}`, `[]`, `<html>SECRETKEY`, "",
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		p, err := huaweicloud.FindProject(t.Context(), asking(newAnswer(http.StatusOK, body)), "ap-southeast-1", isID)
		if (err == nil) != (p.ID != "") {
			t.Errorf("id %q, %v", p.ID, err)
		}
		if err != nil {
			wantTold(t, err)
		}
		list, err := huaweicloud.ListProjects(t.Context(), asking(newAnswer(http.StatusOK, body)), 1, keepAll)
		if err != nil {
			wantTold(t, err)
		}
		seen := map[string]bool{}
		for _, p := range list.Projects {
			if p.ID == "" || seen[p.ID] || !utf8.ValidString(p.ID+p.Name) {
				t.Errorf("project %+v", p)
			}
			seen[p.ID] = true
		}
	})
}

// FuzzConnection: whatever the other end of a connection sends, the result is a response, or an error that can be shown.
func FuzzConnection(f *testing.F) {
	for _, said := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.1 200 SECRETKEY\r\nContent-Length: 9\r\n\r\n{}", "HTTP/1.1 SECRETKEY\r\n\r\n",
		"SSH-2.0-SECRETKEY\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: SECRETKEY\r\n\r\n", "HTTP/1.1 302 Found\r\nLocation: http://[SECRETKEY\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nx",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 x\r\nRetry-After: 5\r\n\r\n", "HTTP/1.1 200 OK\r\nSECRETKEY\r\n\r\n", strings.Repeat("x", 8000), "",
	} {
		f.Add(said)
	}
	f.Fuzz(func(t *testing.T, said string) {
		c := asking(nil)
		c.HTTP = huaweicloud.NewHTTPClient(func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				defer far.Close()
				_, _ = http.ReadRequest(bufio.NewReader(far))
				_, _ = io.WriteString(far, strings.ReplaceAll(said, beginning, echoed))
			}()
			return near, nil
		}, "", 1)
		defer c.HTTP.CloseIdleConnections()
		if answer, err := c.Get(t.Context(), "/"); err != nil {
			wantTold(t, err)
		} else if len(answer.Body) > 1<<20 {
			t.Errorf("%d bytes", len(answer.Body))
		}
	})
}
