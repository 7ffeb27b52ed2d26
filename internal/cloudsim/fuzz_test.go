package cloudsim_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/cloudsim/simtest"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

// FuzzSignature: the client and this cloud, which share no code, agree about the canonical form of every request that can be sent, and
// what is changed on its way is refused.
func FuzzSignature(f *testing.F) {
	for _, path := range []string{
		"/v3/0250cb8a80c24c0b9f20f557cb159aad/quotas", "/v3/p/project-quotas?type=instance", "/v2/p/audit/instances?offset=0&limit=1000",
		"", "/", "//", "/a//b/", "/a%20b/%2F/%7E~", "/a+b?x+y=%20&x=&x", "/%e4%bd%a0?%E4=ä&a=2&a=1&=", "/p?a=%2f&b=;", "/*'()!@:$,?*'()!=@:$,", "/p??a=b", "/.././a",
	} {
		f.Add(path, "", "0250cb8a80c24c0b9f20f557cb159aad", "")
		f.Add(path, `{"auth":{}}`, " spaces ", "token")
	}
	f.Fuzz(func(t *testing.T, path, body, project, token string) {
		client, expected := &huaweicloud.Keys{AccessKey: secret.New("MAINAK"), SecretKey: secret.New("main-secret")}, mainKeys
		if token != "" {
			client.SecurityToken, expected.SecurityToken = secret.New("token"), "token"
		}
		sent, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://cts.ap-southeast-3.myhuaweicloud.com"+path, strings.NewReader(body))
		isControl := func(r rune) bool { return r < ' ' || r == '\x7f' }
		if strings.ContainsFunc(project, isControl) {
			return // no header can have it: net/http would not send it
		}
		if err != nil || sent.URL.Fragment != "" || sent.URL.User != nil || sent.URL.Host != "cts.ap-southeast-3.myhuaweicloud.com" {
			return
		}
		if project != "" {
			sent.Header.Set("X-Project-Id", project)
		}
		client.Authorize(sent, []byte(body))
		var wire bytes.Buffer
		if err := sent.Write(&wire); err != nil {
			return // net/http refuses to send it
		}
		arrived, err := http.ReadRequest(bufio.NewReader(&wire))
		if err != nil {
			return // nor would it be received
		}
		got, err := io.ReadAll(arrived.Body)
		if err != nil {
			t.Fatal(err)
		}
		if refusal := verify(arrived, string(got), expected); refusal != "" {
			t.Fatalf("%q is refused: %s", arrived.URL, refusal)
		}
		wantTampered(t, expected, arrived, string(got))
	})
}

// wantTampered asserts that the request is refused once anything that is signed differs.
func wantTampered(t *testing.T, expected simtest.Keys, r *http.Request, body string) {
	t.Helper()
	refused := func(what string, r *http.Request, body string) {
		t.Helper()
		if verify(r, body, expected) == "" {
			t.Errorf("%q with another %s is let in", r.URL, what)
		}
	}
	refused("body", r, body+"x")
	for what, change := range map[string]func(*http.Request){
		"method": func(r *http.Request) { r.Method = http.MethodGet },
		"host":   func(r *http.Request) { r.Host = "cts.eu-de.myhuaweicloud.com" },
		"path":   func(r *http.Request) { r.URL = &url.URL{Path: "/x" + r.URL.Path, RawQuery: r.URL.RawQuery} },
		"query": func(r *http.Request) {
			r.URL = &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: "x=x&" + r.URL.RawQuery}
		},
		"date": func(r *http.Request) { r.Header.Set("X-Sdk-Date", "20000101T000000Z") },
	} {
		changed := r.Clone(t.Context())
		change(changed)
		refused(what, changed, body)
	}
	for _, name := range []string{"X-Project-Id", "X-Security-Token"} {
		if r.Header.Get(name) != "" {
			changed := r.Clone(t.Context())
			changed.Header.Set(name, "x"+r.Header.Get(name))
			refused(name, changed, body)
		}
	}
}
