package credentials

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

const (
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

// Logins knows which passwords IAM refuses. One Logins serves the whole process and all its configurations. One login of a user with an unproven
// password is in flight at a time.
type Logins struct {
	mu        sync.Mutex
	passwords map[[sha256.Size]byte]*attempts
	users     map[userID]*user
}

// NewLogins returns a Logins that knows no password.
func NewLogins() *Logins {
	return &Logins{passwords: map[[sha256.Size]byte]*attempts{}, users: map[userID]*user{}}
}

type userID struct{ domain, name string }

// user counts the logins of a user with all passwords.
type user struct {
	slot     chan struct{} // for one login with an unproven password
	failures []time.Time   // refused logins within passwordPause
	last     error         // of the last of them
}

// attempts are the logins with one password.
type attempts struct {
	user   *user
	since  time.Time // the password is known
	used   time.Time // last
	proven time.Time // last

	refused error // why the password is not used until a time
	until   time.Time
}

// LockedError is the error of a login that is not sent because IAM has just refused the password.
type LockedError struct {
	Err   error // how it was refused
	Until time.Time
}

func (e *LockedError) Error() string { return "not tried again yet: " + e.Err.Error() }
func (e *LockedError) Unwrap() error { return e.Err }

// isRefusal returns whether IAM has refused the password.
func isRefusal(err error) bool {
	api, ok := errors.AsType[*huaweicloud.APIError](err)
	return ok && api.Status == http.StatusUnauthorized
}

// checkNetwork is the remedy if IAM does not respond.
const checkNetwork = "check the network, and endpoints.iam if it is set"

// login calls send, which logs in, unless the password is known to be wrong. With an unproven password, it waits for another login of the user. send
// goes on after ctx has ended, and a refusal counts.
func (l *Logins) login(ctx context.Context, u User, password secret.Text, send func(context.Context) (*lease, error)) (*lease, error) {
	a := l.attempts(u, password)
	free := func() {}
	if !l.isProven(a) {
		select {
		case a.user.slot <- struct{}{}:
			free = func() { <-a.user.slot }
		case <-ctx.Done():
			return nil, huaweicloud.Advise(fmt.Errorf("another login of this user has no answer yet: %w", ctx.Err()), checkNetwork)
		}
		if l.isProven(a) { // by the login that this one waited for
			free()
			free = func() {}
		}
	}
	if err := l.locked(a); err != nil {
		free()
		return nil, err
	}
	type result struct {
		lease *lease
		err   error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if p := recover(); p != nil {
				r.err = fmt.Errorf("a defect of this program, please report it: panic: %v", p)
			}
			l.record(a, r.err)
			free()
			done <- r
		}()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loginTimeout)
		defer cancel()
		r.lease, r.err = send(ctx)
	}()
	select {
	case r := <-done:
		return r.lease, r.err
	case <-ctx.Done():
		return nil, huaweicloud.Advise(fmt.Errorf("the login has no answer yet: %w", ctx.Err()), checkNetwork)
	}
}

// attempts returns the logins with a password, and drops passwords that are not used any more.
func (l *Logins) attempts(u User, password secret.Text) *attempts {
	id := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", u.DomainName, u.Name, password.Reveal()))
	name := userID{u.DomainName, u.Name}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.passwords[id]
	if a == nil {
		for other, b := range l.passwords {
			if now.Sub(b.used) > forgetPassword {
				delete(l.passwords, other)
			}
		}
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
	return !a.proven.IsZero() && time.Since(a.proven) < proofLife
}

// locked returns why a login is not sent now, or nil. Refusals count if they came after the password was known, so that a corrected password is tried at
// once.
func (l *Logins) locked(a *attempts) error {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(a.until) {
		return &LockedError{a.refused, a.until}
	}
	a.user.failures = slices.DeleteFunc(a.user.failures, func(at time.Time) bool { return now.Sub(at) >= passwordPause })
	since := slices.DeleteFunc(slices.Clone(a.user.failures), func(at time.Time) bool { return at.Before(a.since) })
	if len(since) >= maxRefusals {
		return &LockedError{a.user.last, since[0].Add(passwordPause)}
	}
	return nil
}

// record records how a login ended.
func (l *Logins) record(a *attempts, err error) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		a.proven, a.until = now, time.Time{}
	case isRefusal(err):
		a.refused, a.until, a.proven = err, now.Add(passwordPause), time.Time{}
		a.user.failures, a.user.last = append(a.user.failures, now), err
	}
}
