package refresh_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/refresh"
)

func TestFailureKeepsTheLastValueAndPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{}
		var cell refresh.Cell[int]
		good := cell.Get(t.Context(), policy(c))
		c.set(0, errDown)
		pass(5 * time.Minute)
		s := cell.Get(t.Context(), policy(c))
		if s.Value != 1 || !s.ReadAt.Equal(good.ReadAt) || !errors.Is(s.Err, errDown) || s.Fetches != 2 || s.Failures != 1 {
			t.Errorf("got %+v, want the value and time of the first fetch, and the error of the second", s)
		}
		// The pause doubles: fetches begin 15, 30, 60, 120, 240, 300 and 300 seconds after the failure before.
		for i, pause := range []time.Duration{15, 30, 60, 120, 240, 300, 300} {
			before := c.calls.Load()
			pass(pause*time.Second - 1)
			cell.Get(t.Context(), policy(c))
			synctest.Wait()
			if c.calls.Load() != before {
				t.Errorf("failure %d: fetched again before the pause of %ds was over", i+1, pause)
			}
			pass(1)
			cell.Get(t.Context(), policy(c))
			synctest.Wait()
			if c.calls.Load() != before+1 {
				t.Errorf("failure %d: not fetched again after the pause of %ds", i+1, pause)
			}
		}
	})
}

func TestPauseCountsFromTheEndOfTheFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{latency: 9 * time.Second, err: errDown}
		var cell refresh.Cell[int]
		cell.Get(t.Context(), policy(c))
		pass(15*time.Second - 1)
		cell.Get(t.Context(), policy(c))
		synctest.Wait()
		if n := c.calls.Load(); n != 1 {
			t.Errorf("%d fetches, want 1: a fetch that fails slowly gets its whole pause too", n)
		}
	})
}

func TestSuccessEndsTheStreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{err: errDown}
		var cell refresh.Cell[int]
		cell.Get(t.Context(), policy(c))
		pass(15 * time.Second)
		cell.Await(t.Context(), policy(c))
		c.set(0, nil)
		pass(30 * time.Second)
		if s := cell.Await(t.Context(), policy(c)); s.Err != nil || s.Value != 3 || s.Failures != 2 {
			t.Fatalf("got %+v, want the third fetch to succeed", s)
		}
		c.set(0, errDown)
		pass(5 * time.Minute)
		cell.Get(t.Context(), policy(c))
		pass(15 * time.Second) // the first pause again, not the third
		if s := cell.Await(t.Context(), policy(c)); s.Fetches != 5 {
			t.Errorf("%d fetches, want 5", s.Fetches)
		}
	})
}

func TestKnownFailureIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{err: errDown}
		var cell refresh.Cell[int]
		cell.Get(t.Context(), policy(c))
		pass(15 * time.Second)
		c.set(4*time.Second, nil)
		start := time.Now()
		if s := cell.Get(t.Context(), policy(c)); !errors.Is(s.Err, errDown) || time.Since(start) != 0 {
			t.Errorf("got %+v after %s, want the known failure at once", s, time.Since(start))
		}
		if s := cell.Await(t.Context(), policy(c)); s.Value != 2 || time.Since(start) != 4*time.Second {
			t.Errorf("got %+v after %s, want Await to wait for the fetch that Get began", s, time.Since(start))
		}
	})
}

func TestHangCostsScrapesLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{}
		var cell refresh.Cell[int]
		cell.Get(t.Context(), policy(c))
		pass(5 * time.Minute)
		c.set(time.Hour, nil)
		var waited time.Duration
		for range 20 { // scrapes every 15 s, with a deadline of 9.5 s
			start := time.Now()
			if s := cell.Get(within(t, 9500*time.Millisecond), policy(c)); s.Value != 1 {
				t.Error("the last good value is lost")
			}
			waited += time.Since(start)
			pass(15*time.Second - time.Since(start))
		}
		if s := cell.Peek(); !errors.Is(s.Err, context.DeadlineExceeded) || s.Took != 10*time.Second {
			t.Errorf("got %+v, want the timeout of 10s", s)
		}
		if n := c.calls.Load() - 1; waited != 9500*time.Millisecond || n > 6 {
			t.Errorf("five minutes of hang cost %d fetches and %s of waiting, want at most 6, and one deadline", n, waited)
		}
	})
}

func TestPanicIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{}
		p := policy(c)
		p.Gate = refresh.NewGate(1)
		p.Fetch = func(context.Context) (int, error) { panic("an odd answer") }
		var cell refresh.Cell[int]
		if s := cell.Get(t.Context(), p); s.Err == nil || !strings.Contains(s.Err.Error(), "an odd answer") {
			t.Errorf("got %v, want the panic as an error", s.Err)
		} else if !strings.Contains(s.Err.Error(), "failure_test.go:") {
			t.Errorf("got %v, want the place of the panic in it", s.Err)
		}
		var other refresh.Cell[int] // the slot was given back
		p.Fetch = c.fetch
		if s := other.Get(t.Context(), p); s.Value != 1 {
			t.Errorf("got %+v, want the slot to be free", s)
		}
	})
}
