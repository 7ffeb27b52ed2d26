package refresh

import "sync"

// slots are granted in the order of the requests, regardless of which goroutine runs first.
type slots struct {
	all int

	mu      sync.Mutex
	taken   int
	waiting []chan struct{}
}

// place is a place in the line for slots. It is closed when it has one.
type place <-chan struct{}

func newSlots(all int) *slots { return &slots{all: all} }

// line returns the last place in the line.
func (s *slots) line() place {
	p := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken < s.all {
		s.taken++
		close(p)
	} else {
		s.waiting = append(s.waiting, p)
	}
	return p
}

// leave passes a slot on to the first in the line.
func (s *slots) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		s.taken--
		return
	}
	close(s.waiting[0])
	s.waiting = s.waiting[1:]
}
