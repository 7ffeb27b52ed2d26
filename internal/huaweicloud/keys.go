package huaweicloud

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"cloud_quota_exporter/internal/secret"
)

const (
	algorithm  = "SDK-HMAC-SHA256"
	dateFormat = "20060102T150405Z"
)

// Keys sign requests. They are permanent keys of a user, or temporary ones with a security token.
type Keys struct {
	AccessKey     secret.Text
	SecretKey     secret.Text
	SecurityToken secret.Text // empty for permanent keys

	Origin any // identifies what renews these keys, comparable; nil for keys that are not renewed
}

// Authorize dates and signs req. The signature covers the host, the account, the project, and the security token.
func (k *Keys) Authorize(req *http.Request, body []byte) {
	req.Header.Set("X-Sdk-Date", time.Now().UTC().Format(dateFormat))
	signed := []string{"host", "x-sdk-date"}
	if !k.SecurityToken.IsEmpty() {
		req.Header.Set("X-Security-Token", k.SecurityToken.Reveal())
		signed = append(signed, "x-security-token")
	}
	for _, name := range []string{"x-domain-id", "x-project-id"} {
		if req.Header.Get(name) != "" {
			signed = append(signed, name)
		}
	}
	k.Sign(req, body, signed...)
}

// signature matches the signature of a request. For some minutes, anyone with it and the headers that it covers can repeat the
// request.
var signature = regexp.MustCompile(`(Signature(?:=|%3[Dd]))[0-9a-f]+`)

// Hide returns text without the keys and without signatures.
func (k *Keys) Hide(text string) string {
	return signature.ReplaceAllString(secret.Hide(text, k.SecretKey, k.SecurityToken, k.AccessKey), "${1}<hidden>")
}

// Sign sets the Authorization header of req, which must have its X-Sdk-Date; signed are the headers that the signature covers. The
// algorithm is SDK-HMAC-SHA256 of "API Request Signing Guide".
func (k *Keys) Sign(req *http.Request, body []byte, signed ...string) {
	slices.Sort(signed)
	text := algorithm + "\n" + req.Header.Get("X-Sdk-Date") + "\n" + hexHash(canonicalRequest(req, body, signed))
	mac := hmac.New(sha256.New, []byte(k.SecretKey.Reveal()))
	mac.Write([]byte(text))
	req.Header.Set("Authorization", algorithm+" Access="+k.AccessKey.Reveal()+
		", SignedHeaders="+strings.Join(signed, ";")+", Signature="+hex.EncodeToString(mac.Sum(nil)))
}

func canonicalRequest(req *http.Request, body []byte, signed []string) string {
	var headers strings.Builder
	for _, name := range signed {
		value := req.Header.Get(name)
		if name == "host" {
			value = req.URL.Host
		}
		headers.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	return strings.Join([]string{
		req.Method, canonicalPath(req.URL), canonicalQuery(req.URL), headers.String(), strings.Join(signed, ";"), hexHash(string(body)),
	}, "\n")
}

// canonicalPath ends in a slash, unlike the request.
func canonicalPath(u *url.URL) string {
	segments := strings.Split(u.EscapedPath(), "/")
	for i, segment := range segments {
		if plain, err := url.PathUnescape(segment); err == nil { // EscapedPath is always valid
			segments[i] = escape(plain)
		}
	}
	return strings.TrimSuffix(strings.Join(segments, "/"), "/") + "/"
}

func canonicalQuery(u *url.URL) string {
	query := u.Query()
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(query)) {
		for _, value := range slices.Sorted(slices.Values(query[key])) {
			pairs = append(pairs, escape(key)+"="+escape(value))
		}
	}
	return strings.Join(pairs, "&")
}

// escape encodes all but A-Z a-z 0-9 - _ . ~
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func hexHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
