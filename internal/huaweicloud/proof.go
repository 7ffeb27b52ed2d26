package huaweicloud

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// refusedPause is how long a rejected key is not used. More than five failed signatures in a row lock an access key for as long, for
	// all its users ("API Request Signing Guide", FAQ).
	refusedPause = 5 * time.Minute
	skewPause    = 15 * time.Second

	maxTrials   = 2 // trials of an access key in flight, and failed signatures of an unproven key within refusedPause
	maxFailures = 5 // failed signatures of all unproven keys with one access key within refusedPause

	// trialTimeout is how long a trial waits for the response to another one; it is a quarter of the remaining time if that is less.
	// Because a service or region may hang, requests to the same one let others go first for yieldTime.
	trialTimeout = time.Second
	yieldTime    = 10 * time.Millisecond

	forgetAfter = 2 * time.Hour // keys that are no longer used
)

// Proofs records which keys the cloud accepts. Until a key is accepted, only a trial is sent while all other requests with the key
// wait, so that a wrong secret key causes one failed signature instead of one per source. One Proofs is used by the whole process
// and all its configurations. Its methods are safe for concurrent use.
type Proofs struct {
	mu         sync.Mutex
	keyStates  map[any]*keyState     // by the KeyID of keys, or by the Origin of keys that are renewed
	accessKeys map[string]*accessKey // by the hash of the access key
}

// NewProofs returns an empty Proofs.
func NewProofs() *Proofs {
	return &Proofs{keyStates: map[any]*keyState{}, accessKeys: map[string]*accessKey{}}
}

// keyState is the state of one set of keys, or of all keys that one source renews.
type keyState struct {
	accessKey *accessKey
	id        string    // KeyID of the keys in use
	since     time.Time // start of their use
	used      time.Time // last use
	proven    bool      // accepted by the cloud

	refused   *RefusedError // why they are not used until a time; nil: they are used
	refusedAt time.Time     // last, or when a second service rejected them

	services map[string]*refusal // by service that rejects keys that others accept
}

// refusal is the rejection of proven keys by one service. After its time, one probe is sent while other requests wait.
type refusal struct {
	RefusedError

	id    string // KeyID of the rejected keys
	again bool   // it rejected other keys before: new keys do not help
	probe *pass  // in flight
}

// accessKey is the shared state of all keys with one access key.
type accessKey struct {
	used      time.Time       // last use
	proven    string          // KeyID of the keys that the cloud accepted last; empty if it has rejected them since
	trials    []*pass         // in flight
	failures  []*pass         // trials with a failed signature that ended within refusedPause
	responses uint64          // to trials, without failed signatures
	refusedBy map[string]bool // services that rejected a trial since the key was last proven
	silent    map[string]bool // services and regions that did not respond to a trial since then
	trialDone chan struct{}   // closed when a trial or probe ends
}

// RefusedError is the error of a request that is not sent because the cloud has just rejected the key.
type RefusedError struct {
	Err   *APIError // the rejection
	Until time.Time // when the key is tried again
}

func (e *RefusedError) Error() string {
	return "request not sent because the key was rejected: " + e.Err.Error()
}
func (e *RefusedError) Unwrap() error { return e.Err }

// waitError is the error of a request whose time ended before the key was proven.
type waitError struct {
	err       error // of the context
	responded bool  // trials got responses meanwhile, but none proved the key, and this request had no turn
}

func (e *waitError) Error() string {
	what := fmt.Sprintf("request not sent: the first request with this key has no response yet (%v)", e.err)
	if e.responded {
		what = "request not sent yet: until one succeeds, requests with this key are sent one or two at a time"
	}
	return what + ending(e.Remedy())
}

func (e *waitError) Unwrap() error { return e.err }

// Remedy depends on what the request waited for.
func (e *waitError) Remedy() string {
	if e.responded {
		return "check why the other requests of this account fail"
	}
	return "check the network and the services that time out"
}

// NotBegun reports whether the request waits in line again, because its failure shows nothing about the service.
func (e *waitError) NotBegun() bool { return e.responded }

// KeyID identifies the keys of a grant without revealing them. It is empty for grants that do not sign, such as tokens.
func KeyID(g Grant) string {
	k, ok := g.(*Keys)
	if !ok || k.AccessKey.IsEmpty() {
		return ""
	}
	return hexHash(k.AccessKey.Reveal() + "\x00" + k.SecretKey.Reveal() + "\x00" + k.SecurityToken.Reveal())
}

