// Package refresh caches one value that is expensive to fetch. It is fetched on request, by one goroutine at a time for any number
// of callers, and kept if the next fetch fails. The quotas of a service, the keys of an account, and its list of projects are such
// values. Nothing runs in the background: a request starts the fetch.
package refresh

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// State is the state of a value. It is immutable: the same pointer means that nothing has changed.
type State[T any] struct {
	Value    T             // of the last successful fetch
	ReadAt   time.Time     // end of that fetch; zero if none has succeeded
	Err      error         // of the last completed fetch; nil if it succeeded or there was none
	BegunAt  time.Time     // when the last completed fetch got its slot; zero if there was none
	Took     time.Duration // duration of that fetch
	Fetches  uint64        // completed
	Failures uint64        // failed ones among Fetches

	streak  int       // failures in a row
	begun   time.Time // start of the fetch of Value; zero if Value has expired early
	next    time.Time // earliest start of the next fetch after a failure
	retried bool      // Retry was called since the failure: the next fetch is worth waiting for
}

// due returns when the next fetch may start. The TTL is that of the caller's policy, so that a new policy applies at once.
func (s *State[T]) due(p *Policy[T]) time.Time {
	if s.Err != nil && p.Pause != nil && !s.retried {
		if later := s.BegunAt.Add(s.Took + p.Pause(s)); later.After(s.next) {
			return later
		}
	}
	if s.Err != nil || s.begun.IsZero() {
		return s.next
	}
	return s.begun.Add(p.TTL(s))
}

// Policy defines how a value is fetched. It belongs to the caller, not to the Cell, and may differ between calls.
type Policy[T any] struct {
	Fetch       func(context.Context) (T, error)
	Timeout     time.Duration                 // of one fetch, once it has its slot
	TTL         func(*State[T]) time.Duration // how long the value of a state is valid, from the start of its fetch, which is BegunAt
	Gate        *Gate                         // shared by values that must not all be fetched at once; nil: none
	IsThrottled func(error) bool              // whether an error pauses all fetches at the Gate; nil: never
	GivesUp     bool                          // a fetch whose turn comes while the Gate hangs is not started, so that its turn is worth waiting for
	OnDone      func(before, after *State[T]) // called after every fetch, before its waiters return; may be nil

	// Backoff returns the pause before the next fetch, after so many failures in a row; it must not use the Gate. 0 means that no
	// request was sent: the failure counts neither as one in a row nor as a hang, and the next fetch is due soon.
	Backoff func(streak int, err error) time.Duration

	// Pause is the minimum pause after a failure, evaluated at each request; nil: none.
	Pause func(*State[T]) time.Duration
}

const soon = 15 * time.Second // until the next fetch after one that sent no request

// Cell holds the state of one value. The zero Cell is ready to use; all methods are safe for concurrent use.
type Cell[T any] struct {
	mu       sync.Mutex
	state    *State[T]
	inFlight chan struct{} // closed when the current fetch has ended; nil if there is none
	retry    bool          // a failure of the current fetch makes no pause

	begun   bool  // the last fetch that was due has passed the gate
	keptOut error // otherwise why it has not: ErrShut, ErrHangs, or the error of a fetch that was not started

	clock     atomic.Pointer[clock] // of the current fetch
	abandoned atomic.Bool           // a fetch exceeded its timeout and has not returned
}

// Ask starts a fetch if one is due, and returns the current state. The channel closes when the current fetch has ended. It is nil if
// there is nothing to wait for: the value is fresh, or paused, or known to fail, or the fetches of the gate hang and the policy does
// not give up.
func (c *Cell[T]) Ask(ctx context.Context, p *Policy[T]) (*State[T], <-chan struct{}) {
	s, inFlight := c.ask(ctx, p)
	if s.Err != nil && !s.retried || p.Gate.Hangs() && !p.GivesUp {
		return s, nil
	}
	return s, inFlight
}

// Get returns the state once there is nothing to wait for, or when ctx ends. ctx limits the wait, not the fetch, so that a late
// response is available to the next caller.
func (c *Cell[T]) Get(ctx context.Context, p *Policy[T]) *State[T] {
	s, inFlight := c.Ask(ctx, p)
	return c.wait(ctx, s, inFlight)
}

// Await is Get, but also waits for the current fetch if the last one failed. It is for fetches that need this value themselves.
func (c *Cell[T]) Await(ctx context.Context, p *Policy[T]) *State[T] {
	s, inFlight := c.ask(ctx, p)
	return c.wait(ctx, s, inFlight)
}

// IsDue reports whether a fetch is due and none is in progress. The gate may be shut nevertheless.
func (c *Cell[T]) IsDue(p *Policy[T]) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.isDue(p)
}

