package credentials

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

const (
	// passwordPause is how long a refused password is not tried again: IAM locks a user out after some failures in a row, three to ten.
	passwordPause = 15 * time.Minute
	// loginTimeout is how long a login may take. It is longer than anybody waits for it, since a refusal counts however late it comes.
	loginTimeout = 30 * time.Second
	// maxRefusals are the refused logins of a user within passwordPause, after which passwords that are known are not tried.
	maxRefusals = 2
	// proof is how long a login proves that the password is right: several that fail at once would lock the user out.
	proof = time.Minute
)

// Logins knows which passwords IAM refuses, by user and whatever the configuration makes of them: one Logins serves the whole process and
// outlives every configuration. Logins of a user with passwords that are not proven are under way one at a time.
type Logins struct {
	mu        sync.Mutex
	passwords map[[sha256.Size]byte]*attempts
	users     map[userID]*user
}

// noLogin is what to do if IAM does not answer.
const noLogin = "check the network, and endpoints.iam if it is set"

type userID struct{ domain, name string }

// user is whose logins are counted, with whichever password.
type user struct {
	turn     chan struct{} // holds one token, for the login that is under way with a password that is not proven
	failures []time.Time   // refused logins within passwordPause
	last     error         // of the last of them
}

// attempts are those with one password.
type attempts struct {
	user   *user
	since  time.Time // the password is known
	used   time.Time
	proven time.Time

	refused error
	until   time.Time
}

// NewLogins returns a Logins that has seen no password.
func NewLogins() *Logins {
	return &Logins{passwords: map[[sha256.Size]byte]*attempts{}, users: map[userID]*user{}}
}

// LockedError is a login that is not tried, since IAM has just refused the password.
type LockedError struct {
	Err   error // how it was refused
	Until time.Time
}

// Error says how the password was refused.
func (e *LockedError) Error() string { return "not tried again yet: " + e.Err.Error() }

// Unwrap returns the refusal.
func (e *LockedError) Unwrap() error { return e.Err }

// login calls send, which logs in, unless the password is known to be wrong. If the password is not proven, it waits for another login of the
// user. What send does goes on after ctx has ended, and a refusal counts.
func (l *Logins) login(ctx context.Context, u User, password secret.Text, send func(context.Context) (*lease, error)) (*lease, error) {
	a := l.attempts(u, password)
	if l.isProven(a) {
		return l.try(ctx, a, send, func() {})
	}
	select {
	case a.user.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, huaweicloud.Advise(fmt.Errorf("another login of this user has no answer yet: %w", ctx.Err()), noLogin)
	}
	if l.isProven(a) { // by the login that was waited for
		<-a.user.turn
		return l.try(ctx, a, send, func() {})
	}
	return l.try(ctx, a, send, func() { <-a.user.turn })
}

// try sends a login unless it would be refused, and calls done when it has ended.
func (l *Logins) try(ctx context.Context, a *attempts, send func(context.Context) (*lease, error), done func()) (*lease, error) {
	if err := l.locked(a); err != nil {
		done()
		return nil, err
	}
	type result struct {
		lease *lease
		err   error
	}
	ended := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if p := recover(); p != nil {
				r.err = fmt.Errorf("a defect of this program, please report it: panic: %v", p)
			}
			l.note(a, r.err)
			done()
			ended <- r
		}()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loginTimeout)
		defer cancel()
		r.lease, r.err = send(ctx)
	}()
	select {
	case r := <-ended:
		return r.lease, r.err
	case <-ctx.Done():
		return nil, huaweicloud.Advise(fmt.Errorf("the login has no answer yet: %w", ctx.Err()), noLogin)
	}
}

// attempts returns what is known of a password. Passwords that are not used any more are forgotten.
func (l *Logins) attempts(u User, password secret.Text) *attempts {
	id := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", u.DomainName, u.Name, password.Reveal()))
	name := userID{u.DomainName, u.Name}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.passwords[id]
	if a == nil {
		for other, b := range l.passwords {
			if now.Sub(b.used) > 2*24*time.Hour { // tokens serve for a day
				delete(l.passwords, other)
			}
		}
		if l.users[name] == nil {
			l.users[name] = &user{turn: make(chan struct{}, 1)}
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
	return !a.proven.IsZero() && time.Since(a.proven) < proof
}

// locked returns why a login is not to be tried now, or nil. Refusals since the password is known count, so that one that was corrected is
// tried at once.
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

// note takes note of how a login ended.
func (l *Logins) note(a *attempts, err error) {
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
