package cloudsim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	algorithm  = "SDK-HMAC-SHA256"
	dateHeader = "X-Sdk-Date"
	dateLayout = "20060102T150405Z"
	maxSkew    = 15 * time.Minute
)

// authorization is a parsed Authorization header.
type authorization struct {
	access, signature string
	signedHeaders     []string
}

// signer tells whose keys signed the request, or why it is refused. Signing is described in "AK/SK Signing and Authentication
// Algorithm" (API Gateway, API Request Signing Guide).
func (c *Cloud) signer(r *http.Request, body []byte) (caller *account, refusal string) {
	auth, ok := parseAuthorization(r.Header.Values("Authorization"))
	if !ok {
		return nil, "the Authorization header is malformed"
	}
	keys, known := c.keys(auth.access)
	if !known {
		return nil, "ak " + auth.access + " not exist"
	}
	date := r.Header.Get(dateHeader)
	signed, err := time.Parse(dateLayout, date)
	if err != nil || !slices.Contains(auth.signedHeaders, strings.ToLower(dateHeader)) {
		return nil, "the X-Sdk-Date header is missing, malformed or not signed"
	}
	now := time.Now().UTC()
	if now.Sub(signed).Abs() > maxSkew {
		return nil, fmt.Sprintf("signature expired, signature time:%s,server time:%s", date, now.Format(dateLayout))
	}
	if !hmac.Equal([]byte(auth.signature), []byte(sign(r, body, auth.signedHeaders, keys.secret))) {
		return nil, "verify aksk signature fail"
	}
	if keys.securityToken != "" && r.Header.Get("X-Security-Token") != keys.securityToken {
		return nil, "the security token of ak " + auth.access + " is missing or wrong"
	}
	if keys.securityToken != "" && !slices.Contains(auth.signedHeaders, "x-security-token") {
		return nil, "the security token of ak " + auth.access + " is not signed"
	}
	if why := keys.invalid(); why != "" {
		return nil, "ak " + auth.access + " " + why
	}
	return keys.owner, ""
}

// keys finds the keys of an access key as they are now, permanent or issued: they can be rotated or revoked at any time.
func (c *Cloud) keys(access string) (k temporaryKeys, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.accounts {
		if a.AccessKey == access {
			return temporaryKeys{lease{owner: a}, access, a.SecretKey, a.SecurityToken}, true
		}
	}
	k, known = c.issued.keys[access]
	return k, known
}

// parseAuthorization reads "SDK-HMAC-SHA256 Access=…, SignedHeaders=a;b, Signature=…".
func parseAuthorization(values []string) (authorization, bool) {
	rest, found := strings.CutPrefix(values[0], algorithm+" ")
	if !found || len(values) > 1 {
		return authorization{}, false
	}
	parts, fields := strings.Split(rest, ","), map[string]string{}
	for _, part := range parts {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	signed := strings.Split(fields["SignedHeaders"], ";")
	// Names in another order or case would be signed in another order or case: signers disagree there, so none may do it.
	canonical := slices.IsSorted(signed) && fields["SignedHeaders"] == strings.ToLower(fields["SignedHeaders"])
	auth := authorization{access: fields["Access"], signature: fields["Signature"], signedHeaders: signed}
	return auth, canonical && len(parts) == 3 && len(fields) == 3 && auth.access != "" && auth.signature != ""
}

// sign computes the signature that the request should bear.
func sign(r *http.Request, body []byte, signedHeaders []string, secretKey string) string {
	request := sha256.Sum256([]byte(canonicalRequest(r, body, signedHeaders)))
	mac := hmac.New(sha256.New, []byte(secretKey))
	mac.Write(fmt.Appendf(nil, "%s\n%s\n%x", algorithm, r.Header.Get(dateHeader), request))
	return hex.EncodeToString(mac.Sum(nil))
}

func canonicalRequest(r *http.Request, body []byte, signedHeaders []string) string {
	payload := r.Header.Get("X-Sdk-Content-Sha256")
	if payload != "UNSIGNED-PAYLOAD" {
		payload = fmt.Sprintf("%x", sha256.Sum256(body))
	}
	return strings.Join([]string{
		r.Method, canonicalPath(r.URL), canonicalQuery(r.URL.Query()), canonicalHeaders(r, signedHeaders),
		strings.Join(signedHeaders, ";"), payload,
	}, "\n")
}

func canonicalPath(u *url.URL) string {
	segments := strings.Split(u.EscapedPath(), "/")
	for i, segment := range segments {
		if plain, err := url.PathUnescape(segment); err == nil {
			segments[i] = escape(plain)
		}
	}
	path := strings.Join(segments, "/")
	if !strings.HasSuffix(path, "/") {
		path += "/"
	}
	return path
}

func canonicalQuery(query url.Values) string {
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(query)) {
		for _, value := range slices.Sorted(slices.Values(query[key])) {
			pairs = append(pairs, escape(key)+"="+escape(value))
		}
	}
	return strings.Join(pairs, "&")
}

// canonicalHeaders ends with an empty line of its own, as the signing guide has it.
func canonicalHeaders(r *http.Request, names []string) string {
	var lines strings.Builder
	for _, name := range names {
		values := r.Header.Values(name)
		if name == "host" {
			values = []string{r.Host}
		}
		for _, value := range slices.Sorted(slices.Values(values)) {
			lines.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
		}
	}
	return lines.String()
}

// escape encodes all but letters, digits and "-_.~".
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
