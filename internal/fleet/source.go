package fleet

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
	"unique"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/refresh"
	"cloud_quota_exporter/providers"
)

const notOfferedBackoff = time.Hour // regions get new services from time to time

// ID identifies a source independently of its label, so that its state survives reloads.
type ID struct {
	Account   string
	Service   string
	ProjectID string // empty if the ID is looked up; a region has one such project
	Region    string
	IAMName   string                // name for the ID lookup, if not the region
	API       unique.Handle[string] // the URL and the format of the response
}

// sourceCell keeps the values of a source while the source exists.
type sourceCell = refresh.Cell[providers.Result]

// Reading is the state of a source. It is immutable, and the pointer stays the same until something that it shows changes.
type Reading struct {
	Account string
	Service string
	Project Project
	State   *refresh.State[providers.Result]
	Quotas  []Quota // none if the last success is longer ago than max_stale
	TooOld  bool    // values were dropped because of their age
	Refused []error // configured limits that are impossible

	CacheTTL time.Duration // maximum age of values before they are fetched again

	NotOffered bool // the region does not offer the service, which is not a failure

	owner     string // ID of the project or account, if known
	undecided bool   // becomes NotOffered once some service of the project was fetched
	cell      *sourceCell
}

// Unread returns the progress of the first fetch of the source; nil if it has ended.
func (r *Reading) Unread() *UnreadError {
	if r.State.ReadAt.IsZero() && r.State.Err == nil {
		return newUnread(r.Service, r.cell)
	}
	return nil
}

// Reason classifies the failure of the last completed fetch; empty if it succeeded.
func (r *Reading) Reason() string { return huaweicloud.Reason(r.State.Err) }

// source is one service of one project in one configuration.
type source struct {
	ID
	account  *account
	service  providers.Service
	settings config.Service
	project  *project

	mayLack bool // the region may not offer the service: it is not explicitly enabled for it

	cell   *sourceCell
	policy *refresh.Policy[providers.Result]

	mu     sync.Mutex
	last   *Reading
	lastOf *refresh.State[providers.Result] // the state that last shows, as far as it belongs to this project
}

// newSources makes the enabled services of a project or account. The caller holds f.building.
func (f *Fleet) newSources(p *project) []*source {
	a := p.account
	var sources []*source
	for i, service := range a.config.Known {
		settings := a.config.Services[service.Name]
		if !settings.Enabled || service.API.Account != (p.domain != nil) {
			continue
		}
		id := ID{Account: a.Name, Service: service.Name, ProjectID: p.ID, Region: p.Region, IAMName: p.IAMName}
		s := &source{ID: id, account: a, service: service, settings: settings, project: p, mayLack: p.listed != nil || settings.ByDefaults}
		c := s.client()
		s.API = unique.Make(c.BaseURL + " " + c.QuotaPath + " " + service.API.String())
		s.cell = f.stores.cells.get(s.ID, func() *sourceCell { return new(sourceCell) })
		s.policy = s.newPolicy(f.gate(a, service.Name, p.Region, settings.MaxInFlight), s.phase(i))
		sources = append(sources, s)
		if state := s.cell.Peek(); !state.ReadAt.IsZero() && state.Value.Owner == p.known() {
			p.noteRead(state.Value.Owner)
		}
	}
	p.sources = sources
	return sources
}

