package refresh_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/refresh"
)

// gated returns a policy with a gate of two slots, and ten cells for it.
func gated(c *cloud) (*refresh.Policy[int], []refresh.Cell[int]) {
	p := policy(c)
	p.Gate = refresh.NewGate(2, new(refresh.Pause))
	return p, make([]refresh.Cell[int], 10)
}

// wantAttempts asserts the outcomes of the cells' last fetches.
func wantAttempts(t *testing.T, cells []refresh.Cell[int], begun, shut, hang, waiting int) {
	t.Helper()
	synctest.Wait()
	got := map[error]int{}
	inLine := errors.New("waits in line")
	for i := range cells {
		b, keptOut := cells[i].Attempt()
		if !b && keptOut == nil {
			keptOut = inLine
		}
		got[keptOut]++
	}
	if got[nil] != begun || got[refresh.ErrShut] != shut || got[refresh.ErrHangs] != hang || got[inLine] != waiting {
		t.Errorf("got %v, want %d fetches started, %d at a shut gate, %d at one that hangs, %d in line", got, begun, shut, hang, waiting)
	}
}

// wantPause asserts that the gate of a policy opens after d, and not before.
func wantPause(t *testing.T, p *refresh.Policy[int], d time.Duration) {
	t.Helper()
	probe := *p
	probe.Fetch = func(context.Context) (int, error) { return 0, errDown }
	for _, step := range []struct {
		after time.Duration
		begun int
	}{{d - 1, 0}, {1, 1}} {
		pass(step.after)
		cell := make([]refresh.Cell[int], 1)
		if _, inFlight := cell[0].Ask(t.Context(), &probe); (inFlight != nil) != (step.begun == 1) {
			t.Errorf("something to wait for: %t", inFlight != nil)
		}
		wantAttempts(t, cell, step.begun, 1-step.begun, 0, 0)
	}
}

func TestSlotsLimitFetchesAndTimeoutStartsWithTheSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{latency: 100 * time.Millisecond}
		p, _ := gated(c)
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
		if took := time.Since(start); took != 50*time.Second || c.most.Load() != 2 {
			t.Errorf("took %s with %d fetches at a time, want 500 rounds of 100ms with 2", took, c.most.Load())
		}
	})
}

// TestThrottlingPausesAll: fetches that wait in line or come later are held back. The two that were throttled together cause one pause, which
// replaces that of the earlier failure.
func TestThrottlingPausesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{err: errDown}
		p, cells := gated(c)
		cells[0].Get(t.Context(), p)
		pass(15 * time.Second)
		c.set(time.Second, errThrottled)
		for i := range 9 {
			cells[i].Ask(t.Context(), p)
			synctest.Wait() // the first two have the slots
		}
		pass(time.Second)
		cells[9].Ask(t.Context(), p)
		wantAttempts(t, cells, 2, 8, 0, 0)
		if n := c.calls.Load(); n != 1+2 {
			t.Errorf("%d calls, want the first one and the 2 that had a slot", n)
		}
		wantPause(t, p, 15*time.Second)
		c.set(time.Second, nil)
		for i := range cells {
			if s, _ := cells[i].Ask(t.Context(), p); s.Fetches != 0 && !errors.Is(s.Err, errThrottled) || s.Fetches == 0 && s.Err != nil {
				t.Errorf("cell %d: %+v, want no fetch of those that were held back", i, s)
			}
		}
		wantAttempts(t, cells, 2, 0, 0, 8)
		for i := range cells {
			if s := cells[i].Await(t.Context(), p); s.Err != nil || s.Value == 0 {
				t.Errorf("cell %d: %+v, want a value once the gate is open", i, s)
			}
		}
	})
}

// TestThrottlingAgainDoublesThePause, until a fetch succeeds that was not past the gate when it was shut.
func TestThrottlingAgainDoublesThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{latency: time.Second}
		p, cells := gated(c)
		cells[0].Ask(t.Context(), p)
		synctest.Wait()
		c.set(0, errThrottled)
		cells[1].Get(t.Context(), p)
		pass(time.Second) // the first one succeeds now
		wantPause(t, p, 14*time.Second)
		cells[2].Get(t.Context(), p)
		wantPause(t, p, 30*time.Second)
		c.set(0, nil)
		cells[3].Get(t.Context(), p)
		c.set(0, errThrottled)
		cells[4].Get(t.Context(), p)
		wantPause(t, p, 15*time.Second)
	})
}

func TestLongestPauseIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		short, cells := gated(&cloud{latency: time.Second, err: errThrottled})
		long := *short
		long.Backoff = func(int, error) time.Duration { return time.Minute }
		cells[0].Ask(t.Context(), &long)
		pass(500 * time.Millisecond)
		cells[1].Get(t.Context(), short) // ends after the first, with a pause that is over earlier
		wantPause(t, short, time.Minute-500*time.Millisecond)
	})
}

// TestGatesWithOnePause have their own slots, and are shut together.
func TestGatesWithOnePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, quick := &cloud{latency: 9 * time.Second}, &cloud{}
		one, two := policy(slow), policy(quick)
		pause := new(refresh.Pause)
		one.Gate, two.Gate = refresh.NewGate(1, pause), refresh.NewGate(1, pause)
		var cells [3]refresh.Cell[int]
		start := time.Now()
		cells[0].Ask(t.Context(), one)
		synctest.Wait() // it has the slot now
		if got := cells[1].Get(t.Context(), two); got.Value != 1 || time.Since(start) != 0 {
			t.Errorf("got %+v after %s, want no wait for the slot of the other gate", got, time.Since(start))
		}
		quick.set(0, errThrottled)
		cells[2].Get(t.Context(), two)
		wantPause(t, one, 15*time.Second) // the slow one has ended by then
	})
}

// TestCallersDoNotWaitForAHangingQueue: once as many fetches in a row as there are slots have timed out, callers do not wait for the rest of the line,
// until one of it gets a response.
func TestCallersDoNotWaitForAHangingQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{latency: time.Hour}
		p, cells := gated(c)
		wantWaited := func(want int, why string) {
			t.Helper()
			n := 0
			for i := range cells {
				if _, inFlight := cells[i].Ask(t.Context(), p); inFlight != nil {
					n++
				}
			}
			if n != want {
				t.Errorf("%d are waited for, want %d: %s", n, want, why)
			}
		}
		cells[0].Ask(t.Context(), p)
		pass(time.Second)
		wantWaited(10, "nothing is known")
		pass(9 * time.Second)
		wantWaited(9, "one fetch that hangs does not affect the others")
		pass(time.Second)
		wantWaited(0, "two hung")
		c.set(0, nil)
		pass(10 * time.Second)
		for i := range cells {
			if s := cells[i].Peek(); s.Fetches != 1 {
				t.Errorf("cell %d: %+v, want it fetched although no caller waits", i, s)
			}
		}
		pass(5 * time.Minute)
		wantWaited(6, "these have values that are old by now")
	})
}

// TestCommandsDoNotWaitForAHangingQueue: after as many timeouts in a row as there are slots, no more fetches start, and the fetches end.
func TestCommandsDoNotWaitForAHangingQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{latency: time.Hour}
		p, cells := gated(c)
		p.GivesUp = true
		start := time.Now()
		var fetches []<-chan struct{}
		for i := range 9 {
			_, inFlight := cells[i].Ask(t.Context(), p)
			fetches = append(fetches, inFlight)
		}
		wantAttempts(t, cells[:9], 2, 0, 0, 7)
		for _, inFlight := range fetches {
			<-inFlight
		}
		if took := time.Since(start); took > 11*time.Second || c.calls.Load() != 2 {
			t.Errorf("%d fetches in %s, want 2 in the 10s of one timeout", c.calls.Load(), took)
		}
		s, inFlight := cells[9].Ask(t.Context(), p)
		if inFlight == nil {
			t.Fatal("nothing to wait for, want a caller to wait for the outcome of the fetch")
		}
		<-inFlight
		wantAttempts(t, cells, 2, 0, 8, 0)
		if s.Fetches != 0 {
			t.Errorf("later: %+v, want it held back", s)
		}
	})
}

// TestWaitingNeedsNoGoroutine: a thousand fetches that wait for a slot have no goroutines, whose memory Go would keep.
func TestWaitingNeedsNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := gated(&cloud{latency: time.Second})
		cells := make([]refresh.Cell[int], 1000)
		before := runtime.NumGoroutine()
		for i := range cells {
			cells[i].Ask(t.Context(), p)
		}
		wantAttempts(t, cells, 2, 0, 0, 998)
		if n := runtime.NumGoroutine() - before; n > 10 {
			t.Errorf("%d goroutines for two fetches and 998 that wait", n)
		}
		pass(501 * time.Second)
		wantAttempts(t, cells, 1000, 0, 0, 0)
	})
}
