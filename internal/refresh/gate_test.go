package refresh_test

import (
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/refresh"
)

// throttled returns cells that share a gate of 2 slots, the first of which was just throttled.
func throttled(t *testing.T, c *cloud, p *refresh.Policy[int]) []refresh.Cell[int] {
	t.Helper()
	p.Gate = refresh.NewGate(2)
	cells := make([]refresh.Cell[int], 10)
	c.set(0, errThrottled)
	cells[0].Get(t.Context(), p)
	return cells
}

func TestThrottlingPausesEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{}
		p := policy(c)
		cells := throttled(t, c, p)
		if until := p.Gate.ShutUntil(); !until.Equal(time.Now().Add(15 * time.Second)) {
			t.Errorf("shut until %s, want 15s", until)
		}
		pass(15*time.Second - 1)
		for i := range cells {
			if s := cells[i].Get(t.Context(), p); i > 0 && (s.Fetches != 0 || s.Err != nil) {
				t.Errorf("cell %d: %+v, want no fetch through a shut gate", i, s)
			}
		}
		c.set(0, nil)
		pass(1)
		for i := range cells {
			if s := cells[i].Await(t.Context(), p); s.Err != nil || s.Value == 0 {
				t.Errorf("cell %d: %+v, want a value once the gate is open", i, s)
			}
		}
	})
}

func TestNothingToWaitForAtAShutGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{}
		p := policy(c)
		cells := throttled(t, c, p)
		if s, inFlight := cells[1].Ask(t.Context(), p); inFlight != nil {
			t.Errorf("got %+v and something to wait for, want no fetch in line while the gate is shut", s)
		}
	})
}

func TestThrottlingSendsHomeWhoStandsInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{latency: time.Second, err: errThrottled}
		p := policy(c)
		p.Gate = refresh.NewGate(2)
		cells := make([]refresh.Cell[int], 10)
		for i := range cells {
			cells[i].Ask(t.Context(), p)
		}
		pass(time.Second)
		begun := 0
		for i := range cells {
			if s := cells[i].Peek(); s.Fetches == 1 {
				begun++
			}
		}
		if n := c.calls.Load(); n != 2 || begun != 2 {
			t.Errorf("%d calls and %d finished fetches, want the 2 that had a slot", n, begun)
		}
		if until := p.Gate.ShutUntil(); !until.Equal(time.Now().Add(15 * time.Second)) {
			t.Errorf("shut until %s, want one pause of 15s for both", until)
		}
	})
}

func TestThrottlingAgainDoublesThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{}
		p := policy(c)
		cells := throttled(t, c, p)
		pass(15 * time.Second)
		cells[1].Get(t.Context(), p) // another value, but the same gate
		if until := p.Gate.ShutUntil(); !until.Equal(time.Now().Add(30 * time.Second)) {
			t.Errorf("shut until %s, want 30s", until)
		}
		c.set(0, nil)
		pass(30 * time.Second)
		cells[2].Get(t.Context(), p) // a success ends the streak
		c.set(0, errThrottled)
		cells[3].Get(t.Context(), p)
		if until := p.Gate.ShutUntil(); !until.Equal(time.Now().Add(15 * time.Second)) {
			t.Errorf("shut until %s, want 15s", until)
		}
	})
}

func TestSuccessOfAnEarlierFetchKeepsTheGateShut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{latency: time.Second}
		p := policy(c)
		p.Gate = refresh.NewGate(2)
		var slow, quick refresh.Cell[int]
		slow.Ask(t.Context(), p)
		synctest.Wait()
		c.set(0, errThrottled)
		quick.Get(t.Context(), p)
		pass(time.Second) // the slow one succeeds now
		pass(14 * time.Second)
		var other refresh.Cell[int]
		other.Get(t.Context(), p)
		if until := p.Gate.ShutUntil(); !until.Equal(time.Now().Add(30 * time.Second)) {
			t.Errorf("shut until %s, want the second pause in a row", until)
		}
	})
}

func TestLongestPauseHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{latency: time.Second, err: errThrottled}
		short := policy(c)
		short.Gate = refresh.NewGate(2)
		long := *short
		long.Backoff = func(int, error) time.Duration { return time.Minute }
		var first, second refresh.Cell[int]
		start := time.Now()
		first.Ask(t.Context(), &long)
		pass(500 * time.Millisecond)
		second.Get(t.Context(), short) // ends after the first, with a pause that is over earlier
		if until, want := short.Gate.ShutUntil(), start.Add(time.Second+time.Minute); !until.Equal(want) {
			t.Errorf("shut until %s, want %s: the longer pause", until, want)
		}
	})
}

// TestNobodyWaitsInALineThatHangs: once as many fetches in a row as there are slots used up their time, nobody waits for the rest of the
// line, until one of it is answered.
func TestNobodyWaitsInALineThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{latency: time.Hour}
		p := policy(c)
		p.Gate = refresh.NewGate(2)
		cells := make([]refresh.Cell[int], 10)
		waited := func() (n int) {
			for i := range cells {
				if _, inFlight := cells[i].Ask(t.Context(), p); inFlight != nil {
					n++
				}
			}
			return n
		}
		cells[0].Ask(t.Context(), p)
		pass(time.Second)
		if n := waited(); n != 10 {
			t.Errorf("%d are waited for, want all as long as nothing is known", n)
		}
		pass(9 * time.Second)
		if n := waited(); n != 9 {
			t.Errorf("%d are waited for, want 9: one fetch that hangs tells nothing of the others", n)
		}
		pass(time.Second)
		if n := waited(); n != 0 {
			t.Errorf("%d are waited for, want none after two that hung", n)
		}
		c.set(0, nil)
		pass(10 * time.Second)
		for i := range cells {
			if s := cells[i].Peek(); s.Fetches != 1 {
				t.Errorf("cell %d: %+v, want it fetched although nobody waits", i, s)
			}
		}
		pass(5 * time.Minute)
		if n := waited(); n != 6 {
			t.Errorf("%d are waited for, want the 6 that were answered and are old by now", n)
		}
	})
}
