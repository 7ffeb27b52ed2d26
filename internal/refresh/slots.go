package refresh

import "sync"

// slots are granted in the order of the requests. What waits for one has no goroutine yet: thousands of sources may wait.
type slots struct {
	all int

	mu      sync.Mutex
	taken   int
	waiting []func()
}

func newSlots(all int) *slots { return &slots{all: all} }

// run calls f in a goroutine once there is a slot, which f must leave.
func (s *slots) run(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken < s.all {
		s.taken++
		go f()
	} else {
		s.waiting = append(s.waiting, f)
	}
}

// leave passes a slot on to the first in the line.
func (s *slots) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		s.taken--
		s.waiting = nil // the memory of a long line
		return
	}
	go s.waiting[0]()
	s.waiting[0] = nil
	s.waiting = s.waiting[1:]
}
