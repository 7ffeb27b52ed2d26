package credentials

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/refresh"
	"cloud_quota_exporter/internal/secret"
)

const (
	tokensInFlight    = 8 // of the projects in a region
	tokenRefusedPause = time.Hour
)

// User logs in with a password.
type User struct {
	DomainName string // name of the account
	Name       string
	Password   Value
}

// Password gets tokens for the password of a user: one for each project, and one of the account for requests to IAM, which is issued in region.
//
// Source: POST /v3/auth/tokens, "Obtaining a User Token Through Password Authentication" of the IAM API Reference. The token of a project is issued in
// its region, since another region may refuse it.
func Password(iam IAM, region string, u User, logins *Logins) Source {
	p := &password{iam: iam, user: u, logins: logins, tokens: map[huaweicloud.Scope]*temporary{}, gates: map[string]*refresh.Gate{}}
	status := Status{
		From:  fmt.Sprintf("password: user %s of %s, %s", u.Name, u.DomainName, u.Password.describe("password")),
		Files: fileNames(u.Password),
	}
	p.account = newTemporary(status, fetchTimeout, p.text, func(ctx context.Context) (*lease, error) {
		return p.login(ctx, region, object{"domain": object{"name": u.DomainName}})
	})
	p.account.policy.Backoff = p.pause
	return p
}

// password has the tokens of one user. The token of the account is issued before those of projects: it proves that the password is right, so that a
// wrong one is tried once, and not once for each project.
type password struct {
	iam     IAM
	user    User
	logins  *Logins
	account *temporary

	mu     sync.Mutex
	tokens map[huaweicloud.Scope]*temporary // of projects
	gates  map[string]*refresh.Gate         // for the tokens of a region
}

// Check reads the password.
func (p *password) Check(ctx context.Context) error { return p.account.Check(ctx) }

func (p *password) text(ctx context.Context) (secret.Text, error) {
	ctx, cancel := context.WithTimeout(ctx, fileTimeout)
	defer cancel()
	return p.user.Password.password(ctx)
}

// Status has the error of the token of the account, since that of a project is about the project alone, and the first expiry of the valid tokens. If
// none is valid, it is that of the account.
func (p *password) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	status := p.account.Status()
	isValid := func(expires time.Time) bool { return time.Now().Before(expires) }
	for _, t := range p.tokens {
		if expires := t.Status().Expires; isValid(expires) && (!isValid(status.Expires) || expires.Before(status.Expires)) {
			status.Expires = expires
		}
	}
	return status
}

// Grant returns a token for the project of a scope, or for the account.
func (p *password) Grant(ctx context.Context, s huaweicloud.Scope) (huaweicloud.Grant, error) {
	if s.ProjectID == "" {
		return p.account.Grant(ctx, s)
	}
	if p.account.Status().Err != nil { // no other request needs it while the tokens of the projects are valid
		p.account.retryIfProofChanged(ctx)
		_, _ = p.account.cell.Ask(ctx, &p.account.policy)
	}
	return p.token(s).Grant(ctx, s)
}

// Reject causes a fetch of the token.
func (p *password) Reject(g huaweicloud.Grant) {
	p.account.Reject(g)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.tokens {
		t.Reject(g) // which does nothing for the token of another project
	}
}

// token returns the token of a project, and drops those that have expired, since their projects are gone.
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
	if p.gates[s.Region] == nil {
		p.gates[s.Region] = refresh.NewGate(tokensInFlight, new(refresh.Pause))
	}
	t := newTemporary(Status{}, fetchTimeout, p.text, func(ctx context.Context) (*lease, error) { return p.fetch(ctx, s) })
	t.refusedPause = tokenRefusedPause
	t.policy.Backoff = p.pause
	t.policy.Gate = p.gates[s.Region]
	t.policy.IsThrottled = func(err error) bool { return huaweicloud.Reason(err) == huaweicloud.ReasonThrottled }
	p.tokens[s] = t
	return t
}

// pause is longer after a refused login, except for a project if it is the login of the account that was refused.
func (p *password) pause(streak int, err error) time.Duration {
	if locked, ok := errors.AsType[*LockedError](err); ok {
		return time.Until(locked.Until)
	}
	if isRefusal(err) && !errors.Is(err, errUnproven) {
		return passwordPause
	}
	return pause(streak, err)
}

// errUnproven is why no token of a project is fetched.
var errUnproven = errors.New("no token of a project without one of the account")

// fetch fetches the token of a project once the password is proven.
func (p *password) fetch(ctx context.Context, s huaweicloud.Scope) (*lease, error) {
	if last := p.account.cell.Peek(); last.Value != nil && time.Since(last.ReadAt) > proofLife {
		p.account.Reject(last.Value.Grant)
	}
	_, err := p.account.Grant(ctx, huaweicloud.Scope{})
	if refused := p.account.Status().Err; isRefusal(refused) {
		err = refused
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnproven, err)
	}
	return p.login(ctx, s.Region, object{"project": object{"id": s.ProjectID}})
}

func (p *password) login(ctx context.Context, region string, scope object) (*lease, error) {
	text, err := p.text(ctx)
	if err != nil {
		return nil, err
	}
	token, err := p.logins.login(ctx, p.user, text, func(ctx context.Context) (*lease, error) { return p.send(ctx, region, scope, text) })
	if err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	return token, nil
}

// send sends the request for a token.
func (p *password) send(ctx context.Context, region string, scope object, text secret.Text) (*lease, error) {
	c := p.iam(region)
	c.Auth = &token{text: text}
	c.Advice = map[string]string{
		huaweicloud.ReasonUnauthorized: fmt.Sprintf("check domain_name, user_name and password; this one is tried again after %s, since IAM locks users out", passwordPause),
		huaweicloud.ReasonForbidden:    "let the user have programmatic access and no multi-factor authentication",
		huaweicloud.ReasonClientError:  "check domain_name and user_name, and that the project is the account's",
	}
	user := object{"name": p.user.Name, "password": text.Reveal(), "domain": object{"name": p.user.DomainName}}
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

// readToken reads a token from the header, and its expiry from the body of a response of IAM.
func readToken(answer *huaweicloud.Answer) (*lease, error) {
	subject, err := subjectToken(answer)
	if err != nil {
		return nil, err
	}
	var body struct {
		Token struct {
			ExpiresAt time.Time `json:"expires_at"`
		} `json:"token"`
	}
	if err := json.Unmarshal(answer.Body, &body); err != nil || body.Token.ExpiresAt.IsZero() {
		return nil, huaweicloud.Advise(errors.New("the answer doesn't tell when the token expires"), answeredByOther)
	}
	return newLease(&token{"X-Auth-Token", subject}, body.Token.ExpiresAt)
}
