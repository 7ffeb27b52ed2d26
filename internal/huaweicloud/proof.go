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
	// keyPause is how long a key that was refused is not used again. More than five failed signatures in a row lock an access key for as long
	// ("API Request Signing Guide", FAQ), for everybody who uses it.
	keyPause  = 5 * time.Minute
	skewPause = 15 * time.Second

	maxTrials   = 2 // unproven requests of an access key at a time, and failed signatures of an unproven key within keyPause
	maxFailures = 5 // failed signatures of unproven keys within keyPause that have one access key, however many secret keys are tried

	// secondTrial is how long an unproven request may have no answer before a second one goes out, or a quarter of that one's time if it has
	// less. What may hang is a service or a region: requests to the same one stand back.
	secondTrial = time.Second
	standBack   = 10 * time.Millisecond

	forgetAfter = 2 * time.Hour // keys that are not used any more
)

// Proofs knows which keys the cloud accepts. A key that nobody has seen it accept goes out with one request while all others wait for the
// answer, so that a wrong secret key costs one failed signature, not one for each source. One Proofs serves the whole process and outlives every
// configuration. Its methods are safe for concurrent use.
type Proofs struct {
	mu      sync.Mutex
	holders map[any]*holder       // by the KeyID of keys that somebody states, by the Origin of keys that are renewed
	keys    map[string]*accessKey // by the access key, hashed
}

// NewProofs returns a Proofs that has seen no key.
func NewProofs() *Proofs { return &Proofs{holders: map[any]*holder{}, keys: map[string]*accessKey{}} }

// holder is what is known of keys: of one pair of access key and secret key, or of all that one source renews.
type holder struct {
	key    *accessKey
	pair   string    // KeyID of the keys in use
	since  time.Time // they are
	used   time.Time
	proven bool

	refused   *APIError // why they are not used until a time
	refusedAt time.Time
	until     time.Time

	services map[string]refusal // that refused keys which others accepted
}

// refusal is that of a service.
type refusal struct {
	err    *APIError
	until  time.Time // then one request probes the service, and the others wait
	pair   string    // that it refused
	again  bool      // it refused the pair before, too: other keys do not help
	probed bool      // a request that probes it is under way
}

// accessKey is what all pairs with one access key have in common.
type accessKey struct {
	trials   []*pass         // unproven requests under way
	failures []failure       // failed signatures of unproven keys within keyPause
	last     *APIError       // the last of them
	answered uint64          // trials that got an answer
	refused  map[string]bool // services whose trials were refused since the key was last proven
	silent   map[string]bool // services and regions whose trials got no answer since then
	ended    chan struct{}   // closed when a trial ends
}

// failure is a failed signature. When it was sent says of which keys it is: those that are known since then are others.
type failure struct{ sent, at time.Time }

// RefusedError is a request that was not sent, since the cloud has just refused the key that would sign it.
type RefusedError struct {
	Err   *APIError // how it was refused
	Until time.Time // when it is tried again
}

// Error says what came back before, and what to do.
func (e *RefusedError) Error() string { return "not sent, since the key was refused: " + e.Err.Error() }

// Unwrap returns the refusal.
func (e *RefusedError) Unwrap() error { return e.Err }

// waitError is a request that was not sent, since its time was up before the key was proven.
type waitError struct {
	err      error
	answered bool // other requests were answered meanwhile, and none of the answers proves the key: its turn did not come
}

// Error says what was waited for.
func (e *waitError) Error() string {
	what := fmt.Sprintf("not sent: the first request with this key has no answer yet (%v)", e.err)
	if e.answered {
		what = "not sent yet: until one succeeds, requests with this key go out one or two at a time"
	}
	return what + ending(e.Remedy())
}

// Remedy says what to do.
func (e *waitError) Remedy() string {
	if e.answered {
		return "see why the other requests of this account fail"
	}
	return "check the network and the services that time out"
}

// NotBegun returns whether nothing is known of the service because of this: the request waits for its turn again.
func (e *waitError) NotBegun() bool { return e.answered }

// Unwrap returns the end of the context.
func (e *waitError) Unwrap() error { return e.err }

// KeyID identifies the keys that sign with a grant, without giving them away. It is empty for grants that sign nothing, such as tokens.
func KeyID(g Grant) string {
	k, ok := g.(*Keys)
	if !ok || k.AccessKey.IsEmpty() {
		return ""
	}
	return hexHash(k.AccessKey.Reveal() + "\x00" + k.SecretKey.Reveal() + "\x00" + k.SecurityToken.Reveal())
}

// pass is the leave to send one request; the nil pass is one that nobody keeps an account of.
type pass struct {
	proofs  *Proofs
	holder  *holder
	key     *accessKey
	pair    string
	service string
	region  string
	asked   time.Time // it is waiting since then
	began   time.Time
	patient time.Duration // it waits so long for the answer to another one
	trial   bool          // the key is unproven
	first   bool          // and nothing that was sent with it is answered yet
	probe   bool          // it is to show whether the service still refuses the key
}

