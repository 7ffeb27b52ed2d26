package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/refresh"
)

type (
	projectList = refresh.Cell[discovered]
	listState   = refresh.State[discovered]
)

// discovered is IAM's list of projects, and the identity that it was returned to.
type discovered struct {
	huaweicloud.ProjectList

	asked identity
}

// listCell returns the Cell of an account's list of projects. The caller holds f.building.
func (f *Fleet) listCell(a *account) *projectList {
	return f.stores.lists.get(a.Name, func() *projectList { return new(projectList) })
}

// listPolicy returns the policy for fetching the projects of an account with discovery. The caller holds f.building.
func (f *Fleet) listPolicy(a *account) *refresh.Policy[discovered] {
	iam := a.iam(a.iamRegion())
	iam.Action = huaweicloud.ListProjectsAction
	interval := a.Discovery.RefreshInterval
	return &refresh.Policy[discovered]{
		Fetch: func(ctx context.Context) (discovered, error) {
			asked := a.identity()
			list, err := huaweicloud.ListProjects(ctx, iam, a.Discovery.MaxProjects, a.isUsable)
			return discovered{list, asked}, err
		},
		Timeout:     huaweicloud.ListTimeout,
		TTL:         func(list *listState) time.Duration { return a.serves(list.Value.asked, interval) },
		Backoff:     func(streak int, err error) time.Duration { return huaweicloud.Backoff(streak, err, interval) },
		Gate:        f.gate(a, iamItself, a.iamRegion(), iamInFlight),
		IsThrottled: isThrottledByIAM,
		OnDone: func(before, after *listState) {
			a.keys.noteFailure(after.Err)
			f.log.discovered(a.Name, before, after, a.empty(after, a.wanted(after.Value)))
			f.adoptLists()
		},
	}
}

// isUsable reports whether a listed project belongs to a region and is enabled. Projects that are invalid, or could not be
// configured either, are not usable; the result is an error if discovery selects them.
func (a *account) isUsable(p huaweicloud.Project, err error) (bool, error) {
	switch {
	case err != nil:
	case !config.IsLabel(a.Discovery.NamePrefix+p.Name) || strings.ContainsRune(p.Name, utf8.RuneError):
		err = fmt.Errorf("project with ID %.64q: its name with name_prefix is longer than 128 bytes, is not UTF-8, or contains control characters", p.ID)
	case !config.IsProjectID(p.ID):
		err = fmt.Errorf("project %q: its ID is not a valid project_id", p.Name)
	}
	usable := err == nil && p.Serves()
	if wanted := p.Serves() && a.Discovery.Wants(p.Name, p.Region()); p.Name != "" && !wanted {
		err = nil
	}
	return usable, err
}

// wanted returns the projects of a list that discovery selects, without those that are configured.
func (a *account) wanted(list discovered) []config.Project {
	type project struct{ region, id string } // the id is empty for the region's default project
	configured := make(map[project]bool, len(a.Projects))
	for _, p := range a.Projects {
		configured[project{p.Region, p.ID}] = true
	}
	var wanted []config.Project
	for _, p := range list.Projects {
		region := p.Region()
		isConfigured := configured[project{region, p.ID}] || p.Name == region && configured[project{region, ""}]
		if a.Discovery.Wants(p.Name, region) && !isConfigured {
			wanted = append(wanted, config.Project{ID: p.ID, Region: region, Name: a.Discovery.NamePrefix + p.Name})
		}
	}
	slices.SortFunc(wanted, compareProjects)
	return wanted
}

func compareProjects(x, y config.Project) int {
	return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.ID, y.ID))
}

// bound limits projects to max_projects, with those that were found before first.
func (a *account) bound(wanted, before []config.Project) (found []config.Project, beyond int) {
	beyond = len(wanted) - a.Discovery.MaxProjects
	if beyond <= 0 {
		return wanted, 0
	}
	known := map[string]bool{}
	for _, p := range before {
		known[p.ID] = true
	}
	for _, wasFound := range []bool{true, false} {
		for _, p := range wanted {
			if known[p.ID] == wasFound && len(found) < a.Discovery.MaxProjects {
				found = append(found, p)
			}
		}
	}
	slices.SortFunc(found, compareProjects)
	return found, beyond
}

// empty returns an error if a list leaves the account without a project. IAM omits projects that the keys may not see, so that this
// would look like success.
func (a *account) empty(list *listState, wanted []config.Project) error {
	succeeded := list.Err == nil && !list.ReadAt.IsZero()
	if !succeeded || len(a.Projects)+len(wanted) > 0 {
		return nil
	}
	text := fmt.Sprintf("discovery selects none of the %d projects that IAM lists", list.Value.Seen)
	if bad := list.Value.Skipped; bad.Count > 0 {
		text += fmt.Sprintf(", %d of them are invalid: %v", bad.Count, bad.Reasons[0])
	}
	return huaweicloud.Advise(errors.New(text), "check that the credentials can list the projects, and check discovery.regions, include, and exclude")
}

