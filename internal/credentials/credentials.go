// Package credentials knows where the keys and tokens of an account come from, one file a source. Each source is a
// huaweicloud.Authorizer.
//
// Keys that are stated, in files, in variables or in a profile are looked at whenever they are needed, so that they rotate without a
// restart. Temporary keys and tokens are fetched when they are needed: once for all who ask, anew some time before they expire, and after a
// request was refused with a 401. Should that fail, those that are there serve until they expire.
package credentials

import (
	"context"
	"errors"
	"sync"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
)

// Source is where the keys or tokens of an account come from.
type Source interface {
	huaweicloud.Authorizer
	// Describe says where the keys come from, and none of them. It looks at no file: what depends on one is as the last Check or Grant found it.
	Describe() string
	// Files returns the names of the files in which its secrets stand. It looks at none of them either.
	Files() []string
	// Check says what is wrong with what lies on this machine, files and variables. It asks nobody else, and waits 5 seconds at most.
	Check(ctx context.Context) error
	// Failure is the error of the last look for keys; nil if it succeeded, or there was none. Keys that were had before may still be in use.
	Failure() error
	// Expiry returns when the first of the keys and tokens in use expires; zero where none does.
	Expiry() time.Time
}

// IAM returns a client for IAM in a region, or at its global endpoint where the region is empty. Who authorises its requests is up to the
// source.
type IAM func(region string) *huaweicloud.Client

// fileTimeout is for all files of a source to be read. It is less than a service has, so that the error of the file is the one that is shown.
const fileTimeout = 5 * time.Second

// permanent is a source of keys that lie on this machine: variables or small files.
type permanent struct {
	keys     func(context.Context) (*huaweicloud.Keys, error)
	describe func() string
	files    func() []string

	mu   sync.Mutex
	last error
}

// Describe says where the keys come from.
func (p *permanent) Describe() string { return p.describe() }

// Files returns the names of the small files.
func (p *permanent) Files() []string { return p.files() }

// Check looks for the keys.
func (p *permanent) Check(ctx context.Context) error {
	_, err := p.look(ctx)
	return err
}

// look reads the keys.
func (p *permanent) look(ctx context.Context) (*huaweicloud.Keys, error) {
	ctx, cancel := context.WithTimeout(ctx, fileTimeout)
	defer cancel()
	return p.keys(ctx)
}

// Failure is the error of the last look.
func (p *permanent) Failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// Expiry is never: what is known of the keys doesn't tell.
func (p *permanent) Expiry() time.Time { return time.Time{} }

// Grant returns the keys that are in force now.
func (p *permanent) Grant(ctx context.Context, _ huaweicloud.Scope) (huaweicloud.Grant, error) {
	keys, err := p.look(ctx)
	p.mu.Lock()
	p.last = err
	p.mu.Unlock()
	if err != nil {
		return nil, err // a nil *Keys would be a Grant that is not nil
	}
	return keys, nil
}

// Reject does nothing: the next Grant looks again in any case.
func (p *permanent) Reject(huaweicloud.Grant) {}

// absentError is a source that this machine does not have: the default chain goes on to the next one.
type absentError struct{ err error }

func newAbsent(what, remedy string) *absentError {
	return &absentError{huaweicloud.Advise(errors.New(what), remedy)}
}

// Error says what is missing, and what to do.
func (e *absentError) Error() string { return e.err.Error() }

// Unwrap returns the same with its remedy.
func (e *absentError) Unwrap() error { return e.err }