// enter waits until a request may be signed with a grant. It waits as long as two trials may take; extend, if not nil, gives the fetch that time
// besides its own. The error is a *RefusedError, or that the wait was in vain.
func (p *Proofs) enter(ctx context.Context, g Grant, service, region string, extend func(context.Context, time.Duration)) (*pass, error) {
	keys, signs := g.(*Keys)
	if p == nil || !signs {
		return nil, nil
	}
	began, patience, longest := time.Now(), secondTrial, time.Duration(0)
	if deadline, ok := ctx.Deadline(); ok && extend != nil {
		own := time.Until(deadline)
		patience = min(secondTrial, own/4)
		longest = own + patience + 4*standBack
	}
	extended := false
	var answered uint64
	for first, pair := true, KeyID(keys); ; first = false {
		ask := &pass{proofs: p, pair: pair, service: service, region: region, asked: began, began: time.Now(), patient: patience}
		wait, ended, err := p.try(ask, keys)
		if first {
			answered = ask.answered()
		}
		if err != nil || ended == nil {
			if extended {
				extend(ctx, time.Since(began)-longest)
			}
			return ask, err
		}
		if longest > 0 && !extended {
			extended = true
			extend(ctx, longest)
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, longest)
			defer cancel()
		}
		timer := time.NewTimer(wait)
		select {
		case <-ended:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, &waitError{ctx.Err(), ask.answered() != answered}
		}
		timer.Stop()
	}
}

// try lets a request pass, or returns for how long to wait at most and what ends the wait earlier.
func (p *Proofs) try(ask *pass, keys *Keys) (wait time.Duration, ended <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.holder(keys, ask.pair, ask.began)
	ask.holder, ask.key = h, h.key
	if ask.began.Before(h.until) {
		return 0, nil, &RefusedError{h.refused, h.until}
	}
	r, found := h.services[ask.service]
	isRefused := found && (r.again || r.pair == h.pair)
	switch {
	case isRefused && ask.began.Before(r.until):
		return 0, nil, &RefusedError{r.err, r.until}
	case isRefused && r.probed:
		return keyPause, h.key.ended, nil
	case !h.proven:
		wait, err = h.key.patience(h, ask)
		if err != nil || wait > 0 {
			return wait, h.key.ended, err
		}
		ask.trial, ask.first = true, h.key.answered == 0
		h.key.trials = append(h.key.trials, ask)
	}
	if isRefused {
		ask.probe, r.probed = true, true
		h.services[ask.service] = r
	}
	return 0, nil, nil
}

// holder returns what is known of keys; p.mu is held.
func (p *Proofs) holder(keys *Keys, pair string, now time.Time) *holder {
	var id any = pair
	if keys.Origin != nil {
		id = keys.Origin
	}
	h := p.holders[id]
	if h == nil || h.pair != pair {
		p.forget(now)
	}
	if h == nil {
		h = &holder{services: map[string]refusal{}}
		p.holders[id] = h
	}
	if h.pair != pair {
		h.pair, h.since, h.until, h.key = pair, now, time.Time{}, p.accessKey(keys)
	}
	h.used = now
	return h
}

// accessKey returns what is known of an access key; p.mu is held.
func (p *Proofs) accessKey(keys *Keys) *accessKey {
	id := hexHash(keys.AccessKey.Reveal())
	k := p.keys[id]
	if k == nil {
		k = &accessKey{refused: map[string]bool{}, silent: map[string]bool{}, ended: make(chan struct{})}
		p.keys[id] = k
	}
	return k
}

// forget drops what has not been used for long; p.mu is held.
func (p *Proofs) forget(now time.Time) {
	inUse := map[*accessKey]bool{}
	for id, h := range p.holders {
		if now.Sub(h.used) > forgetAfter {
			delete(p.holders, id)
		} else {
			inUse[h.key] = true
		}
	}
	for id, k := range p.keys {
		if !inUse[k] && len(k.trials) == 0 {
			delete(p.keys, id)
		}
	}
}

// patience is how long an unproven request waits for those under way; 0 lets it pass. Failed signatures that were sent since the pair is known
// count against it, so that a key that was corrected is tried at once.
func (k *accessKey) patience(h *holder, ask *pass) (time.Duration, error) {
	k.failures = slices.DeleteFunc(k.failures, func(f failure) bool { return ask.began.Sub(f.at) >= keyPause })
	since := slices.DeleteFunc(slices.Clone(k.failures), func(f failure) bool { return f.sent.Before(h.since) })
	mine := slices.DeleteFunc(slices.Clone(k.trials), func(t *pass) bool { return t.began.Before(h.since) })
	switch {
	case len(since) >= maxTrials:
		return 0, &RefusedError{k.last, since[0].at.Add(keyPause)}
	case len(k.failures) >= maxFailures:
		return 0, &RefusedError{k.last, k.failures[0].at.Add(keyPause)}
	case len(k.trials) >= maxTrials || len(since)+len(mine) >= maxTrials || len(k.failures)+len(k.trials) >= maxFailures:
		return keyPause, nil
	case len(k.trials) == 0 && k.refused[ask.service]: // it might be this service alone
		return max(standBack-ask.began.Sub(ask.asked), 0), nil
	case len(k.trials) == 0:
		return 0, nil
	case k.answered > 0: // the answers do not prove the key, and they come: two at a time are quicker
		return 0, nil
	default:
		return max(ask.patient+k.standBack(ask)-ask.began.Sub(k.trials[0].began), 0), nil
	}
}

