package credentials_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/credentials"
)

var dial = new(net.Dialer).DialContext

// serve answers by method and path; what is not there is a 404.
func serve(t *testing.T, answers map[string]http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer := answers[r.Method+" "+r.URL.Path]; answer != nil {
			answer(w, r)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func says(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }
}

func refuses(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

const (
	securityKey = "GET /openstack/latest/securitykey"
	session     = "PUT /meta-data/latest/api/token"
)

var expiry = time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05.000000Z")

// TestSpellingsOfKeys asks for keys as the metadata service and IAM, pod identity, and STS write them.
func TestSpellingsOfKeys(t *testing.T) {
	for name, body := range map[string]string{
		"metadata service and IAM": `{"credential":{"access":"A","secret":"S","expires_at":"` + expiry + `","securitytoken":"T"}}`,
		"pod identity":             `{"credentials":{"accessKeyId":"A","secretAccessKey":"S","securityToken":"T","expiration":"` + expiry + `"}}`,
		"STS":                      `{"credentials":{"access_key_id":"A","secret_access_key":"S","security_token":"T","expiration":"` + expiry + `"}}`,
		"bare":                     `{"access":"A","secret":"S","securitytoken":"T","expires_at":"` + expiry + `","more":1}`,
	} {
		s := credentials.InstanceMetadata(dial, serve(t, map[string]http.HandlerFunc{securityKey: says(body)}))
		if got, err := reveal(t, s); got != "A S T" || err != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
		if got := s.Status().Expires.Format("2006-01-02T15:04:05.000000Z"); got != expiry {
			t.Errorf("%s: they expire at %s, want %s", name, got, expiry)
		}
	}
}

func TestAnswersWithoutKeys(t *testing.T) {
	for body, says := range map[string]string{
		"":                                   "the answer is no JSON object",
		"<html>hidden</html>":                "the answer is no JSON object",
		"[]":                                 "the answer is no JSON object",
		`{"credential":null}`:                "the answer has no access key",
		`{"credential":{"access":"hidden"}}`: "no secret key that could be used",
		`{"credential":{"access":"hidden","secret":"a b","securitytoken":"T","expires_at":"` + expiry + `"}}`:                 "no secret key that could be used",
		`{"credential":{"access":"hidden","secret":"hidden","expires_at":"` + expiry + `"}}`:                                  "no security token",
		`{"credential":{"access":"hidden","secret":"hidden","securitytoken":"hidden"}}`:                                       "no expiry",
		`{"credential":{"access":"hidden","secret":"hidden","securitytoken":"hidden","expires_at":"soon"}}`:                   "no time of RFC 3339",
		`{"credential":{"access":"hidden","secret":"hidden","securitytoken":"T","expires_at":"2020-01-08T03:50:07.574000Z"}}`: "has expired at 2020-01-08T03:50:07Z",
	} {
		_, err := reveal(t, credentials.InstanceMetadata(dial, serve(t, map[string]http.HandlerFunc{securityKey: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }})))
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "/openstack/latest/securitykey: ") || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v, want %q", body, err, says)
		}
	}
}

func TestMetadataErrors(t *testing.T) {
	elsewhere := serve(t, map[string]http.HandlerFunc{"GET /": func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }})
	for name, tc := range map[string]struct {
		answers map[string]http.HandlerFunc
		says    []string
	}{
		"no agency": {
			map[string]http.HandlerFunc{session: says("SESSION"), securityKey: refuses(401, "Please configure Cloud Service Agency first")},
			[]string{"401 Unauthorized: Please configure", "; assign an agency to the ECS"},
		},
		"an echo": {
			map[string]http.HandlerFunc{session: says("SESSION"), securityKey: refuses(403, "who is SESSION?")},
			[]string{"403 Forbidden: who is <hidden>?", "; an ECS needs an agency"},
		},
		"no session": {
			map[string]http.HandlerFunc{session: refuses(500, "down")},
			[]string{"PUT http://", "500 Internal Server Error: down"},
		},
		"an empty session": {map[string]http.HandlerFunc{session: says("\n")}, []string{"the token of the metadata service is empty"}},
		"a redirect": {
			map[string]http.HandlerFunc{securityKey: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere+"/", http.StatusFound) }},
			[]string{"302 Found"},
		},
		"a broken answer": {
			map[string]http.HandlerFunc{securityKey: func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "9") }},
			[]string{"but its body broke off: unexpected EOF"},
		},
		"nothing there": {nil, []string{"404 Not Found", "; an ECS needs an agency"}},
	} {
		_, err := reveal(t, credentials.InstanceMetadata(dial, serve(t, tc.answers)))
		for _, part := range append(tc.says, "instance_metadata: ") {
			if err == nil || !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "SESSION") {
				t.Errorf("%s: %v, want %q", name, err, part)
			}
		}
	}
}

