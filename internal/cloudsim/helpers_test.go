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
)

const (
	idA   = "0250cb8a80c24c0b9f20f557cb159aad" // states no quotas
	idB   = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" // states all quotas
	idSub = "cccccccccccccccccccccccccccccccc"
	other = "dddddddddddddddddddddddddddddddd" // of another account
	cloud = ".myhuaweicloud.com"
)

// newCloud publishes the APIs of shaped. The host names of each API begin with its name, except those of "dds" in eu-de.
func newCloud() *cloudsim.Cloud {
	stated := map[string][]cloudsim.Quota{}
	var apis []cloudsim.API
	for _, s := range shaped {
		s.api.Example, s.api.Host = []byte(`"`+s.api.Service+`"`), func(region string) string {
			if s.api.Service == "dds" && region == "eu-de" {
				return "mongodb"
			}
			return s.api.Service
		}
		apis, stated[s.api.Service] = append(apis, s.api), s.quotas
	}
	return cloudsim.New(apis,
		cloudsim.Account{Name: "main", AccessKey: "MAINAK", SecretKey: "main-secret", Projects: []cloudsim.Project{
			{ID: idSub, Name: "ap-southeast-3_dev", Disabled: true}, {ID: idA, Name: "ap-southeast-3"},
			{ID: idB, Name: "eu-de", AuditInstances: 250, Quotas: stated},
		}},
		cloudsim.Account{Name: "other", AccessKey: "OTHERAK", SecretKey: "other-secret", Projects: []cloudsim.Project{
			{ID: other, Name: "eu-de_x"}, {ID: "mos", Name: "MOS"},
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

// newRequest returns a request without a signature; headers are pairs of a name and a value.
func newRequest(t *testing.T, method, url, body string, headers ...string) *http.Request {
	t.Helper()
	if !strings.Contains(url, "://") {
		url = "http://" + url
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// keys sign requests by an implementation that shares nothing with the package under test.
type keys struct{ access, secret, token string }

var mainKeys, otherKeys = keys{access: "MAINAK", secret: "main-secret"}, keys{access: "OTHERAK", secret: "other-secret"}

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

// get asks for host and path, signed now; headers are pairs of a name and a value.
func (k keys) get(t *testing.T, client *http.Client, hostAndPath string, headers ...string) response {
	t.Helper()
	return do(t, client, k.sign(newRequest(t, http.MethodGet, hostAndPath, "", headers...), "", time.Now()))
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

// want asserts the status of a response, and its body: JSON in any order and with any white space, or no assertion if it is empty. ID in
// the body stands for the ID of the request.
func (r response) want(t *testing.T, name string, status int, body string) {
	t.Helper()
	var got, want any
	err := json.Unmarshal([]byte(r.body), &got)
	if body == "" {
		got = nil
	} else if err := json.Unmarshal([]byte(strings.ReplaceAll(body, "ID", r.header.Get("X-Request-Id"))), &want); err != nil {
		t.Fatal(err)
	}
	if r.status != status || err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s: status %d, body %s\nwant %d %s", name, r.status, r.body, status, body)
	}
}

// unpublished is the body of a 404.
const unpublished = `{"error_code":"APIGW.0101","request_id":"ID",
	"error_msg":"The API does not exist or has not been published in the environment"}`

func wantPanic(t *testing.T, name string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s did not panic", name)
		}
	}()
	f()
}
