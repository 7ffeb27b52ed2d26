package fleet

import (
	"errors"
	"fmt"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/refresh"
)

// Reasons for states that are not failures.
const (
	NotOffered = "not offered" // the region of the project does not offer the service
	NoProjects = "no projects" // a discovery succeeded but left the account without a project

	NotAsked   = "not asked"  // no fetch has started
	Unfinished = "unfinished" // a fetch has started, without a response yet
)

// UnreadError is the reason why a source, or the list of an account's projects, has no state yet: its first fetch has not ended.
type UnreadError struct {
	Service string
	Begun   bool   // a fetch was in progress when the command ended
	Cause   error  // why none has started: huaweicloud.ErrPaused, huaweicloud.ErrHangs, or why a request was not sent; nil: out of time
	Advice  string // what to do if out of time; empty: nothing
}

// Error returns the progress, the cause, and the remedy.
func (e *UnreadError) Error() string {
	what, remedy := e.explain()
	if remedy != "" {
		return what + "; " + remedy
	}
	return what
}

// Remedy returns what to do.
func (e *UnreadError) Remedy() string {
	_, remedy := e.explain()
	return remedy
}

func (e *UnreadError) explain() (what, remedy string) {
	switch {
	case errors.Is(e.Cause, huaweicloud.ErrPaused):
		return "not started because the API throttles the account", "run the command again later"
	case errors.Is(e.Cause, huaweicloud.ErrHangs):
		return "not started because max_in_flight fetches in a row timed out", fmt.Sprintf("check the network, or increase services.%s.timeout", e.Service)
	case e.Cause != nil:
		return huaweicloud.What(e.Cause), huaweicloud.Remedy(e.Cause)
	case e.Begun:
		return "no response before the command ended", e.Advice
	default:
		return "not started before the command ended", e.Advice
	}
}

// Unwrap returns the cause.
func (e *UnreadError) Unwrap() error { return e.Cause }

// Waits returns the UnreadError of a first fetch that waits for a slot of a host; nil if it does not wait.
func (r *Reading) Waits() error {
	if unread := r.Unread(); unread != nil {
		if _, ok := errors.AsType[*huaweicloud.BusyError](unread.Cause); ok {
			return unread
		}
	}
	return nil
}

// Reason classifies an error like huaweicloud.Reason, with additional reasons for fetches that were not started.
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

// newUnread returns the progress of the first fetch of a cell.
func newUnread[T any](service string, c *refresh.Cell[T]) *UnreadError {
	begun, keptOut := c.Attempt()
	return &UnreadError{Service: service, Begun: begun, Cause: notAsked(keptOut)}
}

// notAsked returns why a gate held back a fetch, worded for the API behind it; nil if it did not.
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
