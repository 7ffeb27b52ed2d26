package refresh_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/refresh"
)

var (
	errDown      = errors.New("down")
	errThrottled = errors.New("throttled")
)

// cloud is what is fetched: the number of the call, after a latency, or an error.
type cloud struct {
	mu      sync.Mutex
	latency time.Duration
	err     error

	calls, now, most atomic.Int64
}

func (c *cloud) set(latency time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.latency, c.err = latency, err
}

func (c *cloud) fetch(ctx context.Context) (int, error) {
	n := c.calls.Add(1)
	now := c.now.Add(1)
	defer c.now.Add(-1)
	for most := c.most.Load(); now > most && !c.most.CompareAndSwap(most, now); most = c.most.Load() {
	}
	c.mu.Lock()
	latency, err := c.latency, c.err
	c.mu.Unlock()
	select {
	case <-time.After(latency):
		return int(n), err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// policy: fresh for 5 minutes, a timeout of 10 s, pauses of 15 s, 30 s, 1 min and so on up to 5 minutes.
func policy(c *cloud) *refresh.Policy[int] {
	return &refresh.Policy[int]{
		Fetch:   c.fetch,
		Timeout: 10 * time.Second,
		TTL:     func(*refresh.State[int]) time.Duration { return 5 * time.Minute },
		Backoff: func(streak int, _ error) time.Duration {
			return min(15*time.Second<<(streak-1), 5*time.Minute)
		},
		IsThrottled: func(err error) bool { return errors.Is(err, errThrottled) },
	}
}

// pass lets time pass in a bubble.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestValueIsUsedWhileFresh: concurrent callers share one fetch, and a caller that gives up early leaves the result to the next. Freshness counts
// from the start of the fetch, and its duration is up to the caller.
func TestValueIsUsedWhileFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{latency: 3 * time.Second}
		p := policy(c)
		var cell refresh.Cell[int]
		before := cell.Peek()
		var reported [][2]*refresh.State[int]
		p.OnDone = func(before, after *refresh.State[int]) {
			reported = append(reported, [2]*refresh.State[int]{before, after})
		}
		start := time.Now()
		if s := cell.Get(within(t, time.Second), p); s.Fetches != 0 || !s.ReadAt.IsZero() || time.Since(start) != time.Second {
			t.Errorf("got %+v after %s, want nothing after 1s", s, time.Since(start))
		}
		var askers sync.WaitGroup
		for range 1000 {
			askers.Go(func() {
				if s := cell.Get(t.Context(), p); s.Value != 1 || s.Err != nil || s.Fetches != 1 || s.Took != 3*time.Second || time.Since(s.ReadAt) != 0 {
					t.Errorf("got %+v, want the late result of the first fetch", s)
				}
			})
		}
		askers.Wait()
		first := cell.Peek()
		if len(reported) != 1 || reported[0] != [2]*refresh.State[int]{before, first} {
			t.Errorf("reported %v, want the state before and after", reported)
		}
		pass(5*time.Minute - 3*time.Second - 1)
		if s := cell.Get(t.Context(), p); s != first {
			t.Errorf("a fresh value was replaced: %+v", s)
		}
		pass(1)
		if s := cell.Get(t.Context(), p); s.Value != 2 {
			t.Errorf("got %+v, want a new value once the old one is no longer fresh", s)
		}
		pass(time.Minute)
		p.TTL = func(*refresh.State[int]) time.Duration { return time.Minute }
		if s := cell.Get(t.Context(), p); s.Value != 3 {
			t.Errorf("got %+v, want a new value for a caller that needs a fresher one", s)
		}
	})
}

// TestExpire: a hundred callers that reject a value share one fetch, later ones keep the new value, and no pause is shortened.
func TestExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{latency: 50 * time.Millisecond}
		var cell refresh.Cell[int]
		first := cell.Get(t.Context(), policy(c))
		for range 2 {
			var askers sync.WaitGroup
			for range 100 {
				askers.Go(func() {
					cell.Expire(first)
					if got := cell.Get(t.Context(), policy(c)); got.Value != 2 || got.Fetches != 2 {
						t.Errorf("got %+v, want the second value", got)
					}
				})
			}
			askers.Wait()
		}
		c.set(0, errDown)
		cell.Expire(cell.Peek())
		cell.Expire(cell.Get(t.Context(), policy(c)))
		cell.Await(t.Context(), policy(c))
		if n := c.calls.Load(); n != 3 {
			t.Errorf("%d fetches, want 3", n)
		}
	})
}

