package credentials

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/refresh"
	"cloud_quota_exporter/internal/secret"
)

const (
	tokensInFlight    = 8         // of the projects in a region
	tokenRefusedPause = time.Hour // between two fetches of the token of a project because of a 401

	// passwordPause is how long a refused password is not tried again: IAM locks a user out after some failures in a row, three to ten.
	passwordPause = 15 * time.Minute
	// loginTimeout is longer than any request waits for a login, since a refusal counts however late it comes.
	loginTimeout = 30 * time.Second
	// maxRefusals is the number of refused logins of a user within passwordPause after which passwords known before them are not tried.
	maxRefusals = 2
	// proofLife is how long a login proves that the password is right: several failures at once would lock the user out.
	proofLife = time.Minute
	// forgetPassword is how long a password that is not used any more is kept; a token is valid for a day.
	forgetPassword = 2 * 24 * time.Hour
)

// password gets tokens for the password of a user: one for each project, and one of the account for requests to IAM, which is issued in Deps.Region. The
// token of the account is issued before those of projects: it proves that the password is right, so that a wrong one is tried once, and not once for
// each project.
//
// Source: POST /v3/auth/tokens, "Obtaining a User Token Through Password Authentication" of the IAM API Reference. The token of a project is issued in
// its region, since another region may refuse it.
type password struct {
	Deps
	user    config.Password
	account *temporary

	mu     sync.Mutex
	tokens map[huaweicloud.Scope]*temporary // of projects
	gates  map[string]*refresh.Gate         // for the tokens of a region
}

func newPassword(d Deps, user config.Password) *password {
	p := &password{Deps: d, user: user, tokens: map[huaweicloud.Scope]*temporary{}, gates: map[string]*refresh.Gate{}}
	status := Status{
		From:  fmt.Sprintf("password: user %s of %s, %s", user.UserName, user.DomainName, describe("password", user.Password)),
		Files: fileNames(user.Password.File),
	}
	p.account = p.newToken(status, func(ctx context.Context, text secret.Text) (*lease, error) {
		return p.login(ctx, d.Region, object{"domain": object{"name": user.DomainName}}, text)
	})
	return p
}

func (p *password) newToken(status Status, fetch func(context.Context, secret.Text) (*lease, error)) *temporary {
	t := newTemporary(status, fetchTimeout, p.text, fetch)
	t.policy.Backoff = loginBackoff
	return t
}

// Check reads the password.
func (p *password) Check(ctx context.Context) error { return p.account.Check(ctx) }

// text returns the password, which may contain blanks since no header contains it.
func (p *password) text(ctx context.Context) (secret.Text, error) {
	s := p.user.Password
	if s.File == "" {
		return s.Text, nil
	}
	text, err := readSecret(ctx, "password_file "+s.File, s.File, "password")
	return secret.New(text), err
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
	t := p.newToken(Status{}, func(ctx context.Context, _ secret.Text) (*lease, error) { return p.fetch(ctx, s) })
	t.refusedPause = tokenRefusedPause
	t.policy.Gate = p.gates[s.Region]
	t.policy.IsThrottled = func(err error) bool { return huaweicloud.Reason(err) == huaweicloud.ReasonThrottled }
	p.tokens[s] = t
	return t
}

// loginBackoff is until a refused password is tried again, except for a project if it is the login of the account that was refused.
func loginBackoff(streak int, err error) time.Duration {
	if refused, ok := errors.AsType[*refusedError](err); ok && !errors.Is(err, errUnproven) {
		return time.Until(refused.at.Add(passwordPause))
	}
	return backoff(streak, err)
}

// errUnproven is why no token of a project is fetched.
var errUnproven = errors.New("no token of a project without one of the account")

// fetch fetches the token of a project once the password is proven.
func (p *password) fetch(ctx context.Context, s huaweicloud.Scope) (*lease, error) {
	if known := p.account.cell.Peek(); known.Value != nil && time.Since(known.ReadAt) > proofLife {
		p.account.Reject(known.Value.Grant)
	}
	_, err := p.account.Grant(ctx, huaweicloud.Scope{})
	last := p.account.Status().Err
	if _, isRefusal := errors.AsType[*refusedError](last); isRefusal {
		err = last
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnproven, err)
	}
	text, err := p.text(ctx) // again, since it may have changed meanwhile
	if err != nil {
		return nil, err
	}
	return p.login(ctx, s.Region, object{"project": object{"id": s.ProjectID}}, text)
}

func (p *password) login(ctx context.Context, region string, scope object, text secret.Text) (*lease, error) {
	token, err := p.Logins.login(ctx, p.user, text, func(ctx context.Context) (*lease, error) { return p.send(ctx, region, scope, text) })
	if err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	return token, nil
}

