package fleet

import (
	"cmp"
	"slices"

	"cloud_quota_exporter/internal/config"
)

// build makes the view of the accounts and of the projects that are known now, and remembers what it needs; f.building is held.
func (f *Fleet) build(accounts []*account) *view {
	b := builder{
		before: f.memory, next: newMemory(),
		view: &view{accounts: accounts, lists: lists(accounts), found: map[string][]config.Project{}, skipped: map[string][]string{}, served: map[string]int{}},
	}
	for _, a := range accounts {
		b.found[a.Name] = a.discovered()
		if a.listed != nil {
			b.next.lists[a.Name] = a.listed
			a.gate("iam", a.iamRegion(), iamInFlight, b.before, b.next)
		}
		for _, p := range a.Projects {
			b.serve(a, p, false)
		}
	}
	b.addDiscovered()
	f.memory = b.next
	slices.SortStableFunc(b.sources, func(a, b *source) int { return cmp.Compare(a.project.label, b.project.label) })
	for _, s := range b.sources {
		b.labels = append(b.labels, s.project.label)
	}
	b.labels = slices.Clip(slices.Compact(b.labels))
	return b.view
}

// tellSkipped tells of accounts that leave out other projects than before. No lock is held.
func (f *Fleet) tellSkipped(before, now *view) {
	for _, a := range now.accounts {
		if !slices.Equal(now.skipped[a.Name], before.skipped[a.Name]) {
			f.options.Skipped(a.Name, now.skipped[a.Name])
		}
	}
}

// builder makes a view.
type builder struct {
	*view

	before, next memory
}

// serve adds the sources of a project.
func (b *builder) serve(a *account, p config.Project, discovered bool) {
	b.served[a.Name]++
	b.sources = append(b.sources, a.sources(p, discovered, b.before, b.next)...)
}

// addDiscovered adds the discovered projects. A label that is stated is taken; who had a label before keeps it, so that a series does not
// become another project's; else it goes to the first.
func (b *builder) addDiscovered() {
	taken := map[string]bool{}
	for _, a := range b.accounts {
		for _, p := range a.Projects {
			taken[p.Name] = true
		}
	}
	add := func(a *account, p config.Project) {
		taken[p.Name] = true
		b.next.holders[p.Name] = holder{a.Name, p.ID}
		b.serve(a, p, true)
	}
	isHolder := func(a *account, p config.Project) bool { return b.before.holders[p.Name] == holder{a.Name, p.ID} }
	for _, a := range b.accounts {
		for _, p := range b.found[a.Name] {
			if isHolder(a, p) && !taken[p.Name] {
				add(a, p)
			}
		}
	}
	for _, a := range b.accounts {
		for _, p := range b.found[a.Name] {
			switch {
			case b.next.holders[p.Name] == holder{a.Name, p.ID}: // added above
			case taken[p.Name]:
				b.skipped[a.Name] = append(b.skipped[a.Name], p.Name)
			default:
				add(a, p)
			}
		}
	}
}
