package fleet

import (
	"errors"
	"fmt"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/refresh"
)

// The words that stand for a reason of what did not fail.
const (
	NotOffered = "not offered" // the region of the project does not have the service
	NoProjects = "no projects" // a discovery succeeded, and left the account without a project

	NotAsked   = "not asked"  // no fetch has begun
	Unfinished = "unfinished" // a fetch has begun, and there is no response yet
)

// UnreadError is why a command knows nothing of a source, or of the projects of an account: no fetch of it has ended.
type UnreadError struct {
	Service string
	Begun   bool   // a fetch was under way when the command ended
	Cause   error  // why none has begun: huaweicloud.ErrPaused, huaweicloud.ErrHangs, or why a request was not sent; nil: there was no time
	Advice  string // what to do if there was no time; empty: nothing
}

// Error says how far the fetch came, why, and what to do.
func (e *UnreadError) Error() string {
	what, remedy := e.explain()
	if remedy != "" {
		return what + "; " + remedy
	}
	return what
}

// Remedy says what to do.
func (e *UnreadError) Remedy() string {
	_, remedy := e.explain()
	return remedy
}

func (e *UnreadError) explain() (what, remedy string) {
	switch {
	case errors.Is(e.Cause, huaweicloud.ErrPaused):
		return "not asked because the API throttles the account", "run the command again later"
	case errors.Is(e.Cause, huaweicloud.ErrHangs):
		return "not asked because max_in_flight fetches in a row timed out", fmt.Sprintf("check the network, or raise services.%s.timeout", e.Service)
	case e.Cause != nil:
		return huaweicloud.What(e.Cause), huaweicloud.Remedy(e.Cause)
	case e.Begun:
		return "no response before the command ended", e.Advice
	default:
		return "not asked before the command ended", e.Advice
	}
}

// Unwrap returns the cause.
func (e *UnreadError) Unwrap() error { return e.Cause }

// Waits returns for what the first fetch of the source waits, if it is its turn to be sent to a host; nil if it does not.
func (r *Reading) Waits() error {
	if unread := r.Unread(); unread != nil {
		if _, ok := errors.AsType[*huaweicloud.BusyError](unread.Cause); ok {
			return unread
		}
	}
	return nil
}

// Reason classifies why something is not known, as huaweicloud.Reason does, and has reasons of its own for what was not asked.
func Reason(err error) string {
	unread, ok := errors.AsType[*UnreadError](err)
	switch {
	case !ok:
		return huaweicloud.Reason(err)
	case unread.Begun:
		return Unfinished
	default:
		return NotAsked
	}
}

// newUnread returns how far the first fetch of a cell has come.
func newUnread[T any](service string, c *refresh.Cell[T]) *UnreadError {
	begun, keptOut := c.Attempt()
	return &UnreadError{Service: service, Begun: begun, Cause: notAsked(keptOut)}
}

// notAsked is why a gate kept out a fetch, in the words of the API behind it; nil if it did not.
func notAsked(keptOut error) error {
	switch {
	case keptOut == nil:
		return nil
	case errors.Is(keptOut, refresh.ErrShut):
		return huaweicloud.ErrPaused
	case errors.Is(keptOut, refresh.ErrHangs):
		return huaweicloud.ErrHangs
	default:
		return keptOut
	}
}
