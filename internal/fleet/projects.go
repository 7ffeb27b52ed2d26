package fleet

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/refresh"
)

const (
	iamTimeout  = 8 * time.Second
	iamInFlight = 8
	idFresh     = 24 * time.Hour // the id of a region's project does not change in practice

	iamLongestPause = 5 * time.Minute
)

// Project is what a project label stands for.
type Project struct {
	Label   string
	ID      string // empty while IAM has not told it yet
	Region  string
	Account string
}

// project is a project whose id is stated or looked up.
type project struct {
	label  string
	stated config.Project
	lookup *refresh.Cell[string] // nil where the id is stated
	policy *refresh.Policy[string]
}

// lookupID says which id a Cell holds: that of the project that bears the region's name, as the account sees it.
type lookupID struct{ account, region string }

func (a *account) project(stated config.Project, before, next memory) *project {
	p := &project{label: stated.Name, stated: stated}
	if stated.ID != "" {
		return p
	}
	id := lookupID{a.Name, stated.Region}
	p.lookup = recall(before.lookups, next.lookups, id, func() *refresh.Cell[string] { return new(refresh.Cell[string]) })
	iam := a.iam(stated.Region)
	iam.Action = huaweicloud.ListProjectsAction
	p.policy = &refresh.Policy[string]{
		Fetch:   func(ctx context.Context) (string, error) { return huaweicloud.FindProject(ctx, iam, stated.Region) },
		Timeout: iamTimeout,
		Fresh:   func(string) time.Duration { return idFresh },
		Pause:   func(streak int, err error) time.Duration { return huaweicloud.Pause(streak, err, iamLongestPause) },
		Gate:    a.gate("iam", stated.Region, iamInFlight, before, next),
		Shuts:   throttledBy("iam"),
		GivesUp: a.options.Once,
	}
	return p
}

// id returns the project's id, which is looked up where it is not stated. An id that was found once serves while IAM is asked again, and
// while it fails.
func (p *project) id(ctx context.Context) (string, error) {
	if p.lookup == nil {
		return p.stated.ID, nil
	}
	s, _ := p.lookup.Ask(ctx, p.policy)
	if s.ReadAt.IsZero() {
		s = p.lookup.Await(ctx, p.policy)
	}
	switch {
	case !s.ReadAt.IsZero():
		return s.Value, nil
	case s.Err != nil:
		return "", s.Err
	case ctx.Err() != nil:
		return "", huaweicloud.Advise(fmt.Errorf("the id of the project of %s: IAM has not answered in time: %w", p.stated.Region, ctx.Err()),
			"check the network, or state the id")
	default:
		_, keptOut := p.lookup.Attempt() // nil if the next look-up stands in line already: the pause is over
		return "", fmt.Errorf("the id of the project of %s: %w", p.stated.Region, notAsked(cmp.Or(keptOut, refresh.ErrShut)))
	}
}

// known returns the id as far as it is known, without asking for it.
func (p *project) known() string {
	if p.lookup == nil {
		return p.stated.ID
	}
	return p.lookup.Peek().Value
}
