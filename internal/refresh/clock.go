package refresh

import (
	"context"
	"sync"
	"time"
)

// clock is the context of a fetch. It ends when the fetch's time is up, and it can be suspended.
type clock struct {
	context.Context //nolint:containedctx // it is one; of who asked, it has the values alone

	done chan struct{}

	mu       sync.Mutex
	deadline time.Time
	timer    *time.Timer
	err      error
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

// Suspend stops the clock of the fetch that a context belongs to, for time in which it has to wait for others, until resume. A clock that stands still
// has no deadline. Suspend does nothing to other contexts.
func Suspend(ctx context.Context) (resume func()) {
	c, ok := ctx.Value(clockKey{}).(*clock)
	if !ok {
		return func() {}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer.Stop()
	left := time.Until(c.deadline)
	c.deadline = time.Time{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.err == nil {
			c.deadline = time.Now().Add(left)
			c.timer.Reset(left)
		}
	}
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

// Deadline returns when the clock ends, as far as that is known now.
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

// Value returns the clock itself, to Suspend, and the values of who asked.
func (c *clock) Value(key any) any {
	if key == (clockKey{}) {
		return c
	}
	return c.Context.Value(key)
}
