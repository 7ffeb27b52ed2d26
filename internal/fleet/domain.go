package fleet

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/refresh"
)

const stsTimeout = 3 * time.Second // after idTimeout for IAM, so that an IAM that hangs leaves time for STS

// domain is what an account needs beside a project to stand in the place of one. IAM calls accounts domains.
type domain struct {
	account *account

	list       *projectList // of the account's projects; nil without discovery
	listPolicy *refresh.Policy[discovered]
	member     *project // a configured project of the account, whose id may have to be looked up; nil if there is none
}

// newDomain makes the project that stands for an account. region is the one that it had before. The caller holds f.building.
func (f *Fleet) newDomain(b accountView, region string) *project {
	a := b.account
	d := &domain{account: a, list: b.listCell, listPolicy: b.listPolicy}
	p := &project{Project: config.Project{Region: b.region(region), Name: a.Name}, account: a, domain: d}
	p.read = f.stores.read.get(projectID{account: a.Name}, func() *readID { return new(readID) })
	if len(a.Projects) > 0 {
		first := max(slices.IndexFunc(a.Projects, func(p config.Project) bool { return p.ID != "" }), 0)
		d.member = f.newProject(a, a.Projects[first], nil)
	}
	p.ID = a.DomainID
	if agency := a.Credentials.AssumeAgency; agency != nil {
		p.ID = cmp.Or(p.ID, agency.DomainID)
	}
	if p.ID != "" {
		return p
	}
	f.lookUp(p, "", idTimeout+stsTimeout, idTTL, func(ctx context.Context) (huaweicloud.Project, error) {
		id, err := d.findID(ctx, p.Region)
		return huaweicloud.Project{ID: id}, err
	})
	return p
}

// region returns where account-level services are asked: in the first region of discovery, or in that of the first project. That of a listed project
// stays the same while IAM lists projects in it, since a source in another region is another one. It is empty if it is not known.
func (b accountView) region(before string) string {
	if region := b.iamRegion(); region != "" || b.Discovery == nil {
		return region
	}
	projects := slices.Clone(b.found)
	if len(projects) == 0 { // none is wanted
		for _, p := range b.list.Value.Projects {
			projects = append(projects, config.Project{Name: p.Name, Region: p.Region()})
		}
		slices.SortFunc(projects, compareProjects)
	}
	if len(projects) == 0 || slices.ContainsFunc(projects, func(p config.Project) bool { return p.Region == before }) {
		return before
	}
	return projects[0].Region
}

// findID finds the id of the account: in a token, in the account's projects as IAM lists them, in IAM's list of accounts, or at STS. What IAM responds decides
// about the error.
func (d *domain) findID(ctx context.Context, region string) (string, error) {
	grant, err := d.account.keys.Grant(ctx, huaweicloud.Scope{Region: region})
	if err != nil {
		return "", &huaweicloud.CredentialsError{Err: err}
	}
	if id := d.account.keys.Status().DomainID; config.IsProjectID(id) {
		return id, nil
	}
	if id := d.listedID(ctx); config.IsProjectID(id) {
		return id, nil
	}
	iam, sts := d.account.iam(region), d.account.sts(region)
	if region == "" && (d.account.Endpoints.For("iam", "", "") == "" || strings.Contains(iam.BaseURL, "{region}")) { // its global host is the China site's, whatever the account
		return "", d.noRegion()
	}
	inTime, cancel := context.WithTimeout(ctx, idTimeout)
	defer cancel()
	id, err := huaweicloud.FindAccount(inTime, iam, config.IsProjectID)
	if err == nil {
		return id, nil
	}
	why := []string{huaweicloud.What(err)}
	if _, signs := grant.(*huaweicloud.Keys); signs && (region != "" || d.account.Endpoints.For("sts", "", "") != "") {
		ctx, cancel := context.WithTimeout(ctx, stsTimeout)
		defer cancel()
		id, failed := huaweicloud.CallerAccount(ctx, sts, config.IsProjectID)
		if failed == nil {
			return id, nil
		}
		why = append(why, huaweicloud.What(failed))
	}
	switch huaweicloud.Reason(err) {
	case huaweicloud.ReasonNotFound, huaweicloud.ReasonForbidden, huaweicloud.ReasonClientError, huaweicloud.ReasonMalformed:
		return "", &huaweicloud.AccountError{What: "no account id: " + strings.Join(why, "; ")}
	default:
		return "", fmt.Errorf("the id of account %s: %w", d.account.Name, err)
	}
}

// listedID returns the account of the projects that IAM lists, or of the one that it was asked for; empty if they do not say.
func (d *domain) listedID(ctx context.Context) string {
	if list := d.awaitList(ctx); list != nil && list.Value.DomainID != "" {
		return list.Value.DomainID
	}
	if found := d.awaitMember(ctx); found != nil {
		return found.Value.domainID
	}
	return ""
}

// someProject returns the id of some project of the account, which a few account-level APIs need in a header; empty if none is known.
func (d *domain) someProject(ctx context.Context) string {
	if found := d.awaitMember(ctx); found != nil {
		return found.Value.id
	}
	if d.member != nil {
		return d.member.ID
	}
	list := d.awaitList(ctx)
	if list == nil || len(list.Value.Projects) == 0 {
		return ""
	}
	return slices.MinFunc(list.Value.Projects, func(a, b huaweicloud.Project) int { return cmp.Compare(a.Name, b.Name) }).ID
}

// awaitMember returns the look-up of the project of the account; nil if it has not found it, or if none is looked up. What it waits takes no time of the
// fetch: most APIs do not need the project.
func (d *domain) awaitMember(ctx context.Context) *refresh.State[lookedUp] {
	if d.member == nil || d.member.lookup == nil {
		return nil
	}
	resume := refresh.Suspend(ctx, nil)
	found := d.member.lookup.Get(ctx, d.member.policy)
	resume()
	if d.member.in(found) == "" {
		return nil
	}
	return found
}

// awaitList returns the list of the account's projects; nil if it is not known. It waits for the first one, which takes no time of the fetch.
func (d *domain) awaitList(ctx context.Context) *listState {
	if d.list == nil {
		return nil
	}
	list := d.list.Peek()
	if !d.account.isKnown(list) {
		resume := refresh.Suspend(ctx, nil)
		list = d.list.Get(ctx, d.listPolicy)
		resume()
	}
	if !d.account.isKnown(list) {
		return nil
	}
	return list
}

// checkRegion returns an error if a URL needs a region that is not known.
func (d *domain) checkRegion(url string) error {
	if strings.Contains(url, "{region}") {
		return d.noRegion()
	}
	return nil
}

// noRegion returns why the region of the account is not known.
func (d *domain) noRegion() error {
	if d.list != nil {
		if err := d.list.Peek().Err; err != nil {
			return fmt.Errorf("the region of account %s is that of its first project: %w", d.account.Name, err)
		}
	}
	return &huaweicloud.AccountError{
		What: "the region of account " + d.account.Name + " is not known, since it has no project", Advice: "set discovery.regions of the account",
	}
}
