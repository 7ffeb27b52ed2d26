package fleet

import (
	"context"
	"errors"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
	"unique"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/refresh"
	"cloud_quota_exporter/providers"
)

const (
	notOfferedBackoff = time.Hour // regions get services now and then

	jitter = 0.1 // share of cache_ttl by which sources and fetches differ, so that not everything expires at once
)

// ID says what a source is, however the configuration labels it today: what is known of it survives reloads.
type ID struct {
	Account   string
	Service   string
	ProjectID string // empty if the id is looked up; there is one such project in a region
	Region    string
	IAMName   string                // by which the id is looked up, if not by the region
	API       unique.Handle[string] // where it is asked, and how the answer is read
}

// sourceCell is where what is read of a source is kept, for as long as there is the source.
type sourceCell = refresh.Cell[providers.Result]

// Reading is what is known of a source. It is immutable, and stays the same pointer until something that it shows changes.
type Reading struct {
	Account string
	Service string
	Project Project
	State   *refresh.State[providers.Result]
	Quotas  []Quota // none if the last success is longer ago than max_stale
	TooOld  bool    // whether numbers were dropped for their age
	Refused []error // stated limits that can't be

	CacheTTL time.Duration // how long numbers are fresh at most

	NotOffered bool // the region does not have the service, which is no failure

	owner     string // id of the project or account, as far as it is known
	undecided bool   // it will be NotOffered once some service of the project is read
	cell      *sourceCell
}

// Unread returns how far the first fetch of the source has come; nil if it has ended.
func (r *Reading) Unread() *UnreadError {
	if r.State.ReadAt.IsZero() && r.State.Err == nil {
		return newUnread(r.Service, r.cell)
	}
	return nil
}

// Reason classifies the failure of the last finished fetch; empty if it did not fail.
func (r *Reading) Reason() string { return huaweicloud.Reason(r.State.Err) }

// source is one service of one project, as one configuration has it.
type source struct {
	ID
	account  *account
	service  providers.Service
	settings config.Service
	project  *project

	mayLack bool // nobody stated that the region has the service

	cell   *sourceCell
	policy *refresh.Policy[providers.Result]

	mu     sync.Mutex
	last   *Reading
	lastOf *refresh.State[providers.Result] // which last shows, as far as it is of this project
}

// newSources makes the enabled services of a project, or of an account. The caller holds f.building.
func (f *Fleet) newSources(p *project) []*source {
	a := p.account
	var sources []*source
	for _, service := range a.config.Known {
		settings := a.config.Services[service.Name]
		if !settings.Enabled || service.API.Account != (p.domain != nil) {
			continue
		}
		id := ID{Account: a.Name, Service: service.Name, ProjectID: p.ID, Region: p.Region, IAMName: p.IAMName}
		s := &source{ID: id, account: a, service: service, settings: settings, project: p, mayLack: p.listed != nil || settings.ByDefaults}
		c := s.client()
		s.API = unique.Make(c.BaseURL + " " + c.QuotaPath + " " + service.API.String())
		s.cell = f.stores.cells.get(s.ID, func() *sourceCell { return new(sourceCell) })
		s.policy = s.newPolicy(f.gate(a, service.Name, p.Region, settings.MaxInFlight))
		sources = append(sources, s)
		if state := s.cell.Peek(); !state.ReadAt.IsZero() && state.Value.Owner == p.known() {
			p.noteRead(state.Value.Owner)
		}
	}
	p.sources = sources
	return sources
}

func (s *source) newPolicy(gate *refresh.Gate) *refresh.Policy[providers.Result] {
	seed, ttl := s.seed(), s.settings.CacheTTL
	return &refresh.Policy[providers.Result]{
		Fetch:   s.fetch,
		Timeout: s.settings.Timeout,
		TTL: func(state *refresh.State[providers.Result]) time.Duration {
			if state.Value.Owner != s.project.known() {
				return 0
			}
			return ttl - time.Duration(jitter*share(seed, state.BegunAt)*float64(ttl))
		},
		Backoff: s.backoff,
		Pause: func(state *refresh.State[providers.Result]) time.Duration {
			if s.isNotOffered(own(state, s.project.known())) {
				return notOfferedBackoff
			}
			return 0
		},
		Gate:        gate,
		IsThrottled: throttledBy(s.Service),
		GivesUp:     s.account.fleet.options.Once,
		OnDone: func(before, after *refresh.State[providers.Result]) {
			s.account.keys.noteFailure(after.Err)
			isFirst := after.Err == nil && s.project.noteRead(after.Value.Owner)
			s.account.fleet.log.fetched(s.newReading(before, false), s.newReading(after, false), s.exists)
			if isFirst {
				s.project.decide()
			}
			s.account.fleet.options.Progress()
		},
	}
}

func (s *source) fetch(ctx context.Context) (providers.Result, error) {
	if !s.exists() {
		return providers.Result{}, removedError{}
	}
	if d := s.project.domain; d != nil {
		d.awaitList(ctx) // here, as it takes no time of this fetch
	}
	id, err := s.project.id(ctx)
	if err != nil {
		return providers.Result{}, err
	}
	c := s.client()
	if d := s.project.domain; d == nil {
		c.Scope.ProjectID = id
	} else {
		c.Scope.DomainID, c.Scope.ProjectID = id, d.someProject(ctx)
		err = d.checkRegion(c.BaseURL)
	}
	if err != nil {
		return providers.Result{}, err
	}
	return s.service.Quotas(ctx, c, s.settings.Options)
}

// removedError is why a fetch does not begin: the source was removed while it waited for its turn.
type removedError struct{}

func (removedError) Error() string  { return "no longer read" }
func (removedError) NotBegun() bool { return true }

