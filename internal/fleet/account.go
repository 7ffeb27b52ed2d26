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

	keyWait         = 500 * time.Millisecond // wait of a scrape for other keys after some were rejected
	describeTimeout = 10 * time.Second       // for reading all files of all accounts
	exposedTimeout  = time.Minute            // for reading the permissions of an account's files
)

// account is an account of one configuration.
type account struct {
	config.Account
	config  *config.Config
	fleet   *Fleet
	keys    *keys
	http    *http.Client
	hosts   *huaweicloud.Hosts
	apis    map[string]unique.Handle[string] // identity of each service's API, regardless of the region
	changed bool                             // the connection differs from that in the previous configuration
}

// newAccount makes an account of its configuration. It takes over the keys of the account that it replaces, if before
// is not nil.
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

// connectionDiffers reports whether the accounts have different credentials, endpoints, or certificate authorities.
func (a *account) connectionDiffers(other *account) bool {
	return a.Cloud != other.Cloud || !maps.Equal(a.ProfileSays, other.ProfileSays) || a.CAFile != other.CAFile || a.Credentials.NeedIAM() && a.iamRegion() != other.iamRegion() ||
		!reflect.DeepEqual(a.Endpoints, other.Endpoints) || !reflect.DeepEqual(a.Credentials, other.Credentials)
}

// seesTheSame reports whether the accounts use the same IAM with the same credentials.
func (a *account) seesTheSame(other *account) bool {
	return a.Cloud == other.Cloud && reflect.DeepEqual(a.Endpoints["iam"], other.Endpoints["iam"]) &&
		reflect.DeepEqual(a.Credentials, other.Credentials)
}

// origin counts changes of the permanent keys of the same credentials, for example in a file.
type origin struct{ changes atomic.Uint64 }

// identity identifies the credentials and the IAM of a response. A response is not valid for another identity.
type identity struct {
	*origin

	changes uint64
}

func (a *account) identity() identity { return identity{a.keys.origin, a.keys.origin.changes.Load()} }

// serves returns how long a response of IAM is valid: not at all for another identity.
func (a *account) serves(asked identity, ttl time.Duration) time.Duration {
	if asked != a.identity() {
		return 0
	}
	return ttl
}

// iamRegion returns the IAM region for requests about the whole account; empty: the global endpoint.
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

// iam returns the client for IAM in a region; empty: the global endpoint.
func (a *account) iam(region string) *huaweicloud.Client {
	c := a.client("iam", region, huaweicloud.BaseURL("iam", region, a.Cloud), a.Endpoints.For("iam", "iam", region))
	c.IsIAM, c.API = true, iamItself
	return c
}

// iamItself names the IAM that returns keys, projects, and account IDs. The service "iam" is the quotas of IAM, with separate
// pauses.
const iamItself = "IAM"

// sts returns the client for STS in a region.
func (a *account) sts(region string) *huaweicloud.Client {
	c := a.client("sts", region, huaweicloud.BaseURL("sts", region, a.Cloud), a.Endpoints.For("sts", "sts", region))
	c.IsIAM, c.API = true, "STS"
	return c
}

// client returns the client for one API: a service, "iam", or "sts". usual is the URL of its host; configured is the endpoint that
// replaces it, or empty.
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
		c.Doubt = "the host might belong to another Huawei Cloud site, where the key is not valid"
	}
	return c
}

// namesOtherRegion reports whether a host is in another region, as for some account-level APIs. The site of that region is unknown.
func namesOtherRegion(url, region string) bool {
	labels := strings.SplitN(strings.TrimPrefix(url, "https://"), ".", 3)
	return len(labels) == 3 && labels[1] != region && strings.Contains(labels[1], "-") && providers.IsRegion(labels[1])
}

// splitEndpoint returns the base URL of an endpoint. If the endpoint is a whole URL with {project_id} or {domain_id}, its path and
// query replace those of the API.
func splitEndpoint(endpoint string) (base, quotaPath string) {
	if !strings.Contains(endpoint, "{project_id}") && !strings.Contains(endpoint, "{domain_id}") {
		return strings.TrimRight(endpoint, "/"), ""
	}
	scheme, rest, _ := strings.Cut(endpoint, "://")
	end := strings.IndexAny(rest, "/?") // always found: the placeholder comes after it
	return scheme + "://" + rest[:end], "/" + strings.TrimPrefix(rest[end:], "/")
}

// api distinguishes the API of a service from others that had the same name before a reload.
func (a *account) api(service string) string {
	if api, ok := a.apis[service]; ok {
		return service + " " + api.Value()
	}
	return service
}

// pauseID identifies a pause. A service that throttles the account does so in all regions.
type pauseID struct {
	account, service string
	api              unique.Handle[string]
}

// scope is the scope that keys or a token are needed for in any case: a user with a password may have no role on the account.
func (a *account) scope() huaweicloud.Scope {
	for _, p := range a.Projects {
		if p.ID != "" {
			return huaweicloud.Scope{ProjectID: p.ID, Region: p.Region}
		}
	}
	return huaweicloud.Scope{Region: a.iamRegion()}
}

// gateID identifies the slots of a Gate. They are per region, so that a region that hangs does not block the others.
type gateID struct {
	pauseID

	region string
	slots  int
}

// gate returns the slots of a service in a region, with the pause of the service in the account. The caller holds f.building.
func (f *Fleet) gate(a *account, service, region string, slots int) *refresh.Gate {
	id := pauseID{a.Name, service, a.apis[service]}
	pause := f.stores.pauses.get(id, func() *refresh.Pause { return new(refresh.Pause) })
	return f.stores.gates.get(gateID{id, region, slots}, func() *refresh.Gate { return refresh.NewGate(slots, pause) })
}

