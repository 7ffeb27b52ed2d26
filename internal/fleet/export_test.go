package fleet

import "github.com/go-kit/log"

// LogFetches logs fetches, each of them given by the readings before and after it.
func LogFetches(l log.Logger, fetches ...[2]*Reading) {
	c := newChangeLog(l)
	for _, fetch := range fetches {
		c.fetched(fetch[0], fetch[1], func() bool { return true })
	}
}
