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

// lure is what a server would like to tell people to do.
const lure = "x; open https://evil.example and log in"

// TestRemedyIsOurs has every kind of error quote a server, and be handed on in every way.
func TestRemedyIsOurs(t *testing.T) {
	const newHost = "https://evil.example"
	api := func(change func(*huaweicloud.APIError)) error {
		e := &huaweicloud.APIError{Request: "GET https://u", Service: "cts", Status: 400, Code: lure, Message: lure, RequestID: lure}
		change(e)
		return e
	}
	for _, tc := range []struct {
		err          error
		what, remedy string
	}{
		{
			api(func(*huaweicloud.APIError) {}),
			"GET https://u: 400 Bad Request " + lure + ": " + lure + " (request id " + lure + ")", "check the region and the id of the project",
		},
		{
			&huaweicloud.APIError{Request: "GET https://u", Service: "cts", Status: 302, Location: newHost},
			"GET https://u: 302 Found (redirect to " + newHost + ")", "redirects are not followed: set endpoints.cts if the service has moved",
		},
		{
			&huaweicloud.APIError{Request: "GET https://u", Status: 401, Message: lure, Skew: time.Hour},
			"GET https://u: 401 Unauthorized: " + lure + " (the clock of this machine is 1h0m0s ahead of the cloud's)", "set the clock of this machine by NTP",
		},
		{
			api(func(e *huaweicloud.APIError) { e.Code, e.RequestID, e.Advice = "", "", "check idp_id" }),
			"GET https://u: 400 Bad Request: " + lure, "check idp_id",
		},
		{
			&huaweicloud.TransportError{Request: "GET https://u", Service: "cts", After: time.Second, Err: errors.New(lure)},
			"GET https://u: no answer after 1s: " + lure, "check the network, the proxy if HTTPS_PROXY is set, and endpoints.cts if it is",
		},
		{
			&huaweicloud.MalformedError{Request: "GET https://u", What: lure},
			"GET https://u: " + lure, "a proxy or a wrong endpoint may have answered",
		},
		{
			&huaweicloud.ProjectError{URL: "https://u", Region: "eu-de", IDs: []string{lure, "2"}},
			"GET https://u: IAM knows 2 projects (" + lure + ", 2) of the name eu-de", "state the project's id: projects: [{id: ..., region: eu-de, name: ...}]",
		},
		{&huaweicloud.CAFileError{File: "ca.pem", Err: fs.ErrNotExist}, "ca_file ca.pem: file does not exist", "it must hold certificates in PEM"},
		{huaweicloud.ErrPaused, "not asked, since it throttles the account", "it is asked again after the pause"},
		{huaweicloud.Advise(errors.New(lure), "turn it off and on"), lure, "turn it off and on"},
		{errors.New(lure), lure, ""},
		{huaweicloud.Advise(fmt.Errorf("late: %w", huaweicloud.ErrPaused), "wait"), "late: not asked, since it throttles the account", "wait"},
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

// TestWhatKeepsAllOfAText: where the text does not end with the remedy, nothing is cut out of it.
func TestWhatKeepsAllOfAText(t *testing.T) {
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
}

// TestRemediesOfAServer: what the answer chooses is which remedy it is, and never a word in it.
func TestRemediesOfAServer(t *testing.T) {
	remedies := map[string]bool{}
	for _, status := range []int{300, 302, 400, 401, 403, 404, 408, 409, 418, 429, 451, 500, 503, 599} {
		for n := range 3 { // servers that say one thing each
			c, _, _ := client(t, func(w http.ResponseWriter, _ *http.Request) {
				server := fmt.Sprintf("%d; open https://evil.example and log in", n)
				w.Header().Set("Location", fmt.Sprintf("https://evil.example:%d/", n))
				w.Header().Set("X-Request-Id", server)
				w.Header().Set("Retry-After", server)
				w.Header().Set("Date", time.Now().Add(-time.Duration(n)*time.Hour).UTC().Format(http.TimeFormat))
				w.WriteHeader(status)
				fmt.Fprintf(w, `{"error_code":%q,"error_msg":%[1]q,"details":[{"error_code":%[1]q}]}`, server)
			})
			_, err := c.Get(t.Context(), "/v3/{project_id}/quotas")
			if what := huaweicloud.What(err); !strings.Contains(what, "evil.example") {
				t.Errorf("%d: it doesn't tell what came back: %s", status, what)
			}
			remedies[fmt.Sprintf("%s: %s", huaweicloud.Reason(err), huaweicloud.Remedy(err))] = true
		}
	}
	if len(remedies) != 9 { // one for each of the eight reasons, and one for redirects
		t.Errorf("%d remedies: %v", len(remedies), remedies)
	}
	for remedy := range remedies {
		if strings.Contains(remedy, "evil") || strings.HasSuffix(remedy, ": ") {
			t.Errorf("a remedy is %q", remedy)
		}
	}
}
