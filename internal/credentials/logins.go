package credentials

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
	"weak"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/refresh"
	"cloud_quota_exporter/internal/secret"
)

const (
	// passwordPause is how long a rejected password is not tried again. IAM locks out a user after three to ten failures in a row.
	passwordPause = 15 * time.Minute
	// loginTimeout is longer than any request waits for a login, because a rejection counts even if it is late.
	loginTimeout = 30 * time.Second
	// maxRefusals is the number of rejected logins of a user within passwordPause after which previously known passwords are not tried.
	maxRefusals = 2
	// proofLife is how long a login proves that the password is correct: several concurrent failures would lock out the user.
	proofLife = time.Minute
	// yieldTime is how long a login that is rejected more often than others lets these go first, to prove the password.
	yieldTime = 100 * time.Millisecond
	// forgetPassword is how long an unused password is kept; a token is valid for a day.
	forgetPassword = 2 * 24 * time.Hour
)

// Logins records which passwords IAM rejects, and limits requests for keys and tokens. One Logins is used by the whole process and
// all its configurations. A user has at most one login with an unproven password in flight.
type Logins struct {
	mu        sync.Mutex
	passwords map[[sha256.Size]byte]*attempts
	users     map[userID]*user
	gates     map[gateID]weak.Pointer[refresh.Gate]
}

// NewLogins returns an empty Logins.
func NewLogins() *Logins {
	return &Logins{passwords: map[[sha256.Size]byte]*attempts{}, users: map[userID]*user{}, gates: map[gateID]weak.Pointer[refresh.Gate]{}}
}

// user is the shared state of a user's logins with all passwords.
type user struct {
	slot     chan struct{}   // for one login with an unproven password
	refusals []*refusedError // within passwordPause
}

// attempts is the state of the logins with one password.
type attempts struct {
	user   *user
	since  time.Time // when the password was first seen
	used   time.Time // last use
	proven time.Time // last successful login

	// refused are the scopes that were last rejected, and whether the password was proven then: some IAMs respond with a 401 if the user
	// has no role on the account or the project.
	refused map[huaweicloud.Scope]bool
}

// refusedError is the error of a login that IAM has rejected because of the password.
type refusedError struct {
	error
	at       time.Time
	password *attempts
}

func (e *refusedError) Unwrap() error { return e.error }

// checkNetwork is the remedy if IAM does not respond.
const checkNetwork = "check the network, and endpoints.iam if it is set"

// login calls send, which logs in for a scope, unless the password is known to be wrong. With an unproven password, it waits for
// another login of the user. send continues after ctx has ended, and a rejection counts.
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
			return nil, huaweicloud.Advise(fmt.Errorf("another login of this user has no response yet: %w", ctx.Err()), checkNetwork)
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
		return nil, huaweicloud.Advise(fmt.Errorf("the login has no response yet: %w", ctx.Err()), checkNetwork)
	}
	return done.Value, done.Err
}

// attempts returns the logins with a password, and removes passwords that are no longer used.
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

// isProven reports whether the last login with a password was recent and successful.
func (l *Logins) isProven(a *attempts) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(a.proven) < proofLife && len(a.refusals()) == 0
}

// yields reports whether other scopes prove a password better: this one is more likely to be rejected because of a missing role.
func (l *Logins) yields(a *attempts, s huaweicloud.Scope) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, wasRefused := a.refused[s]
	return wasRefused || s.ProjectID == ""
}

// refusals returns the rejections of the password since it was last proven. The caller holds the lock of the Logins.
func (a *attempts) refusals() (since []*refusedError) {
	for _, r := range a.user.refusals {
		if r.password == a && r.at.After(a.proven) {
			since = append(since, r)
		}
	}
	return since
}

// locked returns why a login is not sent now, or nil. Rejections of other passwords count if they are later than the first use of
// this one, so that a corrected password is tried at once. A rejection soon after a proof may only be about its scope.
func (l *Logins) locked(a *attempts) error {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	a.user.refusals = slices.DeleteFunc(a.user.refusals, func(r *refusedError) bool { return now.Sub(r.at) >= passwordPause })
	if own := a.refusals(); len(own) >= maxRefusals || len(own) > 0 && own[0].at.Sub(a.proven) >= proofLife {
		return fmt.Errorf("not retried yet: %w", own[0])
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
	return fmt.Errorf("not retried yet: %w", &refusedError{error: since[len(since)-1].error, at: since[0].at})
}

// record records the result of a login for a scope, and returns err, as a refusedError if IAM rejected it. A rejection while the
// password is proven is only about the scope.
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
		err = huaweicloud.Advise(err, "grant the user a role on the "+level(s)+": the password is correct, because other logins succeed")
	}
	refused := &refusedError{err, now, a}
	if !wasRight {
		a.user.refusals = append(a.user.refusals, refused)
	}
	return refused
}

const inFlight = 8 // concurrent requests for keys and tokens to a host of IAM

// gateID identifies the gate of one requester at a host of IAM. An agency has other slots than the keys that it is assumed with,
// because it holds one while it waits for them.
type gateID struct {
	host     string
	isAgency bool
	who      string // the requester; IAM throttles all its requests
}

// gate returns the gate of a requester. It is kept as long as it is used.
func (l *Logins) gate(id gateID) *refresh.Gate {
	l.mu.Lock()
	defer l.mu.Unlock()
	gate, pause := l.gates[id].Value(), new(refresh.Pause)
	if gate != nil {
		return gate
	}
	gate = refresh.NewGate(inFlight, pause)
	for other, kept := range l.gates {
		switch g := kept.Value(); {
		case g == nil:
			delete(l.gates, other)
		case other.host == id.host && other.isAgency == id.isAgency:
			gate = g.WithPause(pause)
		}
	}
	l.gates[id] = weak.Make(gate)
	return gate
}
