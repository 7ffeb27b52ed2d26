// Package fleet manages the current sources and reads them. A source is one service of one project. A fleet lives as long as the
// program. Loading a configuration replaces its accounts but keeps the state of sources. Nothing runs in the background: reading
// starts the fetches.
package fleet

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-kit/log"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/credentials"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/printable"
	"cloud_quota_exporter/internal/refresh"
	"cloud_quota_exporter/providers"
)

// Options are the parts that the program provides to the fleet.
type Options struct {
	Dial      huaweicloud.Dial
	UserAgent string
	Getenv    func(string) string
	Once      bool // each source is fetched once, for a command: fetches queued behind ones that hang are not started

	Logger   log.Logger         // for changes; must not block; nil: no logging
	Requests huaweicloud.Events // called for every request to the cloud; may be nil
	Progress func()             // called after every fetch of a source; may be nil
}

// Fleet is the set of all sources. Its methods are safe for concurrent use.
type Fleet struct {
	options Options
	log     *changeLog
	proofs  *huaweicloud.Proofs
	logins  *credentials.Logins
	now     atomic.Pointer[view]

	building sync.Mutex // held while the next view is made; reading does not wait for it
	stores   stores     // guarded by building
}

// view is the set of sources at one time. It is immutable.
type view struct {
	accounts []accountView
	sources  []*source  // by project label, then in the order of the services
	labels   []string   // of the projects of sources
	lookups  []*project // projects whose IDs are looked up
}

// accountView is an account with its current projects.
type accountView struct {
	*account

	listCell   *projectList // nil without discovery, like the list and its policy
	listPolicy *refresh.Policy[discovered]
	domain     *project         // represents the account; nil if no account-level service is enabled
	list       *listState       // the list that the sources were made from
	found      []config.Project // selected discovered projects, including skipped ones
	skipped    []string         // labels of the projects that are skipped as duplicates
	beyond     int              // number of projects that are skipped because of max_projects
}

// unreadable returns the projects with invalid entries in IAM's list.
func (a accountView) unreadable() huaweicloud.Skipped {
	if a.list == nil {
		return huaweicloud.Skipped{}
	}
	return a.list.Value.Skipped
}

// stores keep what outlives a configuration, by its identity.
type stores struct {
	cells   store[ID, sourceCell]
	lookups store[lookupID, refresh.Cell[lookedUp]]
	lists   store[string, projectList] // by account
	read    store[projectID, readID]
	pauses  store[pauseID, refresh.Pause]
	gates   store[gateID, refresh.Gate]
	holders map[string]holder // of the labels of discovered projects
}

// sweep removes what was not used since the last sweep.
func (s *stores) sweep() {
	s.cells.sweep()
	s.lookups.sweep()
	s.lists.sweep()
	s.read.sweep()
	s.pauses.sweep()
	s.gates.sweep()
}

// store keeps values by key.
type store[K comparable, V any] struct{ kept, used map[K]*V }

// get returns the value of a key, and creates it if it does not exist.
func (s *store[K, V]) get(key K, create func() *V) *V {
	value := cmp.Or(s.used[key], s.kept[key])
	if value == nil {
		value = create()
	}
	if s.used == nil {
		s.used = map[K]*V{}
	}
	s.used[key] = value
	return value
}

// sweep removes the values that were not used since the last sweep.
func (s *store[K, V]) sweep() { s.kept, s.used = s.used, nil }

// New returns an empty fleet.
func New(o Options) *Fleet {
	if o.Logger == nil {
		o.Logger = log.NewNopLogger()
	}
	if o.Requests == nil {
		o.Requests = func(string, string, time.Duration) {}
	}
	if o.Progress == nil {
		o.Progress = func() {}
	}
	f := &Fleet{options: o, log: newChangeLog(o.Logger), proofs: huaweicloud.NewProofs(), logins: credentials.NewLogins()}
	f.now.Store(new(view))
	return f
}

// Load activates a configuration for the next read. The values, counters, and pauses of sources that it still has are kept. If the
// connection of an account changes, its failing sources are retried without a pause, and data from IAM is fetched again.
func (f *Fleet) Load(c *config.Config) {
	f.building.Lock()
	before := f.now.Load()
	old := map[string]*account{}
	for _, a := range before.accounts {
		old[a.Name] = a.account
	}
	var accounts []*account
	for _, configured := range c.Accounts {
		a := f.newAccount(configured, c, old[configured.Name])
		if a.changed {
			maps.DeleteFunc(f.stores.lookups.kept, func(id lookupID, c *refresh.Cell[lookedUp]) bool {
				if id.account == a.Name {
					askAgain(c)
				}
				return id.account == a.Name && a.keys.origin != old[a.Name].keys.origin
			})
			maps.DeleteFunc(f.stores.read.kept, func(id projectID, _ *readID) bool { return id.account == a.Name })
			askAgain(f.listCell(a)) // the projects are kept until then
		}
		accounts = append(accounts, a)
	}
	now := f.build(accounts)
	for _, s := range now.sources {
		if was := old[s.Account]; was != nil && s.requestChanged(was) {
			s.cell.Retry()
		}
	}
	f.replace(now)
	f.building.Unlock()
	f.log.skippedProjects(before, now)
	f.log.unverified(before, now)
	for _, a := range before.accounts {
		a.http.CloseIdleConnections()
	}
}

