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
	projectList  = refresh.Cell[[]huaweicloud.Project]
	projectState = refresh.State[[]huaweicloud.Project]
)

// Discovery is a finished look at the projects that an account may see.
type Discovery struct {
	Account       string
	Before, After *projectState
	Empty         error // that it succeeded, and leaves the account without a project; nil otherwise
}

// list gives an account that discovers its projects the Cell of their list.
func (a *account) list(m memory) {
	if a.Discovery == nil {
		return
	}
	a.listed = recall(m.lists, m.lists, a.Name, func() *projectList { return new(projectList) })
	iam := a.iam(a.iamRegion())
	iam.Action = huaweicloud.ListProjectsAction
	interval := a.Discovery.RefreshInterval
	a.listing = &refresh.Policy[[]huaweicloud.Project]{
		Fetch:   func(ctx context.Context) ([]huaweicloud.Project, error) { return huaweicloud.ListProjects(ctx, iam) },
		Timeout: huaweicloud.ListTimeout,
		Fresh:   func([]huaweicloud.Project) time.Duration { return interval },
		Pause:   func(streak int, err error) time.Duration { return huaweicloud.Pause(streak, err, interval) },
		Gate:    a.gate("iam", a.iamRegion(), iamInFlight, m, m),
		Shuts:   throttledBy("iam"),
		Settled: func(before, after *projectState) {
			a.auth.blame(after.Err)
			a.options.Discoveries(Discovery{a.Name, before, after, a.empty(after, a.wanted(after.Value))})
		},
	}
}

// discovered are the wanted projects of the last list.
func (a *account) discovered() []config.Project {
	if a.Discovery == nil {
		return nil
	}
	return a.wanted(a.listed.Peek().Value)
}

// wanted are the projects of a list that are to be read, but those that are stated.
func (a *account) wanted(list []huaweicloud.Project) []config.Project {
	type project struct{ region, id string } // the id is empty for the one that bears the region's name
	stated := make(map[project]bool, len(a.Projects))
	for _, p := range a.Projects {
		stated[project{p.Region, p.ID}] = true
	}
	var found []config.Project
	for _, p := range list {
		region := p.Region()
		if !p.Serves() || !a.Discovery.Wants(p.Name, region) || stated[project{region, p.ID}] || p.Name == region && stated[project{region, ""}] {
			continue
		}
		found = append(found, config.Project{ID: p.ID, Region: region, Name: a.Discovery.NamePrefix + p.Name})
	}
	slices.SortFunc(found, func(x, y config.Project) int { return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.ID, y.ID)) })
	return found
}

// empty tells that a list leaves the account without a project: IAM just leaves out what the keys may not see, so that all seems well.
func (a *account) empty(list *projectState, found []config.Project) error {
	succeeded := list.Err == nil && !list.ReadAt.IsZero()
	if !succeeded || len(a.Projects)+len(found) > 0 {
		return nil
	}
	return huaweicloud.Advise(fmt.Errorf("none of the projects that IAM lists (%d) is read", len(list.Value)),
		"check that the keys may see projects, and regions, include and exclude of discovery")
}

// Look looks at the lists of projects that are due: a list that was never had is waited for, until ctx ends; one that is only old is not.
func (f *Fleet) Look(ctx context.Context) {
	f.retryChangedKeys(ctx)
	f.look(ctx)
}

func (f *Fleet) look(ctx context.Context) {
	wait(ctx, f.askLists(ctx))
	if v := f.now.Load(); slices.Equal(v.lists, lists(v.accounts)) {
		return
	}
	f.building.Lock()
	before := f.now.Load()
	now := before.with(lists(before.accounts))
	if slices.ContainsFunc(now.accounts, func(a *account) bool { return !slices.Equal(a.discovered(), now.found[a.Name]) }) {
		now = f.build(now.accounts) // else the sources stay the same, and so do their readings
	}
	f.now.Store(now)
	f.building.Unlock()
	f.tellSkipped(before, now)
}

// with is the view with other lists that leave the projects as they are.
func (v view) with(lists []*projectState) *view {
	v.lists = lists
	return &v
}

// askLists begins to fetch the lists that are due, and returns what to wait for.
func (f *Fleet) askLists(ctx context.Context) []<-chan struct{} {
	var flights []<-chan struct{}
	for _, a := range f.now.Load().accounts {
		if a.listed == nil {
			continue
		}
		if state, flight := a.listed.Ask(ctx, a.listing); state.ReadAt.IsZero() && flight != nil {
			flights = append(flights, flight)
		}
	}
	return flights
}

// lists are the states of all lists of projects.
func lists(accounts []*account) []*projectState {
	var states []*projectState
	for _, a := range accounts {
		if a.listed != nil {
			states = append(states, a.listed.Peek())
		}
	}
	return states
}

// Account is what is known of an account.
type Account struct {
	Name     string
	Asked    bool     // whether keys were needed yet, and a discovery has ended if there is one
	Up       bool     // the last look for keys succeeded, and the last discovery if there is one
	Projects int      // served
	Skipped  []string // labels of the discovered projects that are left out since another one has them

	KeysExpire time.Time // when the first of the keys and tokens in use does; zero where none does

	DiscoveryErr error        // of the last finished discovery
	Undiscovered *UnreadError // how far the first discovery has come, if what is read was made without it; nil otherwise
	Empty        error        // that the last discovery succeeded, and no project is served; nil otherwise
}

// Accounts tells the state of the accounts, in their order.
func (f *Fleet) Accounts() []Account {
	v := f.now.Load()
	used := v.lists // of the accounts that have one, in their order
	var all []Account
	for _, a := range v.accounts {
		account := Account{Name: a.Name, Asked: a.auth.asked.Load(), Projects: v.served[a.Name], Skipped: v.skipped[a.Name], KeysExpire: a.auth.Status().Expires}
		if a.listed != nil {
			list := a.listed.Peek()
			account.DiscoveryErr = list.Err
			account.Asked = account.Asked && list.Fetches > 0
			account.Empty = a.empty(list, v.found[a.Name])
			if used[0].Fetches == 0 {
				account.Undiscovered = newUnread("iam", a.listed)
			}
			used = used[1:]
		}
		account.Up = a.auth.Status().Err == nil && account.DiscoveryErr == nil
		all = append(all, account)
	}
	return all
}