// pass is the permission to send one request. The nil pass is for requests without keys.
type pass struct {
	proofs    *Proofs
	state     *keyState
	key       *accessKey // of the keys that it was sent with
	id        string     // KeyID of these
	service   string
	doubt     string // Client.Doubt
	region    string
	waiting   time.Time     // start of the wait
	sent      time.Time     // or last tried
	trialWait time.Duration // for the response to another trial
	trialDone chan struct{} // of the key, when last tried
	responses uint64        // those of the key when the request started to wait
	responded bool          // others arrived since
	isFirst   bool          // a trial, and none with its keys has a response yet

	failed   *APIError // of a failure of the key
	failedAt time.Time
}

// enter waits until a request may be sent with a grant, at most as long as two trials may take. The wait does not count toward the
// timeout of the fetch. The error is a *RefusedError or a *waitError.
func (c *Client) enter(ctx context.Context, g Grant) (*pass, error) {
	keys, signs := g.(*Keys)
	if c.Proofs == nil || !signs {
		return nil, nil
	}
	a := &pass{proofs: c.Proofs, id: KeyID(keys), service: cmp.Or(c.Doubt, c.API, c.Service), doubt: c.Doubt, region: c.Scope.Region, waiting: time.Now()}
	left := 4 * trialTimeout
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline)
	}
	a.trialWait = min(trialTimeout, left/4)
	wait, err := c.Proofs.try(a, keys)
	if err != nil || wait == 0 {
		return a, err
	}
	defer c.Suspend(ctx, nil)()
	ctx, cancel := context.WithTimeout(ctx, left+a.trialWait+4*yieldTime)
	defer cancel()
	for err == nil && wait > 0 {
		select {
		case <-a.trialDone:
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, &waitError{ctx.Err(), a.responded}
		}
		wait, err = c.Proofs.try(a, keys)
	}
	return a, err
}

// try lets a request pass, or returns how long to wait for the end of a trial.
func (p *Proofs) try(a *pass, keys *Keys) (wait time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	isNew := a.key == nil
	a.sent = time.Now()
	s := p.keyState(keys, a.id, a.sent)
	k := s.accessKey
	if isNew {
		a.responses = k.responses
	}
	a.state, a.key, a.trialDone, a.responded = s, k, k.trialDone, k.responses != a.responses
	if s.refused != nil && a.sent.Before(s.refused.Until) {
		return 0, s.refused
	}
	r := s.services[a.service]
	isRefused := r != nil && (r.again || r.id == s.id)
	s.proven = s.proven || k.proven == s.id // several accounts may use the same keys
	switch {
	case isRefused && a.sent.Before(r.Until):
		return 0, &r.RefusedError
	case isRefused && r.probe != nil:
		return refusedPause, nil
	case !s.proven:
		if wait, err = k.wait(s, a); err != nil || wait > 0 {
			return wait, err
		}
		a.isFirst = k.responses == 0
		k.trials = append(k.trials, a)
	}
	if isRefused {
		r.probe = a
	}
	return 0, nil
}

// keyState returns the state of keys, and forgets keys that were not used for long. The caller holds p.mu.
func (p *Proofs) keyState(keys *Keys, id string, now time.Time) *keyState {
	var index any = id
	if keys.Origin != nil {
		index = keys.Origin
	}
	s := p.keyStates[index]
	if s == nil {
		s = &keyState{services: map[string]*refusal{}}
		p.keyStates[index] = s
	}
	s.used = now
	if s.id != id {
		maps.DeleteFunc(p.keyStates, func(_ any, s *keyState) bool { return now.Sub(s.used) > forgetAfter })
		maps.DeleteFunc(p.accessKeys, func(_ string, k *accessKey) bool { return now.Sub(k.used) > forgetAfter })
		hash := hexHash(keys.AccessKey.Reveal())
		if p.accessKeys[hash] == nil {
			p.accessKeys[hash] = &accessKey{refusedBy: map[string]bool{}, silent: map[string]bool{}, trialDone: make(chan struct{})}
		}
		s.id, s.since, s.refused, s.accessKey = id, now, nil, p.accessKeys[hash]
	}
	s.accessKey.used = now
	return s
}

