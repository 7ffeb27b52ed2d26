package credentials

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/files"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

const tokenRefusedPause = time.Hour // between two fetches of a project's token because of a 401

// password gets tokens for the password of a user: one for each project, and one for the account, for requests to IAM and to
// account-level APIs, which is issued in Deps.Region. The first login proves the password, so that a wrong one is tried once, not
// once per project. The user only needs a role on the account if a request needs the account's token.
//
// Source: POST /v3/auth/tokens, "Obtaining a User Token Through Password Authentication" of the IAM API Reference. The token of a
// project is issued in its region, because other regions may reject it.
type password struct {
	Deps
	user    config.Password
	text    func(context.Context) (secret.Text, error)
	account *temporary

	mu     sync.Mutex
	tokens map[huaweicloud.Scope]*temporary // of projects
}

func newPassword(d Deps, user config.Password) *password {
	text := files.Keep(func(ctx context.Context) (secret.Text, error) { // may contain blanks, because it is not sent in a header
		return configured(ctx, cmp.Or(user.Password.Variable, "password"), "password", user.Password, checkSpoilt)
	})
	p := &password{Deps: d, user: user, text: text, tokens: map[huaweicloud.Scope]*temporary{}}
	p.account = p.newToken(Status{
		From:  fmt.Sprintf("password: user %s of %s, %s", user.UserName, user.DomainName, describe("password", user.Password)),
		Files: fileNames(user.Password.File),
	}, huaweicloud.Scope{Region: d.Region})
	return p
}

func (p *password) newToken(status Status, s huaweicloud.Scope) *temporary {
	t := newTemporary(status, fetchTimeout, p.text, func(ctx context.Context, text secret.Text) (*lease, error) {
		token, err := p.Logins.login(ctx, p.id(), s, text, func(ctx context.Context) (*lease, error) { return p.send(ctx, s, text) })
		if err != nil {
			return nil, fmt.Errorf("password: %w", err)
		}
		return token, nil
	})
	t.policy.Backoff = loginBackoff
	t.passes(p.Logins.gate(gateID{host: p.IAM(s.Region).BaseURL, who: fmt.Sprintf("user %q of %q", p.user.UserName, p.user.DomainName)}))
	return t
}

// userID identifies a user of a cloud, in all its regions.
type userID struct{ iam, domain, name string }

func (p *password) id() userID { return userID{p.IAM("").BaseURL, p.user.DomainName, p.user.UserName} }

// Check reads the password.
func (p *password) Check(ctx context.Context) error { return p.account.Check(ctx) }

// Status has the error of the account's token or, if those of all projects failed, their last one: the error of a single project is
// only about the project. It has the earliest expiry of the valid tokens; if none is valid, the latest one.
func (p *password) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	status := p.account.Status()
	isValid := func(expires time.Time) bool { return time.Now().Before(expires) }
	var failed error
	var last time.Time
	isGood := status.Err != nil
	for _, t := range p.tokens {
		token, state := t.Status(), t.cell.Peek()
		switch expires := token.Expires; {
		case isValid(expires) && (!isValid(status.Expires) || expires.Before(status.Expires)),
			!isValid(status.Expires) && expires.After(status.Expires):
			status.Expires = expires
		}
		isGood = isGood || token.Err == nil && state.Fetches > 0
		if token.Err != nil && !state.BegunAt.Before(last) {
			failed, last = token.Err, state.BegunAt
		}
	}
	if !isGood {
		status.Err = failed
	}
	return status
}

// Grant returns a token for the project of a scope, or for the account.
func (p *password) Grant(ctx context.Context, s huaweicloud.Scope) (huaweicloud.Grant, error) {
	t := p.account
	if s.ProjectID != "" && s.DomainID == "" {
		if t.Status().Err != nil { // no other request needs it while the tokens of the projects are valid
			t.retryIfProofChanged(ctx)
			_, _ = t.cell.Ask(ctx, &t.policy)
		}
		t = p.token(s)
	}
	if !t.cell.Peek().Value.isValid() { // it may wait for its turn, and rejections meanwhile count
		if text, err := p.text(ctx); err == nil {
			p.Logins.attempts(p.id(), text)
		}
	}
	return t.Grant(ctx, s)
}

