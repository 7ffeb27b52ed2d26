package credentials

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/refresh"
	"cloud_quota_exporter/internal/secret"
)

const (
	// passwordPause is how long a refused password is not tried again: IAM locks a user out after some failures in a row, usually five.
	passwordPause = 15 * time.Minute
	tokenSlots    = 8 // tokens of projects that are asked for at a time
)

// User is who logs in with a password.
type User struct {
	DomainName string // name of the account
	Name       string
	Password   Value
}

// Password takes tokens for the password of a user: one for each project, and one of the whole account for IAM's own requests, which region
// says where to ask.
//
// Source: POST /v3/auth/tokens, "Obtaining a User Token Through Password Authentication" of the IAM API Reference. A token is asked for in
// the region of its project: one from elsewhere may be refused there.
func Password(iam IAM, region string, u User) Source {
	p := &password{
		iam: iam, region: region, user: u,
		gate:   refresh.NewGate(tokenSlots),
		tokens: map[huaweicloud.Scope]*expiring{},
	}
	p.account = p.newToken(huaweicloud.Scope{})
	return p
}

// password keeps the tokens of one user. The account's own is asked for first: it tells whether the password is right, so that a wrong one is
// tried once, not once for each project.
type password struct {
	iam     IAM
	region  string
	user    User
	account *expiring
	gate    *refresh.Gate // of the projects' tokens

	mu     sync.Mutex
	tokens map[huaweicloud.Scope]*expiring // of projects
}

// Describe says whose password it is.
func (p *password) Describe() string {
	return fmt.Sprintf("password: user %s of %s, %s", p.user.Name, p.user.DomainName, p.user.Password.describe("password"))
}

// Check looks for the password.
func (p *password) Check() error {
	_, err := p.user.Password.get("password")
	return err
}

// Expiry returns when the first of the tokens expires.
func (p *password) Expiry() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := p.account.expiry()
	for _, e := range p.tokens {
		if expiry := e.expiry(); !expiry.IsZero() && expiry.Before(first) {
			first = expiry
		}
	}
	return first
}

// Grant returns a token for the project of a scope, or of the account.
func (p *password) Grant(ctx context.Context, s huaweicloud.Scope) (huaweicloud.Grant, error) {
	if s.ProjectID == "" {
		return p.account.grant(ctx)
	}
	return p.token(s).grant(ctx)
}

// Reject has a refused token fetched anew.
func (p *password) Reject(g huaweicloud.Grant) {
	p.account.reject(g)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.tokens {
		e.reject(g) // only the one that issued g does anything
	}
}

// token returns what keeps the token of a project. Those that nobody asked for until they expired, of projects that are gone, are forgotten.
func (p *password) token(s huaweicloud.Scope) *expiring {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.tokens[s]; e != nil {
		return e
	}
	for old, e := range p.tokens {
		if expiry := e.expiry(); !expiry.IsZero() && expiry.Before(time.Now()) {
			delete(p.tokens, old)
		}
	}
	e := p.newToken(s)
	e.policy.Gate, e.policy.Shuts = p.gate, huaweicloud.IsThrottled
	p.tokens[s] = e
	return e
}

func (p *password) newToken(s huaweicloud.Scope) *expiring {
	e := newExpiring(2*fetchTimeout, func(ctx context.Context) (*lease, error) { return p.fetch(ctx, s) })
	e.policy.Pause = func(streak int, err error) time.Duration {
		if isRefusal(err) {
			return passwordPause
		}
		return pause(streak, err)
	}
	return e
}

// isRefusal tells whether IAM said that the password is wrong.
func isRefusal(err error) bool {
	api, ok := errors.AsType[*huaweicloud.APIError](err)
	return ok && api.Status == 401
}

// fetch asks for the token of a project, or of the account. That the password is refused for a project may be the project's fault: the account
// then tells.
func (p *password) fetch(ctx context.Context, s huaweicloud.Scope) (*lease, error) {
	if s.ProjectID == "" {
		return p.login(ctx, p.region, object{"domain": object{"name": p.user.DomainName}})
	}
	account, err := p.account.grant(ctx)
	if last := p.account.cell.Peek(); isRefusal(last.Err) {
		err = last.Err
	}
	if err != nil {
		return nil, err
	}
	token, err := p.login(ctx, s.Region, object{"project": object{"id": s.ProjectID}})
	if isRefusal(err) {
		p.account.reject(account)
	}
	return token, err
}

func (p *password) login(ctx context.Context, region string, scope object) (*lease, error) {
	text, err := p.user.Password.get("password")
	if err != nil {
		return nil, err
	}
	c := p.iam(region)
	c.Auth = unsigned{[]secret.Text{text}}
	c.Advice = map[string]string{
		huaweicloud.ReasonUnauthorized: fmt.Sprintf("check domain_name, user_name and password, which is tried again after %s, since IAM locks users out", passwordPause),
		huaweicloud.ReasonForbidden:    "let the user have programmatic access and no multi-factor authentication",
	}
	user := object{"name": p.user.Name, "password": text.Reveal(), "domain": object{"name": p.user.DomainName}}
	answer, err := c.Post(ctx, "/v3/auth/tokens?nocatalog=true", nil, object{"auth": object{
		"identity": object{"methods": []string{"password"}, "password": object{"user": user}},
		"scope":    scope,
	}})
	if err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	return readToken(answer)
}

// readToken reads a token from the header, and its expiry from the body of IAM's answer.
func readToken(answer *huaweicloud.Answer) (*lease, error) {
	subject, err := subjectToken(answer)
	if err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	var body struct {
		Token struct {
			ExpiresAt time.Time `json:"expires_at"`
		} `json:"token"`
	}
	if err := json.Unmarshal(answer.Body, &body); err != nil || body.Token.ExpiresAt.IsZero() {
		return nil, errors.New("password: IAM's answer doesn't tell when the token expires; a proxy or a wrong endpoint may have answered")
	}
	return newLease(&token{subject}, body.Token.ExpiresAt)
}
