package credentials

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

const (
	oidcDuration        = 6 * time.Hour // of the keys
	forbiddenToProvider = "check the identity conversion rules of the provider in IAM"
)

// OIDC gets temporary keys for the id token of an identity provider, which is in a file that is read each time.
//
// Source: POST /v3.0/OS-AUTH/id-token/tokens, "Obtaining a Token with an OpenID Connect ID Token" of the IAM API Reference, and securityTokens.
func OIDC(iam IAM, region, provider, tokenFile string) Source {
	o := oidc{func() *huaweicloud.Client { return iam(region) }, provider, tokenFile}
	return newTemporary(Status{From: fmt.Sprintf("oidc: identity provider %s, token_file %s", provider, tokenFile), Files: []string{tokenFile}},
		fetchTimeout, o.idToken, func(ctx context.Context) (*lease, error) {
			idToken, err := o.idToken(ctx)
			if err != nil {
				return nil, err
			}
			keys, err := o.keys(ctx, idToken)
			if err != nil {
				return nil, fmt.Errorf("oidc: %w", err)
			}
			return keys, nil
		})
}

type oidc struct {
	iam                 func() *huaweicloud.Client
	provider, tokenFile string
}

func (o oidc) idToken(ctx context.Context) (secret.Text, error) {
	return readKey(ctx, "oidc: token_file "+o.tokenFile, o.tokenFile)
}

func (o oidc) keys(ctx context.Context, idToken secret.Text) (*lease, error) {
	c := o.iam()
	c.Auth = &token{text: idToken}
	c.Advice = map[string]string{
		huaweicloud.ReasonUnauthorized: "check that the token in token_file is of the provider, meant for this cloud and not expired",
		huaweicloud.ReasonForbidden:    forbiddenToProvider,
		huaweicloud.ReasonNotFound:     "check idp_id: IAM knows no such identity provider",
		huaweicloud.ReasonClientError:  "check idp_id and the token in token_file",
	}
	answer, err := c.Issue(ctx, http.MethodPost, "/v3.0/OS-AUTH/id-token/tokens", http.Header{"X-Idp-Id": {o.provider}},
		object{"auth": object{"id_token": object{"id": idToken.Reveal()}}})
	if err != nil {
		return nil, err
	}
	subject, err := subjectToken(answer)
	if err != nil {
		return nil, err
	}
	c = o.iam()
	c.Auth = &token{text: subject}
	c.Advice = map[string]string{huaweicloud.ReasonForbidden: forbiddenToProvider}
	return securityTokens(ctx, c, object{
		"methods": []string{"token"},
		"token":   object{"id": subject.Reveal(), "duration_seconds": int(oidcDuration.Seconds())},
	})
}
