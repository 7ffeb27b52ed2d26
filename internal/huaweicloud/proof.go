package huaweicloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// refusedPause is how long a key that was refused is not used again. More than five failed signatures in a row lock an access key for as long, for
	// everybody who uses it ("API Request Signing Guide", FAQ).
	refusedPause = 5 * time.Minute
	skewPause    = 15 * time.Second

	maxTrials   = 2 // trials of an access key in flight, and failed signatures of an unproven key within refusedPause
	maxFailures = 5 // failed signatures of all unproven keys with one access key within refusedPause

	// trialTimeout is how long a trial waits for the response to another one; it is a quarter of the time left if that is less. A service or a region
	// may hang: requests to the same one let others go first for yieldTime.
	trialTimeout = time.Second
	yieldTime    = 10 * time.Millisecond

	forgetAfter = 2 * time.Hour // keys that are not used any more
)

// Proofs knows which keys the cloud accepts. Until it has accepted a key, only a trial is sent while all other requests with the key wait: a wrong
// secret key causes one failed signature, not one for each source. One Proofs serves the whole process and all its configurations. Its methods are safe
// for concurrent use.
type Proofs struct {
	mu         sync.Mutex
	keyStates  map[any]*keyState     // by the KeyID of keys, or by the Origin of keys that are renewed
	accessKeys map[string]*accessKey // by the hash of the access key
}

// NewProofs returns a Proofs that knows no key.
func NewProofs() *Proofs {
	return &Proofs{keyStates: map[any]*keyState{}, accessKeys: map[string]*accessKey{}}
}

// keyState is what is known of one set of keys, or of all that one source renews.
type keyState struct {
	accessKey *accessKey
	id        string    // KeyID of the keys in use
	since     time.Time // these are in use
	used      time.Time // last
	proven    bool      // the cloud has accepted them

	refused   *APIError // why they are not used until a time
	refusedAt time.Time
	until     time.Time

	services map[string]refusal // by service that refuses keys which others accept
}

// refusal is the refusal of proven keys by one service.
type refusal struct {
	err     *APIError
	until   time.Time // then one probe is sent while other requests wait
	id      string    // KeyID of the refused keys
	again   bool      // it refused other keys before: new keys do not help
	probing bool      // a probe is in flight
}

// accessKey is what all keys with one access key share.
type accessKey struct {
	trials    []*pass         // in flight
	failures  []failure       // failed signatures of unproven keys within refusedPause
	last      *APIError       // of them
	responses uint64          // to trials, without failed signatures
	refusedBy map[string]bool // services that refused a trial since the key was proven last
	silent    map[string]bool // services and regions that did not respond to a trial since then
	trialDone chan struct{}   // closed when a trial ends
}

// failure is a failed signature. Keys that are known since a later time than sent are other keys.
type failure struct{ sent, at time.Time }

// RefusedError is the error of a request that is not sent because the cloud has just refused the key.
type RefusedError struct {
	Err   *APIError // how it was refused
	Until time.Time // when it is tried again
}

func (e *RefusedError) Error() string { return "not sent, since the key was refused: " + e.Err.Error() }
func (e *RefusedError) Unwrap() error { return e.Err }

// waitError is the error of a request whose time ended before the key was proven.
type waitError struct {
	err       error // of the context
	responded bool  // trials got responses meanwhile, but none that proves the key: the turn of this request did not come
}

func (e *waitError) Error() string {
	what := fmt.Sprintf("not sent: the first request with this key has no answer yet (%v)", e.err)
	if e.responded {
		what = "not sent yet: until one succeeds, requests with this key go out one or two at a time"
	}
	return what + ending(e.Remedy())
}

func (e *waitError) Unwrap() error { return e.err }

// Remedy depends on what the request waited for.
func (e *waitError) Remedy() string {
	if e.responded {
		return "see why the other requests of this account fail"
	}
	return "check the network and the services that time out"
}

// NotBegun returns whether the request waits for its turn again, since its failure says nothing about the service.
func (e *waitError) NotBegun() bool { return e.responded }

// KeyID identifies the keys that sign with a grant without revealing them. It is empty for grants that do not sign, such as tokens.
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
	region    string
	waiting   time.Time     // since when
	sent      time.Time     // or last tried
	trialWait time.Duration // for the response to another trial

	isTrial bool // the keys are unproven
	isFirst bool // and no trial with them has a response yet
	isProbe bool // it shows whether the service still refuses the keys
}

