package refresh_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/refresh"
)

func TestExpireFetchesAnewOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{latency: 50 * time.Millisecond}
		var cell refresh.Cell[int]
		s := cell.Get(t.Context(), policy(c))
		var askers sync.WaitGroup
		for range 100 {
			askers.Go(func() {
				cell.Expire(s)
				if got := cell.Get(t.Context(), policy(c)); got.Value != 2 {
					t.Errorf("got %+v, want the second value", got)
				}
			})
		}
		askers.Wait()
		if n := c.calls.Load(); n != 2 {
			t.Errorf("%d fetches, want 2", n)
		}
	})
}

func TestExpireDoesNotCutAPauseShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{err: errDown}
		var cell refresh.Cell[int]
		cell.Expire(cell.Get(t.Context(), policy(c)))
		cell.Await(t.Context(), policy(c))
		if n := c.calls.Load(); n != 1 {
			t.Errorf("%d fetches, want 1", n)
		}
	})
}

func TestExpireLeavesWhatReplacedTheState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{}
		var cell refresh.Cell[int]
		first := cell.Get(t.Context(), policy(c))
		cell.Expire(first)
		cell.Get(t.Context(), policy(c))
		cell.Expire(first) // somebody who still has the first value finds it useless
		if s := cell.Get(t.Context(), policy(c)); s.Value != 2 || s.Fetches != 2 {
			t.Errorf("got %+v, want the second value to serve on", s)
		}
	})
}

func TestRetryEndsThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{err: errDown}
		var cell refresh.Cell[int]
		cell.Retry() // nothing to retry yet
		cell.Get(t.Context(), policy(c))
		c.set(0, nil)
		cell.Retry()
		if s := cell.Await(t.Context(), policy(c)); s.Value != 2 || s.Err != nil {
			t.Errorf("got %+v, want a fetch without a pause", s)
		}
	})
}

// TestRetryDuringAFetch: a fetch that began before the cause was mended makes no pause when it fails.
func TestRetryDuringAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{latency: time.Second, err: errDown}
		var cell refresh.Cell[int]
		cell.Ask(t.Context(), policy(c))
		synctest.Wait()
		cell.Retry()
		pass(time.Second)
		c.set(0, nil)
		if s := cell.Await(t.Context(), policy(c)); s.Value != 2 || s.Err != nil {
			t.Errorf("got %+v, want a second fetch at once", s)
		}
		c.set(0, errDown)
		pass(5 * time.Minute)
		cell.Get(t.Context(), policy(c))
		if s := cell.Await(t.Context(), policy(c)); s.Fetches != 3 {
			t.Errorf("got %+v, want later failures to pause again", s)
		}
	})
}

// TestFreshnessIsTheAskers: a policy with a shorter time is in force for what is known already.
func TestFreshnessIsTheAskers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{}
		var cell refresh.Cell[int]
		cell.Get(t.Context(), policy(c))
		pass(time.Minute)
		shorter := policy(c)
		shorter.TTL = func(int) time.Duration { return time.Minute }
		if s := cell.Get(t.Context(), shorter); s.Value != 2 {
			t.Errorf("got %+v, want a new value", s)
		}
	})
}
