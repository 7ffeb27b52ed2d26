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

const stsTimeout = 3 * time.Second // in addition to idTimeout for IAM, so that STS has time left if IAM hangs

// domain has what an account needs in addition to a project to act as one. IAM calls accounts domains.
type domain struct {
	account *account

	list       *projectList // of the account's projects; nil without discovery
	listPolicy *refresh.Policy[discovered]
	member     *project // a configured project of the account, whose ID may have to be looked up; nil if there is none
}

// newDomain makes the project that represents an account. region is its previous one. The caller holds f.building.
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

// region returns the region for account-level services: the first one of discovery, or that of the first project. That of a listed
// project stays the same while IAM lists projects in it, because another region makes another source. It is empty if unknown.
func (b accountView) region(before string) string {
	if region := b.iamRegion(); region != "" || b.Discovery == nil {
		return region
	}
	projects := slices.Clone(b.found)
	if len(projects) == 0 { // none is selected
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

// findID finds the ID of the account: in a token, in the account's projects as IAM lists them, in IAM's list of accounts, or at STS.
// Its error is that of IAM, if there is one.
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
	if region == "" && (d.account.Endpoints.For("iam", "", "") == "" || strings.Contains(iam.BaseURL, "{region}")) { // its global host is that of the China site, whatever the account
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
		return "", &huaweicloud.AccountError{What: "no account ID found: " + strings.Join(why, "; ")}
	default:
		return "", fmt.Errorf("look up the ID of account %s: %w", d.account.Name, err)
	}
}

// listedID returns the account ID in the projects that IAM returned; empty if they have none.
func (d *domain) listedID(ctx context.Context) string {
	if list := d.awaitList(ctx); list != nil && list.Value.DomainID != "" {
		return list.Value.DomainID
	}
	if found := d.awaitMember(ctx); found != nil {
		return found.Value.domainID
	}
	return ""
}

// someProject returns the ID of any project of the account, which a few account-level APIs require in a header; empty if none is
// known.
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

// awaitMember returns the lookup of the account's project; nil if it failed or there is none. The wait does not count toward the
// timeout of the fetch, because most APIs do not need the project.
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

// awaitList returns the list of the account's projects; nil if unknown. The wait for the first one does not count toward the timeout
// of the fetch.
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

// checkRegion returns an error if a URL needs a region that is unknown.
func (d *domain) checkRegion(url string) error {
	if strings.Contains(url, "{region}") {
		return d.noRegion()
	}
	return nil
}

// noRegion returns why the region of the account is unknown.
func (d *domain) noRegion() error {
	if d.list != nil {
		if err := d.list.Peek().Err; err != nil {
			return fmt.Errorf("find the region of account %s by its first project: %w", d.account.Name, err)
		}
	}
	return &huaweicloud.AccountError{
		What: "the region of account " + d.account.Name + " is unknown because the account has no project", Advice: "set discovery.regions for the account",
	}
}
