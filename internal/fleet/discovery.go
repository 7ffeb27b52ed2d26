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

// listCell returns the Cell of an account's list of projects. The caller holds f.building.
func (f *Fleet) listCell(a *account) *projectList {
	return f.stores.lists.get(a.Name, func() *projectList { return new(projectList) })
}

// listPolicy returns how the list of an account that discovers its projects is fetched. The caller holds f.building.
func (f *Fleet) listPolicy(a *account) *refresh.Policy[[]huaweicloud.Project] {
	iam := a.iam(a.iamRegion())
	iam.Action = huaweicloud.ListProjectsAction
	interval := a.Discovery.RefreshInterval
	return &refresh.Policy[[]huaweicloud.Project]{
		Fetch:       func(ctx context.Context) ([]huaweicloud.Project, error) { return huaweicloud.ListProjects(ctx, iam) },
		Timeout:     huaweicloud.ListTimeout,
		TTL:         func([]huaweicloud.Project) time.Duration { return interval },
		Backoff:     func(streak int, err error) time.Duration { return huaweicloud.Backoff(streak, err, interval) },
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
	f.awaitLists(ctx, f.askLists(ctx))
}

// askLists begins to fetch the lists that are due, and returns what to wait for.
func (f *Fleet) askLists(ctx context.Context) []<-chan struct{} {
	var fetches []<-chan struct{}
	for _, a := range f.now.Load().accounts {
		if a.Discovery == nil {
			continue
		}
		if state, fetch := a.listCell.Ask(ctx, a.listPolicy); state.ReadAt.IsZero() && fetch != nil {
			fetches = append(fetches, fetch)
		}
	}
	return fetches
}

// awaitLists waits for lists, and puts those that have changed in force.
func (f *Fleet) awaitLists(ctx context.Context, lists []<-chan struct{}) {
	wait(ctx, lists)
	outdated := func(a accountView) bool { return a.Discovery != nil && a.list != a.listCell.Peek() }
	if !slices.ContainsFunc(f.now.Load().accounts, outdated) {
		return
	}
	f.log.skippedProjects(f.putListsInForce())
}

// putListsInForce makes the view of the lists as they are now, and returns it with the one before.
func (f *Fleet) putListsInForce() (before, now *view) {
	f.building.Lock()
	defer f.building.Unlock()
	before = f.now.Load()
	next := *before // with the sources as they were, and so their readings
	next.accounts = slices.Clone(before.accounts)
	now = &next
	var accounts []*account
	same := true
	for i := range next.accounts {
		a := &next.accounts[i]
		accounts = append(accounts, a.account)
		if a.Discovery != nil {
			a.list = a.listCell.Peek()
			same = same && slices.Equal(a.wanted(a.list.Value), a.found)
		}
	}
	if !same {
		now = f.build(accounts)
	}
	f.now.Store(now)
	return before, now
}

// holder is the discovered project that has a label, and keeps it while it is there.
type holder struct{ account, projectID string }

// addDiscovered adds the discovered projects. A configured label is taken. A project that had a label before keeps it, so that a series does
// not become another project's. Else the first one gets it.
func (f *Fleet) addDiscovered(v *view) {
	before, holders := f.stores.holders, map[string]holder{}
	for _, a := range v.accounts {
		for _, p := range a.Projects {
			holders[p.Name] = holder{} // which is no discovered project
		}
	}
	for _, a := range v.accounts {
		for _, p := range a.found {
			if _, taken := holders[p.Name]; !taken && before[p.Name] == (holder{a.Name, p.ID}) {
				holders[p.Name] = before[p.Name]
			}
		}
	}
	for i := range v.accounts {
		a := &v.accounts[i]
		for _, p := range a.found {
			is := holder{a.Name, p.ID}
			if _, taken := holders[p.Name]; !taken {
				holders[p.Name] = is
			}
			if holders[p.Name] == is {
				v.sources = append(v.sources, f.newSources(a.account, p, true)...)
			} else {
				a.skipped = append(a.skipped, p.Name)
			}
		}
	}
	f.stores.holders = holders
}
