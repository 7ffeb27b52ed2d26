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
	idTTL        = 24 * time.Hour   // the id of a region's project does not change in practice
	namedTTL     = 15 * time.Minute // that of another project does, if it is deleted and created again
	idMaxBackoff = 5 * time.Minute
)

// Project is what a project label stands for.
type Project struct {
	Label   string
	ID      string // empty until IAM has returned it
	Region  string
	Account string

	IsAccount bool // it stands for the account: it has account-level services, and neither ID nor Region
}

// project is a project whose id is configured, listed by IAM, or looked up there. An account stands in the place of a project for its account-level
// services; its id is that of the account.
type project struct {
	config.Project

	account *account
	domain  *domain // nil: it is no account
	sources []*source
	listed  *identity // to whom IAM listed it; nil if it is configured
	read    *readID

	lookup *refresh.Cell[lookedUp] // nil if the id is configured or listed
	policy *refresh.Policy[lookedUp]
}

// lookupID says which id a Cell holds: that of the project that has the name in IAM, as the account sees it.
type lookupID struct{ account, name string }

// lookedUp is the id from IAM, and whose keys asked for it.
type lookedUp struct {
	id       string
	domainID string // of the account that the project belongs to, if IAM says so
	asked    identity
}

// projectID says which project a readID belongs to, as ID does for sources. It has no region for an account.
type projectID struct{ account, id, region, iamName string }

// readID is the id of a project when some service of it was read last; nil: none ever was.
type readID = atomic.Pointer[string]

// noteRead notes that a service of the project with an id was read, and returns whether it is the first one.
func (p *project) noteRead(id string) (isFirst bool) {
	if before := p.read.Load(); before != nil && *before == id {
		return false
	}
	p.read.Store(&id)
	return true
}

// isRead returns whether some service of the project was ever read.
func (p *project) isRead() bool {
	id := p.read.Load()
	return id != nil && *id == p.known()
}

// decide logs which services turn out not to be offered since the first one was read.
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

// lookUp has the id of a project looked up by a name; that of an account has none. The caller holds f.building.
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

// id returns the project's id, which is looked up if it is not configured. An id that was found once serves while IAM is asked again, and while it
// fails, unless the keys or IAM are others since. The wait for the id of an account takes no time of the fetch.
func (p *project) id(ctx context.Context) (string, error) {
	if p.lookup == nil {
		return p.ID, nil
	}
	if p.domain != nil {
		defer refresh.Suspend(ctx, nil)() // several APIs may be asked for it, and the list of projects
	}
	s, _ := p.lookup.Ask(ctx, p.policy)
	id := p.in(s)
	if id == "" {
		s = p.lookup.Await(ctx, p.policy)
		id = p.in(s)
	}
	_, keptOut := p.lookup.Attempt() // nil if the next look-up waits in line already: the pause is over
	switch _, isBusy := errors.AsType[*huaweicloud.BusyError](keptOut); {
	case id != "":
		return id, nil
	case s.Err != nil:
		return "", s.Err
	case isBusy: // then the source waits as well
		return "", fmt.Errorf("the id of %s: %w", p.what(), keptOut)
	case ctx.Err() != nil:
		return "", huaweicloud.Advise(fmt.Errorf("the id of %s: IAM has not answered in time: %w", p.what(), ctx.Err()),
			"check the network, or state the id")
	default:
		return "", fmt.Errorf("the id of %s: %w", p.what(), notAsked(cmp.Or(keptOut, refresh.ErrShut)))
	}
}

// what is whose id is looked up.
func (p *project) what() string {
	if p.domain != nil {
		return "account " + p.account.Name
	}
	return "the project of " + p.Region
}

// in returns the id in a look-up; empty if there is none, or if other keys or another IAM were asked.
func (p *project) in(s *refresh.State[lookedUp]) string {
	if s.Value.asked != p.account.identity() {
		return ""
	}
	return s.Value.id
}

// known returns the id as far as it is known, without asking for it.
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
