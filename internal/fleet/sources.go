package fleet

import (
	"context"
	"errors"
	"hash/fnv"
	"maps"
	"sync"
	"time"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/refresh"
	"cloud_quota_exporter/providers"
)

const (
	notOfferedPause = time.Hour // regions get services now and then

	jitter = 0.1 // share of cache_ttl by which sources differ, so that not everything expires at once
)

// ID says what a source is, however the configuration labels it today: what is known of it survives reloads.
type ID struct {
	Account   string
	Service   string
	ProjectID string // empty where the id is looked up; there is one such project in a region
	Region    string
}

// Reading is what is known of a source. It is immutable, and stays the same pointer until something that it shows changes.
type Reading struct {
	Account string
	Service string
	Project Project
	State   *refresh.State[providers.Result]
	Quotas  []Quota // none if the last success is longer ago than max_stale
	TooOld  bool    // whether numbers were dropped for their age
	Refused []error // stated limits that can't be

	NotOffered bool // the region of a discovered project has never had the service, which is no failure

	cell *refresh.Cell[providers.Result]
}

// Unread returns how far the first fetch of the source has come; nil if it has ended.
func (r *Reading) Unread() *UnreadError {
	if r.State.Fetches > 0 {
		return nil
	}
	return newUnread(r.Service, r.cell)
}

// Reason classifies the failure of the last finished fetch; empty if it did not fail.
func (r *Reading) Reason() string {
	if r.State.Err == nil {
		return ""
	}
	return huaweicloud.Reason(r.State.Err)
}

// source is one service of one project, as one configuration has it.
type source struct {
	ID
	account  *account
	service  providers.Service
	settings config.Service
	project  *project

	discovered bool

	cell   *refresh.Cell[providers.Result]
	policy *refresh.Policy[providers.Result]

	mu   sync.Mutex
	last *Reading
}

func (s *source) newPolicy(gate *refresh.Gate) *refresh.Policy[providers.Result] {
	ttl := s.settings.CacheTTL
	fresh := ttl - time.Duration(jitter*s.share()*float64(ttl))
	return &refresh.Policy[providers.Result]{
		Fetch:   s.fetch,
		Timeout: s.settings.Timeout,
		Fresh:   func(providers.Result) time.Duration { return fresh },
		Pause:   func(streak int, err error) time.Duration { return s.pause(streak, err) },
		Gate:    gate,
		Shuts:   throttledBy(s.Service),
		GivesUp: s.account.options.Once,
		Settled: func(before, after *refresh.State[providers.Result]) {
			s.account.auth.blame(after.Err)
			s.account.options.Reads(Read{s.newReading(before, false), s.newReading(after, false)})
		},
	}
}

func (s *source) fetch(ctx context.Context) (providers.Result, error) {
	id, err := s.project.id(ctx)
	if err != nil {
		return providers.Result{}, err
	}
	c := s.client()
	c.Scope.ProjectID = id
	return s.service.Quotas(ctx, c, s.settings.Options)
}

// client returns the client for the service in the region.
func (s *source) client() *huaweicloud.Client {
	a, host := s.account, s.service.API.Host
	return a.client(s.Service, s.Region, host.BaseURL(s.Region, a.Cloud), a.Endpoints.For(s.Service, host.Label(s.Region), s.Region))
}

// pause is longer where the region does not have the service.
func (s *source) pause(streak int, err error) time.Duration {
	p := huaweicloud.Pause(streak, err, s.settings.CacheTTL)
	if s.discovered && s.cell.Peek().ReadAt.IsZero() && huaweicloud.IsNotOffered(err) {
		p = max(p, notOfferedPause)
	}
	return p
}

// retryAfter ends the pauses after failures where a new configuration asks otherwise than the one before.
func (s *source) retryAfter(before *account, otherwise bool) {
	settings := before.services[s.Service]
	if otherwise || settings.Timeout != s.settings.Timeout || !maps.Equal(settings.Options, s.settings.Options) {
		s.cell.Retry()
	}
}

// share is a number from 0 up to 1, the same for a source whenever it is asked for.
func (s *source) share() float64 {
	h := fnv.New32a()
	for _, part := range []string{s.Account, s.Service, s.ProjectID, s.Region} {
		_, _ = h.Write([]byte(part + "\x00")) // never fails
	}
	return float64(h.Sum32()) / (1 << 32)
}

// reading shows a state to who asked at a time, by the same pointer as last time if nothing has changed since.
func (s *source) reading(state *refresh.State[providers.Result], asked time.Time) *Reading {
	s.mu.Lock()
	defer s.mu.Unlock()
	tooOld := s.tooOld(state, asked)
	if s.last == nil || s.last.State != state || s.last.TooOld != tooOld || s.last.Project.ID != s.project.known() {
		s.last = s.newReading(state, tooOld)
	}
	return s.last
}

func (s *source) newReading(state *refresh.State[providers.Result], tooOld bool) *Reading {
	r := &Reading{
		Account: s.Account,
		Service: s.Service,
		Project: s.describe(),
		State:   state,
		TooOld:  tooOld,

		NotOffered: s.discovered && state.ReadAt.IsZero() && state.Err != nil && huaweicloud.IsNotOffered(state.Err),

		cell: s.cell,
	}
	if !tooOld {
		r.Quotas, r.Refused = s.account.rules.apply(s.Service, s.project.label, state.Value.Quotas)
	}
	return r
}

// describe tells the project, with its id as far as that is known.
func (s *source) describe() Project {
	return Project{Label: s.project.label, ID: s.project.known(), Region: s.Region, Account: s.Account}
}

// tooOld tells whether the numbers are dropped rather than shown as if they still held. Those that were read since they were asked for
// never are, however long the others took.
func (s *source) tooOld(state *refresh.State[providers.Result], asked time.Time) bool {
	return !state.ReadAt.IsZero() && state.ReadAt.Before(asked) && time.Since(state.ReadAt) > s.settings.MaxStale
}

// throttledBy recognises that a service throttles the account, which concerns all its projects. That IAM throttles the look-up of a
// project's id is nothing against the service.
func throttledBy(service string) func(error) bool {
	return func(err error) bool {
		api, ok := errors.AsType[*huaweicloud.APIError](err)
		return ok && api.Service == service && huaweicloud.Reason(err) == huaweicloud.ReasonThrottled
	}
}
