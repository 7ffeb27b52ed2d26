// Package fleet knows which sources exist now, a source being one service of one project, and reads them. It lives as long as the
// program; a configuration that is loaded replaces its accounts, while what is known of a source stays. Nothing in it runs by itself:
// whoever reads makes it look.
package fleet

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/credentials"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/refresh"
	"cloud_quota_exporter/providers"
)

// Options are what the program gives the fleet, once.
type Options struct {
	Services  []providers.Service
	Dial      huaweicloud.Dial
	UserAgent string
	Getenv    func(string) string
	Once      bool // each source is read once, for a command: what is behind fetches that hang is not asked

	// Who is told; nil: nobody. They must not block, and not call back.
	Requests    huaweicloud.Events                    // every request to the cloud
	Reads       func(Read)                            // every finished read of a source
	Discoveries func(Discovery)                       // every finished look at the projects of an account
	Skipped     func(account string, labels []string) // when other projects than before are left out
	Keys        func(Credentials)                     // when the keys of an account begin to fail, and when that has ended
	Exposed     func(account string, files []error)   // when other files with secrets than before are open to everybody
}

// Read is a finished read of a source: what was known before and what is known since.
type Read struct {
	Before, After *Reading
}

// Fleet is all that is read. Its methods are safe for concurrent use.
type Fleet struct {
	options Options
	proofs  *huaweicloud.Proofs
	logins  *credentials.Logins
	now     atomic.Pointer[view]

	building sync.Mutex // held while the next view is made: who reads does not wait for that
	memory   memory     // guarded by building
}

// view is what is read at a time. It is replaced, never changed.
type view struct {
	accounts []*account
	lists    []*projectState             // of the accounts that discover projects: the lists that sources were made of
	found    map[string][]config.Project // by account: discovered ones that sources were made of, and those that were skipped
	skipped  map[string][]string         // labels of projects that are left out, by account
	served   map[string]int              // projects, by account
	sources  []*source                   // by project label, then in the order of the services
	labels   []string                    // of the projects of sources
}

// New returns an empty fleet.
func New(o Options) *Fleet {
	if o.Requests == nil {
		o.Requests = func(string, string, time.Duration) {}
	}
	if o.Reads == nil {
		o.Reads = func(Read) {}
	}
	if o.Discoveries == nil {
		o.Discoveries = func(Discovery) {}
	}
	if o.Skipped == nil {
		o.Skipped = func(string, []string) {}
	}
	if o.Keys == nil {
		o.Keys = func(Credentials) {}
	}
	if o.Exposed == nil {
		o.Exposed = func(string, []error) {}
	}
	f := &Fleet{options: o, proofs: huaweicloud.NewProofs(), logins: credentials.NewLogins(), memory: newMemory()}
	f.now.Store(new(view))
	return f
}

// Load puts a configuration in force for the next read. Numbers, counters and pauses of the sources that it still has are kept. Where it is
// stated otherwise than before how an account is asked, its failing sources are asked again without a pause, and what IAM told is asked for
// anew.
func (f *Fleet) Load(c *config.Config) {
	f.building.Lock()
	old := f.now.Load()
	before := map[string]*account{}
	for _, a := range old.accounts {
		before[a.Name] = a
	}
	var accounts []*account
	otherwise := map[string]bool{} // accounts that are asked otherwise than before
	for _, stated := range c.Accounts {
		a := newAccount(stated, c, f, before[stated.Name])
		a.list(f.memory)
		accounts = append(accounts, a)
		if was := before[a.Name]; was != nil && a.isAskedOtherwise(was) {
			otherwise[a.Name] = true
			f.forgetProjects(a)
		}
	}
	next := f.build(accounts)
	for _, s := range next.sources {
		if was := before[s.Account]; was != nil {
			s.retryAfter(was, otherwise[s.Account])
		}
	}
	f.now.Store(next)
	f.building.Unlock()
	for _, a := range old.accounts {
		a.http.CloseIdleConnections()
	}
	f.tellSkipped(old, next)
}

// forgetProjects has asked anew what IAM told of an account's projects: with other keys it may tell others. The list serves until then.
func (f *Fleet) forgetProjects(a *account) {
	maps.DeleteFunc(f.memory.lookups, func(id lookupID, _ *refresh.Cell[string]) bool { return id.account == a.Name })
	if a.listed != nil {
		a.listed.Retry()
		a.listed.Expire(a.listed.Peek())
	}
}

