// Package credentials gets the keys and tokens of an account. Each source is a huaweicloud.Authorizer.
//
// Keys in the configuration, in files, or in a profile are read whenever they are needed, so that they can be rotated without a
// restart. Temporary keys and tokens are fetched when they are needed: once for all waiting requests, again before they expire, and
// again after a 401. If a fetch fails, the previous keys or token are used until they expire.
package credentials

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"time"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/refresh"
	"cloud_quota_exporter/internal/secret"
)

// Source is a source of the keys or tokens of an account.
type Source interface {
	huaweicloud.Authorizer
	// Check returns the error of the files and variables on this machine. It sends no request, and waits for at most 5 seconds.
	Check(ctx context.Context) error
	// Status does not read files: it has the results of the last Check or Grant.
	Status() Status
}

// Status is the state of a source.
type Status struct {
	From    string    // origin of the keys
	Files   []string  // names of the files with its secrets
	Err     error     // of the last attempt to get keys; previous keys may still be in use
	Expires time.Time // earliest expiry of the keys and tokens in use; zero if none expires

	DomainID string // of the account, if a token has it
}

// Deps are the dependencies of sources.
type Deps struct {
	// IAM returns a client for IAM in a region, or at its global endpoint if the region is empty. The source sets the Authorizer.
	IAM    func(region string) *huaweicloud.Client
	Region string // IAM region for requests about the whole account; empty: the global endpoint
	Dial   huaweicloud.Dial
	Getenv func(string) string
	Logins *Logins

	ProfileSays map[string]string // values that the default profile must still have in addition to its keys; nil: any
}

// New returns the configured source: a kind of credentials or the default chain, with the agency if one is configured.
func New(c config.Credentials, d Deps) Source {
	getenv := d.Getenv
	d.Getenv = func(name string) string { return secret.Trim(getenv(name)) }
	if a := c.AssumeAgency; a != nil {
		c.AssumeAgency = nil
		return newAgency(c, d, *a)
	}
	switch {
	case c.Static != nil:
		return newStatic(*c.Static)
	case c.Environment != nil:
		return newEnvironment(d.Getenv)
	case c.Profile != nil:
		return newProfile(d.Getenv, *c.Profile, nil)
	case c.InstanceMetadata != nil:
		return newInstanceMetadata(d, *c.InstanceMetadata)
	case c.PodIdentity != nil:
		return newPodIdentity(d)
	case c.OIDC != nil:
		return newOIDC(d, *c.OIDC)
	case c.Password != nil:
		return newPassword(d, *c.Password)
	default:
		return newChain(newEnvironment(d.Getenv), newProfile(d.Getenv, config.Profile{}, d.ProfileSays), newInstanceMetadata(d, config.InstanceMetadata{}), newPodIdentity(d))
	}
}

// absentError is the error of a source that this machine does not have: the default chain tries the next one.
type absentError struct{ error }

func newAbsent(what, remedy string) error {
	return &absentError{huaweicloud.Advise(errors.New(what), remedy)}
}

func (e *absentError) Unwrap() error { return e.error }

// chain selects the first of several sources that this machine has, when keys are first needed, and keeps it. A source that exists
// but is invalid, such as an access key without its secret key, is an error; the next one is not tried.
type chain struct {
	sources []Source
	cell    refresh.Cell[Source]
	policy  refresh.Policy[Source]

	mu    sync.Mutex
	found Source // by the last Grant or Check: the first that is not absent; nil: all are
}

func newChain(sources ...Source) *chain {
	c := &chain{sources: sources}
	c.policy = refresh.Policy[Source]{
		Fetch:   c.choose,
		Timeout: 3*localTimeout + fileTimeout, // the metadata service takes two requests, pod identity one, and the profile is a file
		TTL:     func(*refresh.State[Source]) time.Duration { return math.MaxInt64 },
		Backoff: backoff,
	}
	return c
}

// choose returns the first source that is not absent, with its error.
func (c *chain) choose(ctx context.Context) (Source, error) {
	found, why, err := c.find(func(s Source) error {
		_, err := s.Grant(ctx, huaweicloud.Scope{})
		return err
	})
	if found == nil {
		return nil, huaweicloud.Advise(errors.New("no credentials found in the default chain ("+strings.Join(why, "), (")+")"),
			"configure credentials, or set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK")
	}
	return found, err
}

// find returns the first source for which try does not return an absentError, with its error, and why the previous sources are
// absent.
func (c *chain) find(try func(Source) error) (found Source, why []string, err error) {
	for _, s := range c.sources {
		err = try(s)
		absent, ok := errors.AsType[*absentError](err)
		if !ok {
			found = s
			break
		}
		why = append(why, huaweicloud.What(absent))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.found = found
	return found, why, err
}

// Check returns the error of the first source that is not absent. If all are, it returns nil, because the metadata service may have
// keys.
func (c *chain) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fileTimeout)
	defer cancel()
	found, _, err := c.find(func(s Source) error { return s.Check(ctx) })
	if found == nil {
		return nil
	}
	return err
}

// Status is that of the selected source or, before the selection, of the first one that is not absent.
func (c *chain) Status() Status {
	s := c.cell.Peek()
	if s.Value != nil {
		return s.Value.Status()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	status := Status{From: "environment, profile, instance_metadata, pod_identity", Err: s.Err}
	if c.found != nil {
		found := c.found.Status()
		status.Files = found.Files
		if s.Err == nil {
			status.From = found.From
		}
	}
	status.From = "default chain: " + status.From
	return status
}

// Grant returns the keys of the selected source.
func (c *chain) Grant(ctx context.Context, s huaweicloud.Scope) (huaweicloud.Grant, error) {
	selected := c.cell.Await(ctx, &c.policy)
	switch {
	case selected.Value != nil:
		return selected.Value.Grant(ctx, s)
	case selected.Err != nil:
		return nil, selected.Err
	default:
		return nil, errors.Join(errors.New("timed out while looking for credentials in the default chain"), ctx.Err())
	}
}

func (c *chain) Reject(g huaweicloud.Grant) {
	if s := c.cell.Peek().Value; s != nil {
		s.Reject(g)
	}
}
