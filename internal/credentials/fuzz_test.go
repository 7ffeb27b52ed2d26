package credentials_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"cloud_quota_exporter/internal/credentials"
	"cloud_quota_exporter/internal/huaweicloud"
)

const placeholder = "<hidden>" // of a secret

// issued is a secret in a response; in fuzzed text, its start represents it.
const (
	issued    = "SECRETKEY-of-forty-characters-0123456789"
	beginning = "SECRETKEY"
)

func withSecret(text string) string { return strings.ReplaceAll(text, beginning, issued) }

// wantGrant asserts that the credentials of a source are valid and hidden in output, or that its error shows nothing.
func wantGrant(t *testing.T, s credentials.Source) {
	t.Helper()
	grant, err := s.Grant(t.Context(), huaweicloud.Scope{})
	if err != nil {
		if text := err.Error(); strings.Contains(text, issued[:len(beginning)+4]) || !utf8.ValidString(text) || len(text) > 2000 || grant != nil {
			t.Errorf("%d bytes: %.2000q", len(text), text)
		}
		return
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://host/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	grant.Authorize(req, nil)
	for name, values := range req.Header {
		for _, value := range values {
			if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%s: %q", name, value)
			}
		}
	}
	for _, name := range []string{"X-Auth-Token", "X-Security-Token"} {
		if value := req.Header.Get(name); value != "" && strings.Contains(grant.Hide("x"+value+"x"), value) && !strings.Contains(placeholder, value) {
			t.Errorf("%s %q is not hidden", name, value)
		}
	}
	if expiry := s.Status().Expires; !expiry.IsZero() && !expiry.After(time.Now()) {
		t.Errorf("the granted credentials expired at %s", expiry)
	}
}

// FuzzTemporaryKeys: whatever the metadata service returns, the result is valid keys, or an error that quotes nothing.
func FuzzTemporaryKeys(f *testing.F) {
	for _, body := range []string{
		`{"credential":{"access":"A","secret":"SECRETKEY","expires_at":"2100-01-01T00:00:00.000000Z","securitytoken":"T"}}`,
		`{"credentials":{"accessKeyId":"A","secretAccessKey":"SECRETKEY","securityToken":"T","expiration":"2100-01-01T00:00:00Z"}}`,
		`{"access_key_id":"A","secret":"SECRETKEY","security_token":"T","expires_at":"2000-01-01T00:00:00Z"}`,
		`{"credential":{"access":"SECRETKEY\n","secret":5,"expires_at":"SECRETKEY","securitytoken":"T"}}`, `<html>SECRETKEY`, `[]`, `{"x":1e400}`, "",
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		m := machine("")
		m.Dial = func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				defer far.Close()
				r, err := http.ReadRequest(bufio.NewReader(far))
				switch {
				case err != nil:
				case r.Method == http.MethodPut:
					_, _ = fmt.Fprint(far, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
				default:
					_, _ = fmt.Fprintf(far, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(withSecret(body)), withSecret(body))
				}
			}()
			return near, nil
		}
		wantGrant(t, source(t, m, "instance_metadata: {}"))
	})
}

// answering sends the same response to every request.
type answering struct{ token, body string }

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	header := http.Header{"X-Subject-Token": {withSecret(a.token)}}
	return &http.Response{StatusCode: http.StatusCreated, Header: header, Body: io.NopCloser(strings.NewReader(withSecret(a.body))), Request: r}, nil
}

// FuzzToken: whatever IAM returns for a password, the result is a valid token, or an error that quotes nothing.
func FuzzToken(f *testing.F) {
	f.Add(beginning, `{"token":{"expires_at":"2100-01-01T00:00:00.000000Z","methods":["password"]}}`)
	f.Add(beginning, `{"token":{"expires_at":"SECRETKEY"}}`)
	f.Add("two SECRETKEY", `{"token":{"expires_at":5}}`)
	f.Add("", `<html>SECRETKEY`)
	f.Fuzz(func(t *testing.T, token, body string) {
		m := machine("https://iam")
		m.IAM = func(string) *huaweicloud.Client {
			return &huaweicloud.Client{HTTP: &http.Client{Transport: answering{token, body}}, BaseURL: "https://iam", Events: func(string, string, time.Duration) {}}
		}
		wantGrant(t, source(t, m, reader("password: a-password")))
	})
}

// FuzzProfile: any profile results in valid keys, or in an error that quotes nothing.
func FuzzProfile(f *testing.F) {
	for _, contents := range []string{
		"[basic]\nak = A\nsk = SECRETKEY\nsecurity_token = T\n", "[basic]\nak = A\nsk = SECRETKEY SECRETKEY", "[basic\nsk = SECRETKEY", "ak = \"\"\"\nSECRETKEY",
		"[basic]\nak: `A`\nsk = %(ak)s # SECRETKEY\n[basic]\nak =\n", "\xff\xfe[\x00b", "[basic]\nak = A\nsk[SECRETKEY] = x\n", "[basic]\nSECRETKEY\n", "",
	} {
		f.Add(contents)
	}
	file := filepath.Join(f.TempDir(), "credentials")
	f.Fuzz(func(t *testing.T, contents string) {
		write(file, withSecret(contents))
		wantGrant(t, source(t, machine(""), "profile: {file: "+file+"}"))
	})
}

// FuzzProfileKeys: keys are read from a profile unchanged, whatever characters they contain. Quotes around them are removed, as in Huawei's SDKs. In
// an INI file, a value that starts with a backquote or three double quotes is quoted with that, and one that starts with a semicolon or a hash is a
// comment.
func FuzzProfileKeys(f *testing.F) {
	for _, key := range []string{"a", "a;b", "a#b", `"ab"`, "'ab'", `ab\`, "a=b", "%(ak)s", "%(x)s", "a:b", "/+==", "a`", `a"""`, "[a]", "$(a)", "!a", "&", "-", `"`, "'"} {
		f.Add("AK", key, "")
		f.Add(key, "SK", key)
	}
	file := filepath.Join(f.TempDir(), "credentials")
	f.Fuzz(func(t *testing.T, ak, sk, token string) {
		isWord := func(s string) bool {
			isQuoted := strings.HasPrefix(s, "`") || strings.HasPrefix(s, `"""`)
			return s != "" && !isQuoted && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
		}
		if !isWord(ak) || !isWord(sk) || token != "" && !isWord(token) {
			return
		}
		write(file, "[basic]\nak = "+ak+"\nsk = "+sk+"\nsecurity_token = "+token+"\n")
		quoted := regexp.MustCompile(`^(?:"(.*)"|'(.*)')$`)
		var want []string
		for _, written := range []string{ak, sk, token} {
			key := quoted.ReplaceAllString(written, "$1$2")
			if key == "" && written != "" || regexp.MustCompile("^[;#]|^[\"'`]|[\"'`]$").MatchString(key) {
				return // a comment, nothing in quotes, or quotes that are not a pair
			}
			want = append(want, key)
		}
		if got, err := reveal(t, source(t, machine(""), "profile: {file: "+file+"}")); got != strings.Join(want, " ") || err != nil {
			t.Errorf("%s %s %s: got %q, %v", ak, sk, token, got, err)
		}
	})
}
