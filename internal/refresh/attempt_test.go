package refresh_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/refresh"
)

// attempts counts what became of the cells' last fetches.
func attempts(cells []refresh.Cell[int]) (begun, shut, hang, waiting int) {
	for i := range cells {
		switch b, keptOut := cells[i].Attempt(); {
		case b && keptOut == nil:
			begun++
		case !b && errors.Is(keptOut, refresh.ErrShut):
			shut++
		case !b && errors.Is(keptOut, refresh.ErrHangs):
			hang++
		case !b && keptOut == nil:
			waiting++
		}
	}
	return begun, shut, hang, waiting
}

// TestWhoGivesUpWaitsForNoLineThatHangs: after as many timeouts in a row as there are slots, no fetch begins any more, and the fetches end.
func TestWhoGivesUpWaitsForNoLineThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{latency: time.Hour}
		p := policy(c)
		p.Gate, p.GivesUp = refresh.NewGate(2), true
		cells := make([]refresh.Cell[int], 100)
		start := time.Now()
		var fetches []<-chan struct{}
		for i := range cells {
			_, inFlight := cells[i].Ask(t.Context(), p)
			fetches = append(fetches, inFlight)
		}
		pass(time.Second)
		if begun, _, _, waiting := attempts(cells); begun != 2 || waiting != 98 {
			t.Errorf("%d fetches have begun and %d stand in line, want 2 and 98", begun, waiting)
		}
		for _, inFlight := range fetches {
			<-inFlight
		}
		begun, _, hang, _ := attempts(cells)
		if took := time.Since(start); took > 11*time.Second || begun != 2 || hang != 98 || c.calls.Load() != 2 {
			t.Errorf("after %s, %d fetches have begun and %d were kept out, of %d calls; want 2 and 98", took, begun, hang, c.calls.Load())
		}
		var late refresh.Cell[int]
		s, inFlight := late.Ask(t.Context(), p)
		if inFlight == nil {
			t.Fatal("nothing to wait for, want it worth the wait to know what becomes of the fetch")
		}
		<-inFlight
		if _, keptOut := late.Attempt(); s.Fetches != 0 || !errors.Is(keptOut, refresh.ErrHangs) {
			t.Errorf("asked later: %v, want it kept out", keptOut)
		}
	})
}

// TestAttemptAtAShutGate: fetches that stood in line when the gate was shut are kept out, and those that are due later.
func TestAttemptAtAShutGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{latency: time.Second, err: errThrottled}
		p := policy(c)
		p.Gate = refresh.NewGate(2)
		cells := make([]refresh.Cell[int], 10)
		for i := range 9 {
			cells[i].Ask(t.Context(), p)
		}
		pass(time.Second)
		cells[9].Ask(t.Context(), p)
		if begun, shut, _, _ := attempts(cells); begun != 2 || shut != 8 {
			t.Errorf("%d fetches began and %d were kept out, want 2 and 8", begun, shut)
		}
		c.set(time.Second, nil)
		pass(15 * time.Second)
		for i := range cells {
			cells[i].Ask(t.Context(), p)
		}
		synctest.Wait()
		if begun, _, _, waiting := attempts(cells); begun != 2 || waiting != 8 {
			t.Errorf("after the pause, %d fetches have begun and %d stand in line, want 2 and 8", begun, waiting)
		}
		pass(time.Minute) // all end
	})
}
