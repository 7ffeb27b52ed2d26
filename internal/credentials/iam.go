package credentials

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
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

// Hide returns text without what stood in the request, as it is and as JSON writes it.
func (u unsigned) Hide(text string) string {
	for _, s := range u.secrets {
		if quoted, err := json.Marshal(s.Reveal()); err == nil {
			text = secret.Hide(text, secret.New(strings.Trim(string(quoted), `"`)))
		}
	}
	return secret.Hide(text, u.secrets...)
}

// object is one of JSON.
type object = map[string]any

// securityTokens asks IAM for temporary keys: POST /v3.0/OS-CREDENTIAL/securitytokens, "Obtaining a Temporary Access Key and SecurityToken
// Through a Token" and "... Through an Agency" of the IAM API Reference.
func securityTokens(ctx context.Context, iam *huaweicloud.Client, identity object) (*lease, error) {
	const path = "/v3.0/OS-CREDENTIAL/securitytokens"
	answer, err := iam.Post(ctx, path, nil, object{"auth": object{"identity": identity}})
	if err != nil {
		return nil, err
	}
	keys, err := temporaryKeys(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("POST %s%s: %w", iam.BaseURL, path, err)
	}
	return keys, nil
}

// answeredByOther is what to do about an answer without a token.
const answeredByOther = "a proxy or a wrong endpoint may have answered"

// subjectToken returns the token that IAM issues in a header.
func subjectToken(answer *huaweicloud.Answer) (secret.Text, error) {
	text := answer.Header.Get("X-Subject-Token")
	if text == "" || checkKey("", text) != nil {
		return secret.Text{}, huaweicloud.Advise(errors.New("there is no token in the header X-Subject-Token of the answer"), answeredByOther)
	}
	return secret.New(text), nil
}

// seconds writes a duration as IAM takes it.
func seconds(d time.Duration) int { return int(d / time.Second) }
