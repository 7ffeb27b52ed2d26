package huaweicloud

import (
	"errors"
	"time"
)

const shortestPause = 15 * time.Second

// Pause is how long nothing is asked after so many failures in a row: 15 s, doubling up to longest, or what the cloud asks for if that is
// longer. What was not sent because of a refused key is asked when that key is tried again, and what waited in vain for a key to be proven soon.
func Pause(streak int, err error, longest time.Duration) time.Duration {
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return time.Until(refused.Until)
	}
	if _, ok := errors.AsType[*waitError](err); ok {
		return shortestPause
	}
	p := shortestPause
	for ; streak > 1 && p < longest; streak-- {
		p *= 2
	}
	p = max(min(p, longest), shortestPause)
	if api, ok := errors.AsType[*APIError](err); ok {
		p = max(p, api.RetryAfter)
	}
	return p
}
