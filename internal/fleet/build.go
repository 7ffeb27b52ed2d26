package fleet

import (
	"cmp"
	"slices"

	"cloud_quota_exporter/internal/config"
)

// build makes the sources of the accounts and of the projects that are known now; f.mu is held.
func (f *Fleet) build() {
	next := newMemory()
	f.built, f.sources = f.lists(), nil
	for _, a := range f.loaded {
		a.served, a.found = len(a.Projects), a.discovered()
		if a.listed != nil {
			next.lists[a.Name] = a.listed
			a.gate("iam", iamInFlight, f.memory, next)
		}
		for _, p := range a.Projects {
			f.sources = append(f.sources, a.sources(p, false, f.memory, next)...)
		}
	}
	f.buildDiscovered(next)
	for _, a := range f.loaded {
		if !slices.Equal(next.skipped[a.Name], f.memory.skipped[a.Name]) {
			f.options.Skipped(a.Name, next.skipped[a.Name])
		}
	}
	f.memory = next
	slices.SortStableFunc(f.sources, func(a, b *source) int { return cmp.Compare(a.project.label, b.project.label) })
	f.labels = nil
	for _, s := range f.sources {
		f.labels = append(f.labels, s.project.label)
	}
	f.labels = slices.Clip(slices.Compact(f.labels))
}

// buildDiscovered adds the discovered projects. A label that is stated is taken; who had a label before keeps it, so that a series does not
// become another project's; else it goes to the first.
func (f *Fleet) buildDiscovered(next memory) {
	taken := map[string]bool{}
	for _, a := range f.loaded {
		for _, p := range a.Projects {
			taken[p.Name] = true
		}
	}
	add := func(a *account, p config.Project) {
		taken[p.Name] = true
		next.holders[p.Name] = holder{a.Name, p.ID}
		a.served++
		f.sources = append(f.sources, a.sources(p, true, f.memory, next)...)
	}
	isHolder := func(a *account, p config.Project) bool { return f.memory.holders[p.Name] == holder{a.Name, p.ID} }
	for _, a := range f.loaded {
		for _, p := range a.found {
			if isHolder(a, p) && !taken[p.Name] {
				add(a, p)
			}
		}
	}
	for _, a := range f.loaded {
		for _, p := range a.found {
			switch {
			case next.holders[p.Name] == holder{a.Name, p.ID}: // added above
			case taken[p.Name]:
				next.skipped[a.Name] = append(next.skipped[a.Name], p.Name)
			default:
				add(a, p)
			}
		}
	}
}
