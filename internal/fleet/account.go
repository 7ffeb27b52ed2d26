package fleet

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/credentials"
	"cloud_quota_exporter/internal/files"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/refresh"
	"cloud_quota_exporter/providers"
)

const (
	iamInFlight = 8

	keyWait         = 500 * time.Millisecond // of a scrape for other keys after some were refused
	describeTimeout = 10 * time.Second       // for all files of all accounts to be read
	exposedTimeout  = time.Minute            // for the permissions of an account's files to be read
)

// account is an account as one configuration has it.
type account struct {
	config.Account
	config  *config.Config
	fleet   *Fleet
	keys    *keys
	http    *http.Client
	hosts   *huaweicloud.Hosts
	apis    map[string]unique.Handle[string] // what is asked of each service, whatever the region
	changed bool                             // its connection differs from that of the configuration before
}

// newAccount makes an account of its configuration. before is the account that it replaces, which hands on the keys; nil if it is new.
func (f *Fleet) newAccount(configured config.Account, c *config.Config, before *account) *account {
	a := &account{
		Account: configured,
		config:  c,
		fleet:   f,
		http:    huaweicloud.NewHTTPClient(f.options.Dial, configured.CAFile, configured.MaxInFlightPerHost),
		apis:    map[string]unique.Handle[string]{},
	}
	for _, s := range c.Known {
		if c.Services[s.Name].Enabled {
			a.apis[s.Name] = unique.Make(fmt.Sprint(a.Cloud, a.Endpoints[s.Name], a.Endpoints["default"], s.API.Host, s.API))
		}
	}
	if before != nil && before.MaxInFlightPerHost == a.MaxInFlightPerHost {
		a.hosts = before.hosts
	} else {
		a.hosts = huaweicloud.NewHosts(a.MaxInFlightPerHost)
	}
	a.changed = before != nil && a.connectionDiffers(before)
	if before != nil && !a.changed {
		a.keys = before.keys
		return a
	}
	a.keys = &keys{log: log.With(f.log.logger, "account", a.Name), Source: credentials.New(a.Credentials, credentials.Deps{
		IAM: a.iam, Region: a.iamRegion(), Dial: f.options.Dial, Getenv: f.options.Getenv, Logins: f.logins, ProfileSays: a.ProfileSays,
	})}
	if before != nil && a.seesTheSame(before) {
		a.keys.origin, a.keys.inUse = before.keys.origin, before.keys.keyInUse()
	} else {
		a.keys.origin = new(origin)
	}
	return a
}

// connectionDiffers returns whether an account has other keys, hosts or trust than another one.
func (a *account) connectionDiffers(other *account) bool {
	return a.Cloud != other.Cloud || !maps.Equal(a.ProfileSays, other.ProfileSays) || a.CAFile != other.CAFile || a.Credentials.NeedIAM() && a.iamRegion() != other.iamRegion() ||
		!reflect.DeepEqual(a.Endpoints, other.Endpoints) || !reflect.DeepEqual(a.Credentials, other.Credentials)
}

// seesTheSame returns whether an account asks the same IAM by the same credentials as another one.
func (a *account) seesTheSame(other *account) bool {
	return a.Cloud == other.Cloud && reflect.DeepEqual(a.Endpoints["iam"], other.Endpoints["iam"]) &&
		reflect.DeepEqual(a.Credentials, other.Credentials)
}

// origin counts how often the permanent keys of the same credentials became others, such as those in a file.
type origin struct{ changes atomic.Uint64 }

// identity is to whom IAM said something: what it says to other keys, and what another IAM says, is not the same.
type identity struct {
	*origin

	changes uint64
}

func (a *account) identity() identity { return identity{a.keys.origin, a.keys.origin.changes.Load()} }

// serves returns how long serves what IAM said: not at all if it was said to others.
func (a *account) serves(asked identity, ttl time.Duration) time.Duration {
	if asked != a.identity() {
		return 0
	}
	return ttl
}

// iamRegion returns the region in which IAM is asked what concerns the whole account; empty is its global endpoint.
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

// iam returns the client for IAM in a region; an empty region is its global endpoint.
func (a *account) iam(region string) *huaweicloud.Client {
	c := a.client("iam", region, huaweicloud.BaseURL("iam", region, a.Cloud), a.Endpoints.For("iam", "iam", region))
	c.IsIAM, c.API = true, iamItself
	return c
}

