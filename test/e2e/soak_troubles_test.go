package e2e

import (
	"math"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// trouble is why sources could not be read for a time, all those that fit: an empty field fits any. The service iam is the list of projects.
type trouble struct {
	account, project, service string
	from, until               float64

	resets *atomic.Int64 // requests that were reset; nil: none were
}

// note remembers a trouble that is over now.
func (r *record) note(t trouble) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.troubles = append(r.troubles, t)
}

// spans are times of trouble, one after the other.
type spans [][2]float64

// of returns when a source was in trouble, or could still be for what had been: for so long afterwards.
func (r *record) of(account, project, service string, afterwards time.Duration, more ...trouble) spans {
	fits := func(of, is string) bool { return of == "" || of == is }
	var all spans
	for _, t := range slices.Concat(r.troubles, r.stalls, more) {
		if fits(t.account, account) && fits(t.project, project) && fits(t.service, service) {
			all = append(all, [2]float64{t.from, t.until + afterwards.Seconds()})
		}
	}
	slices.SortFunc(all, func(a, b [2]float64) int { return int(math.Copysign(1, a[0]-b[0])) })
	var merged spans
	for _, s := range all {
		if n := len(merged); n > 0 && s[0] <= merged[n-1][1] {
			merged[n-1][1] = max(merged[n-1][1], s[1])
		} else {
			merged = append(merged, s)
		}
	}
	return merged
}

// well returns the last moment up to a time at which nothing was wrong: the time itself, or the beginning of the trouble then.
func (s spans) well(at float64) float64 {
	i := sort.Search(len(s), func(i int) bool { return s[i][1] > at })
	if i < len(s) && s[i][0] <= at {
		return s[i][0]
	}
	return at
}

// watch notes when the machine stands still, as virtual ones do at times, until stop is called: nobody answers in time then.
func (r *record) watch() (stop func()) {
	const tick, late = 50 * time.Millisecond, 500 * time.Millisecond
	over := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for last := time.Now(); ; last = time.Now() {
			select {
			case <-time.After(tick):
			case <-over:
				return
			}
			if time.Since(last) > late {
				r.stalls = append(r.stalls, trouble{from: unix(last), until: unix(time.Now())})
			}
		}
	})
	return func() {
		close(over)
		watching.Wait()
	}
}

// stood tells for how many seconds the machine stood still, of the times that have something in common with a time.
func (r *record) stood(from, until float64) (seconds float64) {
	for _, t := range r.stalls {
		if t.from <= until && t.until >= from {
			seconds += t.until - t.from
		}
	}
	return seconds
}
