package credentials

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

// longestAhead is how long before their expiry keys are fetched anew at most; it is a quarter of their life where that is shorter.
const longestAhead = 10 * time.Minute

// lease is what authorises until a moment.
type lease struct {
	huaweicloud.Grant

	issued, expires time.Time
}

// fresh returns how long the lease serves before it is due to be fetched anew.
func (l *lease) fresh() time.Duration {
	life := l.expires.Sub(l.issued)
	return life - min(life/4, longestAhead)
}

// holds tells whether the lease authorises at all.
func (l *lease) holds() bool { return l != nil && time.Now().Before(l.expires) }

// newLease returns a lease of what was issued just now. What has expired already is refused: the clock must be wrong.
func newLease(g huaweicloud.Grant, expires time.Time) (*lease, error) {
	l := &lease{Grant: g, issued: time.Now(), expires: expires}
	if !l.holds() {
		return nil, huaweicloud.Advise(fmt.Errorf("what was issued just now has expired at %s", expires.UTC().Format(time.RFC3339)),
			"set the clock of this machine by NTP")
	}
	return l, nil
}

// renewedBy says what renews the keys of the lease, so that those that come after them count as proven, too.
func (l *lease) renewedBy(e *expiring) {
	if keys, ok := l.Grant.(*huaweicloud.Keys); ok {
		keys.Origin = e
	}
}

// token authorises by X-Auth-Token.
type token struct{ text secret.Text }

// Authorize puts the token on a request.
func (t *token) Authorize(req *http.Request, _ []byte) {
	req.Header.Set("X-Auth-Token", t.text.Reveal())
}

// Hide returns text without the token.
func (t *token) Hide(text string) string { return secret.Hide(text, t.text) }

// noIssuer is what to do about an answer without keys.
const noIssuer = "something else than a service that issues keys may have answered"

// temporaryKeys reads keys as the metadata service, pod identity, IAM and STS write them: an object "credential" or "credentials" with
// access, accessKeyId or access_key_id, and so on. The errors quote nothing.
func temporaryKeys(body []byte) (*lease, error) {
	var answer map[string]any
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, huaweicloud.Advise(errors.New("the answer is no JSON object"), noIssuer)
	}
	fields := plainNames(answer)
	for _, wrapper := range []string{"credential", "credentials"} {
		if inner, ok := fields[wrapper].(map[string]any); ok {
			fields = plainNames(inner)
		}
	}
	accessKey, secretKey := text(fields, "access", "accesskeyid"), text(fields, "secret", "secretaccesskey")
	securityToken, expiry := text(fields, "securitytoken"), text(fields, "expiresat", "expiration")
	for _, part := range []struct{ name, value string }{
		{"access key", accessKey}, {"secret key", secretKey}, {"security token", securityToken}, {"expiry", expiry},
	} {
		if part.value == "" || checkKey("", part.value) != nil {
			return nil, huaweicloud.Advise(fmt.Errorf("the answer has no %s that could be used", part.name), noIssuer)
		}
	}
	expires, err := time.Parse(time.RFC3339, expiry)
	if err != nil {
		return nil, huaweicloud.Advise(errors.New("the expiry in the answer is no time of RFC 3339"), noIssuer)
	}
	return newLease(&huaweicloud.Keys{
		AccessKey: secret.New(accessKey), SecretKey: secret.New(secretKey), SecurityToken: secret.New(securityToken),
	}, expires)
}

// plainNames returns the fields by their names in small letters and without underscores, which is what the spellings have in common.
func plainNames(fields map[string]any) map[string]any {
	plain := map[string]any{}
	for name, value := range fields {
		plain[strings.ToLower(strings.ReplaceAll(name, "_", ""))] = value
	}
	return plain
}

// text returns the first of the fields that is a text.
func text(fields map[string]any, names ...string) string {
	for _, name := range names {
		if value, ok := fields[name].(string); ok && value != "" {
			return value
		}
	}
	return ""
}
