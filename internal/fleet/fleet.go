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
	sources []*source // by project label, then in the order of the services; replaced, never changed
}

// memory is what outlives a configuration.
type memory struct {
	cells   map[ID]*refresh.Cell[providers.Result]
	lookups map[lookupID]*refresh.Cell[string]
	gates   map[gateID]*refresh.Gate
}

// New returns an empty fleet.
func New(o Options) *Fleet { return &Fleet{options: o} }

// Load puts a configuration in force for the next read. Numbers, counters and pauses of the sources that it still has are kept; where an
// account is stated otherwise than before, its failing sources are asked again without a pause.
func (f *Fleet) Load(c *config.Config) {
	f.mu.Lock()
	defer f.mu.Unlock()
	stated := map[string]config.Account{}
	for _, a := range f.loaded {
		a.http.CloseIdleConnections()
		stated[a.Name] = a.Account
	}
	next := memory{
		cells:   map[ID]*refresh.Cell[providers.Result]{},
		lookups: map[lookupID]*refresh.Cell[string]{},
		gates:   map[gateID]*refresh.Gate{},
	}
	f.loaded, f.sources = nil, nil
	for _, account := range c.Accounts {
		a := newAccount(account, c, f.options)
		f.loaded = append(f.loaded, a)
		changed := !reflect.DeepEqual(stated[account.Name], account)
		for _, p := range account.Projects {
			sources := a.sources(p, f.memory, next)
			f.sources = append(f.sources, sources...)
			if changed {
				retry(sources)
			}
		}
	}
	f.memory = next
	slices.SortStableFunc(f.sources, func(a, b *source) int { return cmp.Compare(a.project.label, b.project.label) })
}

// retry ends the pauses of sources that fail.
func retry(sources []*source) {
	for _, s := range sources {
		s.cell.Retry()
		if s.project.lookup != nil {
			s.project.lookup.Retry()
		}
	}
}

// Services returns the names of the services that are read, in the order of the list.
func (f *Fleet) Services() []string {
	return namesOf(f.current(), func(s *source) string { return s.service.Name })
}

// Projects returns the labels of the projects that are read, sorted.
func (f *Fleet) Projects() []string {
	return namesOf(f.current(), func(s *source) string { return s.project.label })
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
	n := 0
	for _, s := range f.current() {
		if keep(s.service.Name, s.project.label) {
			n++
		}
	}
	return n
}

// Read reads the sources that keep wants, side by side, and returns what is known of each when all is known that is worth waiting for,
// or when ctx ends. The readings are sorted by project, then in the order of the services.
func (f *Fleet) Read(ctx context.Context, keep func(service, project string) bool) []*Reading {
	asked := time.Now()
	var kept []*source
	for _, s := range f.current() {
		if keep(s.service.Name, s.project.label) {
			kept = append(kept, s)
		}
	}
	var flights []<-chan struct{}
	for _, s := range kept {
		if _, flight := s.cell.Ask(ctx, s.policy); flight != nil {
			flights = append(flights, flight)
		}
	}
	wait(ctx, flights)
	readings := make([]*Reading, len(kept))
	for i, s := range kept {
		readings[i] = s.reading(s.cell.Peek(), asked)
	}
	return readings
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

// namesOf returns the different names of sources, in their order.
func namesOf(sources []*source, name func(*source) string) []string {
	var names []string
	seen := map[string]bool{}
	for _, s := range sources {
		if n := name(s); !seen[n] {
			seen[n] = true
			names = append(names, n)
		}
	}
	return names
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
