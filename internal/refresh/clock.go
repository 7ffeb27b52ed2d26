package refresh

import (
	"context"
	"sync"
	"time"
)

// clock is the context of a fetch. It ends when the fetch's time is up, and its end can be put off.
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

// Extend puts off the end of the fetch that a context belongs to, for time in which it had to wait for others. It does nothing to other contexts.
func Extend(ctx context.Context, by time.Duration) {
	c, ok := ctx.Value(clockKey{}).(*clock)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && c.timer.Stop() {
		c.deadline = c.deadline.Add(by)
		c.timer.Reset(time.Until(c.deadline))
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
	return c.deadline, true
}

// Done is closed when the clock has ended.
func (c *clock) Done() <-chan struct{} { return c.done }

// Err returns why the clock has ended.
func (c *clock) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Value returns the clock itself, to Extend, and the values of who asked.
func (c *clock) Value(key any) any {
	if key == (clockKey{}) {
		return c
	}
	return c.Context.Value(key)
}
