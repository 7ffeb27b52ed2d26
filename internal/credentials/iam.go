package credentials

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/files"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

// token authorizes requests by a header. Without a header name, it only hides a secret in the request. It is its own Authorizer.
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

// securityTokens gets temporary keys: POST /v3.0/OS-CREDENTIAL/securitytokens, "Obtaining a Temporary Access Key and Security Token
// Through a Token" and "... Through an Agency" of the IAM API Reference.
func securityTokens(ctx context.Context, iam *huaweicloud.Client, identity object) (*lease, error) {
	answer, err := iam.Issue(ctx, http.MethodPost, "/v3.0/OS-CREDENTIAL/securitytokens", nil, object{"auth": object{"identity": identity}})
	if err != nil {
		return nil, err
	}
	return readKeys(answer)
}

// answeredByOther is the remedy if a response has no token.
const answeredByOther = "check endpoints.iam and the proxy (something other than IAM may have responded)"

// subjectToken returns the token in a response of IAM.
func subjectToken(answer *huaweicloud.Answer) (secret.Text, error) {
	text := answer.Header.Get("X-Subject-Token")
	if text == "" || checkKey("", text) != nil {
		return secret.Text{}, huaweicloud.Advise(errors.New("the response has no token in the header X-Subject-Token"), answeredByOther)
	}
	return secret.New(text), nil
}

// newOIDC gets temporary keys for the ID token of an identity provider, which is in a file that is read each time.
//
// Source: POST /v3.0/OS-AUTH/id-token/tokens, "Obtaining a Token with an OpenID Connect ID Token" of the IAM API Reference, and securityTokens.
func newOIDC(d Deps, c config.OIDC) *temporary {
	status := Status{From: fmt.Sprintf("oidc: identity provider %s, token_file %s", c.IDPID, c.TokenFile), Files: []string{c.TokenFile}}
	idToken := files.Keep(func(ctx context.Context) (secret.Text, error) {
		return readKey(ctx, "oidc: token_file "+c.TokenFile, c.TokenFile)
	})
	t := newTemporary(status, fetchTimeout, idToken, func(ctx context.Context, text secret.Text) (*lease, error) {
		keys, err := oidcKeys(ctx, d, c.IDPID, text)
		if err != nil {
			return nil, fmt.Errorf("oidc: %w", err)
		}
		return keys, nil
	})
	t.passes(d.Logins.gate(gateID{host: d.IAM(d.Region).BaseURL, who: status.From}))
	return t
}

const (
	oidcDuration        = 6 * time.Hour // of the keys
	forbiddenToProvider = "check the identity conversion rules of the provider in IAM"
)

func oidcKeys(ctx context.Context, d Deps, provider string, idToken secret.Text) (*lease, error) {
	c := d.IAM(d.Region)
	c.Auth = &token{text: idToken}
	c.Advice = map[string]string{
		huaweicloud.ReasonUnauthorized: "check that the token in token_file was issued by the provider for this cloud and has not expired",
		huaweicloud.ReasonForbidden:    forbiddenToProvider,
		huaweicloud.ReasonNotFound:     "check idp_id (IAM has no such identity provider)",
		huaweicloud.ReasonClientError:  "check idp_id and the token in token_file",
	}
	answer, err := c.Issue(ctx, http.MethodPost, "/v3.0/OS-AUTH/id-token/tokens", http.Header{"X-Idp-Id": {provider}},
		object{"auth": object{"id_token": object{"id": idToken.Reveal()}}})
	if err != nil {
		return nil, err
	}
	subject, err := subjectToken(answer)
	if err != nil {
		return nil, err
	}
	c.Auth = &token{text: subject}
	c.Advice = map[string]string{huaweicloud.ReasonForbidden: forbiddenToProvider}
	keys, err := securityTokens(ctx, c, object{
		"methods": []string{"token"},
		"token":   object{"id": subject.Reveal(), "duration_seconds": int(oidcDuration.Seconds())},
	})
	if err != nil {
		return nil, err
	}
	keys.domainID = readTokenBody(answer).domainID()
	return keys, nil
}

// agency gets temporary keys of an agency. Another source authorizes the request, so it depends on that source's files.
type agency struct {
	*temporary

	base Source
}

func newAgency(c config.Credentials, d Deps, a config.AssumeAgency) *agency {
	base := New(c, d)
	key, domain, of := "domain_name", a.DomainName, a.DomainName
	if a.DomainID != "" {
		key, domain, of = "domain_id", a.DomainID, "domain_id "+a.DomainID
	}
	from := fmt.Sprintf("assume_agency: %s of %s", a.AgencyName, of)
	baseKeys := func(ctx context.Context) (secret.Text, error) {
		grant, err := base.Grant(ctx, huaweicloud.Scope{})
		if err != nil {
			return secret.Text{}, fmt.Errorf("%s: %w", from, &huaweicloud.CredentialsError{Err: err})
		}
		return secret.New(cmp.Or(huaweicloud.KeyID(grant), fmt.Sprintf("%p", grant))), nil
	}
	t := newTemporary(Status{From: from}, fetchTimeout, baseKeys, func(ctx context.Context, _ secret.Text) (*lease, error) {
		c := d.IAM(d.Region)
		c.Auth = base
		c.Advice = map[string]string{
			huaweicloud.ReasonForbidden:   "grant the role Agent Operator to the user of these credentials, and check that the agency trusts the user's account",
			huaweicloud.ReasonNotFound:    "check " + key + " and agency_name",
			huaweicloud.ReasonClientError: "check " + key + ", agency_name, and duration",
		}
		keys, err := securityTokens(ctx, c, object{
			"methods":     []string{"assume_role"},
			"assume_role": object{"agency_name": a.AgencyName, key: domain, "duration_seconds": int(a.Duration.Seconds())},
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", from, err)
		}
		return keys, nil
	})
	who := base.Status().From
	if c.Static != nil {
		who += huaweicloud.KeyID(&huaweicloud.Keys{AccessKey: c.Static.AccessKey.Text, SecretKey: c.Static.SecretKey.Text})
	}
	t.passes(d.Logins.gate(gateID{host: d.IAM(d.Region).BaseURL, isAgency: true, who: who}))
	return &agency{t, base}
}

func (a *agency) Check(ctx context.Context) error { return a.base.Check(ctx) }

func (a *agency) Status() Status {
	status, base := a.temporary.Status(), a.base.Status()
	status.From += ", with " + base.From
	status.Files = base.Files
	return status
}