// Reject causes the token to be fetched again.
func (p *password) Reject(g huaweicloud.Grant) {
	p.account.Reject(g)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.tokens {
		t.Reject(g) // has no effect on the token of another project
	}
}

// token returns the token of a project, and removes expired ones, because their projects no longer exist.
func (p *password) token(s huaweicloud.Scope) *temporary {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.tokens[s]; t != nil {
		return t
	}
	for old, t := range p.tokens {
		if expires := t.Status().Expires; !expires.IsZero() && expires.Before(time.Now()) {
			delete(p.tokens, old)
		}
	}
	t := p.newToken(Status{}, s)
	t.refusedPause = tokenRefusedPause
	p.tokens[s] = t
	return t
}

// loginBackoff returns the pause before a rejected password is tried again.
func loginBackoff(streak int, err error) time.Duration {
	if refused, ok := errors.AsType[*refusedError](err); ok {
		return time.Until(refused.at.Add(passwordPause))
	}
	return backoff(streak, err)
}

// send sends the request for a token.
func (p *password) send(ctx context.Context, s huaweicloud.Scope, text secret.Text) (*lease, error) {
	scope := object{"project": object{"id": s.ProjectID}}
	if s.ProjectID == "" {
		scope = object{"domain": object{"name": p.user.DomainName}}
	}
	c := p.IAM(s.Region)
	c.Auth = &token{text: text}
	c.Advice = map[string]string{
		huaweicloud.ReasonUnauthorized: fmt.Sprintf("check domain_name, user_name, and password, and that the user has a role on the %s; this password is retried after %s, because IAM locks users out", level(s), passwordPause),
		huaweicloud.ReasonForbidden:    "enable programmatic access and disable multi-factor authentication for the user",
		huaweicloud.ReasonClientError:  "check domain_name and user_name, and that the project belongs to the account",
	}
	user := object{"name": p.user.UserName, "password": text.Reveal(), "domain": object{"name": p.user.DomainName}}
	answer, err := c.Issue(ctx, http.MethodPost, "/v3/auth/tokens?nocatalog=true", nil, object{"auth": object{
		"identity": object{"methods": []string{"password"}, "password": object{"user": user}},
		"scope":    scope,
	}})
	if err != nil {
		return nil, err
	}
	token, err := readToken(answer)
	if err != nil {
		return nil, fmt.Errorf("POST %s/v3/auth/tokens: %w", c.BaseURL, err)
	}
	return token, nil
}

// level names in a remedy what the token for a scope is for.
func level(s huaweicloud.Scope) string {
	if s.ProjectID == "" {
		return "account (not needed for projects with an id)"
	}
	return "project"
}

// readToken returns the token in the header, and its expiry in the body, of a response of IAM.
func readToken(answer *huaweicloud.Answer) (*lease, error) {
	subject, err := subjectToken(answer)
	if err != nil {
		return nil, err
	}
	body := readTokenBody(answer)
	expires, isTime := readTime(body.Token.ExpiresAt)
	if !isTime {
		return nil, huaweicloud.Advise(errors.New("the response has no expiry of the token"), answeredByOther)
	}
	l, err := newLease(&token{"X-Auth-Token", subject}, expires)
	if err != nil {
		return nil, err
	}
	l.domainID = body.domainID()
	return l, nil
}

// tokenBody is the body of a response with a token.
type tokenBody struct {
	Token struct {
		ExpiresAt string      `json:"expires_at"`
		Domain    tokenDomain `json:"domain"`
		Project   struct {
			Domain tokenDomain `json:"domain"`
		} `json:"project"`
		User struct {
			Domain tokenDomain `json:"domain"`
		} `json:"user"`
	} `json:"token"`
}

type tokenDomain struct {
	ID string `json:"id"`
}

// readTokenBody parses what it can; missing parts are empty.
func readTokenBody(answer *huaweicloud.Answer) tokenBody {
	var body tokenBody
	_ = json.Unmarshal(answer.Body, &body)
	return body
}

// domainID returns the account ID: that of the scope or, because users belong to the account, that of the user.
func (b tokenBody) domainID() string {
	return cmp.Or(b.Token.Domain.ID, b.Token.Project.Domain.ID, b.Token.User.Domain.ID)
}
