package fleet

import (
	"hash/fnv"
	"math"
	"time"
)

// Fetches of a source are due at fixed times, cache_ttl apart. These times are spread evenly over the sources, so that not all of them are
// due at the same scrape, and they do not depend on the scrapes, so that more Prometheus servers cause no more requests.
//
// While a service throttles the account, and for a day after, values are fresh for cache_ttl instead. Fetches that a pause
// has delayed then keep their new times, at which the service has capacity. At their fixed times, they would be throttled again.

const (
	jitter   = 0.1 // share of cache_ttl by which the first values of a source may be fetched again earlier
	minFresh = 0.4 // share of cache_ttl for which later values are fresh at least

	afterThrottling = 24 * time.Hour
)

// freshFor returns how long a value is fresh that was fetched at begun: until the next of the fixed times. phase, in [0, 1), sets these. If
// the next one is too soon, the time until the one after it is halved. The first value is fresh for at least nine tenths of ttl.
func freshFor(ttl time.Duration, phase float64, begun time.Time, isFirst bool) time.Duration {
	if ttl <= 0 {
		return 0
	}
	if isFirst {
		return ttl - time.Duration(jitter*phase*float64(ttl))
	}
	left := ttl - (time.Duration(begun.UnixNano())-time.Duration(phase*float64(ttl)))%ttl
	if left < time.Duration(minFresh*float64(ttl)) {
		left = (left + ttl) / 2
	}
	return left
}

// phase returns a number in [0, 1) that depends only on the source. The services of a project are spread by the golden ratio, which leaves
// no gaps for any number of them. The projects are spread by a hash.
func (s *source) phase(service int) float64 {
	h := fnv.New64a()
	for _, part := range []string{s.Account, s.ProjectID, s.Region, s.IAMName} {
		_, _ = h.Write([]byte(part + "\x00")) // never fails
	}
	_, phase := math.Modf(float64(h.Sum64()>>11)/(1<<53) + float64(service)*math.Phi)
	return phase
}