// Attempt returns what happened to the last fetch that was due: it was started (and may have ended), or it was held back, with the
// reason: ErrShut or ErrHangs of the gate, the error of a Fetch that was not started, or what its clock is suspended for. Both are
// zero while it waits in line, and before the first request.
func (c *Cell[T]) Attempt() (begun bool, keptOut error) {
	if clock := c.clock.Load(); clock != nil {
		if waits := clock.waitsFor(); waits != nil {
			return false, waits
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.begun, c.keptOut
}

// Peek returns the current state without fetching.
func (c *Cell[T]) Peek() *State[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known()
}

// Expire makes the next request fetch again, unless s has been replaced already, so that a hundred callers that find the same value
// invalid cause one fetch. It does not shorten a pause after a failure.
func (c *Cell[T]) Expire(s *State[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == s && s.Err == nil {
		expired := *s
		expired.begun = time.Time{}
		c.state = &expired
	}
}

// Retry ends the pause after a failure, also for the current fetch if it fails: the next request fetches again, and Ask returns its
// fetch. Call it if the cause of the failure may have been fixed.
func (c *Cell[T]) Retry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retry = c.inFlight != nil
	if s := c.known(); s.Err != nil {
		again := *s
		again.next, again.retried = time.Time{}, true
		c.state = &again
	}
}

func (c *Cell[T]) ask(ctx context.Context, p *Policy[T]) (*State[T], <-chan struct{}) {
	isOpen := p.Gate.isOpen() // without the lock: the gate is locked when it calls Backoff, which may use the cell
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.known()
	switch {
	case !c.isDue(p):
	case !isOpen:
		c.begun, c.keptOut = false, ErrShut
	default:
		c.begun, c.keptOut = false, nil
		done := make(chan struct{})
		c.inFlight = done
		p.Gate.run(func() { c.run(context.WithoutCancel(ctx), p, done) })
	}
	return s, c.inFlight
}

// isDue is IsDue; the caller holds c.mu.
func (c *Cell[T]) isDue(p *Policy[T]) bool {
	return c.inFlight == nil && !time.Now().Before(c.known().due(p))
}

// wait waits for the fetch, if there is one, and returns the state.
func (c *Cell[T]) wait(ctx context.Context, s *State[T], inFlight <-chan struct{}) *State[T] {
	if inFlight == nil {
		return s
	}
	select {
	case <-inFlight:
	case <-ctx.Done():
	}
	return c.Peek()
}

// known returns the state; the caller holds c.mu.
func (c *Cell[T]) known() *State[T] {
	if c.state == nil {
		c.state = &State[T]{}
	}
	return c.state
}

// run is one fetch, once it has a slot. In any case, the slot is released and the waiting callers return.
func (c *Cell[T]) run(ctx context.Context, p *Policy[T], done chan struct{}) {
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.inFlight = nil
		close(done)
	}()
	keptOut := p.Gate.enter(p.GivesUp)
	c.mu.Lock()
	c.begun, c.keptOut = keptOut == nil, keptOut
	c.mu.Unlock()
	if keptOut != nil {
		return
	}
	defer p.Gate.leave()
	start := time.Now()
	value, waited, err := c.fetch(ctx, p)
	var waits interface{ NotBegun() bool } // no request was sent, as if the fetch was still in line: the next caller starts it again
	if errors.As(err, &waits) && waits.NotBegun() {
		c.mu.Lock()
		c.begun, c.keptOut = false, err
		c.mu.Unlock()
		return
	}
	c.settle(p, value, err, start, waited)
}

func (c *Cell[T]) settle(p *Policy[T], value T, err error, start time.Time, waited time.Duration) {
	before := c.Peek()
	throttled := err != nil && p.Gate != nil && p.IsThrottled != nil && p.IsThrottled(err) // then the gate makes the pause, for all its fetches
	after := before.after(p, value, err, start)                                            // the policy is called without the lock, so that it may use the cell
	c.mu.Lock()
	if c.retry || throttled {
		after.next = time.Time{}
	}
	after.retried = c.retry && err != nil
	c.state, c.retry = after, false
	c.mu.Unlock()
	var pause func(streak int) time.Duration
	if throttled {
		pause = func(streak int) time.Duration { return p.Backoff(streak, err) }
	}
	p.Gate.ended(err == nil, after.streak > before.streak && after.Took-waited >= p.Timeout, pause)
	if p.OnDone != nil {
		p.OnDone(before, after)
	}
}

func (s *State[T]) after(p *Policy[T], value T, err error, start time.Time) *State[T] {
	now := time.Now()
	n := *s
	n.Fetches++
	n.BegunAt, n.Took = start, now.Sub(start)
	n.Err = err
	if err != nil {
		n.Failures++
		pause := p.Backoff(n.streak+1, err)
		if pause != 0 {
			n.streak++
		}
		n.next = now.Add(cmp.Or(pause, soon))
		return &n
	}
	n.Value = value
	n.ReadAt = now
	n.streak = 0
	n.begun = start
	n.next = time.Time{}
	return &n
}