// Services returns the names of the services that are read, in the order of the list.
func (f *Fleet) Services() []string {
	accounts := f.now.Load().accounts
	var names []string
	for _, s := range f.options.Services {
		if len(accounts) > 0 && accounts[0].services[s.Name].Enabled {
			names = append(names, s.Name)
		}
	}
	return names
}

// Projects returns the labels of the projects that are read, sorted. The list is shared, and not to be changed.
func (f *Fleet) Projects() []string { return f.now.Load().labels }

// Known returns the projects that are read, by label, and the accounts of which there may be more: those that never discovered theirs.
func (f *Fleet) Known() (projects []Project, incomplete []string) {
	v := f.now.Load()
	last := ""
	for _, s := range v.sources {
		if s.project.label != last {
			last = s.project.label
			projects = append(projects, s.describe())
		}
	}
	lists := v.lists // of the accounts that have one, in their order
	for _, a := range v.accounts {
		if a.listed == nil {
			continue
		}
		if lists[0].ReadAt.IsZero() {
			incomplete = append(incomplete, a.Name)
		}
		lists = lists[1:]
	}
	return projects, incomplete
}

// AbandonedFetches returns how many fetches of the process outlived their timeout and have not returned.
func AbandonedFetches() int { return refresh.Abandoned() }

// Count returns how many sources a filter wants.
func (f *Fleet) Count(filter Filter) int {
	return len(filter.of(f.now.Load().sources))
}

// Read reads the sources that a filter wants, side by side, and returns what is known of each when all is known that is worth waiting for,
// or when ctx ends. The readings are sorted by project, then in the order of the services.
func (f *Fleet) Read(ctx context.Context, filter Filter) []*Reading {
	return f.read(ctx, filter, f.look)
}

// ReadKnown is Read for projects that are known: it waits for no list of projects.
func (f *Fleet) ReadKnown(ctx context.Context, filter Filter) []*Reading {
	return f.read(ctx, filter, func(ctx context.Context) { f.askLists(ctx) })
}

func (f *Fleet) read(ctx context.Context, filter Filter, look func(context.Context)) []*Reading {
	asked := time.Now()
	f.retryChangedKeys(ctx)
	known := f.now.Load().sources
	wanted := filter.of(known)
	flights := ask(ctx, wanted) // under way while lists of projects are waited for
	look(ctx)
	if now := f.now.Load().sources; !slices.Equal(now, known) {
		wanted = filter.of(now)
		flights = append(flights, ask(ctx, unknown(wanted, known))...)
	}
	wait(ctx, flights)
	readings := make([]*Reading, len(wanted))
	for i, s := range wanted {
		readings[i] = s.reading(s.cell.Peek(), asked)
	}
	return readings
}

// ask begins the fetches that are due, and returns what to wait for. What was read longest ago is asked for first: where the cloud throttles, it
// would else always be the same that come too late.
func ask(ctx context.Context, sources []*source) (flights []<-chan struct{}) {
	askFor := func(s *source) {
		if _, flight := s.cell.Ask(ctx, s.policy); flight != nil {
			flights = append(flights, flight)
		}
	}
	var due []*source
	for _, s := range sources {
		if s.cell.IsDue(s.policy) {
			due = append(due, s)
		} else {
			askFor(s) // it may be under way
		}
	}
	slices.SortStableFunc(due, func(a, b *source) int { return a.cell.Peek().ReadAt.Compare(b.cell.Peek().ReadAt) })
	for _, s := range due {
		askFor(s)
	}
	return flights
}

// unknown returns the sources that are not among those known before, under whichever label.
func unknown(sources, before []*source) []*source {
	ids := make(map[ID]bool, len(before))
	for _, s := range before {
		ids[s.ID] = true
	}
	return slices.DeleteFunc(slices.Clone(sources), func(s *source) bool { return ids[s.ID] })
}

// wait returns when all flights have ended, or ctx has.
func wait(ctx context.Context, flights []<-chan struct{}) {
	for _, flight := range flights {
		select {
		case <-flight:
		case <-ctx.Done():
			return
		}
	}
}