// TestNoProxyForTheMachine has a proxy that must not be asked. The service has a name, as nobody asks a proxy for 127.0.0.1.
func TestNoProxyForTheMachine(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	url := serve(t, map[string]http.HandlerFunc{
		securityKey: says(`{"credential":{"access":"A","secret":"S","expires_at":"` + expiry + `","securitytoken":"T"}}`),
	})
	var asked []string
	s := credentials.InstanceMetadata(func(ctx context.Context, network, address string) (net.Conn, error) {
		asked = append(asked, address)
		return dial(ctx, network, strings.TrimPrefix(url, "http://"))
	}, "http://metadata.example.com")
	if got, err := reveal(t, s); got != "A S T" || err != nil || asked[0] != "metadata.example.com:80" {
		t.Errorf("got %q, %v, of %s", got, err, asked)
	}
}

// TestMetadataVersionOne is about how a service says that it knows no tokens.
func TestMetadataVersionOne(t *testing.T) {
	for _, status := range []int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusServiceUnavailable} {
		s := credentials.InstanceMetadata(dial, serve(t, map[string]http.HandlerFunc{
			session:     refuses(status, ""),
			securityKey: says(`{"credential":{"access":"A","secret":"S","expires_at":"` + expiry + `","securitytoken":"T"}}`),
		}))
		if got, err := reveal(t, s); got != "A S T" || err != nil {
			t.Errorf("%d: got %q, %v", status, got, err)
		}
	}
}

// TestMetadataThatNeverAnswers and never ends, are given up.
func TestMetadataThatNeverAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		before := time.Now()
		_, err := reveal(t, credentials.InstanceMetadata(hang, "http://169.254.169.254"))
		if took := time.Since(before); err == nil || took != 3*time.Second {
			t.Errorf("%v after %s", err, took)
		}
	})
	endless := func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	}
	if _, err := reveal(t, credentials.InstanceMetadata(dial, serve(t, map[string]http.HandlerFunc{securityKey: endless}))); err == nil {
		t.Error("an endless answer has keys")
	}
}

func TestPodIdentity(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "token")
	url := serve(t, map[string]http.HandlerFunc{"POST /keys": func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "pod-token" {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, "not "+r.Header.Get("Authorization"))
			return
		}
		fmt.Fprint(w, `{"credentials":{"accessKeyId":"A","secretAccessKey":"S","securityToken":"T","expiration":"`+expiry+`"}}`)
	}}) + "/keys"
	full := environ("HC_CONTAINER_CREDENTIALS_FULL_URI", url, "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", file)
	for _, tc := range []struct {
		getenv      func(string) string
		token, want string
		says        string
	}{
		{getenv: environ(), says: "pod_identity: HC_CONTAINER_CREDENTIALS_FULL_URI is not set; let the pod's service account have an identity in CCE"},
		{getenv: environ("HC_CONTAINER_CREDENTIALS_FULL_URI", url), says: "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE is not set"},
		{getenv: full, says: "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE " + file + " is empty"},
		{getenv: full, token: "secret", says: "401 Unauthorized: not <hidden>; check the identity of the pod's service account"},
		{getenv: full, token: "pod-token\n", want: "A S T"},
	} {
		write(t, file, tc.token)
		s := credentials.PodIdentity(dial, tc.getenv)
		got, err := reveal(t, s)
		if got != tc.want || (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("got %q, %v; want %q, %q", got, err, tc.want, tc.says)
		}
	}
	if err := credentials.PodIdentity(dial, environ()).Check(t.Context()); err == nil {
		t.Error("Check finds nothing wrong without variables")
	}
}