// iamItself stands for IAM where keys, projects and ids of accounts come from. The service "iam" has the quotas of IAM; its pauses are its own.
const iamItself = "IAM"

// sts returns the client for STS in a region.
func (a *account) sts(region string) *huaweicloud.Client {
	c := a.client("sts", region, huaweicloud.BaseURL("sts", region, a.Cloud), a.Endpoints.For("sts", "sts", region))
	c.IsIAM, c.API = true, "STS"
	return c
}

// client returns the client for one API: that of a service, "iam" or "sts". usual is the URL of its host, configured is the endpoint that replaces
// it; empty if there is none.
func (a *account) client(service, region, usual, configured string) *huaweicloud.Client {
	c := &huaweicloud.Client{
		HTTP:      a.http,
		Auth:      a.keys,
		Proofs:    a.fleet.proofs,
		Hosts:     a.hosts,
		Suspend:   refresh.Suspend,
		Service:   service,
		API:       a.api(service),
		Scope:     huaweicloud.Scope{Region: region},
		BaseURL:   usual,
		UserAgent: a.fleet.options.UserAgent,
		Events:    a.fleet.options.Requests,
	}
	if configured != "" {
		c.BaseURL, c.QuotaPath = splitEndpoint(configured)
	} else if namesOtherRegion(usual, region) {
		c.Doubt = "the host may be of another site, which does not know the key"
	}
	return c
}

// namesOtherRegion returns whether a host is in another region, as some hosts of account-level APIs are. Which site that region belongs to is not known.
func namesOtherRegion(url, region string) bool {
	labels := strings.SplitN(strings.TrimPrefix(url, "https://"), ".", 3)
	return len(labels) == 3 && labels[1] != region && strings.Contains(labels[1], "-") && providers.IsRegion(labels[1])
}

// splitEndpoint returns the base of an endpoint. If the endpoint is a whole URL, which has {project_id} or {domain_id} in it, its path and query
// replace those of the API.
func splitEndpoint(endpoint string) (base, quotaPath string) {
	if !strings.Contains(endpoint, "{project_id}") && !strings.Contains(endpoint, "{domain_id}") {
		return strings.TrimRight(endpoint, "/"), ""
	}
	scheme, rest, _ := strings.Cut(endpoint, "://")
	end := strings.IndexAny(rest, "/?") // there is one: the placeholder is behind it
	return scheme + "://" + rest[:end], "/" + strings.TrimPrefix(rest[end:], "/")
}

// api returns what distinguishes the API of a service from others that had the same name before a reload.
func (a *account) api(service string) string {
	if api, ok := a.apis[service]; ok {
		return service + " " + api.Value()
	}
	return service
}

// pauseID is whom a pause concerns: a service that throttles the account does so in all regions.
type pauseID struct {
	account, service string
	api              unique.Handle[string]
}

// scope is what keys or a token are needed for in any case: a user with a password may have no role on the account.
func (a *account) scope() huaweicloud.Scope {
	for _, p := range a.Projects {
		if p.ID != "" {
			return huaweicloud.Scope{ProjectID: p.ID, Region: p.Region}
		}
	}
	return huaweicloud.Scope{Region: a.iamRegion()}
}

// gateID is whose slots a Gate holds. They are by region, so that one that hangs leaves the slots of the others alone.
type gateID struct {
	pauseID

	region string
	slots  int
}

// gate returns the slots of a service in a region, with the pause of that service in the account. The caller holds f.building.
func (f *Fleet) gate(a *account, service, region string, slots int) *refresh.Gate {
	id := pauseID{a.Name, service, a.apis[service]}
	pause := f.stores.pauses.get(id, func() *refresh.Pause { return new(refresh.Pause) })
	return f.stores.gates.get(gateID{id, region, slots}, func() *refresh.Gate { return refresh.NewGate(slots, pause) })
}

// keys are the credentials of an account. They log when they begin to fail, and when that has ended.
type keys struct {
	credentials.Source

	log    log.Logger // with the account
	origin *origin

	used    atomic.Bool
	refused atomic.Bool // something could not be read for want of good keys or certificate authorities

	mu        sync.Mutex
	inUse     string    // huaweicloud.KeyID
	failing   bool      // the last Grant failed
	changedAt time.Time // when other keys than before were granted, or keys after there were none
}

