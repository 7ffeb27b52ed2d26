package refresh_test

import (
	"context"
	"errors"
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
		TTL:     func(int) time.Duration { return 5 * time.Minute },
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

func TestManyAskersMakeOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{latency: 50 * time.Millisecond}
		var cell refresh.Cell[int]
		var askers sync.WaitGroup
		for range 1000 {
			askers.Go(func() {
				if s := cell.Get(t.Context(), policy(c)); s.Value != 1 || s.Err != nil || s.Fetches != 1 {
					t.Errorf("got %+v, want the value of the first fetch", s)
				}
			})
		}
		askers.Wait()
		if n := c.calls.Load(); n != 1 {
			t.Errorf("%d fetches, want 1", n)
		}
	})
}

func TestValueServesWhileFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{latency: time.Second}
		var cell refresh.Cell[int]
		first := cell.Get(t.Context(), policy(c))
		if first.Took != time.Second || time.Since(first.ReadAt) != 0 {
			t.Errorf("took %s, read %s ago; want 1s and now", first.Took, time.Since(first.ReadAt))
		}
		pass(5*time.Minute - time.Second - 1) // freshness counts from the start of the fetch
		if s := cell.Get(t.Context(), policy(c)); s != first {
			t.Errorf("a fresh value was replaced: %+v", s)
		}
		pass(1)
		if s := cell.Get(t.Context(), policy(c)); s.Value != 2 {
			t.Errorf("got %+v, want a new value once the old one is no longer fresh", s)
		}
	})
}

func TestLateAnswerServesTheNextAsker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{latency: 3 * time.Second}
		var cell refresh.Cell[int]
		start := time.Now()
		if s := cell.Get(within(t, time.Second), policy(c)); s.Fetches != 0 || !s.ReadAt.IsZero() {
			t.Errorf("got %+v before the answer, want nothing", s)
		}
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("waited %s, want 1s", waited)
		}
		pass(2 * time.Second)
		if s := cell.Get(t.Context(), policy(c)); s.Value != 1 || c.calls.Load() != 1 {
			t.Errorf("got %+v after %d fetches, want the late answer of the first", s, c.calls.Load())
		}
	})
}

func TestSlotsBoundFetchesAndTimeoutBeginsWithTheSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{latency: 100 * time.Millisecond}
		p := policy(c)
		p.Gate = refresh.NewGate(8)
		cells := make([]refresh.Cell[int], 1000)
		start := time.Now()
		var askers sync.WaitGroup
		for i := range cells {
			askers.Go(func() {
				if s := cells[i].Get(t.Context(), p); s.Err != nil || s.Took != 100*time.Millisecond {
					t.Errorf("got %+v, want a fetch of 100ms without a false timeout", s)
				}
			})
		}
		askers.Wait()
		if took := time.Since(start); took != 12500*time.Millisecond {
			t.Errorf("took %s, want 125 rounds of 100ms", took)
		}
		if n := c.most.Load(); n != 8 {
			t.Errorf("%d fetches at a time, want 8", n)
		}
	})
}

func TestSettledSeesBothStatesBeforeTheAsker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{err: errDown}
		p := policy(c)
		var told [][2]*refresh.State[int]
		p.OnDone = func(before, after *refresh.State[int]) {
			told = append(told, [2]*refresh.State[int]{before, after})
		}
		var cell refresh.Cell[int]
		before := cell.Peek()
		after := cell.Get(t.Context(), p)
		if len(told) != 1 || told[0] != [2]*refresh.State[int]{before, after} {
			t.Errorf("told %v, want the state before and after", told)
		}
	})
}
