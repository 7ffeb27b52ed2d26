package fleet

import (
	"net/http"
	"reflect"
	"strings"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/credentials"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/refresh"
	"cloud_quota_exporter/providers"
)

// account is what one configuration says of an account.
type account struct {
	config.Account
	services map[string]config.Service
	rules    rules
	options  Options
	proofs   *huaweicloud.Proofs
	logins   *credentials.Logins
	auth     *keys
	http     *http.Client

	listed  *projectList                           // nil without discovery
	listing *refresh.Policy[[]huaweicloud.Project] // likewise
}

// pauseID says whom a pause concerns: a service that throttles the account does so in all regions.
type pauseID struct{ account, service string }

// gateID says whose slots a Gate holds. They are by region, so that one that hangs leaves the slots of the others alone.
type gateID struct{ account, service, region string }

// newAccount makes an account of what is stated. The one that it replaces, if any, hands on the keys.
func newAccount(stated config.Account, c *config.Config, f *Fleet, before *account) *account {
	inFlight := iamInFlight
	for _, s := range c.Services { // which may all be at one host, a gateway's
		if s.Enabled {
			inFlight += s.MaxInFlight
		}
	}
	a := &account{
		Account:  stated,
		services: c.Services,
		rules:    rules{c.Limits, c.Thresholds},
		options:  f.options,
		proofs:   f.proofs,
		logins:   f.logins,
		http:     huaweicloud.NewHTTPClient(f.options.Dial, stated.CAFile, inFlight),
	}
	if before != nil && !a.isAskedOtherwise(before) {
		a.auth = before.auth
	} else {
		a.auth = a.keys(c.File)
	}
	return a
}

// isAskedOtherwise tells whether an account is asked with other keys, at other hosts or with other trust than before.
func (a *account) isAskedOtherwise(before *account) bool {
	return a.Cloud != before.Cloud || a.CAFile != before.CAFile || asksIAM(a.Credentials) && a.iamRegion() != before.iamRegion() ||
		!reflect.DeepEqual(a.Endpoints, before.Endpoints) || !reflect.DeepEqual(a.Credentials, before.Credentials)
}

// iamRegion is the region in which IAM is asked what concerns the whole account; empty is its global endpoint.
func (a *account) iamRegion() string {
	switch {
	case a.Discovery != nil && len(a.Discovery.Regions) > 0:
		return a.Discovery.Regions[0]
	case len(a.Projects) > 0:
		return a.Projects[0].Region
	default:
		return ""
	}
}

// sources are the enabled services of a project. What the memory knows of them goes on into the next one.
func (a *account) sources(stated config.Project, discovered bool, before, next memory) []*source {
	p := a.project(stated, before, next)
	var sources []*source
	for _, service := range a.options.Services {
		settings := a.services[service.Name]
		if !settings.Enabled {
			continue
		}
		id := ID{Account: a.Name, Service: service.Name, ProjectID: stated.ID, Region: stated.Region}
		cell := recall(before.cells, next.cells, id, func() *refresh.Cell[providers.Result] { return new(refresh.Cell[providers.Result]) })
		s := &source{ID: id, account: a, service: service, settings: settings, project: p, discovered: discovered, cell: cell}
		s.policy = s.newPolicy(a.gate(service.Name, stated.Region, settings.MaxInFlight, before, next))
		sources = append(sources, s)
	}
	return sources
}

// gate returns the slots of a service in a region, and the pause of that service in this account. A changed number of slots makes a new one.
func (a *account) gate(service, region string, slots int, before, next memory) *refresh.Gate {
	pause := recall(before.pauses, next.pauses, pauseID{a.Name, service}, func() *refresh.Gate { return refresh.NewGate(1) })
	id := gateID{a.Name, service, region}
	if old := before.gates[id]; old != nil && old.Slots() != slots {
		delete(before.gates, id)
	}
	return recall(before.gates, next.gates, id, func() *refresh.Gate { return pause.Beside(slots) })
}

// iam returns the client for IAM in a region; an empty region is its global endpoint.
func (a *account) iam(region string) *huaweicloud.Client {
	const name = "iam"
	return a.client(name, region, huaweicloud.BaseURL(name, region, a.Cloud), a.Endpoints.For(name, name, region))
}

// client returns the client for one API: that of a service, or "iam". usual is where it is reached unless the configuration states another
// endpoint; empty if it does not.
func (a *account) client(service, region, usual, stated string) *huaweicloud.Client {
	c := &huaweicloud.Client{
		HTTP:      a.http,
		Auth:      a.auth,
		Proofs:    a.proofs,
		Extend:    refresh.Extend,
		Service:   service,
		Scope:     huaweicloud.Scope{Region: region},
		BaseURL:   usual,
		UserAgent: a.options.UserAgent,
		Events:    a.options.Requests,
	}
	if stated != "" {
		c.BaseURL, c.QuotaPath = splitEndpoint(stated)
	}
	return c
}

// splitEndpoint tells a base from a whole URL, which has {project_id} in it: of that, the path and query replace the documented ones.
func splitEndpoint(endpoint string) (base, quotaPath string) {
	if !strings.Contains(endpoint, "{project_id}") {
		return strings.TrimRight(endpoint, "/"), ""
	}
	scheme, rest, _ := strings.Cut(endpoint, "://")
	end := strings.IndexAny(rest, "/?") // there is one: {project_id} stands behind it
	return scheme + "://" + rest[:end], "/" + strings.TrimPrefix(rest[end:], "/")
}
