package fleet

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/credentials"
	"cloud_quota_exporter/internal/files"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/refresh"
)

const (
	defaultMetadata = "http://169.254.169.254"

	exposedTimeout = time.Minute // of a look at who may read the files with secrets
	exposedWait    = time.Second // for it by a fetch, which does not need to know
)

// credentials makes the source of keys that is configured.
func (a *account) credentials() credentials.Source {
	iam := a.iam
	source := a.kind(iam)
	if agency := a.Credentials.AssumeAgency; agency != nil {
		source = credentials.AssumeAgency(source, iam, a.iamRegion(), credentials.Agency{
			DomainName: agency.DomainName, Name: agency.AgencyName, Duration: agency.Duration,
		})
	}
	return source
}

// kind makes the kind of credentials that is configured, or the default chain.
func (a *account) kind(iam credentials.IAM) credentials.Source {
	c, o := a.Credentials, a.options
	profile := func(p config.Profile) credentials.Source { return credentials.Profile(o.Getenv, p.File, p.Section) }
	metadata := func(m config.InstanceMetadata) credentials.Source {
		return credentials.InstanceMetadata(o.Dial, cmp.Or(m.Endpoint, defaultMetadata))
	}
	switch {
	case c.Static != nil:
		s := c.Static
		return credentials.Static(
			credentials.Value{Text: s.AccessKey, File: s.AccessKeyFile},
			credentials.Value{Text: s.SecretKey, File: s.SecretKeyFile},
			credentials.Value{Text: s.SecurityToken, File: s.SecurityTokenFile},
		)
	case c.Environment != nil:
		return credentials.Environment(o.Getenv)
	case c.Profile != nil:
		return profile(*c.Profile)
	case c.InstanceMetadata != nil:
		return metadata(*c.InstanceMetadata)
	case c.PodIdentity != nil:
		return credentials.PodIdentity(o.Dial, o.Getenv)
	case c.OIDC != nil:
		return credentials.OIDC(iam, a.iamRegion(), c.OIDC.IDPID, c.OIDC.TokenFile)
	case c.Password != nil:
		return credentials.Password(iam, a.iamRegion(), credentials.User{
			DomainName: c.Password.DomainName, Name: c.Password.UserName,
			Password: credentials.Value{Text: c.Password.Password, File: c.Password.PasswordFile},
		}, a.logins)
	default:
		return credentials.Chain(credentials.Environment(o.Getenv), profile(config.Profile{}), metadata(config.InstanceMetadata{}),
			credentials.PodIdentity(o.Dial, o.Getenv))
	}
}

// asksIAM tells whether keys or tokens come from IAM.
func asksIAM(c config.Credentials) bool {
	return c.OIDC != nil || c.Password != nil || c.AssumeAgency != nil
}

// keys are those of an account. They tell when they begin to fail, and when that has ended, and which files with secrets are open to everybody.
type keys struct {
	credentials.Source

	account string
	changed func(Credentials)
	file    string              // the configuration's own, where secrets stand in it
	tell    func(files []error) // which are open to everybody

	asked, failed atomic.Bool
	looking       atomic.Bool  // at the files
	open          atomic.Value // text of what was told last

	blamed atomic.Bool // something could not be read for want of good keys

	mu        sync.Mutex
	inUse     string    // huaweicloud.KeyID
	failing   bool      // the last look for keys failed
	changedAt time.Time // when other keys than before were granted, or keys after there were none
}

func (a *account) keys(configFile string) *keys {
	k := &keys{Source: a.credentials(), account: a.Name, changed: a.options.Keys, tell: func(files []error) { a.options.Exposed(a.Name, files) }}
	if a.Credentials.HoldSecrets() {
		k.file = configFile
	}
	k.open.Store("[]") // none
	return k
}

// Grant looks for keys.
func (k *keys) Grant(ctx context.Context, s huaweicloud.Scope) (huaweicloud.Grant, error) {
	grant, err := k.Source.Grant(ctx, s)
	failure := k.Status().Err
	k.note(grant, failure)
	if k.failed.Swap(failure != nil) != (failure != nil) {
		k.changed(Credentials{k.account, k.Status().From, failure})
	}
	k.asked.Store(true)
	k.tellExposed(ctx)
	return grant, err
}

