// Package credentials gets the keys and tokens of an account, with one file for each kind of source. Each source is a huaweicloud.Authorizer.
//
// Keys in the configuration, in files, in variables or in a profile are read whenever they are needed, so that they rotate without a restart. Temporary
// keys and tokens are fetched when they are needed: once for all requests that wait, again some time before they expire, and again after a 401. If a
// fetch fails, the keys or the token from before are used until they expire.
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
}

// fileTimeout is for all files of a source. It is less than the timeout of a service, so that the error of the file is the one that is shown.
const fileTimeout = 5 * time.Second

// permanent is a source of keys on this machine: in the configuration, in variables or in files.
type permanent struct {
	status Status
	read   func(context.Context) (*huaweicloud.Keys, error)

	mu sync.Mutex // for status.Err
}

func (p *permanent) Grant(ctx context.Context, _ huaweicloud.Scope) (huaweicloud.Grant, error) {
	keys, err := p.readInTime(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status.Err = err
	if err != nil {
		return nil, err // a nil *Keys would be a Grant that is not nil
	}
	return keys, nil
}

// Reject does nothing, since Grant always reads the keys.
func (p *permanent) Reject(huaweicloud.Grant) {}

func (p *permanent) Check(ctx context.Context) error {
	_, err := p.readInTime(ctx)
	return err
}

func (p *permanent) readInTime(ctx context.Context) (*huaweicloud.Keys, error) {
	ctx, cancel := context.WithTimeout(ctx, fileTimeout)
	defer cancel()
	return p.read(ctx)
}

func (p *permanent) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

// absentError is the error of a source that this machine does not have: the default chain tries the next one.
type absentError struct{ err error }

func newAbsent(what, remedy string) *absentError {
	return &absentError{huaweicloud.Advise(errors.New(what), remedy)}
}

func (e *absentError) Error() string { return e.err.Error() }
func (e *absentError) Unwrap() error { return e.err }
