package refresh

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Gate limits fetches that share a resource: a number of them at a time, and none during a pause. Gates may share a Pause but not
// slots: for a service in several regions, a region that hangs takes no slots of the others, and a service that throttles the
// account pauses all of them. Or they share slots but not a Pause: for accounts that use the same host. A fetch that waits for a
// slot when a pause starts is not started. All methods are safe for concurrent use; a nil Gate is always open.
type Gate struct {
	slots *slots
	pause *Pause
	hung  atomic.Int64 // fetches in a row that timed out
}

// Reasons why a gate holds back a fetch that is due.
var (
	ErrShut  = errors.New("the gate is shut")
	ErrHangs = errors.New("the fetches past the gate hang") // only if the fetch gives up
)

// settling is how long a fetch that gives up waits if the last one timed out: fetches that started together end together, and all of
// them must be counted before another one starts.
const settling = 100 * time.Millisecond

// Pause shuts gates. The zero Pause shuts none.
type Pause struct {
	mu     sync.Mutex
	until  time.Time // shut until then
	streak int       // times it was shut since the last successful fetch
}

// NewGate returns a Gate with a number of slots that is shut during the pause.
func NewGate(slots int, pause *Pause) *Gate {
	return &Gate{slots: newSlots(slots), pause: pause}
}

// WithPause returns a Gate that shares its slots with g, but has another pause.
func (g *Gate) WithPause(pause *Pause) *Gate { return &Gate{slots: g.slots, pause: pause} }

func (g *Gate) isOpen() bool {
	if g == nil {
		return true
	}
	g.pause.mu.Lock()
	defer g.pause.mu.Unlock()
	return !time.Now().Before(g.pause.until)
}

// WasShutAfter reports whether the gate was shut at some time after t.
func (g *Gate) WasShutAfter(t time.Time) bool {
	if g == nil {
		return false
	}
	g.pause.mu.Lock()
	defer g.pause.mu.Unlock()
	return g.pause.until.After(t)
}

// Hangs reports whether as many fetches in a row as the gate has slots have timed out. Waiting in line is then pointless, because
// the line may take many times as long.
func (g *Gate) Hangs() bool { return g != nil && g.hung.Load() >= int64(g.slots.all) }

// ended records how a fetch ended: whether it succeeded, and whether it timed out. If pause is not nil, it shuts the gate.
func (g *Gate) ended(succeeded, hung bool, pause func(streak int) time.Duration) {
	if g == nil {
		return
	}
	if hung {
		g.hung.Add(1)
	} else {
		g.hung.Store(0)
	}
	switch {
	case succeeded:
		g.pause.succeeded()
	case pause != nil:
		g.pause.shut(pause)
	}
}

// run calls f in a goroutine once there is a slot. f must call enter.
func (g *Gate) run(f func()) {
	if g == nil {
		go f()
		return
	}
	g.slots.run(f)
}

// enter uses a slot until leave. It returns an error, and passes on the slot, if the fetch must not start: the gate is shut by now or,
// for fetches that give up, hangs.
func (g *Gate) enter(givesUp bool) error {
	if g == nil {
		return nil
	}
	if givesUp && g.hung.Load() > 0 && !g.Hangs() {
		time.Sleep(settling)
	}
	switch {
	case !g.isOpen():
		g.leave()
		return ErrShut
	case givesUp && g.Hangs():
		g.leave()
		return ErrHangs
	default:
		return nil
	}
}

func (g *Gate) leave() {
	if g != nil {
		g.slots.leave()
	}
}

// shut holds back all fetches for a pause. Concurrent fetches all report the same failure: it counts once, and the longest of their
// pauses is used.
func (p *Pause) shut(length func(streak int) time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if !now.Before(p.until) {
		p.streak++
	}
	if until := now.Add(length(p.streak)); until.After(p.until) {
		p.until = until
	}
}

// succeeded ends the streak, unless the fetch had passed the gate before it was shut.
func (p *Pause) succeeded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !time.Now().Before(p.until) {
		p.streak = 0
	}
}