// enter waits until a request may be sent with a grant. It waits as long as two trials may take; extend, if not nil, postpones the end of the fetch by
// that. The error is a *RefusedError or a *waitError.
func (p *Proofs) enter(ctx context.Context, g Grant, service, region string, extend func(context.Context, time.Duration)) (*pass, error) {
	keys, signs := g.(*Keys)
	if p == nil || !signs {
		return nil, nil
	}
	start, trialWait, longest := time.Now(), trialTimeout, time.Duration(0)
	if deadline, ok := ctx.Deadline(); ok && extend != nil {
		left := time.Until(deadline)
		trialWait = min(trialTimeout, left/4)
		longest = left + trialWait + 4*yieldTime
	}
	extended := false
	var responses uint64
	for first, id := true, KeyID(keys); ; first = false {
		a := &pass{proofs: p, id: id, service: service, region: region, waiting: start, sent: time.Now(), trialWait: trialWait}
		wait, trialDone, err := p.try(a, keys)
		if first {
			responses = a.responses()
		}
		if err != nil || trialDone == nil {
			if extended {
				extend(ctx, time.Since(start)-longest)
			}
			return a, err
		}
		if longest > 0 && !extended {
			extended = true
			extend(ctx, longest)
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, longest)
			defer cancel()
		}
		select {
		case <-trialDone:
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, &waitError{ctx.Err(), a.responses() != responses}
		}
	}
}

// try lets a request pass, or returns how long to wait for the end of a trial.
func (p *Proofs) try(a *pass, keys *Keys) (wait time.Duration, trialDone <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.keyState(keys, a.id, a.sent)
	a.state, a.key = s, s.accessKey
	if a.sent.Before(s.until) {
		return 0, nil, &RefusedError{s.refused, s.until}
	}
	r, found := s.services[a.service]
	isRefused := found && (r.again || r.id == s.id)
	switch {
	case isRefused && a.sent.Before(r.until):
		return 0, nil, &RefusedError{r.err, r.until}
	case isRefused && r.probing:
		return refusedPause, a.key.trialDone, nil
	case !s.proven:
		wait, err = a.key.wait(s, a)
		if err != nil || wait > 0 {
			return wait, a.key.trialDone, err
		}
		a.isTrial, a.isFirst = true, a.key.responses == 0
		a.key.trials = append(a.key.trials, a)
	}
	if isRefused {
		a.isProbe, r.probing = true, true
		s.services[a.service] = r
	}
	return 0, nil, nil
}

// keyState returns what is known of keys; p.mu is held.
func (p *Proofs) keyState(keys *Keys, id string, now time.Time) *keyState {
	var index any = id
	if keys.Origin != nil {
		index = keys.Origin
	}
	s := p.keyStates[index]
	if s == nil || s.id != id {
		p.forget(now)
	}
	if s == nil {
		s = &keyState{services: map[string]refusal{}}
		p.keyStates[index] = s
	}
	if s.id != id {
		s.id, s.since, s.until, s.accessKey = id, now, time.Time{}, p.accessKey(keys)
	}
	s.used = now
	return s
}

// accessKey returns what is known of an access key; p.mu is held.
func (p *Proofs) accessKey(keys *Keys) *accessKey {
	id := hexHash(keys.AccessKey.Reveal())
	k := p.accessKeys[id]
	if k == nil {
		k = &accessKey{refusedBy: map[string]bool{}, silent: map[string]bool{}, trialDone: make(chan struct{})}
		p.accessKeys[id] = k
	}
	return k
}

// forget drops keys that have not been used for long; p.mu is held.
func (p *Proofs) forget(now time.Time) {
	inUse := map[*accessKey]bool{}
	for index, s := range p.keyStates {
		if now.Sub(s.used) > forgetAfter {
			delete(p.keyStates, index)
		} else {
			inUse[s.accessKey] = true
		}
	}
	for id, k := range p.accessKeys {
		if !inUse[k] && len(k.trials) == 0 {
			delete(p.accessKeys, id)
		}
	}
}

// wait returns how long an unproven request waits for the trials in flight; 0 lets it pass. Failed signatures count against keys that were known when
// they were sent, so that corrected keys are tried at once.
func (k *accessKey) wait(s *keyState, a *pass) (time.Duration, error) {
	k.failures = slices.DeleteFunc(k.failures, func(f failure) bool { return a.sent.Sub(f.at) >= refusedPause })
	failures := slices.DeleteFunc(slices.Clone(k.failures), func(f failure) bool { return f.sent.Before(s.since) })
	trials := slices.DeleteFunc(slices.Clone(k.trials), func(t *pass) bool { return t.sent.Before(s.since) })
	switch {
	case len(failures) >= maxTrials:
		return 0, &RefusedError{k.last, failures[0].at.Add(refusedPause)}
	case len(k.failures) >= maxFailures:
		return 0, &RefusedError{k.last, k.failures[0].at.Add(refusedPause)}
	case len(k.trials) >= maxTrials || len(failures)+len(trials) >= maxTrials || len(k.failures)+len(k.trials) >= maxFailures:
		return refusedPause, nil
	case len(k.trials) == 0 && k.refusedBy[a.service]: // perhaps only this service refuses the keys
		return max(yieldTime-a.sent.Sub(a.waiting), 0), nil
	case len(k.trials) == 0:
		return 0, nil
	case k.responses > 0: // they do not prove the keys: two trials at a time are faster
		return 0, nil
	default:
		return max(a.trialWait+k.yield(a)-a.sent.Sub(k.trials[0].sent), 0), nil
	}
}