// keys are the credentials of an account. They log when they start to fail and when they recover.
type keys struct {
	credentials.Source

	log    log.Logger // with the account
	origin *origin

	used    atomic.Bool
	refused atomic.Bool // a fetch failed because of the keys or certificate authorities

	mu        sync.Mutex
	inUse     string    // huaweicloud.KeyID
	failing   bool      // the last Grant failed
	changedAt time.Time // when different keys were granted, or the first ones
}

// Grant returns the current authorization for requests of a scope.
func (k *keys) Grant(ctx context.Context, s huaweicloud.Scope) (huaweicloud.Grant, error) {
	grant, err := k.Source.Grant(ctx, s)
	k.used.Store(true)
	status := k.Status()
	switch failed := k.note(grant, status.Err != nil); {
	case status.Err != nil && !failed:
		_ = level.Warn(k.log).Log("from", status.From, "msg", "Failed to get credentials", "err", status.Err)
	case status.Err == nil && failed:
		_ = level.Info(k.log).Log("from", status.From, "msg", "Credentials recovered")
	}
	return grant, err
}

// note records the keys of a grant, or that there were none, and returns whether the previous Grant failed.
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

// changedSince reports whether different keys were granted at t or later.
func (k *keys) changedSince(t time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.changedAt.Before(t)
}

// noteFailure records a failed fetch that changed files may fix.
func (k *keys) noteFailure(err error) {
	if needsKeys(err) || needsAuthorities(err) {
		k.refused.Store(true)
	}
}

// needsKeys reports whether other keys may fix an error.
func needsKeys(err error) bool {
	return slices.Contains([]string{huaweicloud.ReasonUnauthorized, huaweicloud.ReasonCredentials}, huaweicloud.Reason(err))
}

// needsAuthorities reports whether another ca_file may fix an error.
func needsAuthorities(err error) bool { return huaweicloud.Reason(err) == huaweicloud.ReasonTLS }

// exposed returns an error for each file with secrets that every local user can read. Files that cannot be checked before ctx ends
// are omitted.
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

// retryChangedKeys ends the pauses of fetches that failed because of keys or certificate authorities once these have changed, so
// that the first scrape after a file is corrected succeeds.
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
			_, _ = a.keys.Grant(ctx, a.scope()) // records whether they have changed
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

// retryWith ends the pause of a cell if the keys have changed since its last fetch started, or the certificate authorities since it
// ended. Otherwise they are checked again later.
func retryWith[T any](k *keys, loaded time.Time, c *refresh.Cell[T]) {
	s := c.Peek()
	switch {
	case needsKeys(s.Err) && k.changedSince(s.BegunAt), needsAuthorities(s.Err) && loaded.After(s.BegunAt.Add(s.Took)):
		c.Retry()
	default:
		k.noteFailure(s.Err)
	}
}

// CheckCredentials gets the keys of every account concurrently, and logs their origin and which files with secrets every local user
// can read. It runs at startup and after reloads, so that problems are logged before the first scrape.
func (f *Fleet) CheckCredentials(ctx context.Context) {
	var checking sync.WaitGroup
	for _, a := range f.now.Load().accounts {
		checking.Go(func() {
			if _, err := a.keys.Grant(ctx, a.scope()); err == nil {
				_ = level.Info(f.log.logger).Log("msg", "Credentials loaded", "account", a.Name, "from", a.keys.Status().From)
			}
			ctx, cancel := context.WithTimeout(ctx, exposedTimeout)
			defer cancel()
			for _, err := range a.exposed(ctx) {
				_ = level.Warn(f.log.logger).Log("msg", "Secrets of the account can be read by all local users", "account", a.Name, "err", err)
			}
		})
	}
	checking.Wait()
}

// Account is the state of an account.
type Account struct {
	Name     string
	Asked    bool     // keys were requested, and the first discovery, if any, has ended
	Up       bool     // the last Grant and the last discovery, if any, succeeded
	Projects int      // monitored projects
	Skipped  []string // labels of discovered projects that are skipped because they are duplicates

	Unreadable huaweicloud.Skipped // projects with invalid entries in IAM's list
	Beyond     int                 // projects that are skipped because of max_projects

	KeysExpire time.Time // earliest expiry of the keys and tokens in use; zero if none expires

	DiscoveryErr error        // of the last completed discovery
	Undiscovered *UnreadError // progress of the first discovery if the readings were made without it; otherwise nil
	Empty        error        // set if the last discovery succeeded but left no project; otherwise nil
}

// Accounts returns the state of the accounts, in the order of the configuration.
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

// Description is the resolved configuration of one account, before any request to the cloud.
type Description struct {
	Account        string
	Credentials    string  // where the keys come from
	CredentialsErr error   // the error of the credentials on this machine
	Exposed        []error // an error for each file with secrets that every local user can read
	DomainID       string  // of the account; empty if not configured
	CAFile         string
	CAFileErr      error             // why it is invalid
	Discovery      *config.Discovery // nil: none
	InFlight       int               // max_in_flight_per_host
	Sources        []Endpoint        // of the known projects
}

// Endpoint is the URL of a source.
type Endpoint struct {
	Service string
	Project Project
	Region  string // empty if it is that of an unknown project
	URL     string // scheme and host, with the path if that is configured
}

// Describe returns the resolved configuration in the order of the accounts. It sends no requests. Files are read concurrently, so
// that a file system that hangs delays it once.
func (f *Fleet) Describe(ctx context.Context) []Description {
	v := f.now.Load()
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	all := make([]Description, len(v.accounts))
	var reading sync.WaitGroup
	for i, a := range v.accounts {
		reading.Go(func() {
			wrong := a.keys.Check(ctx) // first, because the other results depend on it
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
