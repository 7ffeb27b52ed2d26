package fleet

import (
	"fmt"
	"slices"
	"strings"
)

// Filter says which sources are wanted; an empty list means all.
type Filter struct{ Services, Projects []string }

// Wants tells whether a source is wanted. It is what Read asks.
func (f Filter) Wants(service, project string) bool {
	return (len(f.Services) == 0 || slices.Contains(f.Services, service)) &&
		(len(f.Projects) == 0 || slices.Contains(f.Projects, project))
}

// CheckNames refuses names that are not known, and tells which are, so that nobody takes an empty answer for good news. What says how
// they were asked for, such as collect[].
func CheckNames(what string, asked, known []string) error {
	for _, name := range asked {
		if !slices.Contains(known, name) {
			return fmt.Errorf("%s=%q is not known; known are: %s", what, name, strings.Join(known, ", "))
		}
	}
	return nil
}