// Grant returns what authorizes requests of a scope now.
func (k *keys) Grant(ctx context.Context, s huaweicloud.Scope) (huaweicloud.Grant, error) {
	grant, err := k.Source.Grant(ctx, s)
	k.used.Store(true)
	status := k.Status()
	switch failed := k.note(grant, status.Err != nil); {
	case status.Err != nil && !failed:
		_ = level.Warn(k.log).Log("from", status.From, "msg", "credentials can't be had", "err", status.Err)
	case status.Err == nil && failed:
		_ = level.Info(k.log).Log("from", status.From, "msg", "credentials can be had again")
	}
	return grant, err
}

// note notes which keys a grant signs with, or that none were granted, and returns whether the Grant before failed.
func (k *keys) note(grant huaweicloud.Grant, fails bool) (failed bool) {
	id := huaweicloud.KeyID(grant)
	k.mu.Lock()
	defer k.mu.Unlock()
	failed, k.failing = k.failing, fails
	if fails {
		return failed
	}
	isOther := k.inUse != "" && k.inUse != id
	if failed || isOther {
		k.changedAt = time.Now()
	}
	if permanent, ok := grant.(*huaweicloud.Keys); ok && isOther && permanent.SecurityToken.IsEmpty() {
		k.origin.changes.Add(1)
	}
	k.inUse = id
	return failed
}

func (k *keys) keyInUse() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.inUse
}

// changedSince returns whether other keys were granted then or later.
func (k *keys) changedSince(t time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.changedAt.Before(t)
}

// noteFailure notes a failed fetch that other files may help.
func (k *keys) noteFailure(err error) {
	if needsKeys(err) || needsAuthorities(err) {
		k.refused.Store(true)
	}
}

// needsKeys returns whether other keys may help.
func needsKeys(err error) bool {
	return slices.Contains([]string{huaweicloud.ReasonUnauthorized, huaweicloud.ReasonCredentials}, huaweicloud.Reason(err))
}

// needsAuthorities returns whether another ca_file may help.
func needsAuthorities(err error) bool { return huaweicloud.Reason(err) == huaweicloud.ReasonTLS }

// exposed returns which files with secrets are readable by everybody. Files that can't be looked at before ctx ends are left out.
func (a *account) exposed(ctx context.Context) []error {
	names := a.keys.Status().Files
	if a.Credentials.HoldSecrets() && a.config.File != "" { // the demo has no file
		names = append(names, a.config.File)
	}
	var all []error
	for _, name := range names {
		if err := files.CheckSecret(ctx, name); err != nil {
			all = append(all, err)
		}
	}
	return all
}

// retryChangedKeys ends the pauses of what failed for want of good keys or certificate authorities, once the account has others: after a file is
// corrected, the next scrape is good.
func (f *Fleet) retryChangedKeys(ctx context.Context) {
	v := f.now.Load()
	refused := map[*keys]*time.Time{} // with the time since when the certificate authorities are trusted
	var granting sync.WaitGroup
	for _, a := range v.accounts {
		if !a.keys.refused.Swap(false) {
			continue
		}
		loaded := new(time.Time)
		refused[a.keys] = loaded
		granting.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, keyWait)
			defer cancel()
			*loaded = huaweicloud.CALoaded(ctx, a.http)
			_, _ = a.keys.Grant(ctx, a.scope()) // notes whether they have changed
		})
	}
	if len(refused) == 0 {
		return
	}
	granting.Wait()
	for _, a := range v.accounts {
		if loaded := refused[a.keys]; loaded != nil && a.listCell != nil {
			retryWith(a.keys, *loaded, a.listCell)
		}
	}
	for _, s := range v.sources {
		loaded := refused[s.account.keys]
		if loaded == nil {
			continue
		}
		if s.project.lookup != nil {
			retryWith(s.account.keys, *loaded, s.project.lookup)
		}
		retryWith(s.account.keys, *loaded, s.cell)
	}
}

// retryWith ends the pause of a cell if the keys have changed since its last fetch began, or the certificate authorities since it ended. If they have
// not, they are checked again.
func retryWith[T any](k *keys, loaded time.Time, c *refresh.Cell[T]) {
	s := c.Peek()
	switch {
	case needsKeys(s.Err) && k.changedSince(s.BegunAt), needsAuthorities(s.Err) && loaded.After(s.BegunAt.Add(s.Took)):
		c.Retry()
	default:
		k.noteFailure(s.Err)
	}
}

