package fleet

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Filter says which sources are wanted; an empty list means all.
type Filter struct{ Services, Projects []string }

// of returns which of the sources are wanted. They are sorted by label, so that a project among thousands is found at once.
func (f Filter) of(sources []*source) []*source {
	if len(f.Projects) > 0 {
		sources = labelled(sources, f.Projects)
	}
	if len(f.Services) == 0 {
		return sources
	}
	return slices.DeleteFunc(slices.Clone(sources), func(s *source) bool { return !slices.Contains(f.Services, s.service.Name) })
}

// labelled returns the sources of the projects with these labels.
func labelled(sources []*source, labels []string) (found []*source) {
	for _, label := range slices.Compact(slices.Sorted(slices.Values(labels))) {
		first, _ := slices.BinarySearchFunc(sources, label, func(s *source, label string) int { return cmp.Compare(s.project.label, label) })
		for _, s := range sources[first:] {
			if s.project.label != label {
				break
			}
			found = append(found, s)
		}
	}
	return found
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
