package credentials

import (
	"context"
	"errors"
	"net/http"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

// IAM returns a client for IAM in a region, or at its global endpoint if the region is empty. The source sets who authorizes its requests.
type IAM func(region string) *huaweicloud.Client

// token authorizes requests by a header; without a name of one, it hides a secret that the request contains. It is its own Authorizer.
type token struct {
	header string
	text   secret.Text
}

// Grant returns the token itself.
func (t *token) Grant(context.Context, huaweicloud.Scope) (huaweicloud.Grant, error) { return t, nil }

// Reject does nothing.
func (t *token) Reject(huaweicloud.Grant) {}

// Authorize sets the header.
func (t *token) Authorize(req *http.Request, _ []byte) {
	if !t.text.IsEmpty() && t.header != "" {
		req.Header.Set(t.header, t.text.Reveal())
	}
}

// Hide replaces the token.
func (t *token) Hide(text string) string { return secret.Hide(text, t.text) }

// object is a JSON object.
type object = map[string]any

// securityTokens gets temporary keys: POST /v3.0/OS-CREDENTIAL/securitytokens, "Obtaining a Temporary Access Key and Security Token Through a Token" and
// "... Through an Agency" of the IAM API Reference.
func securityTokens(ctx context.Context, iam *huaweicloud.Client, identity object) (*lease, error) {
	answer, err := iam.Issue(ctx, http.MethodPost, "/v3.0/OS-CREDENTIAL/securitytokens", nil, object{"auth": object{"identity": identity}})
	if err != nil {
		return nil, err
	}
	return readKeys(answer)
}

// answeredByOther is the remedy if a response has no token.
const answeredByOther = "a proxy or a wrong endpoint may have answered"

// subjectToken returns the token in a response of IAM.
func subjectToken(answer *huaweicloud.Answer) (secret.Text, error) {
	text := answer.Header.Get("X-Subject-Token")
	if text == "" || checkKey("", text) != nil {
		return secret.Text{}, huaweicloud.Advise(errors.New("there is no token in the header X-Subject-Token of the answer"), answeredByOther)
	}
	return secret.New(text), nil
}