func (s *source) newPolicy(gate *refresh.Gate, phase float64) *refresh.Policy[providers.Result] {
	return &refresh.Policy[providers.Result]{
		Fetch:   s.fetch,
		Timeout: s.settings.Timeout,
		TTL: func(state *refresh.State[providers.Result]) time.Duration {
			if state.Value.Owner != s.project.known() {
				return 0
			}
			if gate.WasShutAfter(time.Now().Add(-afterThrottling)) {
				return s.settings.CacheTTL
			}
			return freshFor(s.settings.CacheTTL, phase, state.BegunAt, state.Fetches == 1)
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
	id, err := s.project.id(ctx)
	if err != nil {
		return providers.Result{}, err
	}
	c := s.client()
	if d := s.project.domain; d == nil {
		c.Scope.ProjectID = id
	} else {
		c.Scope.DomainID, c.Scope.ProjectID = id, d.someProject(ctx)
		if c.Scope.ProjectID == "" && s.service.NeedsProject {
			c.Doubt = "no project of the account is known"
		}
		err = d.checkRegion(c.BaseURL)
	}
	if err != nil {
		return providers.Result{}, err
	}
	return s.service.Quotas(ctx, c, s.settings.Options)
}

// removedError means that a source was removed while its fetch waited in line.
type removedError struct{}

func (removedError) Error() string  { return "source no longer configured" }
func (removedError) NotBegun() bool { return true }

// client returns the client for the service in the region.
func (s *source) client() *huaweicloud.Client {
	a, host := s.account, s.service.API.Host
	return a.client(s.Service, s.Region, host.BaseURL(s.Region, a.Cloud), a.Endpoints.For(s.Service, host.Label(s.Region), s.Region))
}

// backoff is zero while the project has no ID: no request was sent to the service, and the lookup has its own pause.
func (s *source) backoff(streak int, err error) time.Duration {
	if l := s.project.lookup; l != nil && l.Peek().ReadAt.IsZero() {
		return 0
	}
	return huaweicloud.Backoff(streak, err, s.settings.CacheTTL)
}

// isNotOffered reports whether a state shows that the region does not offer the service. If no service of the project was ever
// fetched, the cause is something else, such as a mistyped region.
func (s *source) isNotOffered(state *refresh.State[providers.Result]) bool {
	return s.seemsNotOffered(state) && s.project.isRead()
}

func (s *source) seemsNotOffered(state *refresh.State[providers.Result]) bool {
	return s.mayLack && state.Err != nil && state.ReadAt.IsZero() && huaweicloud.IsNotOffered(s.Service, state.Err)
}

// requestChanged reports whether the request of the source differs from that of the previous configuration.
func (s *source) requestChanged(before *account) bool {
	settings := before.config.Services[s.Service]
	return s.account.changed || settings.Timeout != s.settings.Timeout || !maps.Equal(settings.Options, s.settings.Options)
}

// reading returns the current state for a read that started at asked, as the same pointer if nothing has changed. Values that are
// too old are dropped, unless they were fetched since the read started.
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

// own returns the part of a state that belongs to the project with an ID. Values of another project, or possibly of another one, are
// not shown.
func own(state *refresh.State[providers.Result], id string) *refresh.State[providers.Result] {
	if state.ReadAt.IsZero() || state.Value.Owner == id {
		return state
	}
	bare := *state
	bare.Value, bare.ReadAt = providers.Result{}, time.Time{}
	return &bare
}

// isInDoubt reports whether the project was listed by IAM to other keys, so that it may not belong to the account, or whether it is
// an account whose region is that of its first project, which IAM has yet to list.
func (s *source) isInDoubt() bool {
	if d := s.project.domain; d != nil {
		return s.Region == "" && d.list != nil && d.list.Peek().Fetches == 0
	}
	return s.project.listed != nil && s.project.known() == ""
}

// exists reports whether the source, or one that replaces it, still exists.
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

// describe returns the project, with its ID if known. An account has no project ID and no region.
func (s *source) describe() Project {
	if s.project.domain != nil {
		return Project{Label: s.project.Name, Account: s.Account, IsAccount: true}
	}
	return Project{Label: s.project.Name, ID: s.project.known(), Region: s.Region, Account: s.Account}
}

// throttledBy reports whether a service throttles the account, which affects all its projects. If IAM throttles the lookup of an ID,
// the service is not throttled.
func throttledBy(service string) func(error) bool {
	return func(err error) bool {
		api, ok := errors.AsType[*huaweicloud.APIError](err)
		return ok && api.Service == service && !api.IsIAM && huaweicloud.Reason(err) == huaweicloud.ReasonThrottled
	}
}

// isThrottledByIAM reports whether IAM throttles requests for projects and IDs.
func isThrottledByIAM(err error) bool {
	api, ok := errors.AsType[*huaweicloud.APIError](err)
	return ok && api.IsIAM && huaweicloud.Reason(err) == huaweicloud.ReasonThrottled
}
