package huaweicloud_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
)

// auth hands out keys and counts what is rejected.
type auth struct {
	keys     *huaweicloud.Keys
	err      error
	rejected atomic.Int64
}

func (a *auth) Grant(context.Context, huaweicloud.Scope) (huaweicloud.Grant, error) {
	if a.err != nil {
		return nil, a.err
	}
	return a.keys, nil
}

func (a *auth) Reject(huaweicloud.Grant) { a.rejected.Add(1) }

// client asks handler over real HTTP; the events are what it told.
func client(t *testing.T, handler http.HandlerFunc) (c *huaweicloud.Client, a *auth, events *[]string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	a = &auth{keys: keys("AKIDEXAMPLE", "a-secret-key", "a-security-token")}
	events = new([]string)
	return &huaweicloud.Client{
		HTTP:      huaweicloud.NewHTTPClient(new(net.Dialer).DialContext, "", 8),
		Auth:      a,
		Service:   "cts",
		Action:    "cts:quota:get",
		BaseURL:   server.URL,
		Scope:     huaweicloud.Scope{ProjectID: "0250cb8a80c24c0b9f20f557cb159aad", Region: "ap-southeast-3"},
		UserAgent: "cloud_quota_exporter/test",
		Events: func(service, code string, took time.Duration) {
			if took <= 0 {
				t.Errorf("a request took %s", took)
			}
			*events = append(*events, service+" "+code)
		},
	}, a, events
}

func TestGet(t *testing.T) {
	c, _, events := client(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.String() != "/v3/0250cb8a80c24c0b9f20f557cb159aad/project-quotas?type=instance" {
			t.Errorf("asked for %s", r.URL)
		}
		for name, want := range map[string]string{
			"User-Agent": "cloud_quota_exporter/test", "X-Project-Id": "0250cb8a80c24c0b9f20f557cb159aad",
			"X-Security-Token": "a-security-token", "Content-Type": "application/json; charset=UTF-8",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s = %q, want %q", name, got, want)
			}
		}
		fmt.Fprint(w, "{}")
	})
	answer, err := c.Get(t.Context(), "/v3/{project_id}/project-quotas?type=instance")
	if err != nil || string(answer.Body) != "{}" {
		t.Fatalf("got %v, %v", answer, err)
	}
	if got := fmt.Sprint(*events); got != "[cts 200]" {
		t.Errorf("events = %s", got)
	}
}

// TestProjectIDIsEscaped: whatever the configuration states stays one segment of the path.
func TestProjectIDIsEscaped(t *testing.T) {
	c, _, _ := client(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.URL.EscapedPath(); got != "/v3/a%2Fb%3F/quotas" {
			t.Errorf("asked for %s", got)
		}
		fmt.Fprint(w, "{}")
	})
	c.Scope.ProjectID = "a/b?"
	if _, err := c.Get(t.Context(), "/v3/{project_id}/quotas"); err != nil {
		t.Error(err)
	}
}

func TestRequestsForNoProjectNameNone(t *testing.T) {
	c, _, _ := client(t, func(w http.ResponseWriter, r *http.Request) {
		if got, set := r.Header["X-Project-Id"]; set {
			t.Errorf("X-Project-Id = %q", got)
		}
		if got := r.Header.Get("Authorization"); got == "" || strings.Contains(got, "x-project-id") {
			t.Errorf("Authorization = %s, want no project signed", got)
		}
		fmt.Fprint(w, "{}")
	})
	c.Scope.ProjectID = ""
	if _, err := c.Get(t.Context(), "/v3/projects"); err != nil {
		t.Error(err)
	}
}

func TestBodyLimit(t *testing.T) {
	size := 1 << 20
	c, _, _ := client(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("y", size)) })
	if answer, err := c.Get(t.Context(), "/"); err != nil || len(answer.Body) != 1<<20 {
		t.Errorf("1 MiB: %v", err)
	}
	size = 2 << 20
	_, err := c.Get(t.Context(), "/")
	var e *huaweicloud.MalformedError
	if !errors.As(err, &e) || huaweicloud.Reason(err) != "malformed" || !strings.Contains(err.Error(), "longer than 1048576 bytes; it begins with: yyy") {
		t.Errorf("2 MiB: %v", err)
	}
}

func TestMalformedShowsTheBeginningWithoutSecrets(t *testing.T) {
	c, _, _ := client(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<html>\n\tYou sent a-security-token"+strings.Repeat("\xff", 300))
	})
	answer, err := c.Get(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	text := answer.Malformed("it is no JSON").Error()
	if !strings.Contains(text, "it is no JSON; it begins with: <html> You sent <hidden>") {
		t.Errorf("got %s", text)
	}
}

func TestNoCredentials(t *testing.T) {
	c, auth, events := client(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	auth.err = &huaweicloud.APIError{Status: http.StatusForbidden}
	_, err := c.Get(t.Context(), "/")
	if huaweicloud.Reason(err) != "credentials" || !errors.Is(err, auth.err) || !strings.HasPrefix(err.Error(), "no credentials: ") {
		t.Errorf("got %v", err)
	}
	if len(*events) != 0 {
		t.Errorf("events = %v", *events)
	}
}

func TestBadBaseURL(t *testing.T) {
	c, _, _ := client(t, nil)
	c.BaseURL = "http://a b"
	if _, err := c.Get(t.Context(), "/"); err == nil || !strings.Contains(err.Error(), "check endpoints") {
		t.Errorf("got %v", err)
	}
}
