package refresh

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// grace is how much longer than its timeout a fetch may take. A fetch that honors its context returns within it, with a better error
	// than a TimeoutError.
	grace = 500 * time.Millisecond

	maxAbandoned = 100 // in the process
)

// abandoned counts the fetches of all Cells that exceeded their timeout and have not returned.
var abandoned atomic.Int64

// Abandoned returns the number of fetches of the process that exceeded their timeout and have not returned.
func Abandoned() int { return int(abandoned.Load()) }

// TimeoutError means that a fetch did not return within its timeout, or was not started because too many earlier ones have not
// returned. It is a context.DeadlineExceeded.
type TimeoutError struct{ what string }

// Error returns the text and the remedy.
func (e *TimeoutError) Error() string { return e.what + "; " + e.Remedy() }

// Remedy returns what to do.
func (e *TimeoutError) Remedy() string {
	return "check the file systems and the network of this machine; restart the exporter if this persists"
}

// Unwrap makes it a timeout.
func (e *TimeoutError) Unwrap() error { return context.DeadlineExceeded }

// errNoResult is the error of a fetch that ended its own goroutine.
var errNoResult = errors.New("bug in this program, please report it: the fetch ended without a result")

type result[T any] struct {
	value T
	err   error
}

// fetch calls the policy's Fetch and ends at the timeout, even if Fetch ignores its context; a later result is discarded. To limit
// such fetches, a Cell has at most one of them, and the process a hundred. waited is how long its clock was suspended.
func (c *Cell[T]) fetch(ctx context.Context, p *Policy[T]) (value T, waited time.Duration, err error) {
	if c.abandoned.Load() || abandoned.Load() >= maxAbandoned {
		return value, 0, &TimeoutError{"fetch not started because a previous fetch was canceled and has not returned"}
	}
	clock := newClock(ctx, p.Timeout)
	c.clock.Store(clock)
	defer c.clock.Store(nil)
	defer clock.end(context.Canceled)
	done := make(chan result[T], 1)
	go p.run(clock, done)
	select {
	case r := <-done:
		return r.value, clock.allWaits(), r.err
	case <-clock.Done():
	}
	select {
	case r := <-done:
		return r.value, clock.allWaits(), r.err
	case <-time.After(grace):
		c.abandon(done)
		return value, clock.allWaits(), &TimeoutError{fmt.Sprintf("no result after %s, although the fetch was canceled", p.Timeout)}
	}
}

// abandon counts a fetch until it returns.
func (c *Cell[T]) abandon(done <-chan result[T]) {
	c.abandoned.Store(true)
	abandoned.Add(1)
	go func() {
		<-done
		c.abandoned.Store(false)
		abandoned.Add(-1)
	}()
}

// run calls Fetch, and returns a panic as an error, so that a bug in one fetch does not end the program.
func (p *Policy[T]) run(ctx context.Context, done chan<- result[T]) {
	r := result[T]{err: errNoResult}
	defer func() {
		if p := recover(); p != nil {
			r.err = fmt.Errorf("bug in this program, please report it: panic: %v\n%s", p, debug.Stack())
		}
		done <- r
	}()
	r.value, r.err = p.Fetch(ctx)
}

// clock is the context of a fetch. It ends when the fetch's time is up, and it can be suspended.
type clock struct {
	context.Context //nolint:containedctx // it is one; it only has the values of the caller's

	done chan struct{}

	mu       sync.Mutex
	deadline time.Time
	timer    *time.Timer
	err      error
	waits    error         // what it is suspended for; nil: unspecified
	since    time.Time     // start of the suspension; zero if not suspended
	waited   time.Duration // in earlier suspensions
}

type clockKey struct{}

// newClock returns a clock that ends after a timeout, or when it is stopped.
func newClock(values context.Context, timeout time.Duration) *clock {
	c := &clock{Context: values, done: make(chan struct{}), deadline: time.Now().Add(timeout)}
	c.mu.Lock() // the timer may end the clock before it is set
	defer c.mu.Unlock()
	c.timer = time.AfterFunc(timeout, func() { c.end(context.DeadlineExceeded) })
	return c
}

// Suspend stops the clock of the fetch that a context belongs to, while it waits for other fetches, until resume. A suspended clock
// has no deadline. Attempt of the Cell returns what meanwhile, unless it is nil. Suspend has no effect on other contexts.
func Suspend(ctx context.Context, what error) (resume func()) {
	c, ok := ctx.Value(clockKey{}).(*clock)
	if !ok {
		return func() {}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer.Stop()
	left := time.Until(c.deadline)
	c.deadline, c.since, c.waits = time.Time{}, time.Now(), what
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.waited, c.since, c.waits = c.waited+time.Since(c.since), time.Time{}, nil
		if c.err == nil {
			c.deadline = time.Now().Add(left)
			c.timer.Reset(left)
		}
	}
}

// waitsFor returns what the clock is suspended for; nil if it runs.
func (c *clock) waitsFor() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waits
}

// allWaits returns how long the clock was suspended in total.
func (c *clock) allWaits() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since.IsZero() {
		return c.waited
	}
	return c.waited + time.Since(c.since)
}

// end ends the clock, once.
func (c *clock) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	c.timer.Stop()
	close(c.done)
}

// Deadline returns when the clock ends, as far as known.
func (c *clock) Deadline() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.deadline, !c.deadline.IsZero()
}

// Done is closed when the clock has ended.
func (c *clock) Done() <-chan struct{} { return c.done }

// Err returns why the clock has ended.
func (c *clock) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Value returns the clock itself to Suspend, otherwise the values of the caller's context.
func (c *clock) Value(key any) any {
	if key == (clockKey{}) {
		return c
	}
	return c.Context.Value(key)
}