// TestFailure keeps the last value and pauses, starting at its end. Each failure doubles the pause, and a success resets it.
func TestFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{}
		var cell refresh.Cell[int]
		good := cell.Get(t.Context(), policy(c))
		c.set(9*time.Second, errDown)
		pass(5 * time.Minute)
		s := cell.Get(t.Context(), policy(c))
		if s.Value != 1 || !s.ReadAt.Equal(good.ReadAt) || !errors.Is(s.Err, errDown) || s.Fetches != 2 || s.Failures != 1 {
			t.Errorf("got %+v, want the value and time of the first fetch, and the error of the second", s)
		}
		fetchedAfter := func(pause time.Duration) {
			t.Helper()
			before := c.calls.Load()
			pass(pause - 1)
			cell.Await(t.Context(), policy(c))
			if c.calls.Load() != before {
				t.Errorf("fetched again before the pause of %s was over", pause)
			}
			pass(1)
			cell.Await(t.Context(), policy(c))
			if c.calls.Load() != before+1 {
				t.Errorf("not fetched again after the pause of %s", pause)
			}
		}
		for _, pause := range []time.Duration{15, 30, 60, 120, 240, 300} {
			fetchedAfter(pause * time.Second)
		}
		c.set(0, nil)
		fetchedAfter(5 * time.Minute)
		if s := cell.Peek(); s.Err != nil || s.Value != 9 || s.Failures != 7 {
			t.Errorf("got %+v, want the ninth fetch to succeed", s)
		}
		c.set(0, errDown)
		fetchedAfter(5 * time.Minute) // it is old by then
		fetchedAfter(15 * time.Second)
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
			t.Errorf("got %+v after %s, want Await to wait for the fetch that Get started", s, time.Since(start))
		}
	})
}

// TestRetry ends the pause of a failure, and that of a fetch that started before the cause was fixed. Callers wait for the new
// fetch.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{err: errDown}
		var cell refresh.Cell[int]
		cell.Retry() // nothing to retry yet
		cell.Get(t.Context(), policy(c))
		c.set(time.Second, errDown)
		cell.Retry()
		cell.Ask(t.Context(), policy(c))
		synctest.Wait()
		cell.Retry()
		pass(time.Second)
		c.set(time.Second, nil)
		if s := cell.Get(t.Context(), policy(c)); s.Value != 3 || s.Err != nil {
			t.Errorf("got %+v, want a third fetch at once, and the wait for it", s)
		}
		c.set(0, errDown)
		pass(5 * time.Minute)
		cell.Get(t.Context(), policy(c))
		if s := cell.Await(t.Context(), policy(c)); s.Fetches != 4 {
			t.Errorf("got %+v, want later failures to pause again", s)
		}
		c.set(time.Second, nil)
		cell.Retry()
		if s := cell.Get(t.Context(), policy(c)); s.Value != 5 || s.Err != nil {
			t.Errorf("got %+v, want a fifth fetch at once, and the wait for it", s)
		}
	})
}

func TestHangDelaysFewScrapes(t *testing.T) {
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
		p.Gate = refresh.NewGate(1, new(refresh.Pause))
		p.Fetch = func(context.Context) (int, error) { panic("an odd answer") }
		var cell, other refresh.Cell[int]
		s := cell.Get(t.Context(), p)
		if s.Err == nil || !strings.Contains(s.Err.Error(), "an odd answer") || !strings.Contains(s.Err.Error(), "cell_test.go:") {
			t.Errorf("got %v, want the panic and its place as an error", s.Err)
		}
		p.Fetch = c.fetch
		if s := other.Get(t.Context(), p); s.Value != 1 {
			t.Errorf("got %+v, want the slot to be free", s)
		}
	})
}

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

