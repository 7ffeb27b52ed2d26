package command

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// cutShort is why a command ended before its work was done.
type cutShort struct {
	timeout time.Duration // that was over; 0: somebody interrupted the command
}

// Error says what ended the command.
func (e *cutShort) Error() string {
	if e.timeout == 0 {
		return "interrupted"
	}
	return fmt.Sprintf("timed out after %s", e.timeout)
}

// remedy says what to do to have the rest, too.
func (e *cutShort) remedy() string {
	if e.timeout == 0 {
		return "run the command again"
	}
	return "raise --timeout"
}

// after says how far the command came.
func (e *cutShort) after(done, all int) string {
	if e.timeout == 0 {
		return fmt.Sprintf("%v after %d of %d reads", e, done, all)
	}
	return fmt.Sprintf("%v: %d of %d reads finished", e, done, all)
}

// limit returns a context that ends with a command's time; 0 is no limit.
func limit(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, timeout, &cutShort{timeout})
}

// ended returns why the context of limit has ended; nil if it has not.
func ended(ctx context.Context) *cutShort {
	if ctx.Err() == nil {
		return nil
	}
	if timedOut, ok := errors.AsType[*cutShort](context.Cause(ctx)); ok {
		return timedOut
	}
	return &cutShort{}
}