// askAgain makes the next read fetch again, whatever the result of the last fetch.
func askAgain[T any](c *refresh.Cell[T]) {
	c.Retry()
	c.Expire(c.Peek())
}

// build makes the view of the accounts and of the currently known projects. The caller holds f.building.
func (f *Fleet) build(accounts []*account) *view {
	v := new(view)
	before, regions := map[string][]config.Project{}, map[string]string{}
	for _, a := range f.now.Load().accounts {
		before[a.Name] = a.found
		if a.domain != nil {
			regions[a.Name] = a.domain.Region
		}
	}
	for _, a := range accounts {
		b := accountView{account: a}
		if a.Discovery != nil {
			b.listCell, b.listPolicy = f.listCell(a), f.listPolicy(a)
			b.list = b.listCell.Peek()
			b.found, b.beyond = a.bound(a.wanted(b.list.Value), before[a.Name])
		}
		if a.config.ReadsAccounts() {
			b.domain = f.newDomain(b, regions[a.Name])
			v.sources = append(v.sources, f.newSources(b.domain)...)
		}
		v.accounts = append(v.accounts, b)
		for _, p := range a.Projects {
			v.sources = append(v.sources, f.newSources(f.newProject(a, p, nil))...)
		}
	}
	f.addDiscovered(v)
	f.stores.sweep()
	slices.SortStableFunc(v.sources, func(a, b *source) int { return cmp.Compare(a.project.Name, b.project.Name) })
	for _, s := range v.sources {
		v.labels = append(v.labels, s.project.Name)
		if n := len(v.lookups); s.project.lookup != nil && (n == 0 || v.lookups[n-1] != s.project) {
			v.lookups = append(v.lookups, s.project)
		}
	}
	v.labels = slices.Clip(slices.Compact(v.labels))
	return v
}

// Services returns the names of the enabled services, in the order of the catalogue.
func (f *Fleet) Services() []string {
	return f.now.Load().services(func(providers.Service) bool { return true })
}

// services returns the names of the enabled services for which fits is true.
func (v *view) services(fits func(providers.Service) bool) []string {
	if len(v.accounts) == 0 {
		return nil
	}
	var names []string
	c := v.accounts[0].config
	for _, s := range c.Known {
		if c.Services[s.Name].Enabled && fits(s) {
			names = append(names, s.Name)
		}
	}
	return names
}

// CheckServices is CheckNames for enabled services. Its error explains how to enable a disabled one. also are other valid names.
func (f *Fleet) CheckServices(what string, asked []string, also ...string) error {
	if v := f.now.Load(); len(v.accounts) > 0 {
		c := v.accounts[0].config
		for _, name := range asked {
			if s, known := c.Services[name]; known && !s.Enabled {
				how := "set services." + name + ".enabled to true in the configuration"
				if c.File == "" {
					how = "add services: {" + name + ": {enabled: true}} to a file, and pass it with --config.file"
				}
				return fmt.Errorf("%s=%q is disabled; %s", what, name, how)
			}
		}
	}
	if err := CheckNames(what, asked, append(f.Services(), also...)); err != nil {
		return fmt.Errorf("%w; to list all services, run: cloud_quota_exporter services", err)
	}
	return nil
}

// Projects returns the sorted labels of the projects. The list is shared and must not be changed.
func (f *Fleet) Projects() []string { return f.now.Load().labels }

// Known returns the projects by label, and the accounts that may have more because their first discovery has not succeeded.
func (f *Fleet) Known() (projects []Project, incomplete []string) {
	v := f.now.Load()
	for _, s := range v.sources {
		if n := len(projects); n == 0 || projects[n-1].Label != s.project.Name {
			projects = append(projects, s.describe())
		}
	}
	for _, a := range v.accounts {
		if a.Discovery != nil && !a.isKnown(a.list) {
			incomplete = append(incomplete, a.Name)
		}
	}
	return projects, incomplete
}

// Unverified returns the names of the enabled services whose API is not described by a current document of Huawei.
func (f *Fleet) Unverified() []string {
	return f.now.Load().services(func(s providers.Service) bool { return !s.IsVerified() })
}