// client returns the client for the service in the region.
func (s *source) client() *huaweicloud.Client {
	a, host := s.account, s.service.API.Host
	return a.client(s.Service, s.Region, host.BaseURL(s.Region, a.Cloud), a.Endpoints.For(s.Service, host.Label(s.Region), s.Region))
}

// backoff is none while the project has no id: nothing was asked of the service, and the look-up makes a pause of its own.
func (s *source) backoff(streak int, err error) time.Duration {
	if l := s.project.lookup; l != nil && l.Peek().ReadAt.IsZero() {
		return 0
	}
	return huaweicloud.Backoff(streak, err, s.settings.CacheTTL)
}

// isNotOffered returns whether a state shows that the region does not have the service. That no service of the project was ever read shows something
// else, such as a mistyped region.
func (s *source) isNotOffered(state *refresh.State[providers.Result]) bool {
	return s.seemsNotOffered(state) && s.project.isRead()
}

func (s *source) seemsNotOffered(state *refresh.State[providers.Result]) bool {
	return s.mayLack && state.Err != nil && state.ReadAt.IsZero() && huaweicloud.IsNotOffered(s.Service, state.Err)
}

// requestChanged returns whether the source is requested in another way than by the configuration before.
func (s *source) requestChanged(before *account) bool {
	settings := before.config.Services[s.Service]
	return s.account.changed || settings.Timeout != s.settings.Timeout || !maps.Equal(settings.Options, s.settings.Options)
}

// seed is a number that is the same for a source whatever else is read.
func (s *source) seed() uint64 {
	h := fnv.New64a()
	for _, part := range []string{s.Account, s.Service, s.ProjectID, s.Region} {
		_, _ = h.Write([]byte(part + "\x00")) // never fails
	}
	return h.Sum64()
}

// share is a number from 0 up to 1, the same for a source from one fetch to the next. If it was always the same, sources that were read together would be
// read together for ever: scrapes come at intervals, and most of those that expire between two of them expire between two of them again.
func share(seed uint64, fetch time.Time) float64 {
	return float64(rand.NewPCG(seed, uint64(fetch.UnixNano())).Uint64()>>11) / (1 << 53)
}

// reading shows what is known now to who asked at a time, by the same pointer as last time if nothing has changed since. Numbers that are too
// old are dropped rather than shown as if they still held. Those that were read since they were asked for never are, however long the others
// took.
func (s *source) reading(asked time.Time) *Reading {
	state, id := s.cell.Peek(), s.project.known()
	shown := own(state, id)
	notOffered := s.isNotOffered(shown)
	tooOld := !state.ReadAt.IsZero() && state.ReadAt.Before(asked) && time.Since(state.ReadAt) > s.settings.MaxStale
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil || s.lastOf != state || s.last.TooOld != tooOld || s.last.owner != id || s.last.NotOffered != notOffered {
		s.last, s.lastOf = s.newReading(shown, tooOld), state
	}
	return s.last
}

// own returns what of a state is of the project with an id: numbers of another project, or of one that may be another, are not shown.
func own(state *refresh.State[providers.Result], id string) *refresh.State[providers.Result] {
	if state.ReadAt.IsZero() || state.Value.Owner == id {
		return state
	}
	bare := *state
	bare.Value, bare.ReadAt = providers.Result{}, time.Time{}
	return &bare
}

// isInDoubt returns whether the project is one that IAM listed to other keys, so that it may not be the account's, or an account whose region is that of
// the first project that IAM has yet to list.
func (s *source) isInDoubt() bool {
	if d := s.project.domain; d != nil {
		return s.Region == "" && d.list != nil && d.list.Peek().Fetches == 0
	}
	return s.project.listed != nil && s.project.known() == ""
}

// exists returns whether the source, or one that replaces it, is still read.
func (s *source) exists() bool {
	filter := Filter{Projects: []string{s.project.Name}}
	return slices.ContainsFunc(filter.of(s.account.fleet.now.Load().sources), func(other *source) bool { return other.ID == s.ID })
}

func (s *source) newReading(state *refresh.State[providers.Result], tooOld bool) *Reading {
	notOffered := s.isNotOffered(state)
	r := &Reading{
		Account: s.Account,
		Service: s.Service,
		Project: s.describe(),
		State:   state,
		TooOld:  tooOld,

		CacheTTL:   s.settings.CacheTTL,
		NotOffered: notOffered,

		owner:     s.project.known(),
		undecided: !notOffered && s.seemsNotOffered(state),
		cell:      s.cell,
	}
	if !tooOld {
		r.Quotas, r.Refused = applyRules(s.account.config, s.Service, s.project.Name, state.Value.Quotas)
	}
	return r
}

// describe returns the project, with its id as far as that is known. An account has no id and no region of a project.
func (s *source) describe() Project {
	if s.project.domain != nil {
		return Project{Label: s.project.Name, Account: s.Account, IsAccount: true}
	}
	return Project{Label: s.project.Name, ID: s.project.known(), Region: s.Region, Account: s.Account}
}

// throttledBy recognises that a service throttles the account, which concerns all its projects. That IAM throttles the look-up of a
// project's id is nothing against the service.
func throttledBy(service string) func(error) bool {
	return func(err error) bool {
		api, ok := errors.AsType[*huaweicloud.APIError](err)
		return ok && api.Service == service && !api.IsIAM && huaweicloud.Reason(err) == huaweicloud.ReasonThrottled
	}
}

// isThrottledByIAM recognises that IAM throttles requests for projects and ids.
func isThrottledByIAM(err error) bool {
	api, ok := errors.AsType[*huaweicloud.APIError](err)
	return ok && api.IsIAM && huaweicloud.Reason(err) == huaweicloud.ReasonThrottled
}
