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

// listTimeout bounds all pages of a list of projects.
const listTimeout = 30 * time.Second

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
	iam := a.client("iam", "iam", a.iamRegion())
	iam.Action = huaweicloud.ListProjectsAction
	interval := a.Discovery.RefreshInterval
	a.listing = &refresh.Policy[[]huaweicloud.Project]{
		Fetch:   func(ctx context.Context) ([]huaweicloud.Project, error) { return huaweicloud.ListProjects(ctx, iam) },
		Timeout: listTimeout,
		Fresh:   func([]huaweicloud.Project) time.Duration { return interval },
		Pause:   func(streak int, err error) time.Duration { return huaweicloud.Pause(streak, err, interval) },
		Gate:    a.gate("iam", iamInFlight, m, m),
		Shuts:   throttledBy("iam"),
		Settled: func(before, after *projectState) {
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
	var found []config.Project
	for _, p := range list {
		if !p.Serves() || !a.Discovery.Wants(p.Name, p.Region()) {
			continue
		}
		stated := slices.ContainsFunc(a.Projects, func(s config.Project) bool {
			return s.Region == p.Region() && (s.ID == p.ID || s.ID == "" && p.Name == s.Region)
		})
		if !stated {
			found = append(found, config.Project{ID: p.ID, Region: p.Region(), Name: a.Discovery.NamePrefix + p.Name})
		}
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
	wait(ctx, f.askLists(ctx))
	f.mu.Lock()
	defer f.mu.Unlock()
	lists := f.lists()
	if slices.Equal(f.built, lists) {
		return
	}
	f.built = lists
	changed := func(a *account) bool { return !slices.Equal(a.discovered(), a.found) }
	if slices.ContainsFunc(f.loaded, changed) { // else the sources stay the same, and so do their readings
		f.build()
	}
}

// askLists begins to fetch the lists that are due, and returns what to wait for.
func (f *Fleet) askLists(ctx context.Context) []<-chan struct{} {
	f.mu.Lock()
	accounts := f.loaded
	f.mu.Unlock()
	var flights []<-chan struct{}
	for _, a := range accounts {
		if a.listed == nil {
			continue
		}
		if state, flight := a.listed.Ask(ctx, a.listing); state.ReadAt.IsZero() && flight != nil {
			flights = append(flights, flight)
		}
	}
	return flights
}

// lists are the states of all lists of projects; f.mu is held.
func (f *Fleet) lists() []*projectState {
	var states []*projectState
	for _, a := range f.loaded {
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

	DiscoveryErr error // of the last finished discovery
	Empty        error // that the last discovery succeeded, and no project is served; nil otherwise
}

// Accounts tells the state of the accounts, in their order.
func (f *Fleet) Accounts() []Account {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []Account
	for _, a := range f.loaded {
		account := Account{Name: a.Name, Asked: a.auth.asked.Load(), Projects: a.served, Skipped: f.memory.skipped[a.Name], KeysExpire: a.auth.Expiry()}
		if a.listed != nil {
			list := a.listed.Peek()
			account.DiscoveryErr = list.Err
			account.Asked = account.Asked && list.Fetches > 0
			account.Empty = a.empty(list, a.found)
		}
		account.Up = a.auth.Failure() == nil && account.DiscoveryErr == nil
		all = append(all, account)
	}
	return all
}
