package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/refresh"
)

const (
	idTimeout    = 8 * time.Second
	idTTL        = 24 * time.Hour   // the ID of a region's default project does not change in practice
	namedTTL     = 15 * time.Minute // that of another project changes if it is deleted and created again
	idMaxBackoff = 5 * time.Minute
)

// Project identifies a project, or an account, by its label.
type Project struct {
	Label   string
	ID      string // empty until IAM has returned it
	Region  string
	Account string

	IsAccount bool // it represents an account with account-level services, and has neither ID nor Region
}

// project is a project whose ID is configured, listed by IAM, or looked up there. For account-level services, an account takes the
// place of a project, with the account ID as its ID.
type project struct {
	config.Project

	account *account
	domain  *domain // nil if it is not an account
	sources []*source
	listed  *identity // the identity to which IAM listed it; nil if it is configured
	read    *readID

	lookup *refresh.Cell[lookedUp] // nil if the ID is configured or listed
	policy *refresh.Policy[lookedUp]
}

// lookupID identifies the ID in a Cell: that of the project with a name in IAM, as seen by the account.
type lookupID struct{ account, name string }

// lookedUp is the ID from IAM, and the identity that requested it.
type lookedUp struct {
	id       string
	domainID string // of the project's account, if IAM returned it
	asked    identity
}

// projectID identifies the project of a readID, like ID for sources. It has no region for an account.
type projectID struct{ account, id, region, iamName string }

// readID is the project ID at the last successful fetch of any service; nil: none succeeded yet.
type readID = atomic.Pointer[string]

// noteRead records a successful fetch with a project ID, and returns whether it is the first.
func (p *project) noteRead(id string) (isFirst bool) {
	if before := p.read.Load(); before != nil && *before == id {
		return false
	}
	p.read.Store(&id)
	return true
}

// isRead reports whether any service of the project was ever fetched successfully.
func (p *project) isRead() bool {
	id := p.read.Load()
	return id != nil && *id == p.known()
}

// decide logs which services are not offered, which is known once the first one was fetched.
func (p *project) decide() {
	for _, s := range p.sources {
		if r := s.newReading(own(s.cell.Peek(), p.known()), false); r.NotOffered {
			p.account.fleet.log.failed(r, r, s.exists)
		}
	}
}

func (f *Fleet) newProject(a *account, configured config.Project, listed *identity) *project {
	id := projectID{a.Name, configured.ID, configured.Region, configured.IAMName}
	p := &project{Project: configured, account: a, listed: listed, read: f.stores.read.get(id, func() *readID { return new(readID) })}
	if configured.ID != "" {
		return p
	}
	region := configured.Region
	name, ttl := region, idTTL
	if configured.IAMName != "" {
		name, ttl = configured.IAMName, namedTTL
	}
	iam := a.iam(region)
	iam.Action = huaweicloud.ListProjectsAction
	f.lookUp(p, name, idTimeout, ttl, func(ctx context.Context) (huaweicloud.Project, error) {
		return huaweicloud.FindProject(ctx, iam, name, config.IsProjectID)
	})
	return p
}

// lookUp sets up the lookup of a project's ID by a name; that of an account has none. The caller holds f.building.
func (f *Fleet) lookUp(p *project, name string, timeout, ttl time.Duration, find func(context.Context) (huaweicloud.Project, error)) {
	a := p.account
	p.lookup = f.stores.lookups.get(lookupID{a.Name, name}, func() *refresh.Cell[lookedUp] { return new(refresh.Cell[lookedUp]) })
	p.policy = &refresh.Policy[lookedUp]{
		Fetch: func(ctx context.Context) (lookedUp, error) {
			asked := a.identity()
			found, err := find(ctx)
			return lookedUp{found.ID, string(found.DomainID), asked}, err
		},
		Timeout:     timeout,
		TTL:         func(found *refresh.State[lookedUp]) time.Duration { return a.serves(found.Value.asked, ttl) },
		Backoff:     func(streak int, err error) time.Duration { return huaweicloud.Backoff(streak, err, idMaxBackoff) },
		Gate:        f.gate(a, iamItself, p.Region, iamInFlight),
		IsThrottled: isThrottledByIAM,
		GivesUp:     a.fleet.options.Once,
	}
}

// id returns the project's ID, and looks it up if it is not configured. An ID that was found is used while IAM is requested again
// and while that fails, unless the keys or IAM have changed. The wait for the ID of an account does not count toward the timeout of
// the fetch.
func (p *project) id(ctx context.Context) (string, error) {
	if p.lookup == nil {
		return p.ID, nil
	}
	if p.domain != nil {
		defer refresh.Suspend(ctx, nil)() // it may take several requests, and the list of projects
	}
	s, _ := p.lookup.Ask(ctx, p.policy)
	id := p.in(s)
	if id == "" {
		s = p.lookup.Await(ctx, p.policy)
		id = p.in(s)
	}
	_, keptOut := p.lookup.Attempt() // nil if the next lookup is already waiting in line: the pause is over
	switch _, isBusy := errors.AsType[*huaweicloud.BusyError](keptOut); {
	case id != "":
		return id, nil
	case s.Err != nil:
		return "", s.Err
	case isBusy: // then the source waits as well
		return "", fmt.Errorf("look up the ID of %s: %w", p.what(), keptOut)
	case ctx.Err() != nil:
		return "", huaweicloud.Advise(fmt.Errorf("look up the ID of %s: no response from IAM in time: %w", p.what(), ctx.Err()),
			"check the network, or configure the ID")
	default:
		return "", fmt.Errorf("look up the ID of %s: %w", p.what(), notAsked(cmp.Or(keptOut, refresh.ErrShut)))
	}
}

// what names the project or account whose ID is looked up.
func (p *project) what() string {
	if p.domain != nil {
		return "account " + p.account.Name
	}
	return "the project of " + p.Region
}

// in returns the ID in a lookup; empty if there is none, or if the keys or IAM have changed.
func (p *project) in(s *refresh.State[lookedUp]) string {
	if s.Value.asked != p.account.identity() {
		return ""
	}
	return s.Value.id
}

// known returns the ID if it is known, without a request.
func (p *project) known() string {
	switch {
	case p.lookup != nil:
		return p.in(p.lookup.Peek())
	case p.listed != nil && *p.listed != p.account.identity():
		return ""
	default:
		return p.ID
	}
}
