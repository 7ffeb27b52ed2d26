package providers

import (
	"errors"
	"fmt"
)

// Quota is one quota of a service. A nil number was not reported; it is never replaced by zero.
type Quota struct {
	ResourceType string   // the API's own word, e.g. "data_tracker"
	Unit         string   // of the numbers, e.g. "GB"; empty for a count
	Used         *float64 // amount in use
	Limit        *float64 // the quota; +Inf if the service says that there is no limit
	Remaining    *float64 // amount left, only if the service reports it
	Min, Max     *float64 // the range in which the limit can be requested
}

// Result is one answer: the quotas that could be read, and why others could not.
type Result struct {
	Quotas     []Quota
	Skipped    Skipped // resources that were left out
	Incomplete error   // why a quota lacks numbers that the service could report; nil if none does
}

// Skipped are resources that were left out because they could not be read.
type Skipped struct {
	Count   int
	Reasons []error // of the first few
}

const maxReasons = 10

// add counts one more resource, and keeps the reason if it is one of the first.
func (s *Skipped) add(why error) {
	s.Count++
	if len(s.Reasons) < maxReasons {
		s.Reasons = append(s.Reasons, why)
	}
}

// String returns the reasons, one on each line.
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