// note keeps when the keys changed.
func (k *keys) note(grant huaweicloud.Grant, failure error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if failure != nil {
		k.failing = true
		return
	}
	id := huaweicloud.KeyID(grant)
	if k.failing || k.inUse != "" && k.inUse != id {
		k.changedAt = time.Now()
	}
	k.inUse, k.failing = id, false
}

// haveChangedSince returns whether other keys were granted then or later.
func (k *keys) haveChangedSince(t time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.changedAt.Before(t)
}

// blame takes note of an error that keys may be the cause of.
func (k *keys) blame(err error) {
	if isKeyTrouble(err) {
		k.blamed.Store(true)
	}
}

// isKeyTrouble returns whether other keys may help.
func isKeyTrouble(err error) bool {
	if err == nil {
		return false
	}
	reason := huaweicloud.Reason(err)
	return reason == huaweicloud.ReasonUnauthorized || reason == huaweicloud.ReasonCredentials
}

// keyLook is how long a scrape waits for a look at keys that were refused.
const keyLook = 500 * time.Millisecond

// retryChangedKeys ends the pauses of what failed for want of good keys, once the account has other keys: as soon as a file with keys is
// corrected, the next scrape is good.
func (f *Fleet) retryChangedKeys(ctx context.Context) {
	v := f.now.Load()
	blamed := map[*account]bool{}
	var looking sync.WaitGroup
	for _, a := range v.accounts {
		if !a.auth.blamed.Swap(false) {
			continue
		}
		blamed[a] = true
		looking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, keyLook)
			defer cancel()
			_, _ = a.auth.Grant(ctx, huaweicloud.Scope{}) // notes whether they have changed
		})
	}
	looking.Wait()
	if len(blamed) == 0 {
		return
	}
	for a := range blamed {
		if a.listed != nil {
			retryWithKeys(a.auth, a.listed)
		}
	}
	for _, s := range v.sources {
		if !blamed[s.account] {
			continue
		}
		if s.project.lookup != nil {
			retryWithKeys(s.account.auth, s.project.lookup)
		}
		retryWithKeys(s.account.auth, s.cell)
	}
}

// retryWithKeys ends the pause of a cell if the keys have changed since its last fetch began; else they are to be looked at again.
func retryWithKeys[T any](k *keys, c *refresh.Cell[T]) {
	s := c.Peek()
	switch {
	case !isKeyTrouble(s.Err):
	case k.haveChangedSince(s.BegunAt):
		c.Retry()
	default:
		k.blamed.Store(true)
	}
}

// tellExposed looks which files with secrets are open to everybody, and tells if they are others than before. The look goes on in the background
// if it takes long, because keys that are at hand must not wait for a file system that hangs; a fetch waits for no look of another one.
func (k *keys) tellExposed(ctx context.Context) {
	if !k.looking.CompareAndSwap(false, true) {
		return
	}
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		defer k.looking.Store(false)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), exposedTimeout)
		defer cancel()
		exposed := k.exposed(ctx)
		if ctx.Err() != nil {
			return
		}
		text := fmt.Sprint(exposed)
		if k.open.Swap(text) != text {
			k.tell(exposed)
		}
	}()
	wait := exposedWait
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline)/2) // the rest is for the fetch itself
	}
	select {
	case <-looked:
	case <-time.After(wait):
	case <-ctx.Done():
	}
}

// exposed returns which files with secrets are open to everybody; those that can't be looked at before ctx ends are left out.
func (k *keys) exposed(ctx context.Context) []error {
	names := k.Status().Files
	if k.file != "" {
		names = append(names, k.file)
	}
	var all []error
	for _, name := range names {
		if err := files.CheckSecret(ctx, name); err != nil {
			all = append(all, err)
		}
	}
	return all
}

// Credentials is where the keys of an account come from.
type Credentials struct {
	Account string
	From    string
	Err     error // of the last look for them; keys that were had before may still serve
}

// LookForKeys has every account look for its keys, side by side, and tells where they come from, in the order of the accounts.
func (f *Fleet) LookForKeys(ctx context.Context) []Credentials {
	accounts := f.now.Load().accounts
	all := make([]Credentials, len(accounts))
	var looking sync.WaitGroup
	for i, a := range accounts {
		looking.Go(func() {
			_, err := a.auth.Grant(ctx, huaweicloud.Scope{})
			all[i] = Credentials{a.Name, a.auth.Status().From, err}
		})
	}
	looking.Wait()
	return all
}
