package cloudtest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
)

const (
	algorithm  = "SDK-HMAC-SHA256"
	dateHeader = "X-Sdk-Date"
	dateLayout = "20060102T150405Z"
	maxSkew    = 15 * time.Minute
)

// authorization finds the access key, the names of the signed headers and the signature.
var authorization = regexp.MustCompile(`^` + algorithm + ` Access=([^ ,]+), SignedHeaders=([^ ,]+), Signature=([^ ,]+)$`)

// authenticate returns the account of a token, or of permanent or temporary keys.
func (c *Cloud) authenticate(q cloudsim.Call) (account string, refusal *cloudsim.Answer) {
	bearer, signed := q.Header.Get("X-Auth-Token"), q.Header.Get("Authorization") != ""
	why := "x-auth-token not found"
	switch {
	case bearer != "" && signed:
		why = "the request has a signature and an x-auth-token, of which only one is allowed"
	case signed:
		account, why = c.verify(q)
	case bearer != "":
		t, invalid := c.token(bearer)
		if invalid == "" && !t.covers(q) {
			return "", &cloudsim.Answer{Status: http.StatusUnauthorized, Body: cloudsim.JSON(map[string]any{
				"error_code": "APIGW.0307", "error_msg": "The token must be updated.", "request_id": q.ID,
			})}
		}
		account, why = t.owner, invalid
		if invalid != "" {
			why = "the x-auth-token " + invalid
		}
	}
	if why != "" {
		a := q.GatewayError(http.StatusUnauthorized, "Incorrect IAM authentication information: "+why)
		return "", &a
	}
	return account, nil
}

// verify returns the account whose keys signed a request, or why the request is rejected. Signing is described in "AK/SK Signing and
// Authentication Algorithm" (API Gateway, API Request Signing Guide).
func (c *Cloud) verify(q cloudsim.Call) (account, why string) {
	headers := q.Header.Values("Authorization")
	found := authorization.FindStringSubmatch(headers[0])
	if found == nil || len(headers) > 1 {
		return "", "the Authorization header is malformed"
	}
	signed := strings.Split(found[2], ";")
	if !slices.IsSorted(signed) || found[2] != strings.ToLower(found[2]) { // signers disagree about these
		return "", "the Authorization header is malformed"
	}
	k, exist := c.keys(found[1])
	if !exist {
		return "", "ak " + found[1] + " not exist"
	}
	return k.owner, k.check(q, signed, found[3])
}

// check returns why a signature with these keys is rejected.
func (k keys) check(q cloudsim.Call, signedHeaders []string, signature string) string {
	date := q.Header.Get(dateHeader)
	signed, err := time.Parse(dateLayout, date)
	if err != nil || !slices.Contains(signedHeaders, strings.ToLower(dateHeader)) {
		return "the X-Sdk-Date header is missing, malformed or not signed"
	}
	now := time.Now().UTC()
	if now.Sub(signed).Abs() > maxSkew {
		return fmt.Sprintf("signature expired, signature time:%s,server time:%s", date, now.Format(dateLayout))
	}
	if !hmac.Equal([]byte(signature), []byte(sign(q.Request, q.Body, signedHeaders, k.secret))) {
		return "verify aksk signature fail"
	}
	if k.securityToken != "" && q.Header.Get("X-Security-Token") != k.securityToken {
		return "the security token of ak " + k.access + " is missing or wrong"
	}
	if k.securityToken != "" && !slices.Contains(signedHeaders, "x-security-token") {
		return "the security token of ak " + k.access + " is not signed"
	}
	if invalid := k.invalid(); invalid != "" {
		return "ak " + k.access + " " + invalid
	}
	return ""
}

// sign returns the signature that the request should have.
func sign(r *http.Request, body []byte, signedHeaders []string, secretKey string) string {
	payload := r.Header.Get("X-Sdk-Content-Sha256")
	if payload != "UNSIGNED-PAYLOAD" {
		payload = fmt.Sprintf("%x", sha256.Sum256(body))
	}
	canonical := strings.Join([]string{
		r.Method, canonicalPath(r.URL), canonicalQuery(r.URL.Query()), canonicalHeaders(r, signedHeaders),
		strings.Join(signedHeaders, ";"), payload,
	}, "\n")
	mac := hmac.New(sha256.New, []byte(secretKey))
	mac.Write(fmt.Appendf(nil, "%s\n%s\n%x", algorithm, r.Header.Get(dateHeader), sha256.Sum256([]byte(canonical))))
	return hex.EncodeToString(mac.Sum(nil))
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

// canonicalHeaders ends each header with a line break, as the signing guide shows it.
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