// standBack is how long a request lets others go first: those to other services and regions than the trial that is under way, and than those
// that got no answer.
func (k *accessKey) standBack(ask *pass) (d time.Duration) {
	for _, place := range []string{ask.service, ask.region} {
		if first := k.trials[0]; place == first.service || place == first.region || k.silent[place] {
			d += standBack
		}
	}
	return d
}

// answered returns how many trials of the access key got an answer.
func (a *pass) answered() uint64 {
	a.proofs.mu.Lock()
	defer a.proofs.mu.Unlock()
	return a.key.answered
}

// isFirst returns whether the answer may prove the key, and no other one came before.
func (a *pass) isFirst() bool { return a != nil && a.first }

// end takes note of what became of a request. If a key or a service is left alone because of it, the error says for how long.
func (a *pass) end(err error) {
	if a == nil {
		return
	}
	p, h, now := a.proofs, a.holder, time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	api, _ := errors.AsType[*APIError](err)
	refused := api != nil && api.Status == http.StatusUnauthorized
	if a.trial {
		a.key.note(a, err, now)
	}
	if a.trial || a.probe {
		a.key.trialEnded(a)
	}
	if r, found := h.services[a.service]; found && a.probe {
		r.probed = false
		h.services[a.service] = r
	}
	switch {
	case a.pair != h.pair: // the keys were renewed meanwhile
	case refused && api.Skew != 0:
		h.refuse(api, now, skewPause)
		h.proven = false
	case refused && a.trial:
		h.refuse(api, now, keyPause)
	case refused:
		h.refusedBy(a, api, now)
	case proves(err, api) && (a.trial || !a.began.Before(h.refusedAt)):
		h.proven, h.until = true, time.Time{}
		a.key.answered = 0
		clear(a.key.refused)
		clear(a.key.silent)
		if a.probe || !now.Before(h.services[a.service].until) { // else it was sent before the service refused the key
			delete(h.services, a.service)
		}
	}
}

// note takes note of how a trial ended.
func (k *accessKey) note(a *pass, err error, now time.Time) {
	api, _ := errors.AsType[*APIError](err)
	switch {
	case err != nil && Reason(err) == ReasonTimeout:
		k.silent[a.service], k.silent[a.region] = true, true
	case api == nil || api.Status != http.StatusUnauthorized:
		k.answered++
	case api.Skew == 0:
		k.failures, k.last = append(k.failures, failure{a.began, now}), api
		k.refused[a.service], k.answered = true, 0
	}
}

// trialEnded lets the next unproven request go out; the lock of Proofs is held.
func (k *accessKey) trialEnded(a *pass) {
	k.trials = slices.DeleteFunc(k.trials, func(other *pass) bool { return other == a })
	close(k.ended)
	k.ended = make(chan struct{})
}

func (h *holder) refuse(err *APIError, now time.Time, pause time.Duration) {
	h.refused, h.refusedAt, h.until = err, now, now.Add(pause)
	err.RetryAfter = pause
}

// refusedBy takes note that a service refuses keys that others accepted. Two such services make the keys unproven.
func (h *holder) refusedBy(a *pass, err *APIError, now time.Time) {
	was := h.services[a.service]
	if was.pair == a.pair && now.Before(was.until) && !a.probe { // one of those that were in flight together
		err.RetryAfter = was.until.Sub(now)
		return
	}
	err.RetryAfter = keyPause
	again := was.again || was.pair != "" && was.pair != a.pair
	h.services[a.service] = refusal{err: err, until: now.Add(keyPause), pair: a.pair, again: again}
	services := 0
	for _, r := range h.services {
		if r.pair == a.pair && now.Before(r.until) {
			services++
		}
	}
	if services > 1 {
		h.proven, h.refusedAt = false, now
	}
}

// proves returns whether an answer shows that the signature was right: a 2xx, or a 403 or 429 of the service behind the gateway. What is not JSON
// does not: something else may have answered.
func proves(err error, api *APIError) bool {
	if api != nil {
		return (api.Status == http.StatusForbidden || api.Status == http.StatusTooManyRequests) &&
			api.Code != "" && !strings.HasPrefix(api.Code, "APIG")
	}
	return err == nil
}