// TestFetchThatIgnoresItsContext ends by its own clock: the slot is free, the state has a timeout, no caller waits, and no lock is
// held. The late value is discarded, and the next fetch succeeds.
func TestFetchThatIgnoresItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stuck{release: make(chan struct{})}
		p := policy(&cloud{})
		p.Gate = refresh.NewGate(1, new(refresh.Pause))
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
		for range 3 { // meanwhile, the cell starts no other one
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
		p.Fetch = func(ctx context.Context) (int, error) { // one that ends with its context takes precedence
			<-ctx.Done()
			<-time.After(100 * time.Millisecond)
			return 0, errDown
		}
		pass(5 * time.Minute)
		if got := cell.Await(t.Context(), p); !errors.Is(got.Err, errDown) || refresh.Abandoned() != 0 {
			t.Errorf("got %+v, want the error of the fetch", got)
		}
	})
}

// TestAbandonedFetchesAreBounded: beyond a hundred, a fetch fails at once.
func TestAbandonedFetchesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stuck{release: make(chan struct{})}
		p := policy(&cloud{})
		p.Fetch = s.fetch
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

// TestSuspend: a fetch that waits for others has its full timeout after that.
func TestSuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refresh.Suspend(t.Context(), nil)() // no fetch
		errBusy := errors.New("busy")
		var cell refresh.Cell[int]
		p := policy(&cloud{})
		p.Fetch = func(ctx context.Context) (int, error) {
			pass(4 * time.Second)
			resume := refresh.Suspend(ctx, errBusy)
			pass(time.Hour)
			if begun, why := cell.Attempt(); begun || why != errBusy { //nolint:errorlint // the same fetch
				t.Errorf("started %t, %v, want it to wait", begun, why)
			}
			if deadline, ok := ctx.Deadline(); ok {
				t.Errorf("the deadline of a suspended fetch is %s", deadline)
			}
			resume()
			if begun, why := cell.Attempt(); !begun || why != nil {
				t.Errorf("started %t, %v, want it to continue", begun, why)
			}
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) != 6*time.Second {
				t.Errorf("%s are left, want 6s", time.Until(deadline))
			}
			<-ctx.Done()
			refresh.Suspend(ctx, nil)() // too late
			return 0, ctx.Err()
		}
		if s := cell.Get(t.Context(), p); !errors.Is(s.Err, context.DeadlineExceeded) || s.Took != time.Hour+10*time.Second {
			t.Errorf("got %+v, want a timeout after an hour and 10s", s)
		}
	})
}

// TestWaitIsNotAHang: fetches that wait for others and then fail at once do not count as a gate that hangs.
func TestWaitIsNotAHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, cells := gated(&cloud{})
		p.Fetch = func(ctx context.Context) (int, error) {
			resume := refresh.Suspend(ctx, errDown)
			pass(time.Hour)
			resume()
			return 0, errDown
		}
		for i := range cells {
			cells[i].Get(t.Context(), p)
		}
		if p.Gate.Hangs() {
			t.Error("the gate hangs")
		}
	})
}

// TestPauseFollowsTheCause: the pause of a failure can depend on later information.
func TestPauseFollowsTheCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{err: errDown}
		p := policy(c)
		longer := time.Duration(0)
		p.Pause = func(*refresh.State[int]) time.Duration { return longer }
		var cell refresh.Cell[int]
		cell.Get(t.Context(), p)
		longer = time.Hour
		pass(time.Hour - 1)
		if cell.IsDue(p) {
			t.Error("it is due within the hour")
		}
		pass(1)
		if !cell.IsDue(p) {
			t.Error("it is not due after the hour")
		}
		cell.Await(t.Context(), p)
		if cell.Retry(); !cell.IsDue(p) {
			t.Error("it is not due although the cause of the failure might be gone")
		}
		cell.Await(t.Context(), p)
		longer = 0
		pass(5 * time.Minute)
		if !cell.IsDue(p) || c.calls.Load() != 3 {
			t.Errorf("%d calls, want the usual pause", c.calls.Load())
		}
	})
}
