// Package fleet knows which sources exist now, a source being one service of one project, and reads them. It lives as long as the
// program; a configuration that is loaded replaces its accounts, while what is known of a source stays. Nothing in it runs by itself:
// whoever reads makes it look.
package fleet

import (
	"context"
	"maps"
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
	built   []*projectState // the lists that sources were made of
	sources []*source       // by project label, then in the order of the services; replaced, never changed
}

// memory is what outlives a configuration.
type memory struct {
	cells   map[ID]*refresh.Cell[providers.Result]
	lookups map[lookupID]*refresh.Cell[string]
	gates   map[gateID]*refresh.Gate
	lists   map[string]*projectList // by account
	holders map[string]holder       // of the labels of discovered projects
	skipped map[string][]string     // labels of projects that are left out, by account
}

// forgetLookups forgets the ids that IAM told of an account's projects.
func (m memory) forgetLookups(account string) {
	maps.DeleteFunc(m.lookups, func(id lookupID, _ *refresh.Cell[string]) bool { return id.account == account })
}

// holder is the discovered project that has a label, and keeps it while it is there.
type holder struct{ account, projectID string }

func newMemory() memory {
	return memory{
		cells:   map[ID]*refresh.Cell[providers.Result]{},
		lookups: map[lookupID]*refresh.Cell[string]{},
		gates:   map[gateID]*refresh.Gate{},
		lists:   map[string]*projectList{},
		holders: map[string]holder{},
		skipped: map[string][]string{},
	}
}

// New returns an empty fleet.
func New(o Options) *Fleet { return &Fleet{options: o, memory: newMemory()} }

// Load puts a configuration in force for the next read. Numbers, counters and pauses of the sources that it still has are kept. Where it is
// stated otherwise than before how an account is asked, its failing sources are asked again without a pause, and what IAM told is asked for
// anew.
func (f *Fleet) Load(c *config.Config) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := map[string]*account{}
	for _, a := range f.loaded {
		a.http.CloseIdleConnections()
		before[a.Name] = a
	}
	f.loaded = nil
	for _, stated := range c.Accounts {
		a := newAccount(stated, c, f.options, before[stated.Name])
		a.list(f.memory)
		f.loaded = append(f.loaded, a)
		if old := before[a.Name]; old != nil && a.isAskedOtherwise(old) {
			f.memory.forgetLookups(a.Name) // other keys may see another project of the name
		}
	}
	f.build()
	for _, a := range f.loaded {
		if old := before[a.Name]; old != nil && a.isAskedOtherwise(old) && a.listed != nil {
			a.listed.Retry()
			a.listed.Expire(a.listed.Peek())
		}
	}
	for _, s := range f.sources {
		if old := before[s.Account]; old != nil {
			s.retryAfter(old)
		}
	}
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
	projects, _ := f.Known()
	return projects
}

// Known is List, and tells whether these are all: whether the projects of every account were discovered once.
func (f *Fleet) Known() (projects []Project, complete bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := ""
	for _, s := range f.sources {
		if s.project.label != last {
			last = s.project.label
			projects = append(projects, s.describe())
		}
	}
	return projects, !slices.ContainsFunc(f.built, func(s *projectState) bool { return s.ReadAt.IsZero() })
}

// Count returns how many sources keep wants.
func (f *Fleet) Count(keep func(service, project string) bool) int {
	return len(wanted(f.current(), keep))
}

// Read reads the sources that keep wants, side by side, and returns what is known of each when all is known that is worth waiting for,
// or when ctx ends. The readings are sorted by project, then in the order of the services.
func (f *Fleet) Read(ctx context.Context, keep func(service, project string) bool) []*Reading {
	return f.read(ctx, keep, f.Look)
}

// ReadKnown is Read for projects that are known: it waits for no list of projects.
func (f *Fleet) ReadKnown(ctx context.Context, keep func(service, project string) bool) []*Reading {
	return f.read(ctx, keep, func(ctx context.Context) { f.askLists(ctx) })
}

func (f *Fleet) read(ctx context.Context, keep func(service, project string) bool, look func(context.Context)) []*Reading {
	asked := time.Now()
	known := f.current()
	kept, flights := ask(ctx, known, keep) // under way while lists of projects are waited for
	look(ctx)
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