// AbandonedFetches returns the number of fetches of the process that exceeded their timeout and have not returned.
func AbandonedFetches() int { return refresh.Abandoned() }

// Filter selects sources; an empty list selects all.
type Filter struct{ Services, Projects []string }

// Count returns the number of sources that a filter selects.
func (f *Fleet) Count(filter Filter) int { return len(filter.of(f.now.Load().sources)) }

// Read fetches the sources that a filter selects concurrently. It returns the readings when all fetches worth waiting for have
// ended, or when ctx ends. The readings are sorted by project, then in the order of the services. If all named projects are known,
// scrapes do not wait for lists of projects; commands do, because they show the result of discovery.
func (f *Fleet) Read(ctx context.Context, filter Filter) []*Reading {
	asked := time.Now()
	f.retryChangedKeys(ctx)
	wanted := filter.of(f.now.Load().sources)
	certain := slices.DeleteFunc(slices.Clone(wanted), (*source).isInDoubt) // the others are fetched if IAM still lists them
	fetches := ask(ctx, certain)                                            // in flight while waiting for lists of projects
	if lists := f.askLists(ctx); len(filter.Projects) == 0 || f.options.Once || len(certain) < len(wanted) {
		wait(ctx, lists)
	}
	if wanted = filter.of(f.now.Load().sources); !slices.Equal(wanted, certain) {
		fetches = append(fetches, ask(ctx, unknown(wanted, certain))...)
	}
	soon, cancel := context.WithTimeout(ctx, longWait)
	defer cancel()
	if wait(soon, fetches); soon.Err() != nil {
		f.log.waits(wanted)
	}
	wait(ctx, fetches)
	readings := make([]*Reading, len(wanted))
	for i, s := range wanted {
		readings[i] = s.reading(asked)
	}
	return readings
}

// ask starts the fetches that are due, and returns what to wait for. The oldest values come first: otherwise, if the cloud
// throttles, the same sources would always be too late.
func ask(ctx context.Context, sources []*source) (fetches []<-chan struct{}) {
	askFor := func(s *source) {
		if _, fetch := s.cell.Ask(ctx, s.policy); fetch != nil {
			fetches = append(fetches, fetch)
		}
	}
	var due []*source
	for _, s := range sources {
		if s.isInDoubt() {
			continue
		}
		if s.cell.IsDue(s.policy) {
			due = append(due, s)
		} else {
			askFor(s) // it may be in flight
		}
	}
	slices.SortStableFunc(due, func(a, b *source) int { return a.cell.Peek().ReadAt.Compare(b.cell.Peek().ReadAt) })
	for _, s := range due {
		askFor(s)
	}
	return fetches
}

// unknown returns the sources that are not in before under any label.
func unknown(sources, before []*source) []*source {
	ids := make(map[ID]bool, len(before))
	for _, s := range before {
		ids[s.ID] = true
	}
	return slices.DeleteFunc(slices.Clone(sources), func(s *source) bool { return ids[s.ID] })
}

const longWait = time.Second // if a scrape waits longer for slots of a host, it is logged

// wait returns when all fetches have ended, or ctx has.
func wait(ctx context.Context, fetches []<-chan struct{}) {
	for _, fetch := range fetches {
		select {
		case <-fetch:
		case <-ctx.Done():
			return
		}
	}
}

// of returns the selected sources. They are sorted by label, so that lookup is fast with thousands of projects.
func (f Filter) of(sources []*source) []*source {
	if len(f.Projects) > 0 {
		var found []*source
		for _, label := range slices.Compact(slices.Sorted(slices.Values(f.Projects))) {
			first, _ := slices.BinarySearchFunc(sources, label, func(s *source, label string) int { return cmp.Compare(s.project.Name, label) })
			for ; first < len(sources) && sources[first].project.Name == label; first++ {
				found = append(found, sources[first])
			}
		}
		sources = found
	}
	if len(f.Services) == 0 {
		return sources
	}
	services := slices.Compact(slices.Sorted(slices.Values(f.Services)))
	return slices.DeleteFunc(slices.Clone(sources), func(s *source) bool { return !slices.Contains(services, s.service.Name) })
}

// CheckNames returns an error for an unknown name, so that an empty result does not look like success. what is the parameter,
// such as collect[].
func CheckNames(what string, asked, known []string) error {
	names := make(map[string]bool, len(known))
	for _, name := range known {
		names[name] = true
	}
	for _, name := range asked {
		if !names[name] {
			return fmt.Errorf("unknown %s=%.200q; known: %s", what, name, SomeOf(known))
		}
	}
	return nil
}

// SomeOf lists at most ten names, and the number of the others.
func SomeOf(names []string) string {
	const most = 10
	text := printable.Text(strings.Join(names[:min(len(names), most)], ", "))
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