// wait returns how long an unproven request waits for the trials in flight; 0 lets it pass. Failed signatures count against the keys
// that were known when they were sent, so that corrected keys are tried at once. Requests to the service or region of the trial in
// flight, or to one that did not respond, let others go first.
func (k *accessKey) wait(s *keyState, a *pass) (time.Duration, error) {
	k.failures = slices.DeleteFunc(k.failures, func(f *pass) bool { return a.sent.Sub(f.failedAt) >= refusedPause })
	ofThese := func(all []*pass) []*pass {
		return slices.DeleteFunc(slices.Clone(all), func(other *pass) bool { return other.sent.Before(s.since) })
	}
	failures, trials := ofThese(k.failures), ofThese(k.trials)
	refusedSince := func(first *pass) error {
		return &RefusedError{k.failures[len(k.failures)-1].failed, first.failedAt.Add(refusedPause)}
	}
	switch {
	case len(failures) >= maxTrials:
		return 0, refusedSince(failures[0])
	case len(k.failures) >= maxFailures:
		return 0, refusedSince(k.failures[0])
	case len(k.trials) >= maxTrials || len(failures)+len(trials) >= maxTrials || len(k.failures)+len(k.trials) >= maxFailures:
		return refusedPause, nil
	case len(k.trials) > 0 && k.responses > 0: // they do not prove the keys: two trials at a time are faster
		return 0, nil
	}
	until := a.waiting
	switch {
	case len(k.trials) > 0:
		trial := k.trials[0]
		until = trial.sent.Add(a.trialWait)
		for _, place := range []string{a.service, a.region} {
			if place == trial.service || place == trial.region || k.silent[place] {
				until = until.Add(yieldTime)
			}
		}
	case a.doubt != "", k.refusedBy[a.service]: // perhaps only this service rejects the keys
		until = until.Add(yieldTime)
	}
	return max(until.Sub(a.sent), 0), nil
}

// end records the outcome of a request. If a key or a service is paused as a result, RetryAfter of the error is the pause.
func (a *pass) end(err error) {
	if a == nil {
		return
	}
	p, s, k, now := a.proofs, a.state, a.key, time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	api, _ := errors.AsType[*APIError](err)
	refused := api != nil && api.Status == http.StatusUnauthorized
	r := s.services[a.service]
	isTrial, isProbe := slices.Contains(k.trials, a), r != nil && r.probe == a
	if isTrial {
		k.record(a, err)
	}
	if isProbe {
		r.probe = nil
	}
	if isTrial || isProbe {
		close(k.trialDone)
		k.trialDone = make(chan struct{})
	}
	switch {
	case a.id != s.id: // the keys were renewed meanwhile
	case refused && (isTrial && !s.proven || api.Skew != 0):
		api.RetryAfter = refusedPause
		if api.Skew != 0 {
			api.RetryAfter = skewPause
		}
		s.unprove(now)
		s.refused = &RefusedError{api, now.Add(api.RetryAfter)}
	case refused:
		s.pauseService(a, api, now)
	case proves(err, api) && (isTrial || !a.sent.Before(s.refusedAt)):
		s.proven, s.refused, k.proven = true, nil, a.id
		k.responses = 0
		clear(k.refusedBy)
		clear(k.silent)
		if r != nil && !now.Before(r.Until) { // otherwise it was sent before the service rejected the keys
			delete(s.services, a.service)
		}
	}
}

// record records the outcome of a trial.
func (k *accessKey) record(a *pass, err error) {
	k.trials = slices.DeleteFunc(k.trials, func(other *pass) bool { return other == a })
	api, _ := errors.AsType[*APIError](err)
	switch {
	case Reason(err) == ReasonTimeout:
		k.silent[a.service], k.silent[a.region] = true, true
	case api == nil || api.Status != http.StatusUnauthorized:
		k.responses++
	case api.Skew == 0:
		a.failed, a.failedAt = api, time.Now()
		k.failures = append(k.failures, a)
		k.refusedBy[a.service], k.responses = true, 0
	}
}

// unprove makes the keys in use unproven.
func (s *keyState) unprove(now time.Time) {
	s.proven, s.refusedAt = false, now
	if s.accessKey.proven == s.id {
		s.accessKey.proven = ""
	}
}

// pauseService pauses a service that rejects proven keys. Two such services make the keys unproven.
func (s *keyState) pauseService(a *pass, err *APIError, now time.Time) {
	r := s.services[a.service]
	if r != nil && r.id == a.id && now.Before(r.Until) { // it was in flight together with the first rejected one
		err.RetryAfter = r.Until.Sub(now)
		return
	}
	err.RetryAfter = refusedPause
	s.services[a.service] = &refusal{
		RefusedError: RefusedError{err, now.Add(refusedPause)},
		id:           a.id,
		again:        r != nil && (r.again || r.id != a.id),
	}
	for service, other := range s.services {
		if service != a.service && other.id == a.id && now.Before(other.Until) {
			s.unprove(now)
		}
	}
}

// proves reports whether a response shows a correct signature: a 2xx, or a 403 or 429 of the service behind the gateway.
func proves(err error, api *APIError) bool {
	if api != nil {
		return (api.Status == http.StatusForbidden || api.Status == http.StatusTooManyRequests) &&
			api.Code != "" && !strings.HasPrefix(api.Code, "APIG")
	}
	return err == nil
}
