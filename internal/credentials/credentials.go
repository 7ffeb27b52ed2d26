// Package credentials gets the keys and tokens of an account. Each source of them is a huaweicloud.Authorizer.
//
// Keys in the configuration, in files or in a profile are read whenever they are needed, so that they rotate without a restart. Temporary keys and
// tokens are fetched when they are needed: once for all requests that wait, again some time before they expire, and again after a 401. If a fetch
// fails, the keys or the token from before are used until they expire.
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

// Source is where the keys or tokens of an account come from.
type Source interface {
	huaweicloud.Authorizer
	// Check returns what is wrong with the files and variables on this machine. It sends no request, and waits 5 seconds at most.
	Check(ctx context.Context) error
	// Status reads no file: what depends on one is as the last Check or Grant found it.
	Status() Status
}

// Status is what is known of a source.
type Status struct {
	From    string    // where the keys come from
	Files   []string  // names of the files with its secrets
	Err     error     // of the last attempt to get keys; keys from before may still be in use
	Expires time.Time // the first of the keys and tokens in use; zero if none expires

	DomainID string // of the account, if a token of it says so
}

// Deps are what sources of credentials need.
type Deps struct {
	// IAM returns a client for IAM in a region, or at its global endpoint if the region is empty. The source sets who authorizes its requests.
	IAM    func(region string) *huaweicloud.Client
	Region string // in which IAM is asked what concerns the whole account; empty is its global endpoint
	Dial   huaweicloud.Dial
	Getenv func(string) string
	Logins *Logins

	ProfileSays map[string]string // what the default profile must still say beside its keys; nil: anything
}

// New returns the source that is configured: a kind of credentials or the default chain, and the agency on top of it.
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

// chain uses the first of several sources that this machine has. It selects it when keys are needed first, and keeps it. A source that is there and
// wrong, such as an access key without its secret key, is an error; the next one is not tried.
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
		return nil, huaweicloud.Advise(errors.New("no source of the default chain fits ("+strings.Join(why, "), (")+")"),
			"state credentials in the configuration, or set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK")
	}
	return found, err
}

// find returns the first source for which try does not return an absentError, with the error, and why the sources before are absent.
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

// Check returns the error of the first source that is not absent. If all are, it returns nil, since the metadata service may have keys.
func (c *chain) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fileTimeout)
	defer cancel()
	found, _, err := c.find(func(s Source) error { return s.Check(ctx) })
	if found == nil {
		return nil
	}
	return err
}

// Status is that of the selected source. Before, it has the first one that is not absent.
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
		return nil, errors.Join(errors.New("the default chain of credentials has not found any in time"), ctx.Err())
	}
}

func (c *chain) Reject(g huaweicloud.Grant) {
	if s := c.cell.Peek().Value; s != nil {
		s.Reject(g)
	}
}
