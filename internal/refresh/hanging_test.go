package refresh_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/refresh"
)

// stuck is a fetch that ignores its context until it is released.
type stuck struct {
	calls   atomic.Int64
	release chan struct{}
}

func (s *stuck) fetch(context.Context) (int, error) {
	s.calls.Add(1)
	<-s.release
	return 42, nil
}

// TestFetchThatIgnoresItsContext ends by the clock of its own: the slot is free, the state says timeout, nobody waits and no lock is held.
// The value that comes late is discarded, and the next fetch is good.
func TestFetchThatIgnoresItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stuck{release: make(chan struct{})}
		p := policy(&cloud{})
		p.Gate = refresh.NewGate(1)
		hangs := *p
		hangs.Fetch = s.fetch
		var cell, other refresh.Cell[int]
		start := time.Now()
		got := cell.Get(t.Context(), &hangs)
		if took := time.Since(start); !errors.Is(got.Err, context.DeadlineExceeded) || took > 11*time.Second || got.Failures != 1 {
			t.Errorf("got %+v after %s, want a timeout after the 10s of the policy", got, took)
		}
		if n := refresh.Abandoned(); n != 1 {
			t.Errorf("%d abandoned fetches, want 1", n)
		}
		if got := other.Await(t.Context(), p); got.Err != nil || got.Value != 1 {
			t.Errorf("another cell got %+v, want the slot", got)
		}
		for range 3 { // beside it, the cell begins no other one
			pass(5 * time.Minute)
			start = time.Now()
			if got := cell.Await(t.Context(), &hangs); !errors.Is(got.Err, context.DeadlineExceeded) || time.Since(start) > 0 {
				t.Errorf("got %+v after %s, want a timeout at once", got, time.Since(start))
			}
		}
		if n := refresh.Abandoned(); n != 1 || s.calls.Load() != 1 {
			t.Errorf("%d abandoned fetches of %d, want one at a time", n, s.calls.Load())
		}
		close(s.release)
		synctest.Wait()
		if got, n := cell.Peek(), refresh.Abandoned(); got.Value != 0 || !got.ReadAt.IsZero() || n != 0 {
			t.Errorf("got %+v with %d abandoned fetches, want the late value discarded", got, n)
		}
		pass(5 * time.Minute)
		if got := cell.Await(t.Context(), p); got.Err != nil || got.Value != 2 {
			t.Errorf("got %+v, want the next fetch to succeed", got)
		}
	})
}

// TestSlowFetchSaysMore: a fetch that ends with its context has the say.
func TestSlowFetchSaysMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(&cloud{})
		p.Fetch = func(ctx context.Context) (int, error) {
			<-ctx.Done()
			<-time.After(100 * time.Millisecond)
			return 0, errDown
		}
		var cell refresh.Cell[int]
		if got := cell.Get(t.Context(), p); !errors.Is(got.Err, errDown) || refresh.Abandoned() != 0 {
			t.Errorf("got %+v, want the error of the fetch", got)
		}
	})
}

// TestAbandonedFetchesAreBounded: beyond a hundred, a fetch ends at once.
func TestAbandonedFetchesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stuck{release: make(chan struct{})}
		p := policy(&cloud{})
		p.Fetch = s.fetch
		p.Gate = refresh.NewGate(1)
		cells := make([]refresh.Cell[int], 150)
		for i := range cells {
			if got := cells[i].Await(t.Context(), p); !errors.Is(got.Err, context.DeadlineExceeded) {
				t.Errorf("cell %d: %+v", i, got)
			}
		}
		if n := refresh.Abandoned(); n != 100 || s.calls.Load() != 100 {
			t.Errorf("%d abandoned fetches of %d, want 100", n, s.calls.Load())
		}
		close(s.release)
		synctest.Wait()
		if n := refresh.Abandoned(); n != 0 {
			t.Errorf("%d abandoned fetches after all have returned", n)
		}
	})
}

// TestWhoGivesUpBeginsNothingBehindFetchesThatHang: of ten fetches, the two that have a slot use up their time, and the others never begin.
func TestWhoGivesUpBeginsNothingBehindFetchesThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{latency: time.Hour}
		p := policy(c)
		p.Gate, p.GivesUp = refresh.NewGate(2), true
		cells := make([]refresh.Cell[int], 10)
		start := time.Now()
		var fetches []<-chan struct{}
		for i := range cells {
			_, inFlight := cells[i].Ask(t.Context(), p)
			fetches = append(fetches, inFlight)
		}
		for _, inFlight := range fetches {
			<-inFlight
		}
		if took := time.Since(start); took > 11*time.Second || c.calls.Load() != 2 {
			t.Errorf("%d fetches in %s, want 2 in the 10s of one timeout", c.calls.Load(), took)
		}
	})
}

// TestGatesBesideEachOther have slots of their own, and are shut together.
func TestGatesBesideEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang, quick := &cloud{latency: time.Hour}, &cloud{}
		one := policy(hang)
		one.Gate = refresh.NewGate(1)
		two := policy(quick)
		two.Gate = one.Gate.Beside(1)
		var cells [3]refresh.Cell[int]
		cells[0].Ask(t.Context(), one)
		if got := cells[1].Get(t.Context(), two); got.Value != 1 {
			t.Errorf("got %+v, want no wait for the slot of the other gate", got)
		}
		quick.set(0, errThrottled)
		cells[2].Get(t.Context(), two)
		if until := one.Gate.ShutUntil(); !until.Equal(time.Now().Add(15 * time.Second)) {
			t.Errorf("shut until %s, want 15s", until)
		}
		pass(time.Minute) // the one that hangs has ended
	})
}

// TestRetryIsWaitedFor: after Retry, who asks waits for the fetch although the last one failed.
func TestRetryIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{err: errDown}
		p := policy(c)
		var cell refresh.Cell[int]
		cell.Get(t.Context(), p)
		c.set(time.Second, nil)
		cell.Retry()
		if got := cell.Get(t.Context(), p); got.Err != nil || got.Value != 2 {
			t.Errorf("got %+v, want the value of the second fetch", got)
		}
	})
}
