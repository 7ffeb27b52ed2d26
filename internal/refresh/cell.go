// Package refresh keeps one value that is expensive to get: it is fetched when somebody asks, by one goroutine at a time however
// many ask, and kept when the next fetch fails. The numbers of a service, the keys of an account and its list of projects are all
// such values. Nothing here runs by itself: a question starts the fetch.
package refresh

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// State is what is known of a value. It is never changed, only replaced: the same pointer means that nothing changed.
type State[T any] struct {
	Value    T             // of the last fetch that succeeded
	ReadAt   time.Time     // when that fetch ended; zero if none ever succeeded
	Err      error         // of the last finished fetch; nil if it succeeded or there was none
	BegunAt  time.Time     // when the last finished fetch had its slot; zero if there was none
	Took     time.Duration // by that fetch
	Fetches  uint64        // finished
	Failures uint64        // of Fetches, those that failed

	streak  int       // failures in a row
	begun   time.Time // when the fetch of Value began; zero if Value is not to serve any longer
	next    time.Time // no fetch before this, after a failure
	retried bool      // Retry was called since the failure: the next fetch is worth waiting for
}

// due returns when the next fetch may begin. How long a value serves is up to who asks, so that a new policy is in force at once.
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

// Policy says how a value is fetched. It belongs to who asks, not to the Cell, and may differ from one question to the next.
type Policy[T any] struct {
	Fetch       func(context.Context) (T, error)
	Timeout     time.Duration                 // of one fetch, from the moment it has its slot
	TTL         func(*State[T]) time.Duration // how long the value of a state serves, from the start of its fetch, which is BegunAt
	Gate        *Gate                         // shared by values that must not all be fetched at once; nil: none
	IsThrottled func(error) bool              // whether an error pauses all fetches at the Gate; nil: none does
	GivesUp     bool                          // a fetch whose turn comes while the Gate hangs never begins, so that its turn is worth waiting for
	OnDone      func(before, after *State[T]) // called after every fetch, before those who wait for it return; nil: nothing

	// Backoff is the pause before the next fetch, after so many failures in a row; it must not look at the Gate. 0 says that nothing was asked: the
	// failure counts neither as one in a row nor as a hang, and the next fetch is due soon.
	Backoff func(streak int, err error) time.Duration

	// Pause is the least pause after a failure, as things are when somebody asks; nil: there is none.
	Pause func(*State[T]) time.Duration
}

const soon = 15 * time.Second // until the next fetch after one in which nothing was asked

// Cell holds the state of one value. The zero Cell is ready; all methods are safe for concurrent use.
type Cell[T any] struct {
	mu       sync.Mutex
	state    *State[T]
	inFlight chan struct{} // closed when the fetch under way has ended; nil while there is none
	retry    bool          // the failure of the fetch under way is to make no pause

	begun   bool  // the last fetch that was due is past the gate
	keptOut error // or the gate kept it out, by ErrShut or ErrHangs, or the error of a fetch that has not begun

	clock     atomic.Pointer[clock] // of the fetch under way
	abandoned atomic.Bool           // a fetch outlived its timeout and has not returned
}

// Ask begins a fetch if one is due, and returns what is known now. The channel closes when the fetch under way has ended; it is nil
// if there is nothing to wait for: the value is fresh, or paused, or known to fail, or whatever is fetched through the gate hangs and the
// policy does not give up.
func (c *Cell[T]) Ask(ctx context.Context, p *Policy[T]) (*State[T], <-chan struct{}) {
	s, inFlight := c.ask(ctx, p)
	if s.Err != nil && !s.retried || p.Gate.Hangs() && !p.GivesUp {
		return s, nil
	}
	return s, inFlight
}

// Get returns the state once there is nothing to wait for, or when ctx ends: ctx bounds the wait, not the fetch, so that an answer
// that comes too late for this asker serves the next.
func (c *Cell[T]) Get(ctx context.Context, p *Policy[T]) *State[T] {
	s, inFlight := c.Ask(ctx, p)
	return c.wait(ctx, s, inFlight)
}

// Await is Get, but waits for a fetch under way even if the last one failed. It is for fetches that need this value themselves.
func (c *Cell[T]) Await(ctx context.Context, p *Policy[T]) *State[T] {
	s, inFlight := c.ask(ctx, p)
	return c.wait(ctx, s, inFlight)
}

// IsDue returns whether it is time for a fetch, and none is under way. The gate may be shut all the same.
func (c *Cell[T]) IsDue(p *Policy[T]) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.isDue(p)
}

// Attempt returns what became of the last fetch that was due: it has begun (and may have ended), or the gate kept it out, by ErrShut or ErrHangs, or
// it waited for its turn in vain, by the error of Fetch, or waits for what its clock is suspended for. It is neither of both while it waits in line,
// and before the first question.
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

// Peek returns what is known now and fetches nothing.
func (c *Cell[T]) Peek() *State[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known()
}

// Expire makes the next question fetch again, unless s has been replaced already: a hundred askers that find the same value useless
// make one fetch. A pause after a failure is not cut short.
func (c *Cell[T]) Expire(s *State[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == s && s.Err == nil {
		expired := *s
		expired.begun = time.Time{}
		c.state = &expired
	}
}

// Retry ends the pause after a failure, and that of a fetch under way if it fails: the next question fetches again, and Ask returns its
// fetch. Call it if the cause of the failure may be gone.
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
	isOpen := p.Gate.isOpen() // without the lock: the gate is locked when it asks Backoff, which may look at the cell
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.known()
	switch {
	case !c.isDue(p):
	case !isOpen:
		c.begun, c.keptOut = false, ErrShut
	default:
		c.begun, c.keptOut = false, nil
		c.inFlight = make(chan struct{})
		go c.run(context.WithoutCancel(ctx), p, p.Gate.line(), c.inFlight)
	}
	return s, c.inFlight
}

// isDue is IsDue; c.mu is held.
func (c *Cell[T]) isDue(p *Policy[T]) bool {
	return c.inFlight == nil && !time.Now().Before(c.known().due(p))
}

// wait waits for the fetch, if there is one, and returns what is known then.
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

// known returns the state; c.mu is held.
func (c *Cell[T]) known() *State[T] {
	if c.state == nil {
		c.state = &State[T]{}
	}
	return c.state
}

// run is one fetch, from the wait for a slot to the end. Whatever happens in it, the slot is released and the waiting callers return.
func (c *Cell[T]) run(ctx context.Context, p *Policy[T], turn place, done chan struct{}) {
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.inFlight = nil
		close(done)
	}()
	keptOut := p.Gate.enter(turn, p.GivesUp)
	c.mu.Lock()
	c.begun, c.keptOut = keptOut == nil, keptOut
	c.mu.Unlock()
	if keptOut != nil {
		return
	}
	defer p.Gate.leave()
	start := time.Now()
	value, waited, err := c.fetch(ctx, p)
	var waits interface{ NotBegun() bool } // nothing was asked, as if the fetch still stood in line: who asks next begins it again
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
	throttled := err != nil && p.Gate != nil && p.IsThrottled != nil && p.IsThrottled(err) // then the gate makes the pause, for all alike
	after := before.after(p, value, err, start)                                            // the policy is asked without the lock, so that it may look at the cell
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
