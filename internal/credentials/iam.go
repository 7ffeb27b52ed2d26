package credentials

import (
	"context"
	"errors"
	"net/http"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

// unsigned authorises a request that proves who sends it by what stands in it.
type unsigned struct{ secrets []secret.Text }

// Grant is nothing to put on a request, but what to hide of its answer.
func (u unsigned) Grant(context.Context, huaweicloud.Scope) (huaweicloud.Grant, error) { return u, nil }

// Reject does nothing: nothing was granted.
func (u unsigned) Reject(huaweicloud.Grant) {}

// Authorize does nothing.
func (u unsigned) Authorize(*http.Request, []byte) {}

// Hide returns text without what stood in the request.
func (u unsigned) Hide(text string) string { return secret.Hide(text, u.secrets...) }

// object is one of JSON.
type object = map[string]any

// securityTokens asks IAM for temporary keys: POST /v3.0/OS-CREDENTIAL/securitytokens, "Obtaining a Temporary Access Key and SecurityToken
// Through a Token" and "... Through an Agency" of the IAM API Reference.
func securityTokens(ctx context.Context, iam *huaweicloud.Client, identity object) (*lease, error) {
	answer, err := iam.Post(ctx, "/v3.0/OS-CREDENTIAL/securitytokens", nil, object{"auth": object{"identity": identity}})
	if err != nil {
		return nil, err
	}
	return temporaryKeys(answer.Body)
}

// subjectToken returns the token that IAM issues in a header.
func subjectToken(answer *huaweicloud.Answer) (secret.Text, error) {
	text := answer.Header.Get("X-Subject-Token")
	if text == "" || checkKey("", text) != nil {
		return secret.Text{}, errors.New("there is no token in the header X-Subject-Token of IAM's answer; a proxy or a wrong endpoint may have answered")
	}
	return secret.New(text), nil
}

// seconds writes a duration as IAM takes it.
func seconds(d time.Duration) int { return int(d / time.Second) }
