package huaweicloud

import (
	"errors"
	"fmt"
)

// Skipped counts elements of a list that were skipped because they are invalid.
type Skipped struct {
	Count   int
	Reasons []error // of the first few
}

// MaxReasons is the number of reasons that Skipped keeps.
const MaxReasons = 10

// Add counts an element, and keeps the reason if it is one of the first.
func (s *Skipped) Add(why error) {
	s.Count++
	if len(s.Reasons) < MaxReasons {
		s.Reasons = append(s.Reasons, why)
	}
}

// String returns the reasons, one per line.
func (s Skipped) String() string {
	if s.Count == 0 {
		return ""
	}
	text := errors.Join(s.Reasons...).Error()
	if more := s.Count - len(s.Reasons); more > 0 {
		text += fmt.Sprintf("\nand %d more", more)
	}
	return text
}
