package huaweicloud_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
)

// TestForbiddenNamesThePolicy of the two that contains the action.
func TestForbiddenNamesThePolicy(t *testing.T) {
	c, _, _ := client(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	const grant, policy = "grant the IAM action cts:quota:get", "; cloud_quota_exporter policy prints the "
	for domain, want := range map[string]string{
		"":                                 grant + ", and check that the project ID belongs to this account" + policy + "project-level policy",
		"d78cbac186b744899480f25bd022f468": grant + policy + "account-level policy",
	} {
		c.Scope.DomainID = domain
		_, err := c.Get(t.Context(), "/v3/quotas")
		if got := huaweicloud.Remedy(err); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestErrorShapes(t *testing.T) {
	for _, tc := range []struct {
		name    string
		status  int
		header  map[string]string
		body    string
		code    string
		message string
		id      string
		reason  string
		says    string // in the error's text

		notOffered bool
	}{
		{
			name: "gateway", status: 401, body: `{"error_msg":"Incorrect IAM authentication information: ak AKIDEXAMPLE not exist","error_code":"APIGW.0301","request_id":"9ac2"}`,
			code: "APIGW.0301", message: "Incorrect IAM authentication information: ak <hidden> not exist", id: "9ac2", reason: "unauthorized", says: "check that the credentials are correct",
		},
		{
			name: "CTS and TaurusDB", status: 403, header: map[string]string{"X-Request-Id": "5bd1"}, body: `{"error_code":"CTS.0003","error_msg":"The user has no permission."}`,
			code: "CTS.0003", message: "The user has no permission.", id: "5bd1", reason: "forbidden", says: "grant the IAM action cts:quota:get",
		},
		{
			name: "DCS", status: 500, body: `{"error_code":"DCS.5000","error_msg":"Internal service error.","error_ext_msg":null}`,
			code: "DCS.5000", message: "Internal service error.", reason: "server_error", says: "the exporter will retry",
		},
		{
			name: "CES", status: 403, body: `{"http_code":"403","message":{"details":"Policy doesn't allow [ces:alarms:get] to be performed","code":"403"}}`,
			code: "403", message: "Policy doesn't allow [ces:alarms:get] to be performed", reason: "forbidden", says: "grant",
		},
		{
			name: "CES of partner clouds", status: 400, body: `{"code":400,"element":"project_id","message":"bad project","details":{"details":"Invalid project.","code":"ces.0014"}}`,
			code: "ces.0014", message: "bad project", reason: "client_error", says: "check the region",
		},
		{
			name: "DBSS", status: 403, body: `{"error_code":"DBSS.0403","error_msg":"forbidden","encoded_authorization_message":"AQIDBA","details":[{"error_code":"PDP5.1","error_msg":"denied"}]}`,
			code: "DBSS.0403", message: "forbidden", reason: "forbidden",
		},
		{
			name: "DBSS of partner clouds", status: 400, body: `{"error":{"error_code":"DBSS.0001","error_msg":"bad request"}}`,
			code: "DBSS.0001", message: "bad request", reason: "client_error",
		},
		{
			name: "IAM", status: 401, header: map[string]string{"X-IAM-Trace-Id": "77aa"}, body: `{"error":{"code":401,"message":"The request you have made requires authentication.","title":"Unauthorized"}}`,
			code: "401", message: "The request you have made requires authentication.", id: "77aa", reason: "unauthorized",
		},
		{
			name: "IAM, flat", status: 403, body: `{"error_code":"IAM.0002","error_msg":"You are not authorized."}`,
			code: "IAM.0002", message: "You are not authorized.", reason: "forbidden",
		},
		{
			name: "details alone", status: 403, body: `{"details":[{"error_code":"PDP5.1","error_msg":"denied"}]}`,
			code: "PDP5.1", message: "denied", reason: "forbidden",
		},
		{name: "a code alone", status: 400, body: `{"error_code":"X.1"}`, code: "X.1", message: `{"error_code":"X.1"}`, reason: "client_error"},
		{name: "a bare string", status: 408, body: `"The request timed out."`, message: `"The request timed out."`, reason: "timeout", says: "the exporter will retry"},
		{name: "HTML", status: 502, body: "<html>\n <h1>Bad Gateway</h1>\x00</html>", message: "<html> <h1>Bad Gateway</h1> </html>", reason: "server_error"},
		{name: "nothing", status: 503, reason: "server_error", says: "503 Service Unavailable; the failure is on the cloud's side"},
		{name: "as long as is shown", status: 500, body: strings.Repeat("x", 200), message: strings.Repeat("x", 200), reason: "server_error"},
		{name: "one too long", status: 500, body: strings.Repeat("x", 201), message: strings.Repeat("x", 200) + "...", reason: "server_error"},
		{name: "no UTF-8", status: 500, body: "a\xff\xff\xffb", message: "a\uFFFDb", reason: "server_error"},
		{name: "cut off", status: 503, header: map[string]string{"Content-Length": "100"}, body: "half", message: "half", reason: "server_error"},
		{name: "echo", status: 400, body: `{"error_msg":"bad X-Security-Token: a-security-token, a-secret-key"}`, message: "bad X-Security-Token: <hidden>, <hidden>", reason: "client_error"},
		{
			name: "echo in the code, and where the message is cut", status: 400, body: `{"error_code":"C a-secret-key","error_msg":"` + strings.Repeat("x", 190) + ` a-security-token"}`,
			code: "C <hidden>", message: strings.Repeat("x", 190) + " <hidden>", reason: "client_error",
		},
		{name: "not found", status: 404, body: `{"error_code":"APIGW.0101","error_msg":"The API does not exist"}`, code: "APIGW.0101", message: "The API does not exist", reason: "not_found", says: "endpoints.cts", notOffered: true},
		{name: "not found by the gateway's other code", status: 404, body: `{"error_code":"APIG.0101","error_msg":"no"}`, code: "APIG.0101", message: "no", reason: "not_found", notOffered: true},
		{name: "not found by the service", status: 404, body: `{"error_code":"CTS.0101","error_msg":"no"}`, code: "CTS.0101", message: "no", reason: "not_found", says: "that the project exists"},
		{
			name: "not in the region", status: 403, body: `{"error_code":"APIGW.0801","error_msg":"no"}`,
			code: "APIGW.0801", message: "no", reason: "forbidden", says: "; set endpoints.cts", notOffered: true,
		},
		{
			name: "rejected by a service whose code ends like the gateway's", status: 403, body: `{"error_code":"CTS.0802","error_msg":"no"}`,
			code: "CTS.0802", message: "no", reason: "forbidden", says: "grant the IAM action cts:quota:get",
		},
		{
			name: "no rights in the region", status: 403, body: `{"error_code":"APIGW.0802","error_msg":"The IAM user is forbidden in the currently selected region"}`,
			code: "APIGW.0802", message: "The IAM user is forbidden in the currently selected region", reason: "forbidden", says: "; check the region and the project ID",
		},
		{name: "conflict", status: 409, reason: "client_error"},
		{name: "throttled", status: 429, body: `{"error_code":"ces.0429","error_msg":"Too many requests."}`, code: "ces.0429", message: "Too many requests.", reason: "throttled", says: "services.cts.cache_ttl"},
		{name: "throttled by another status", status: 403, body: `{"error_code":"APIGW.0308","error_msg":"slow down"}`, code: "APIGW.0308", message: "slow down", reason: "throttled"},
		{name: "throttled by the gateway's other code", status: 403, body: `{"error_code":"APIG.0308"}`, code: "APIG.0308", message: `{"error_code":"APIG.0308"}`, reason: "throttled"},
		{name: "redirect", status: 302, header: map[string]string{"Location": "https://elsewhere.example.com/path?token=x"}, reason: "client_error", says: "302 Found (redirect to https://elsewhere.example.com); set endpoints.cts if the service has moved (redirects are not followed)"},
		{name: "redirect with an echo", status: 302, header: map[string]string{"Location": "https://a-secret-key.example.com/"}, reason: "client_error", says: "302 Found (redirect to https://<hidden>.example.com); set endpoints.cts if the service has moved"},
		{name: "redirect to an invalid URL", status: 302, header: map[string]string{"Location": "http://[a-secret-key"}, reason: "client_error", says: "302 Found; check endpoints and the proxy"},
		{name: "several choices", status: 300, reason: "client_error", says: "300 Multiple Choices; check endpoints and the proxy"},
		{name: "not modified", status: 304, reason: "client_error", says: "304 Not Modified; check endpoints and the proxy"},
		{name: "no such method", status: 405, reason: "client_error", says: "405 Method Not Allowed; check endpoints and the proxy"},
		{name: "login to the network", status: 511, reason: "server_error", says: "511 Network Authentication Required; check endpoints and the proxy"},
		{name: "a Location without a redirect", status: 400, header: map[string]string{"Location": "https://elsewhere.example.com"}, reason: "client_error", says: "400 Bad Request; check the region"},
		{name: "clock", status: 401, header: map[string]string{"Date": time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)}, reason: "clock_skew", says: "s ahead of the cloud's); synchronize this machine's clock with NTP"},
		{name: "clock behind", status: 401, header: map[string]string{"Date": time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}, reason: "clock_skew", says: "behind the cloud's"},
		{name: "clock right enough", status: 401, header: map[string]string{"Date": time.Now().Add(14 * time.Minute).UTC().Format(http.TimeFormat)}, reason: "unauthorized"},
		{name: "clock, but rejected for another reason", status: 403, header: map[string]string{"Date": time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)}, reason: "forbidden"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, auth, events := client(t, func(w http.ResponseWriter, _ *http.Request) {
				for k, v := range tc.header {
					w.Header().Set(k, v)
				}
				w.WriteHeader(tc.status)
				fmt.Fprint(w, tc.body)
			})
			_, err := c.Get(t.Context(), "/v3/{project_id}/quotas")
			var e *huaweicloud.APIError
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want an APIError", err)
			}
			if e.Status != tc.status || e.Code != tc.code || e.Message != tc.message || e.RequestID != tc.id {
				t.Errorf("got %+v\nwant code %q, message %q, request id %q", e, tc.code, tc.message, tc.id)
			}
			if got := huaweicloud.Reason(nil); got != "" {
				t.Errorf("no error has the reason %s", got)
			}
			if got := huaweicloud.Reason(err); got != tc.reason {
				t.Errorf("reason %s, want %s", got, tc.reason)
			}
			if got := huaweicloud.IsNotOffered("cts", err); got != tc.notOffered || huaweicloud.IsNotOffered("ces", err) {
				t.Errorf("not offered is %t", got)
			}
			if wantSkew := tc.reason == "clock_skew"; (e.Skew != 0) != wantSkew {
				t.Errorf("skew %s of a %s", e.Skew, tc.reason)
			}
			if wantAction := tc.reason == "forbidden"; (e.Action == "cts:quota:get") != wantAction {
				t.Errorf("action %q of a %s", e.Action, tc.reason)
			}
			text := err.Error()
			if !strings.Contains(text, tc.says) || !strings.HasPrefix(text, "GET http://127.0.0.1:") {
				t.Errorf("the error is\n%s\nwant %q in it", text, tc.says)
			}
			for _, hidden := range []string{"AKIDEXAMPLE", "a-secret-key", "a-security-token", "token=x"} {
				if strings.Contains(text, hidden) {
					t.Errorf("the error shows %s: %s", hidden, text)
				}
			}
			if wantRejected := tc.status == 401; (auth.rejected.Load() == 1) != wantRejected {
				t.Errorf("keys rejected %d times after a %d", auth.rejected.Load(), tc.status)
			}
			if got := fmt.Sprint(*events); got != fmt.Sprintf("[cts %d]", tc.status) {
				t.Errorf("events = %s", got)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	inTenMinutes := time.Now().Add(10 * time.Minute).UTC().Format(http.TimeFormat)
	for _, tc := range []struct {
		header, message string
		want            time.Duration
	}{
		{"", "Too many requests.", 0},
		{"120", "", 2 * time.Minute},
		{inTenMinutes, "", 10 * time.Minute},
		{"Mon, 02 Jan 2006 15:04:05 GMT", "", 0},
		{"", "policy user over ratelimit,limit:200,time:5 minute", 5 * time.Minute},
		{"", "limit:200,time:30 second", 30 * time.Second},
		{"", "limit:200,time: 1 hour", time.Hour},
		{"600", "limit:200,time:5 minute", 10 * time.Minute},
		{"", "limit:200,time:999999 hour", time.Hour},
		{"999999999999999999", "", time.Hour},
		{"-5", "", 0},
		{"90.5", "", 90500 * time.Millisecond},
		{" 90 ", "", 90 * time.Second},
		{"1e300", "", time.Hour},
		{"1e999", "", time.Hour},
		{"NaN", "", 0},
		{"-Inf", "", 0},
		{time.Now().AddDate(1, 0, 0).UTC().Format(http.TimeFormat), "", time.Hour},
		{"", "limit:1000,time:1 day", time.Hour},
		{"soon", "time:99999999999999 minute", 0},
	} {
		answer := newAnswer(http.StatusTooManyRequests, fmt.Sprintf(`{"error_code":"APIGW.0308","error_msg":%q}`, tc.message), "Retry-After", tc.header)
		_, err := asking(answer).Get(t.Context(), "/")
		var e *huaweicloud.APIError
		if !errors.As(err, &e) || e.RetryAfter > tc.want || e.RetryAfter < tc.want-5*time.Second || tc.header != inTenMinutes && e.RetryAfter != tc.want {
			t.Errorf("%s, %s: got %+v, want to retry after %s", tc.header, tc.message, e, tc.want)
		}
	}
}

// TestRetryAfterOfOthers: 503 supports it like 429, but without the gateway's message. In other responses, it is ignored.
func TestRetryAfterOfOthers(t *testing.T) {
	for status, want := range map[int]time.Duration{503: 90500 * time.Millisecond, 500: 0, 502: 0, 403: 0} {
		for header, want := range map[string]time.Duration{"90.5": want, "": 0} {
			_, err := asking(newAnswer(status, `{"error_msg":"limit:200,time:5 minute"}`, "Retry-After", header)).Get(t.Context(), "/")
			if e, ok := errors.AsType[*huaweicloud.APIError](err); !ok || e.RetryAfter != want {
				t.Errorf("%d, %q: got %+v, want to retry after %s", status, header, e, want)
			}
		}
	}
}

// lure is a text with which a server could mislead people.
const lure = "x; open https://evil.example and log in"

// TestRemedyIsOurs: every kind of error quotes a server, and is passed on in every way.
func TestRemedyIsOurs(t *testing.T) {
	const newHost = "https://evil.example"
	api := func(change func(*huaweicloud.APIError)) error {
		e := &huaweicloud.APIError{Request: "GET https://u", Service: "cts", Status: 400, Code: lure, Message: lure, RequestID: lure}
		change(e)
		return e
	}
	refused := &huaweicloud.APIError{Status: 403, Service: "dns", Action: "dns:a:b", Account: true}
	for _, tc := range []struct {
		err          error
		what, remedy string
	}{
		{refused, ": 403 Forbidden", "grant the IAM action dns:a:b; cloud_quota_exporter policy prints the account-level policy"},
		{
			api(func(*huaweicloud.APIError) {}),
			"GET https://u: 400 Bad Request " + lure + ": " + lure + " (request ID " + lure + ")", "check the region and the project ID",
		},
		{&huaweicloud.APIError{Status: 403, Service: "cts"}, ": 403 Forbidden", "grant the role Tenant Guest (no IAM action is documented), and check that the project ID belongs to this account"},
		{&huaweicloud.APIError{Status: 403, Service: "iam", IsIAM: true, Action: "iam:a:b"}, ": 403 Forbidden", "grant the IAM action iam:a:b; cloud_quota_exporter policy prints the account-level policy"},
		{
			&huaweicloud.APIError{Request: "GET https://u", Service: "cts", Status: 302, Location: newHost},
			"GET https://u: 302 Found (redirect to " + newHost + ")", "set endpoints.cts if the service has moved (redirects are not followed)",
		},
		{
			&huaweicloud.APIError{Request: "GET https://u", Status: 401, Message: lure, Skew: time.Hour},
			"GET https://u: 401 Unauthorized: " + lure + " (this machine's clock is 1h0m0s ahead of the cloud's)", "synchronize this machine's clock with NTP",
		},
		{
			api(func(e *huaweicloud.APIError) { e.Code, e.RequestID, e.Advice = "", "", "check idp_id" }),
			"GET https://u: 400 Bad Request: " + lure, "check idp_id",
		},
		{
			&huaweicloud.TransportError{Request: "GET https://u", Service: "cts", After: time.Second, Err: errors.New(lure)},
			"GET https://u: no response after 1s: " + lure, "check the network, and HTTPS_PROXY and endpoints.cts if they are set",
		},
		{
			&huaweicloud.MalformedError{Request: "GET https://u", What: lure},
			"GET https://u: " + lure, "check endpoints and the proxy (something other than the API may have responded)",
		},
		{
			&huaweicloud.ProjectError{URL: "https://u", Name: "eu-de", IDs: []string{lure, "2"}},
			"GET https://u: IAM lists 2 projects (" + lure + ", 2) with the name eu-de", "set the project ID: projects: [{id: ..., region: eu-de, name: ...}]",
		},
		{&huaweicloud.CAFileError{File: "ca.pem", Err: fs.ErrNotExist}, "ca_file ca.pem: file does not exist", "use a file with certificates in PEM format"},
		{huaweicloud.ErrPaused, "request not sent because the service is throttling the account", "the exporter retries after the pause"},
		{huaweicloud.Advise(errors.New(lure), "turn it off and on"), lure, "turn it off and on"},
		{errors.New(lure), lure, ""},
		{huaweicloud.Advise(fmt.Errorf("late: %w", huaweicloud.ErrPaused), "wait"), "late: request not sent because the service is throttling the account", "wait"},
	} {
		same := func(text string) string { return text }
		for way, handOn := range map[string]struct {
			on   func(error) error
			what func(string) string
		}{
			"as it is":         {func(err error) error { return err }, same},
			"wrapped":          {func(err error) error { return fmt.Errorf("%s: %w", lure, err) }, func(what string) string { return lure + ": " + what }},
			"wrapped twice":    {func(err error) error { return fmt.Errorf("a: %w", fmt.Errorf("b: %w", err)) }, func(what string) string { return "a: b: " + what }},
			"with another":     {func(err error) error { return fmt.Errorf("%w: %w", context.Canceled, err) }, func(what string) string { return "context canceled: " + what }},
			"joined":           {func(err error) error { return errors.Join(errors.New(lure), err) }, func(what string) string { return lure + "\n" + what }},
			"for lack of keys": {func(err error) error { return &huaweicloud.CredentialsError{Err: err} }, func(what string) string { return "no credentials: " + what }},
		} {
			err := handOn.on(tc.err)
			if got := huaweicloud.Remedy(err); got != tc.remedy {
				t.Errorf("%s: the remedy of %q is %q, want %q", way, err, got, tc.remedy)
			}
			if got, want := huaweicloud.What(err), handOn.what(tc.what); got != want {
				t.Errorf("%s: What is %q, want %q", way, got, want)
			}
		}
		want := tc.what
		if tc.remedy != "" {
			want += "; " + tc.remedy
		}
		if got := tc.err.Error(); got != want {
			t.Errorf("the text is %q, want %q", got, want)
		}
	}
}

// TestTextWithoutTheRemedy: if the text does not end with the remedy, nothing is removed from it.
func TestTextWithoutTheRemedy(t *testing.T) {
	advised := huaweicloud.Advise(errors.New("a"), "do b")
	for _, err := range []error{
		fmt.Errorf("%w (%s)", advised, lure),
		errors.Join(advised, errors.New(lure)),
		errors.Join(advised, huaweicloud.Advise(errors.New("c"), "do d")),
	} {
		if what, remedy := huaweicloud.What(err), huaweicloud.Remedy(err); what != err.Error() || remedy != "do b" {
			t.Errorf("%q: What is %q, the remedy %q", err, what, remedy)
		}
	}
	twice := errors.Join(advised, huaweicloud.Advise(errors.New("c"), "do b"))
	if what := huaweicloud.What(twice); what != "a\nc" {
		t.Errorf("two errors with one remedy: What is %q", what)
	}
}
