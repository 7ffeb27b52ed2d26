package fleet

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/refresh"
)

type (
	projectList = refresh.Cell[[]huaweicloud.Project]
	listState   = refresh.State[[]huaweicloud.Project]
)

// discover gives an account that discovers its projects the Cell of their list. The caller holds f.building.
func (f *Fleet) discover(a *account) {
	if a.Discovery == nil {
		return
	}
	a.listCell = f.stores.lists.get(a.Name, func() *projectList { return new(projectList) })
	if a.changed { // other keys may see other projects; the list serves until then
		a.listCell.Retry()
		a.listCell.Expire(a.listCell.Peek())
	}
	iam := a.iam(a.iamRegion())
	iam.Action = huaweicloud.ListProjectsAction
	interval := a.Discovery.RefreshInterval
	a.listPolicy = &refresh.Policy[[]huaweicloud.Project]{
		Fetch:       func(ctx context.Context) ([]huaweicloud.Project, error) { return huaweicloud.ListProjects(ctx, iam) },
		Timeout:     huaweicloud.ListTimeout,
		TTL:         func([]huaweicloud.Project) time.Duration { return interval },
		Backoff:     func(streak int, err error) time.Duration { return huaweicloud.Pause(streak, err, interval) },
		Gate:        f.gate(a.Name, "iam", a.iamRegion(), iamInFlight),
		IsThrottled: throttledBy("iam"),
		OnDone: func(before, after *listState) {
			a.keys.noteFailure(after.Err)
			f.log.discovered(a.Name, before, after, a.empty(after, a.wanted(after.Value)))
		},
	}
}

// wanted returns the projects of a list that are to be read, without those that are configured.
func (a *account) wanted(list []huaweicloud.Project) []config.Project {
	type project struct{ region, id string } // the id is empty for the one that has the region's name
	configured := make(map[project]bool, len(a.Projects))
	for _, p := range a.Projects {
		configured[project{p.Region, p.ID}] = true
	}
	var wanted []config.Project
	for _, p := range list {
		region := p.Region()
		isConfigured := configured[project{region, p.ID}] || p.Name == region && configured[project{region, ""}]
		if p.Serves() && a.Discovery.Wants(p.Name, region) && !isConfigured {
			wanted = append(wanted, config.Project{ID: p.ID, Region: region, Name: a.Discovery.NamePrefix + p.Name})
		}
	}
	slices.SortFunc(wanted, func(x, y config.Project) int { return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.ID, y.ID)) })
	return wanted
}

// empty returns an error if a list leaves the account without a project: IAM leaves out what the keys may not see, so that all seems well.
func (a *account) empty(list *listState, wanted []config.Project) error {
	succeeded := list.Err == nil && !list.ReadAt.IsZero()
	if !succeeded || len(a.Projects)+len(wanted) > 0 {
		return nil
	}
	return huaweicloud.Advise(fmt.Errorf("none of the projects that IAM lists (%d) is read", len(list.Value)),
		"check that the keys may see projects, and regions, include and exclude of discovery")
}

// Discover asks for the lists of projects that are due. It waits for a list that was never read, until ctx ends, and not for one that is
// only old.
func (f *Fleet) Discover(ctx context.Context) {
	f.retryChangedKeys(ctx)
	f.discoverDue(ctx)
}

func (f *Fleet) discoverDue(ctx context.Context) {
	wait(ctx, f.askLists(ctx))
	if !f.now.Load().isOutdated() {
		return
	}
	f.building.Lock()
	before := f.now.Load()
	now := before.withLists()
	if now.hasOtherProjects() {
		now = f.build(before.configured()) // else the sources stay the same, and so do their readings
	}
	f.now.Store(now)
	f.building.Unlock()
	f.log.skippedProjects(before, now)
}

// askLists begins to fetch the lists that are due, and returns what to wait for.
func (f *Fleet) askLists(ctx context.Context) []<-chan struct{} {
	var fetches []<-chan struct{}
	for _, a := range f.now.Load().accounts {
		if a.list == nil {
			continue
		}
		if state, fetch := a.listCell.Ask(ctx, a.listPolicy); state.ReadAt.IsZero() && fetch != nil {
			fetches = append(fetches, fetch)
		}
	}
	return fetches
}

// isOutdated returns whether a list has changed since the view was made.
func (v *view) isOutdated() bool {
	return slices.ContainsFunc(v.accounts, func(a *accountView) bool { return a.list != nil && a.list != a.listCell.Peek() })
}

// withLists returns the view with the lists as they are now, and the projects as they were.
func (v *view) withLists() *view {
	now := *v
	now.accounts = make([]*accountView, len(v.accounts))
	for i, a := range v.accounts {
		b := *a
		if b.list != nil {
			b.list = b.listCell.Peek()
		}
		now.accounts[i] = &b
	}
	return &now
}

// hasOtherProjects returns whether the lists have other wanted projects than the view.
func (v *view) hasOtherProjects() bool {
	return slices.ContainsFunc(v.accounts, func(a *accountView) bool { return a.list != nil && !slices.Equal(a.wanted(a.list.Value), a.found) })
}

// configured returns the accounts of the view.
func (v *view) configured() []*account {
	var accounts []*account
	for _, a := range v.accounts {
		accounts = append(accounts, a.account)
	}
	return accounts
}

// holder is the discovered project that has a label, and keeps it while it is there.
type holder struct{ account, projectID string }

// addDiscovered adds the discovered projects. A configured label is taken. A project that had a label before keeps it, so that a series does
// not become another project's. Else the first one gets it.
func (f *Fleet) addDiscovered(v *view) {
	taken := map[string]bool{}
	for _, a := range v.accounts {
		for _, p := range a.Projects {
			taken[p.Name] = true
		}
	}
	before, holders := f.stores.holders, map[string]holder{}
	add := func(a *accountView, p config.Project) {
		taken[p.Name] = true
		holders[p.Name] = holder{a.Name, p.ID}
		f.serve(v, a, p, true)
	}
	for _, a := range v.accounts {
		for _, p := range a.found {
			if before[p.Name] == (holder{a.Name, p.ID}) && !taken[p.Name] {
				add(a, p)
			}
		}
	}
	for _, a := range v.accounts {
		for _, p := range a.found {
			switch {
			case holders[p.Name] == holder{a.Name, p.ID}: // added above
			case taken[p.Name]:
				a.skipped = append(a.skipped, p.Name)
			default:
				add(a, p)
			}
		}
	}
	f.stores.holders = holders
}
