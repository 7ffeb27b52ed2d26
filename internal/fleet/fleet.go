// Package fleet knows which sources exist now, a source being one service of one project, and reads them. It lives as long as the
// program; a configuration that is loaded replaces its accounts, while what is known of a source stays. Nothing in it runs by itself:
// whoever reads makes it look.
package fleet

import (
	"cmp"
	"context"
	"reflect"
	"slices"
	"sync"
	"time"

	"cloud_quota_exporter/internal/config"
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
	Requests  huaweicloud.Events // told of every request to the cloud
	Reads     func(Read)         // told of every finished read of a source; must not block

	Discoveries func(Discovery)                       // told of every finished look at the projects of an account; must not block
	Skipped     func(account string, labels []string) // told when other projects than before are left out; must not block or call back
}

// Read is a finished read of a source: what was known before and what is known since.
type Read struct {
	Before, After *Reading
}

// Fleet is all that is read. Its methods are safe for concurrent use.
type Fleet struct {
	options Options

	mu      sync.Mutex
	memory  memory
	loaded  []*account
	built   []*projectState // the lists that sources were built from
	sources []*source       // by project label, then in the order of the services; replaced, never changed
}

// memory is what outlives a configuration.
type memory struct {
	cells   map[ID]*refresh.Cell[providers.Result]
	lookups map[lookupID]*refresh.Cell[string]
	gates   map[gateID]*refresh.Gate
	lists   map[string]*projectList // by account
	skipped map[string][]string     // labels of projects that are left out, by account
}

func newMemory() memory {
	return memory{
		cells:   map[ID]*refresh.Cell[providers.Result]{},
		lookups: map[lookupID]*refresh.Cell[string]{},
		gates:   map[gateID]*refresh.Gate{},
		lists:   map[string]*projectList{},
		skipped: map[string][]string{},
	}
}

// New returns an empty fleet.
func New(o Options) *Fleet { return &Fleet{options: o} }

// Load puts a configuration in force for the next read. Numbers, counters and pauses of the sources that it still has are kept; where an
// account is stated otherwise than before, its failing sources are asked again without a pause.
func (f *Fleet) Load(c *config.Config) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := map[string]config.Account{}
	for _, a := range f.loaded {
		a.http.CloseIdleConnections()
		before[a.Name] = a.Account
	}
	f.loaded = nil
	for _, stated := range c.Accounts {
		f.loaded = append(f.loaded, newAccount(stated, c, f.options))
	}
	f.build()
	for _, s := range f.sources {
		if !reflect.DeepEqual(before[s.Account], s.account.Account) {
			s.retry()
		}
	}
}

// build makes the sources of the accounts and of the projects that are known now; f.mu is held. A label goes to the first that has it,
// stated projects before discovered ones.
func (f *Fleet) build() {
	next := newMemory()
	for _, a := range f.loaded {
		a.list(f.memory, next)
	}
	f.built, f.sources = f.lists(), nil
	taken := map[string]bool{}
	for _, a := range f.loaded {
		a.served = len(a.Projects)
		for _, p := range a.Projects {
			taken[p.Name] = true
			f.sources = append(f.sources, a.sources(p, false, f.memory, next)...)
		}
	}
	for _, a := range f.loaded {
		for _, p := range a.discovered() {
			if taken[p.Name] {
				next.skipped[a.Name] = append(next.skipped[a.Name], p.Name)
				continue
			}
			taken[p.Name] = true
			a.served++
			f.sources = append(f.sources, a.sources(p, true, f.memory, next)...)
		}
		a.skipped = len(next.skipped[a.Name])
		if !slices.Equal(next.skipped[a.Name], f.memory.skipped[a.Name]) {
			f.options.Skipped(a.Name, next.skipped[a.Name])
		}
	}
	f.memory = next
	slices.SortStableFunc(f.sources, func(a, b *source) int { return cmp.Compare(a.project.label, b.project.label) })
}

// Services returns the names of the services that are read, in the order of the list.
func (f *Fleet) Services() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for _, s := range f.options.Services {
		if len(f.loaded) > 0 && f.loaded[0].services[s.Name].Enabled {
			names = append(names, s.Name)
		}
	}
	return names
}

// Projects returns the labels of the projects that are read, sorted.
func (f *Fleet) Projects() []string {
	var labels []string
	for _, p := range f.List() {
		labels = append(labels, p.Label)
	}
	return labels
}

// List returns the projects that are read, by label.
func (f *Fleet) List() []Project {
	var projects []Project
	last := ""
	for _, s := range f.current() {
		if s.project.label != last {
			last = s.project.label
			projects = append(projects, s.describe())
		}
	}
	return projects
}

// Count returns how many sources keep wants.
func (f *Fleet) Count(keep func(service, project string) bool) int {
	return len(wanted(f.current(), keep))
}

// Read reads the sources that keep wants, side by side, and returns what is known of each when all is known that is worth waiting for,
// or when ctx ends. The readings are sorted by project, then in the order of the services.
func (f *Fleet) Read(ctx context.Context, keep func(service, project string) bool) []*Reading {
	asked := time.Now()
	known := f.current()
	kept, flights := ask(ctx, known, keep) // under way while lists of projects are waited for
	f.Look(ctx)
	if now := f.current(); !slices.Equal(now, known) {
		kept = wanted(now, keep)
		_, more := ask(ctx, unknown(kept, known), keep)
		flights = append(flights, more...)
	}
	wait(ctx, flights)
	readings := make([]*Reading, len(kept))
	for i, s := range kept {
		readings[i] = s.reading(s.cell.Peek(), asked)
	}
	return readings
}

// ask begins the fetches that are due, and returns the sources that keep wants, and what to wait for.
func ask(ctx context.Context, sources []*source, keep func(service, project string) bool) (kept []*source, flights []<-chan struct{}) {
	kept = wanted(sources, keep)
	for _, s := range kept {
		if _, flight := s.cell.Ask(ctx, s.policy); flight != nil {
			flights = append(flights, flight)
		}
	}
	return kept, flights
}

// unknown returns the sources that are not among those known before, under whichever label.
func unknown(sources, before []*source) []*source {
	ids := make(map[ID]bool, len(before))
	for _, s := range before {
		ids[s.ID] = true
	}
	return slices.DeleteFunc(slices.Clone(sources), func(s *source) bool { return ids[s.ID] })
}

func wanted(sources []*source, keep func(service, project string) bool) []*source {
	var kept []*source
	for _, s := range sources {
		if keep(s.service.Name, s.project.label) {
			kept = append(kept, s)
		}
	}
	return kept
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

func (f *Fleet) current() []*source {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sources
}

// recall returns what is remembered under a key, or something new, and remembers it in the next memory.
func recall[K comparable, V any](before, next map[K]*V, key K, fresh func() *V) *V {
	if known := next[key]; known != nil {
		return known
	}
	known := before[key]
	if known == nil {
		known = fresh()
	}
	next[key] = known
	return known
}