// Discover fetches the lists of projects that are due. It waits until ctx ends for a list that was never fetched, but not for one
// that is only old.
func (f *Fleet) Discover(ctx context.Context) {
	f.retryChangedKeys(ctx)
	wait(ctx, f.askLists(ctx))
}

// Ask starts to fetch from IAM what is due, and does not wait.
func (f *Fleet) Ask(ctx context.Context) { f.askLists(ctx) }

// askLists starts to fetch the lists that are due, and IDs that are invalid because the keys or IAM have changed. It returns the
// lists to wait for: those that contain no project yet.
func (f *Fleet) askLists(ctx context.Context) []<-chan struct{} {
	v := f.now.Load()
	for _, p := range v.lookups {
		if isOther := p.account.changed || !p.lookup.Peek().ReadAt.IsZero(); isOther && p.known() == "" {
			p.lookup.Ask(ctx, p.policy)
		}
	}
	var fetches []<-chan struct{}
	for _, a := range v.accounts {
		if a.Discovery == nil {
			continue
		}
		_, fetch := a.listCell.Ask(ctx, a.listPolicy)
		if !a.isKnown(a.list) && fetch != nil { // a list that has just arrived is not active yet
			fetches = append(fetches, fetch)
		}
	}
	return fetches
}

// isKnown reports whether a list has the projects of the account, for its current keys and IAM.
func (a *account) isKnown(list *listState) bool {
	return !list.ReadAt.IsZero() && list.Value.asked == a.identity()
}

// IdleFilters returns, by account, the discovery filters that have no effect on the projects that IAM lists. Accounts whose list is
// unknown are omitted.
func (f *Fleet) IdleFilters() map[string][]string {
	idle := map[string][]string{}
	for _, a := range f.now.Load().accounts {
		if a.Discovery == nil || !a.isKnown(a.list) {
			continue
		}
		var names []string
		for _, p := range a.list.Value.Projects {
			names = append(names, p.Name)
		}
		idle[a.Name] = a.Discovery.Idle(names)
	}
	return idle
}

// adoptLists activates lists that have changed.
func (f *Fleet) adoptLists() {
	outdated := func(a accountView) bool { return a.Discovery != nil && a.list != a.listCell.Peek() }
	if !slices.ContainsFunc(f.now.Load().accounts, outdated) {
		return
	}
	f.log.skippedProjects(f.putListsInForce())
}

// putListsInForce makes a view of the current lists, and returns it with the previous one.
func (f *Fleet) putListsInForce() (before, now *view) {
	f.building.Lock()
	defer f.building.Unlock()
	before = f.now.Load()
	next := *before // keeps the sources and so their readings
	next.accounts = slices.Clone(before.accounts)
	now = &next
	var accounts []*account
	same := true
	for i := range next.accounts {
		a := &next.accounts[i]
		accounts = append(accounts, a.account)
		if a.Discovery == nil {
			continue
		}
		before := a.list
		a.list = a.listCell.Peek()
		found, beyond := a.bound(a.wanted(a.list.Value), a.found)
		a.beyond = beyond
		same = same && (a.domain == nil || a.region(a.domain.Region) == a.domain.Region) && before.Value.asked == a.list.Value.asked && slices.Equal(found, a.found)
	}
	if !same {
		now = f.build(accounts)
	}
	f.replace(now)
	return before, now
}

// replace activates a view. The caller holds f.building.
func (f *Fleet) replace(now *view) {
	f.now.Store(now)
	f.log.forget(now)
}

// holder is the discovered project that holds a label while it exists.
type holder struct{ account, projectID string }

// addDiscovered adds the discovered projects. Labels of configured projects and of accounts with account-level services are taken.
// Otherwise the previous holder of a label keeps it, so that a series does not switch to another project; without one, the first
// project gets it.
func (f *Fleet) addDiscovered(v *view) {
	before, holders := f.stores.holders, map[string]holder{}
	for _, a := range v.accounts {
		if a.domain != nil {
			holders[a.Name] = holder{} // not a discovered project
		}
		for _, p := range a.Projects {
			holders[p.Name] = holder{}
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
			is, listed := holder{a.Name, p.ID}, a.list.Value.asked
			if _, taken := holders[p.Name]; !taken {
				holders[p.Name] = is
			}
			if holders[p.Name] == is {
				v.sources = append(v.sources, f.newSources(f.newProject(a.account, p, &listed))...)
			} else {
				a.skipped = append(a.skipped, p.Name)
			}
		}
	}
	f.stores.holders = holders
}
