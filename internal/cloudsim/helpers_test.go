package cloudsim_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/democloud"
	"cloud_quota_exporter/providers"
	"cloud_quota_exporter/providers/providerstest"
)

// newFive returns a cloud that publishes the five services which are enabled by default.
func newFive(accounts ...cloudsim.Account) *cloudsim.Cloud {
	return cloudsim.New(democloud.APIsOf(providerstest.Five(), providers.Example), accounts...)
}

const (
	idA   = "0250cb8a80c24c0b9f20f557cb159aad"
	idB   = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	idSub = "cccccccccccccccccccccccccccccccc"
	other = "dddddddddddddddddddddddddddddddd" // of another account
	cloud = ".myhuaweicloud.com"
)

// keys sign requests by an implementation that shares nothing with the package under test.
type keys struct{ access, secret, token string }

var mainKeys = keys{access: "MAINAK", secret: "main-secret"}

// newCloud has two accounts; project idA says nothing about its quotas.
func newCloud() *cloudsim.Cloud {
	return newFive(
		cloudsim.Account{Name: "main", AccessKey: "MAINAK", SecretKey: "main-secret", Projects: []cloudsim.Project{
			{ID: idSub, Name: "ap-southeast-3_dev", Disabled: true},
			{ID: idA, Name: "ap-southeast-3"},
			{ID: idB, Name: "ap-southeast-1"},
		}},
		cloudsim.Account{Name: "other", AccessKey: "OTHERAK", SecretKey: "other-secret", Projects: []cloudsim.Project{
			{ID: other, Name: "eu-de_x"},
		}},
	)
}

// dial returns a client of a cloud that is served in memory.
func dial(t *testing.T, c *cloudsim.Cloud) *http.Client {
	t.Helper()
	pipe := cloudsim.NewPipe()
	server := cloudsim.ServePlain(c, pipe)
	transport := &http.Transport{DialContext: pipe.Dial}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
	})
	return &http.Client{Transport: transport}
}

func newRequest(t *testing.T, method, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// sign signs a request for its path and query, which must need no escapes, at a time.
func (k keys) sign(r *http.Request, body string, at time.Time) *http.Request {
	r.Header.Set("X-Sdk-Date", at.UTC().Format("20060102T150405Z"))
	if k.token != "" {
		r.Header.Set("X-Security-Token", k.token)
	}
	var names []string
	for name := range r.Header {
		names = append(names, strings.ToLower(name))
	}
	slices.Sort(names)
	lines := ""
	for _, name := range names {
		lines += name + ":" + strings.TrimSpace(r.Header.Get(name)) + "\n"
	}
	pairs := strings.Split(r.URL.RawQuery, "&")
	slices.Sort(pairs)
	hash := func(s string) string { sum := sha256.Sum256([]byte(s)); return hex.EncodeToString(sum[:]) }
	canonical := r.Method + "\n" + strings.TrimSuffix(r.URL.Path, "/") + "/\n" + strings.Join(pairs, "&") + "\n" +
		lines + "\n" + strings.Join(names, ";") + "\n" + hash(body)
	mac := hmac.New(sha256.New, []byte(k.secret))
	mac.Write([]byte("SDK-HMAC-SHA256\n" + r.Header.Get("X-Sdk-Date") + "\n" + hash(canonical)))
	r.Header.Set("Authorization", "SDK-HMAC-SHA256 Access="+k.access+", SignedHeaders="+strings.Join(names, ";")+
		", Signature="+hex.EncodeToString(mac.Sum(nil)))
	return r
}

// response is an answer that was read to its end.
type response struct {
	status int
	header http.Header
	body   string
}

func do(t *testing.T, client *http.Client, r *http.Request) response {
	t.Helper()
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{answer.StatusCode, answer.Header, string(body)}
}

// get asks for host and path, signed now.
func (k keys) get(t *testing.T, client *http.Client, hostAndPath string) response {
	t.Helper()
	return do(t, client, k.sign(newRequest(t, http.MethodGet, "http://"+hostAndPath, ""), "", time.Now()))
}

// getFor asks for host and path with the id of a project in the header, too.
func (k keys) getFor(t *testing.T, client *http.Client, projectID, hostAndPath string) response {
	t.Helper()
	r := newRequest(t, http.MethodGet, "http://"+hostAndPath, "")
	if projectID != "" {
		r.Header.Set("X-Project-Id", projectID)
	}
	return do(t, client, k.sign(r, "", time.Now()))
}

// wantJSON compares a body with JSON, whatever the order of keys and the white space.
func wantJSON(t *testing.T, got, want string) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal([]byte(got), &a); err != nil {
		t.Fatalf("body %q: %v", got, err)
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("body\n%s, want\n%s", got, want)
	}
}

func wantPanic(t *testing.T, name string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s did not panic", name)
		}
	}()
	f()
}
