package credentials

import (
	"cmp"
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
	"weak"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/files"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/refresh"
	"cloud_quota_exporter/internal/secret"
)

const (
	tokenRefusedPause = time.Hour // between two fetches of the token of a project because of a 401

	// passwordPause is how long a refused password is not tried again: IAM locks a user out after some failures in a row, three to ten.
	passwordPause = 15 * time.Minute
	// loginTimeout is longer than any request waits for a login, since a refusal counts however late it comes.
	loginTimeout = 30 * time.Second
	// maxRefusals is the number of refused logins of a user within passwordPause after which passwords known before them are not tried.
	maxRefusals = 2
	// proofLife is how long a login proves that the password is right: several failures at once would lock the user out.
	proofLife = time.Minute
	// yieldTime is how long a login that is refused more often than others lets these go first, to prove the password.
	yieldTime = 100 * time.Millisecond
	// forgetPassword is how long a password that is not used any more is kept; a token is valid for a day.
	forgetPassword = 2 * 24 * time.Hour
)

// password gets tokens for the password of a user: one for each project, and one of the account for requests to IAM, which is issued in Deps.Region. The
// first token that is needed proves that the password is right, so that a wrong one is tried once, and not once for each project. A user needs no role
// on the account if no request needs the token of the account.
//
// Source: POST /v3/auth/tokens, "Obtaining a User Token Through Password Authentication" of the IAM API Reference. The token of a project is issued in
// its region, since another region may refuse it.
type password struct {
	Deps
	user    config.Password
	text    func(context.Context) (secret.Text, error)
	account *temporary

	mu     sync.Mutex
	tokens map[huaweicloud.Scope]*temporary // of projects
}