// yield returns how long a request lets others go first: those to another service and region than the trial in flight, and than those that did not
// respond.
func (k *accessKey) yield(a *pass) (d time.Duration) {
	for _, place := range []string{a.service, a.region} {
		if trial := k.trials[0]; place == trial.service || place == trial.region || k.silent[place] {
			d += yieldTime
		}
	}
	return d
}

// responses returns how many responses to trials with the access key there are.
func (a *pass) responses() uint64 {
	a.proofs.mu.Lock()
	defer a.proofs.mu.Unlock()
	return a.key.responses
}

// isFirstTrial returns whether the request is a trial, and no trial with its keys has a response yet.
func (a *pass) isFirstTrial() bool { return a != nil && a.isFirst }

// end records the outcome of a request. If a key or a service is paused because of it, RetryAfter of the error is the pause.
func (a *pass) end(err error) {
	if a == nil {
		return
	}
	p, s, now := a.proofs, a.state, time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	api, _ := errors.AsType[*APIError](err)
	refused := api != nil && api.Status == http.StatusUnauthorized
	if a.isTrial {
		a.key.record(a, err, now)
	}
	if a.isTrial || a.isProbe {
		a.key.endTrial(a)
	}
	if r, found := s.services[a.service]; found && a.isProbe {
		r.probing = false
		s.services[a.service] = r
	}
	switch {
	case a.id != s.id: // the keys were renewed meanwhile
	case refused && api.Skew != 0:
		s.pause(api, now, skewPause)
		s.proven = false
	case refused && a.isTrial:
		s.pause(api, now, refusedPause)
	case refused:
		s.pauseService(a, api, now)
	case proves(err, api) && (a.isTrial || !a.sent.Before(s.refusedAt)):
		s.proven, s.until = true, time.Time{}
		a.key.responses = 0
		clear(a.key.refusedBy)
		clear(a.key.silent)
		if a.isProbe || !now.Before(s.services[a.service].until) { // otherwise it was sent before the service refused the keys
			delete(s.services, a.service)
		}
	}
}

// record records how a trial ended.
func (k *accessKey) record(a *pass, err error, now time.Time) {
	api, _ := errors.AsType[*APIError](err)
	switch {
	case err != nil && Reason(err) == ReasonTimeout:
		k.silent[a.service], k.silent[a.region] = true, true
	case api == nil || api.Status != http.StatusUnauthorized:
		k.responses++
	case api.Skew == 0:
		k.failures, k.last = append(k.failures, failure{a.sent, now}), api
		k.refusedBy[a.service], k.responses = true, 0
	}
}

// endTrial wakes the requests that wait for a trial or probe.
func (k *accessKey) endTrial(a *pass) {
	k.trials = slices.DeleteFunc(k.trials, func(other *pass) bool { return other == a })
	close(k.trialDone)
	k.trialDone = make(chan struct{})
}

// pause pauses refused keys.
func (s *keyState) pause(err *APIError, now time.Time, pause time.Duration) {
	s.refused, s.refusedAt, s.until = err, now, now.Add(pause)
	err.RetryAfter = pause
}

// pauseService pauses a service that refuses proven keys. Two such services make the keys unproven.
func (s *keyState) pauseService(a *pass, err *APIError, now time.Time) {
	before := s.services[a.service]
	if before.id == a.id && now.Before(before.until) && !a.isProbe { // it was in flight together with the first that was refused
		err.RetryAfter = before.until.Sub(now)
		return
	}
	err.RetryAfter = refusedPause
	again := before.again || before.id != "" && before.id != a.id
	s.services[a.service] = refusal{err: err, until: now.Add(refusedPause), id: a.id, again: again}
	services := 0
	for _, r := range s.services {
		if r.id == a.id && now.Before(r.until) {
			services++
		}
	}
	if services > 1 {
		s.proven, s.refusedAt = false, now
	}
}

// proves returns whether a response shows that the signature was right: a 2xx, or a 403 or 429 of the service behind the gateway.
func proves(err error, api *APIError) bool {
	if api != nil {
		return (api.Status == http.StatusForbidden || api.Status == http.StatusTooManyRequests) &&
			api.Code != "" && !strings.HasPrefix(api.Code, "APIG")
	}
	return err == nil
}