// send sends the request for a token.
func (p *password) send(ctx context.Context, region string, scope object, text secret.Text) (*lease, error) {
	c := p.IAM(region)
	c.Auth = &token{text: text}
	c.Advice = map[string]string{
		huaweicloud.ReasonUnauthorized: fmt.Sprintf("check domain_name, user_name and password; this one is tried again after %s, since IAM locks users out", passwordPause),
		huaweicloud.ReasonForbidden:    "let the user have programmatic access and no multi-factor authentication",
		huaweicloud.ReasonClientError:  "check domain_name and user_name, and that the project is the account's",
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

// Logins knows which passwords IAM refuses. One Logins serves the whole process and all its configurations. One login of a user with an unproven
// password is in flight at a time.
type Logins struct {
	mu        sync.Mutex
	passwords map[[sha256.Size]byte]*attempts
	users     map[[2]string]*user // by the names of the account and the user
}

// NewLogins returns a Logins that knows no password.
func NewLogins() *Logins {
	return &Logins{passwords: map[[sha256.Size]byte]*attempts{}, users: map[[2]string]*user{}}
}

// user is what the logins of a user with all passwords have in common.
type user struct {
	slot     chan struct{}   // for one login with an unproven password
	refusals []*refusedError // within passwordPause
}

// attempts are the logins with one password.
type attempts struct {
	user   *user
	since  time.Time // the password is known
	used   time.Time // last
	proven time.Time // last
}

// refusedError is the error of a login that IAM has refused because of the password.
type refusedError struct {
	error
	at       time.Time
	password *attempts
}

func (e *refusedError) Unwrap() error { return e.error }

// checkNetwork is the remedy if IAM does not respond.
const checkNetwork = "check the network, and endpoints.iam if it is set"

// login calls send, which logs in, unless the password is known to be wrong. With an unproven password, it waits for another login of the user. send
// goes on after ctx has ended, and a refusal counts.
func (l *Logins) login(ctx context.Context, u config.Password, password secret.Text, send func(context.Context) (*lease, error)) (*lease, error) {
	a := l.attempts(u, password)
	free := func() {}
	if !l.isProven(a) {
		select {
		case a.user.slot <- struct{}{}:
			free = sync.OnceFunc(func() { <-a.user.slot })
		case <-ctx.Done():
			return nil, huaweicloud.Advise(fmt.Errorf("another login of this user has no answer yet: %w", ctx.Err()), checkNetwork)
		}
		if l.isProven(a) { // by the login that this one waited for
			free()
		}
	}
	if err := l.locked(a); err != nil {
		free()
		return nil, err
	}
	var once refresh.Cell[*lease]
	done := once.Get(ctx, &refresh.Policy[*lease]{
		Fetch: func(ctx context.Context) (*lease, error) {
			token, err := send(ctx)
			return token, l.record(a, err)
		},
		Timeout: loginTimeout,
		Backoff: backoff,
		OnDone:  func(_, _ *refresh.State[*lease]) { free() },
	})
	if done.Fetches == 0 {
		return nil, huaweicloud.Advise(fmt.Errorf("the login has no answer yet: %w", ctx.Err()), checkNetwork)
	}
	return done.Value, done.Err
}

// attempts returns the logins with a password, and drops passwords that are not used any more.
func (l *Logins) attempts(u config.Password, password secret.Text) *attempts {
	id := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", u.DomainName, u.UserName, password.Reveal()))
	name := [2]string{u.DomainName, u.UserName}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.passwords[id]
	if a == nil {
		maps.DeleteFunc(l.passwords, func(_ [sha256.Size]byte, other *attempts) bool { return now.Sub(other.used) > forgetPassword })
		if l.users[name] == nil {
			l.users[name] = &user{slot: make(chan struct{}, 1)}
		}
		a = &attempts{user: l.users[name], since: now}
		l.passwords[id] = a
	}
	a.used = now
	return a
}

func (l *Logins) isProven(a *attempts) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(a.proven) < proofLife
}

// locked returns why a login is not sent now, or nil. Refusals of other passwords count if they came after this one was known, so that a corrected one
// is tried at once.
func (l *Logins) locked(a *attempts) error {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	a.user.refusals = slices.DeleteFunc(a.user.refusals, func(r *refusedError) bool { return now.Sub(r.at) >= passwordPause })
	var since []*refusedError
	for _, r := range a.user.refusals {
		if r.password == a && r.at.After(a.proven) {
			return fmt.Errorf("not tried again yet: %w", r)
		}
		if !r.at.Before(a.since) {
			since = append(since, r)
		}
	}
	if len(since) < maxRefusals {
		return nil
	}
	return fmt.Errorf("not tried again yet: %w", &refusedError{error: since[len(since)-1].error, at: since[0].at})
}

// record records how a login ended, and returns err, which is a refusedError if IAM refused the password.
func (l *Logins) record(a *attempts, err error) error {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		a.proven = now
		return nil
	}
	if api, ok := errors.AsType[*huaweicloud.APIError](err); !ok || api.Status != http.StatusUnauthorized {
		return err
	}
	refused := &refusedError{err, now, a}
	a.user.refusals = append(a.user.refusals, refused)
	return refused
}
