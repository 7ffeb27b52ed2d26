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
	tokenSlots        = 8 // tokens of projects in a region that are asked for at a time
	tokenRefusalPause = time.Hour
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
func Password(iam IAM, region string, u User, logins *Logins) Source {
	p := &password{
		iam: iam, region: region, user: u, logins: logins,
		tokens: map[huaweicloud.Scope]*expiring{},
		gates:  map[string]*refresh.Gate{},
	}
	p.account = newExpiring(fetchTimeout, func(ctx context.Context) (*lease, error) {
		return p.login(ctx, p.region, object{"domain": object{"name": u.DomainName}})
	})
	p.account.policy.Pause = p.pause
	return p
}

// password keeps the tokens of one user. The account's own is asked for before those of projects: it proves that the password is right, so
// that a wrong one is tried once, and not once for each project.
type password struct {
	iam     IAM
	region  string
	user    User
	logins  *Logins
	account *expiring

	mu      sync.Mutex
	tokens  map[huaweicloud.Scope]*expiring // of projects
	gates   map[string]*refresh.Gate        // of the tokens of a region
	refused secret.Text                     // the password that IAM refused last
}

// Describe says whose password it is.
func (p *password) Describe() string {
	return fmt.Sprintf("password: user %s of %s, %s", p.user.Name, p.user.DomainName, p.user.Password.describe("password"))
}

// Files returns the name of the file with the password, if it is in one.
func (p *password) Files() []string { return fileNames(p.user.Password) }

// Check looks for the password.
func (p *password) Check(ctx context.Context) error {
	_, err := p.text(ctx)
	return err
}

// text reads the password.
func (p *password) text(ctx context.Context) (secret.Text, error) {
	ctx, cancel := context.WithTimeout(ctx, fileTimeout)
	defer cancel()
	return p.user.Password.password(ctx)
}

// Failure is that of the account's token: a project's concerns that project alone.
func (p *password) Failure() error { return p.account.failure() }

// Expiry returns when the first of the tokens that hold expires; where none does, when the account's did.
func (p *password) Expiry() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	var first time.Time
	for _, e := range p.tokens {
		if expiry := e.expiry(); time.Now().Before(expiry) && (first.IsZero() || expiry.Before(first)) {
			first = expiry
		}
	}
	if account := p.account.expiry(); first.IsZero() || time.Now().Before(account) && account.Before(first) {
		first = account
	}
	return first
}

// Grant returns a token for the project of a scope, or of the account.
func (p *password) Grant(ctx context.Context, s huaweicloud.Scope) (huaweicloud.Grant, error) {
	p.retryIfMended(ctx)
	if s.ProjectID == "" {
		return p.account.grant(ctx)
	}
	if p.account.failure() != nil { // nobody else asks for it while the tokens of the projects hold
		_, _ = p.account.cell.Ask(ctx, &p.account.policy)
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

// retryIfMended ends the pause after a refused password once there is another. The file is read without the lock, because it might hang.
func (p *password) retryIfMended(ctx context.Context) {
	if !isRefusal(p.account.failure()) {
		return
	}
	before := p.lastRefused()
	now, err := p.text(ctx)
	if err != nil || now.Reveal() == before.Reveal() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refused.Reveal() != before.Reveal() {
		return // another request was faster
	}
	p.refused = now // once: should it be refused too, the pause is in force again
	p.account.cell.Retry()
	for _, e := range p.tokens {
		e.cell.Retry()
	}
}

func (p *password) lastRefused() secret.Text {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused
}

// token returns what keeps the token of a project. Those that have expired, since their projects are gone, are forgotten.
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
	if p.gates[s.Region] == nil {
		p.gates[s.Region] = refresh.NewGate(tokenSlots)
	}
	e := newExpiring(fetchTimeout, func(ctx context.Context) (*lease, error) { return p.fetch(ctx, s) })
	e.refusalPause = tokenRefusalPause
	e.policy.Pause = p.pause
	e.policy.Gate, e.policy.Shuts = p.gates[s.Region], huaweicloud.IsThrottled
	p.tokens[s] = e
	return e
}

// pause is longer after a login that was refused, unless that was the account's: it has a pause of its own.
func (p *password) pause(streak int, err error) time.Duration {
	if locked, ok := errors.AsType[*LockedError](err); ok {
		return time.Until(locked.Until)
	}
	if isRefusal(err) && !errors.Is(err, errUnproven) {
		return passwordPause
	}
	return pause(streak, err)
}

// isRefusal tells whether IAM said that the password is wrong.
func isRefusal(err error) bool {
	api, ok := errors.AsType[*huaweicloud.APIError](err)
	return ok && api.Status == http.StatusUnauthorized
}

// errUnproven is why no token of a project is asked for.
var errUnproven = errors.New("no token of a project without one of the account")

// fetch asks for the token of a project, once the password is proven.
func (p *password) fetch(ctx context.Context, s huaweicloud.Scope) (*lease, error) {
	if last := p.account.cell.Peek(); last.Value != nil && time.Since(last.ReadAt) > proof {
		p.account.reject(last.Value.Grant)
	}
	_, err := p.account.grant(ctx)
	if failure := p.account.failure(); isRefusal(failure) {
		err = failure
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
	if isRefusal(err) {
		p.mu.Lock()
		p.refused = text
		p.mu.Unlock()
	}
	if err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	return token, nil
}

// send asks IAM for a token.
func (p *password) send(ctx context.Context, region string, scope object, text secret.Text) (*lease, error) {
	c := p.iam(region)
	c.Auth = unsigned{[]secret.Text{text}}
	c.Advice = map[string]string{
		huaweicloud.ReasonUnauthorized: fmt.Sprintf("check domain_name, user_name and password; this one is tried again after %s, since IAM locks users out", passwordPause),
		huaweicloud.ReasonForbidden:    "let the user have programmatic access and no multi-factor authentication",
		huaweicloud.ReasonClientError:  "check domain_name and user_name, and that the project is the account's",
	}
	user := object{"name": p.user.Name, "password": text.Reveal(), "domain": object{"name": p.user.DomainName}}
	answer, err := c.Post(ctx, "/v3/auth/tokens?nocatalog=true", nil, object{"auth": object{
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

// readToken reads a token from the header, and its expiry from the body of IAM's answer.
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
	return newLease(&token{subject}, body.Token.ExpiresAt)
}
