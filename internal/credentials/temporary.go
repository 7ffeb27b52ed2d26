package credentials

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/refresh"
	"cloud_quota_exporter/internal/secret"
)

const (
	maxBackoff   = 5 * time.Minute  // after failures
	refusedPause = time.Minute      // between two fetches because of a 401: a service that rejects good keys must not cause one for each request
	fetchTimeout = 7 * time.Second  // for keys or a token from IAM, with all requests; less than the timeout of a service, so that its error is shown
	maxAhead     = 10 * time.Minute // how long before expiry keys are renewed; a quarter of their lifetime if that is less
	jitter       = 0.5              // share of it by which accounts differ
)

// temporary is a source of keys that expire. One fetch is in flight at a time for any number of waiting requests. After a failure,
// the previous keys are used until they expire.
type temporary struct {
	status       Status // From and Files
	policy       refresh.Policy[*lease]
	cell         refresh.Cell[*lease]
	refusedPause time.Duration
	proof        func(context.Context) (secret.Text, error) // proves the identity of the requester

	mu        sync.Mutex
	used      secret.Text       // proof of the last fetch
	refused   huaweicloud.Grant // the last one with a 401
	refusedAt time.Time
	late      error // a request has waited in vain, or was not sent; nil once there are keys
}

func newTemporary(
	status Status, timeout time.Duration, proof func(context.Context) (secret.Text, error), fetch func(context.Context, secret.Text) (*lease, error),
) *temporary {
	t := &temporary{status: status, refusedPause: refusedPause, proof: proof}
	t.policy = refresh.Policy[*lease]{
		Fetch: func(ctx context.Context) (*lease, error) {
			used, err := t.proof(ctx)
			t.mu.Lock()
			t.used = used
			t.mu.Unlock()
			if err != nil {
				return nil, err
			}
			l, err := fetch(ctx, used)
			if err != nil {
				return nil, err
			}
			if keys, ok := l.Grant.(*huaweicloud.Keys); ok {
				keys.Origin = t
			}
			return l, nil
		},
		Timeout: timeout,
		TTL:     func(s *refresh.State[*lease]) time.Duration { return s.Value.ttl() },
		Backoff: backoff,
	}
	return t
}

// passes limits the fetches by a gate, which is shut if IAM throttles them.
func (t *temporary) passes(g *refresh.Gate) {
	t.policy.Gate = g
	t.policy.IsThrottled = func(err error) bool { return huaweicloud.Reason(err) == huaweicloud.ReasonThrottled }
}

func backoff(streak int, err error) time.Duration {
	return huaweicloud.Backoff(streak, err, maxBackoff)
}

// Grant returns keys. It only waits for a fetch if there are no valid keys.
func (t *temporary) Grant(ctx context.Context, _ huaweicloud.Scope) (huaweicloud.Grant, error) {
	t.retryIfProofChanged(ctx)
	s, _ := t.cell.Ask(ctx, &t.policy)
	if s.Value != nil && !s.Value.isValid() {
		t.cell.Expire(s) // after a suspension, the wall clock is ahead of the clock that fetches are scheduled by
	}
	if !s.Value.isValid() || t.isRefused(s.Value) {
		s = t.cell.Await(ctx, &t.policy)
	}
	switch {
	case s.Value.isValid():
		t.setLate(nil)
		return s.Value.Grant, nil
	case s.Err != nil:
		return nil, s.Err
	case ctx.Err() != nil:
		err := huaweicloud.Advise(fmt.Errorf("no keys or token received in time (%w)", ctx.Err()), checkNetwork)
		t.setLate(err)
		return nil, err
	default: // the gate was shut, or the fetch waits for a proof of the key that signs it
		err := huaweicloud.Advise(errors.New("keys or a token were not requested because IAM is throttling the account or other requests with the same key fail"),
			"the exporter retries after the pause")
		t.setLate(err)
		return nil, err
	}
}

// Reject causes a fetch unless g has been replaced already.
func (t *temporary) Reject(g huaweicloud.Grant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.cell.Peek()
	if s.Value == nil || s.Value.Grant != g || time.Since(t.refusedAt) < t.refusedPause {
		return
	}
	t.refused, t.refusedAt = g, time.Now()
	t.cell.Expire(s)
}

func (t *temporary) isRefused(l *lease) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refused == l.Grant
}

func (t *temporary) setLate(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.late = err
}

// Check reads the proof.
func (t *temporary) Check(ctx context.Context) error {
	_, err := t.proof(ctx)
	return err
}

// Status has the error of the last fetch, or that it takes longer than requests wait.
func (t *temporary) Status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, status := t.cell.Peek(), t.status
	status.Err = cmp.Or(s.Err, t.late)
	if s.Value != nil {
		status.Expires, status.DomainID = s.Value.expires, s.Value.domainID
	}
	return status
}

