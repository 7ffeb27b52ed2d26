package fleet

import "github.com/go-kit/log"

// LogFetches logs fetches, each given by the readings before and after it. Each project has one source.
func LogFetches(l log.Logger, fetches ...[2]*Reading) {
	c := newChangeLog(l)
	cells := map[string]*sourceCell{}
	for _, fetch := range fetches {
		label := fetch[1].Project.Label
		if cells[label] == nil {
			cells[label] = new(sourceCell)
			c.change(cells[label], failureOf(fetch[0]))
		}
		fetch[1].cell = cells[label]
		c.fetched(fetch[0], fetch[1], func() bool { return true })
	}
}