func newPassword(d Deps, user config.Password) *password {
	text := files.Keep(func(ctx context.Context) (secret.Text, error) { // which may contain blanks since no header contains it
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

// userID is who logs in: a user of a cloud, which all its regions share.
type userID struct{ iam, domain, name string }

func (p *password) id() userID { return userID{p.IAM("").BaseURL, p.user.DomainName, p.user.UserName} }

// Check reads the password.
func (p *password) Check(ctx context.Context) error { return p.account.Check(ctx) }

// Status has the error of the token of the account or, if those of all projects could not be had, their last one: that of one project is about the
// project alone. It has the first expiry of the valid tokens; if none is valid, it is the last one.
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
	if s.ProjectID != "" {
		if t.Status().Err != nil { // no other request needs it while the tokens of the projects are valid
			t.retryIfProofChanged(ctx)
			_, _ = t.cell.Ask(ctx, &t.policy)
		}
		t = p.token(s)
	}
	if !t.cell.Peek().Value.isValid() { // it may wait for its turn, and refusals meanwhile count
		if text, err := p.text(ctx); err == nil {
			p.Logins.attempts(p.id(), text)
		}
	}
	return t.Grant(ctx, s)
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
	t := p.newToken(Status{}, s)
	t.refusedPause = tokenRefusedPause
	p.tokens[s] = t
	return t
}

// loginBackoff is until a refused password is tried again.
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
		huaweicloud.ReasonUnauthorized: fmt.Sprintf("check domain_name, user_name and password, and that the user has a role on the %s; this one is tried again after %s, since IAM locks users out", level(s), passwordPause),
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

// level is what the token for a scope is of, as a remedy names it.
func level(s huaweicloud.Scope) string {
	if s.ProjectID == "" {
		return "account (projects with an id need none)"
	}
	return "project"
}

// readToken reads a token from the header, and its expiry from the body of a response of IAM.
func readToken(answer *huaweicloud.Answer) (*lease, error) {
	subject, err := subjectToken(answer)
	if err != nil {
		return nil, err
	}
	var body struct {
		Token struct {
			ExpiresAt string `json:"expires_at"`
		} `json:"token"`
	}
	_ = json.Unmarshal(answer.Body, &body) // then there is no expiry
	expires, isTime := readTime(body.Token.ExpiresAt)
	if !isTime {
		return nil, huaweicloud.Advise(errors.New("the answer doesn't tell when the token expires"), answeredByOther)
	}
	return newLease(&token{"X-Auth-Token", subject}, expires)
}

// Logins knows which passwords IAM refuses, and how many keys and tokens are asked for. One Logins serves the whole process and all its configurations.
// One login of a user with an unproven password is in flight at a time.
type Logins struct {
	mu        sync.Mutex
	passwords map[[sha256.Size]byte]*attempts
	users     map[userID]*user
	gates     map[gateID]weak.Pointer[refresh.Gate]
}

// NewLogins returns a Logins that knows no password.
func NewLogins() *Logins {
	return &Logins{passwords: map[[sha256.Size]byte]*attempts{}, users: map[userID]*user{}, gates: map[gateID]weak.Pointer[refresh.Gate]{}}
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

	// refused are the scopes that were refused last, and whether that was while the password was right: some IAMs answer with a 401 if the user has no
	// role on the account or the project.
	refused map[huaweicloud.Scope]bool
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

// login calls send, which logs in for a scope, unless the password is known to be wrong. With an unproven password, it waits for another login of the
// user. send goes on after ctx has ended, and a refusal counts.
func (l *Logins) login(
	ctx context.Context, u userID, s huaweicloud.Scope, password secret.Text, send func(context.Context) (*lease, error),
) (*lease, error) {
	a := l.attempts(u, password)
	free := func() {}
	if !l.isProven(a) {
		if l.yields(a, s) {
			time.Sleep(yieldTime)
		}
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
			return token, l.record(a, s, err)
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
func (l *Logins) attempts(u userID, password secret.Text) *attempts {
	id := sha256.Sum256(fmt.Appendf(nil, "%q %q", u, password.Reveal()))
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.passwords[id]
	if a == nil {
		maps.DeleteFunc(l.passwords, func(_ [sha256.Size]byte, other *attempts) bool { return now.Sub(other.used) > forgetPassword })
		if l.users[u] == nil {
			l.users[u] = &user{slot: make(chan struct{}, 1)}
		}
		a = &attempts{user: l.users[u], since: now, refused: map[huaweicloud.Scope]bool{}}
		l.passwords[id] = a
	}
	a.used = now
	return a
}

// isProven returns whether the last login with a password was a short time ago, and succeeded.
func (l *Logins) isProven(a *attempts) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(a.proven) < proofLife && len(a.refusals()) == 0
}

// yields returns whether other scopes prove a password better: this one is more likely to be refused for want of a role.
func (l *Logins) yields(a *attempts, s huaweicloud.Scope) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, wasRefused := a.refused[s]
	return wasRefused || s.ProjectID == ""
}

// refusals returns those of the password since it was proven last; the lock of the Logins is held.
func (a *attempts) refusals() (since []*refusedError) {
	for _, r := range a.user.refusals {
		if r.password == a && r.at.After(a.proven) {
			since = append(since, r)
		}
	}
	return since
}

// locked returns why a login is not sent now, or nil. Refusals of other passwords count if they came after this one was known, so that a corrected one
// is tried at once. One that came soon after the password was proven may be of the scope alone.
func (l *Logins) locked(a *attempts) error {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	a.user.refusals = slices.DeleteFunc(a.user.refusals, func(r *refusedError) bool { return now.Sub(r.at) >= passwordPause })
	if own := a.refusals(); len(own) >= maxRefusals || len(own) > 0 && own[0].at.Sub(a.proven) >= proofLife {
		return fmt.Errorf("not tried again yet: %w", own[0])
	}
	var since []*refusedError
	for _, r := range a.user.refusals {
		if r.password != a && !r.at.Before(a.since) {
			since = append(since, r)
		}
	}
	if len(since) < maxRefusals {
		return nil
	}
	return fmt.Errorf("not tried again yet: %w", &refusedError{error: since[len(since)-1].error, at: since[0].at})
}

// record records how a login for a scope ended, and returns err, which is a refusedError if IAM refused it. If the scope was refused while the password
// was right, that says nothing about the password.
func (l *Logins) record(a *attempts, s huaweicloud.Scope, err error) error {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		a.proven = now
		delete(a.refused, s)
		for other := range a.refused {
			a.refused[other] = true
		}
		return nil
	}
	if api, ok := errors.AsType[*huaweicloud.APIError](err); !ok || api.Status != http.StatusUnauthorized {
		return err
	}
	wasRight := a.refused[s]
	a.refused[s] = wasRight || now.Sub(a.proven) < proofLife
	if a.refused[s] {
		err = huaweicloud.Advise(err, "give the user a role on the "+level(s)+": the password is right, as others of its logins show")
	}
	refused := &refusedError{err, now, a}
	if !wasRight {
		a.user.refusals = append(a.user.refusals, refused)
	}
	return refused
}