// CheckCredentials asks for the keys of every account, side by side, and logs where they come from and which files with secrets are readable
// by everybody. It is for the start and for reloads: otherwise the first failing scrape would be the first sign.
func (f *Fleet) CheckCredentials(ctx context.Context) {
	var checking sync.WaitGroup
	for _, a := range f.now.Load().accounts {
		checking.Go(func() {
			if _, err := a.keys.Grant(ctx, a.scope()); err == nil {
				_ = level.Info(f.log.logger).Log("msg", "credentials are there", "account", a.Name, "from", a.keys.Status().From)
			}
			ctx, cancel := context.WithTimeout(ctx, exposedTimeout)
			defer cancel()
			for _, err := range a.exposed(ctx) {
				_ = level.Warn(f.log.logger).Log("msg", "secrets of the account can be read by others", "account", a.Name, "err", err)
			}
		})
	}
	checking.Wait()
}

// Account is what is known of an account.
type Account struct {
	Name     string
	Asked    bool     // whether keys were needed yet, and a discovery has ended if there is one
	Up       bool     // the last Grant succeeded, and the last discovery if there is one
	Projects int      // that are read
	Skipped  []string // labels of the discovered projects that are left out because another one has them

	Unreadable huaweicloud.Skipped // projects that IAM lists, and that can't be read
	Beyond     int                 // projects that are left out because of max_projects

	KeysExpire time.Time // when the first of the keys and tokens in use expires; zero if none does

	DiscoveryErr error        // of the last finished discovery
	Undiscovered *UnreadError // how far the first discovery has come, if what is read was made without it; nil otherwise
	Empty        error        // that the last discovery succeeded, and no project is read; nil otherwise
}

// Accounts returns the state of the accounts, in their order.
func (f *Fleet) Accounts() []Account {
	var all []Account
	for _, a := range f.now.Load().accounts {
		status := a.keys.Status()
		state := Account{
			Name: a.Name, Asked: a.keys.used.Load(), Skipped: a.skipped, KeysExpire: status.Expires,
			Unreadable: a.unreadable(), Beyond: a.beyond, Projects: len(a.Projects) + len(a.found) - len(a.skipped),
		}
		if a.Discovery != nil {
			list := a.listCell.Peek()
			state.DiscoveryErr = list.Err
			state.Asked = state.Asked && list.Fetches > 0
			state.Empty = a.empty(list, a.found)
			if a.list.Fetches == 0 {
				state.Undiscovered = newUnread("iam", a.listCell)
			}
		}
		state.Up = status.Err == nil && state.DiscoveryErr == nil
		all = append(all, state)
	}
	return all
}

// Description is what a configuration comes to for one account, before anything is asked of the cloud.
type Description struct {
	Account        string
	Credentials    string  // where the keys come from
	CredentialsErr error   // what is wrong with them on this machine
	Exposed        []error // which files with secrets are readable by everybody
	DomainID       string  // of the account; empty if it is not stated
	CAFile         string
	CAFileErr      error             // why it can't be used
	Discovery      *config.Discovery // nil: none
	InFlight       int               // max_in_flight_per_host
	Sources        []Endpoint        // of the projects that are known
}

// Endpoint is where a source is asked.
type Endpoint struct {
	Service string
	Project Project
	Region  string // empty if it is that of a project that is not known yet
	URL     string // scheme and host, and the path if it is configured
}

// Describe returns what is configured, in the order of the accounts. It asks only this machine. The files of all accounts are read side by
// side, so that a file system that hangs costs its time once.
func (f *Fleet) Describe(ctx context.Context) []Description {
	v := f.now.Load()
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	all := make([]Description, len(v.accounts))
	var reading sync.WaitGroup
	for i, a := range v.accounts {
		reading.Go(func() {
			wrong := a.keys.Check(ctx) // first: what the others say depends on it
			all[i] = Description{
				Account: a.Name, Credentials: a.keys.Status().From, CredentialsErr: wrong, Exposed: a.exposed(ctx),
				DomainID: a.DomainID, CAFile: a.CAFile, Discovery: a.Discovery, InFlight: a.MaxInFlightPerHost,
			}
			if a.CAFile != "" {
				all[i].CAFileErr = huaweicloud.CheckCAFile(ctx, a.CAFile)
			}
		})
	}
	reading.Wait()
	for i, a := range v.accounts {
		for _, s := range v.sources {
			if s.account == a.account {
				c := s.client()
				all[i].Sources = append(all[i].Sources, Endpoint{Service: s.Service, Project: s.describe(), Region: s.Region, URL: c.BaseURL + c.QuotaPath})
			}
		}
	}
	return all
}
