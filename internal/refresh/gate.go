package refresh

import (
	"sync"
	"time"
)

// Gate is passed by fetches that share something scarce: at most so many are past it at a time, and none while it is shut. A fetch
// that stands in line when the gate is shut goes home without having begun. All methods are safe for concurrent use; a nil Gate is
// always open.
type Gate struct {
	slots chan struct{}

	mu     sync.Mutex
	until  time.Time // shut before this
	streak int       // times it was shut since a fetch last succeeded
	hung   int       // fetches in a row that used up their time
}

// NewGate returns an open Gate with so many slots.
func NewGate(slots int) *Gate {
	return &Gate{slots: make(chan struct{}, slots)}
}

// Resized returns a Gate with other slots, which is shut as long as g is.
func (g *Gate) Resized(slots int) *Gate {
	resized := NewGate(slots)
	g.mu.Lock()
	defer g.mu.Unlock()
	resized.until, resized.streak = g.until, g.streak
	return resized
}

// Slots returns how many fetches may be past the gate at a time.
func (g *Gate) Slots() int { return cap(g.slots) }

// ShutUntil returns when the gate opens again; the past or the zero time mean that it is open.
func (g *Gate) ShutUntil() time.Time {
	if g == nil {
		return time.Time{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.until
}

func (g *Gate) isOpen() bool { return !time.Now().Before(g.ShutUntil()) }

// hangs tells whether as many fetches in a row as may be past the gate at a time used up their time. Who stands in line then is not worth
// waiting for: the line may take that long many times over.
func (g *Gate) hangs() bool {
	if g == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.hung >= cap(g.slots)
}

// ended takes note of whether a fetch used up its time.
func (g *Gate) ended(hung bool) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if hung {
		g.hung++
	} else {
		g.hung = 0
	}
}

// enter waits for a slot and tells whether the gate is still open then.
func (g *Gate) enter() bool {
	if g == nil {
		return true
	}
	g.slots <- struct{}{}
	if g.isOpen() {
		return true
	}
	g.leave()
	return false
}

func (g *Gate) leave() {
	if g != nil {
		<-g.slots
	}
}

// shut keeps everybody out for a pause. Fetches that were past the gate together all report the same trouble: it counts once, and
// the longest of their pauses holds.
func (g *Gate) shut(pause func(streak int) time.Duration) {
	if g == nil {
		return
	}
	g.mu.Lock()
	if now := time.Now(); !now.Before(g.until) {
		g.streak++
		g.until = now.Add(time.Second) // shut at once, so that the others don't count; for how long is told below
	}
	streak := g.streak
	g.mu.Unlock()
	until := time.Now().Add(pause(streak)) // without the lock, so that the policy may look around
	g.mu.Lock()
	defer g.mu.Unlock()
	if until.After(g.until) {
		g.until = until
	}
}

// succeeded ends the streak, unless the success is of a fetch that was past the gate when it was shut.
func (g *Gate) succeeded() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !time.Now().Before(g.until) {
		g.streak = 0
	}
}
