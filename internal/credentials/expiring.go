package credentials

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/refresh"
)

const (
	longestPause = 5 * time.Minute // after failures
	refusalPause = time.Minute     // between two fetches because of a 401: a service that refuses good keys must not make one each time
	fetchTimeout = 7 * time.Second // of keys or a token from IAM, all its requests; less than a service has, so that its error is told
)

// expiring keeps what authorises until a moment, fetched by one at a time however many ask. A failure leaves what is there in use until it
// expires.
type expiring struct {
	policy       refresh.Policy[*lease]
	cell         refresh.Cell[*lease]
	refusalPause time.Duration
	credential   func(context.Context) string // identifies what proves who asks; empty if it can't be had. nil: nothing does

	mu        sync.Mutex
	used      string            // credential of the last fetch
	refused   huaweicloud.Grant // the last that the cloud refused with a 401
	refusedAt time.Time
	late      error // that somebody waited in vain; nil once there is something to use
}

func newExpiring(timeout time.Duration, fetch func(context.Context) (*lease, error)) *expiring {
	e := &expiring{refusalPause: refusalPause}
	e.policy = refresh.Policy[*lease]{
		Fetch: func(ctx context.Context) (*lease, error) {
			e.use(ctx)
			l, err := fetch(ctx)
			if l != nil {
				l.renewedBy(e)
			}
			return l, err
		},
		Timeout: timeout,
		Fresh:   (*lease).fresh,
		Pause:   pause,
	}
	return e
}

// provenBy has a fetch tried again as soon as another credential is there than that of the fetch that failed.
func (e *expiring) provenBy(credential func(context.Context) string) *expiring {
	e.credential = credential
	return e
}

// use notes the credential of a fetch.
func (e *expiring) use(ctx context.Context) {
	if e.credential == nil {
		return
	}
	id := e.credential(ctx)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.used = id
}

// retryIfMended ends the pause after a failed fetch if its credential has changed since.
func (e *expiring) retryIfMended(ctx context.Context) {
	if e.credential == nil || e.cell.Peek().Err == nil {
		return
	}
	id := e.credential(ctx)
	e.mu.Lock()
	changed := id != "" && id != e.used
	e.mu.Unlock()
	if changed {
		e.cell.Retry()
	}
}

func pause(streak int, err error) time.Duration { return huaweicloud.Pause(streak, err, longestPause) }

// grant returns what authorises now. It waits for a fetch only where there is nothing to use meanwhile.
func (e *expiring) grant(ctx context.Context) (huaweicloud.Grant, error) {
	e.retryIfMended(ctx)
	s, _ := e.cell.Ask(ctx, &e.policy)
	if s.Value != nil && !s.Value.holds() {
		e.cell.Expire(s) // after a suspension, the wall clock is further than the one that says when a fetch is due
	}
	if !s.Value.holds() || e.isRefused(s.Value) {
		s = e.cell.Await(ctx, &e.policy)
	}
	switch {
	case s.Value.holds():
		e.setLate(nil)
		return s.Value.Grant, nil
	case s.Err != nil:
		return nil, s.Err
	case ctx.Err() != nil:
		err := huaweicloud.Advise(fmt.Errorf("keys or a token were not had in time (%w)", ctx.Err()), "check the network, and endpoints.iam if it is set")
		e.setLate(err)
		return nil, err
	default: // a gate was shut before the turn came, or nothing proves the key yet that the request would be signed with
		return nil, huaweicloud.Advise(errors.New("keys or a token were not asked for, since IAM throttles the account or other requests with the same key fail"),
			"it is asked again after the pause")
	}
}

// reject has what was refused fetched anew, unless that has happened already.
func (e *expiring) reject(g huaweicloud.Grant) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.cell.Peek()
	if s.Value == nil || s.Value.Grant != g || !e.refusedAt.IsZero() && time.Since(e.refusedAt) < e.refusalPause {
		return
	}
	e.refused, e.refusedAt = g, time.Now()
	e.cell.Expire(s)
}

func (e *expiring) isRefused(l *lease) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.refused == l.Grant
}

func (e *expiring) setLate(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.late = err
}

// failure is the error of the last fetch, or that one takes longer than anybody waits.
func (e *expiring) failure() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return cmp.Or(e.cell.Peek().Err, e.late)
}

// expiry returns when what is in use expires; zero if there is nothing.
func (e *expiring) expiry() time.Time {
	if l := e.cell.Peek().Value; l != nil {
		return l.expires
	}
	return time.Time{}
}

// temporary is a source of keys that expire.
type temporary struct {
	*expiring

	describe func() string
	files    func() []string
	check    func(context.Context) error
}

// Describe says where the keys come from.
func (t *temporary) Describe() string { return t.describe() }

// Files returns the names of the files with what proves who asks for the keys.
func (t *temporary) Files() []string { return t.files() }

// Check says what is wrong on this machine.
func (t *temporary) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fileTimeout)
	defer cancel()
	return t.check(ctx)
}

// Failure is the error of the last fetch.
func (t *temporary) Failure() error { return t.failure() }

// Expiry returns when the keys in use expire.
func (t *temporary) Expiry() time.Time { return t.expiry() }

// Grant returns keys, which are fetched where they must be.
func (t *temporary) Grant(ctx context.Context, _ huaweicloud.Scope) (huaweicloud.Grant, error) {
	return t.grant(ctx)
}

// Reject has refused keys fetched anew.
func (t *temporary) Reject(g huaweicloud.Grant) { t.reject(g) }

func always(text string) func() string { return func() string { return text } }
