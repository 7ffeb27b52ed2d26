package refresh

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Gate is passed by fetches that share something scarce: at most so many are past it at a time, and none while it is paused. Gates may share
// a Pause and have slots of their own: if a service is asked in several regions, a region that hangs takes no slots of the others, and a
// service that throttles the account pauses all of them. Or they share slots and have a Pause each: those of accounts that ask the same host. A fetch that waits for a slot when the pause begins is not started. All
// methods are safe for concurrent use; a nil Gate is always open.
type Gate struct {
	slots *slots
	pause *Pause
	hung  atomic.Int64 // fetches in a row that used up their time
}

// Why a gate keeps out a fetch that is due.
var (
	ErrShut  = errors.New("the gate is shut")
	ErrHangs = errors.New("the fetches past the gate hang") // only if the fetch gives up
)

// settling is how long a fetch that gives up waits if the last one used up its time: those that began together end together, and all of them
// are to count before another one begins.
const settling = 100 * time.Millisecond

// Pause is what shuts gates. The zero Pause shuts none.
type Pause struct {
	mu     sync.Mutex
	until  time.Time // shut before this
	streak int       // times it was shut since a fetch last succeeded
}

// NewGate returns a Gate with so many slots, which is shut during the pause.
func NewGate(slots int, pause *Pause) *Gate {
	return &Gate{slots: newSlots(slots), pause: pause}
}

// WithPause returns a Gate that has its slots in common with g, and is shut during another pause.
func (g *Gate) WithPause(pause *Pause) *Gate { return &Gate{slots: g.slots, pause: pause} }

func (g *Gate) isOpen() bool {
	if g == nil {
		return true
	}
	g.pause.mu.Lock()
	defer g.pause.mu.Unlock()
	return !time.Now().Before(g.pause.until)
}

// Hangs returns whether as many fetches in a row as may be past the gate at a time used up their time. Who stands in line then is not worth
// waiting for: the line may take that long many times over.
func (g *Gate) Hangs() bool { return g != nil && g.hung.Load() >= int64(g.slots.all) }

// ended notes how a fetch ended: whether it succeeded, and whether it used up its time. If pause is not nil, it shuts the gate.
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

// line returns a place in the line for the slots, which is to be passed to enter.
func (g *Gate) line() place {
	if g == nil {
		return nil
	}
	return g.slots.line()
}

// enter waits for a slot. An error means that the fetch is not to begin: the gate is shut by then or, for those who give up, hangs.
func (g *Gate) enter(p place, givesUp bool) error {
	if g == nil {
		return nil
	}
	<-p
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

// shut keeps everybody out for a pause. Fetches that were past the gate together all report the same failure: it counts once, and
// the longest of their pauses holds.
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

// succeeded ends the streak, unless the success is of a fetch that was past the gate when it was shut.
func (p *Pause) succeeded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !time.Now().Before(p.until) {
		p.streak = 0
	}
}