// retryIfProofChanged ends the pause after a failed fetch if the proof has changed since.
func (t *temporary) retryIfProofChanged(ctx context.Context) {
	if t.cell.Peek().Err == nil {
		return
	}
	proof, err := t.proof(ctx) // without the lock, because a file may hang
	t.mu.Lock()
	changed := proof.Reveal() != t.used.Reveal()
	t.mu.Unlock()
	if err == nil && changed {
		t.cell.Retry()
	}
}

// lease is a grant that expires.
type lease struct {
	huaweicloud.Grant

	issued, expires time.Time
	ahead           time.Duration // how long before its expiry the next one is fetched
	domainID        string        // of the account, according to the token; empty if there is no token
}

// newLease returns a lease of a new grant. Leases are renewed at random times, so that accounts do not renew theirs together.
func newLease(g huaweicloud.Grant, expires time.Time) (*lease, error) {
	l := &lease{Grant: g, issued: time.Now(), expires: expires}
	l.ahead = min(l.life()/4, maxAhead)
	l.ahead -= time.Duration(rand.Float64() * jitter * float64(l.ahead)) //nolint:gosec // nothing secret
	if !l.isValid() {
		return nil, huaweicloud.Advise(fmt.Errorf("new keys or token have already expired at %s", expires.UTC().Format(time.RFC3339)),
			"synchronize this machine's clock with NTP, or if it is correct, check why the service issues expired keys")
	}
	return l, nil
}

// ttl returns how long the lease is used before the next one is fetched.
func (l *lease) ttl() time.Duration { return l.life() - l.ahead }

func (l *lease) life() time.Duration { return l.expires.Sub(l.issued) }

func (l *lease) isValid() bool { return l != nil && time.Now().Before(l.expires) }

// readKeys parses the keys in responses of the metadata service, pod identity, IAM, and STS: an object "credential" or "credentials"
// with access, accessKeyId, or access_key_id, and so on. Its errors quote nothing.
func readKeys(answer *huaweicloud.Answer) (*lease, error) {
	unusable := func(what string) error {
		return huaweicloud.Advise(errors.New(answer.Request+": "+what), "check what responds at this URL (it may not be a service that issues keys)")
	}
	var body map[string]any
	if err := json.Unmarshal(answer.Body, &body); err != nil {
		return nil, unusable("the response is not a JSON object")
	}
	fields := plainNames(body)
	for _, wrapper := range []string{"credential", "credentials"} {
		if inner, ok := fields[wrapper].(map[string]any); ok {
			fields = plainNames(inner)
		}
	}
	parts := map[string]string{}
	for _, part := range [][]string{
		{"access key", "access", "accesskeyid"}, {"secret key", "secret", "secretaccesskey"}, {"security token", "securitytoken"}, {"expiry", "expiresat", "expiration"},
	} {
		name := part[0]
		for _, field := range part[1:] {
			text, _ := fields[field].(string)
			if number, isNumber := fields[field].(float64); isNumber && name == "expiry" {
				text = fmt.Sprint(number) // not a time, but not missing either
			}
			parts[name] = cmp.Or(parts[name], text)
		}
		if parts[name] == "" || name != "expiry" && checkKey(name, parts[name]) != nil {
			return nil, unusable("the response has no valid " + name + "")
		}
	}
	expires, isTime := readTime(parts["expiry"])
	if !isTime {
		return nil, huaweicloud.Advise(errors.New(answer.Request+": the expiry in the response is not an RFC 3339 time"),
			"configure another kind of credentials (the time format of this service is not supported)")
	}
	l, err := newLease(&huaweicloud.Keys{
		AccessKey: secret.New(parts["access key"]), SecretKey: secret.New(parts["secret key"]), SecurityToken: secret.New(parts["security token"]),
	}, expires)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", answer.Request, err)
	}
	return l, nil
}

// readTime parses an RFC 3339 time or, as some services write it, one with a zone without a colon, in UTC without a zone, with
// blanks instead of the T and before the zone, or in lower case.
func readTime(text string) (t time.Time, isTime bool) {
	text = strings.ReplaceAll(strings.Replace(strings.ToUpper(strings.TrimSpace(text)), " ", "T", 1), " ", "")
	for _, zone := range []string{"Z07:00", "Z0700", "Z07", "UTC", ""} {
		if t, err := time.Parse("2006-01-02T15:04:05"+zone, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// plainNames returns the fields by their names in lower case and without underscores, which is the same for all spellings.
func plainNames(fields map[string]any) map[string]any {
	plain := map[string]any{}
	for name, value := range fields {
		plain[strings.ToLower(strings.ReplaceAll(name, "_", ""))] = value
	}
	return plain
}
