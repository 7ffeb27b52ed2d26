package e2e

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

const (
	span = 15 * time.Second
	// ttl is a little less than three intervals, so that it runs out between the scrapes of a single server, not just at one. An
	// exporter takes up to a tenth off it, lest all numbers expire at once.
	ttl = 2800 * time.Millisecond

	fewestCalls = 3
	mostCalls   = int(span/(ttl-ttl/10)) + 1
)

func TestTwoServersCostNoMoreThanOne(t *testing.T) {
	t.Parallel()
	one, two := newMeter(t, 1), newMeter(t, 2)
	one.begin(t)
	two.begin(t)
	<-time.After(span)
	callsOfOne, callsOfTwo := one.calls(), two.calls()

	if len(callsOfOne) != 6 {
		t.Errorf("calls of %v, want five services' and the list of audit instances", callsOfOne)
	}
	for path, n := range callsOfOne {
		if n < fewestCalls || n > mostCalls {
			t.Errorf("%s: %d calls in %s for one server, want %d to %d", path, n, span, fewestCalls, mostCalls)
		}
		if m := callsOfTwo[path]; m < fewestCalls || m > min(n+1, mostCalls) {
			t.Errorf("%s: %d calls in %s for two servers, %d for one", path, m, span, n)
		}
	}
	for _, p := range two.servers { // so that two servers did ask twice as often
		p.is(t, fmt.Sprintf("count_over_time(up[%s]) >= bool 12", span), " 1")
	}
}

// meter is an exporter of one project, and the servers that scrape it each second.
type meter struct {
	cloud   *cloudtest.Cloud
	servers []*prometheus
	before  map[string]int
}

func newMeter(t *testing.T, servers int) *meter {
	t.Helper()
	m := &meter{cloud: newCloud()}
	m.cloud.RemoveProject(m.cloud.Projects()[1].ID) // a call is a call of one project, then
	e := startExporter(t, m.cloud, fmt.Sprintf("{defaults: {cache_ttl: %s}}", ttl))
	for i := range servers {
		// Servers that differ in nothing would scrape at the same moments.
		differ := fmt.Sprintf("global: {external_labels: {replica: \"%d\"}}\n", i)
		m.servers = append(m.servers, startPrometheus(t, differ+scraping(e.at, time.Second)))
	}
	return m
}

// begin counts from the moment when all servers scrape.
func (m *meter) begin(t *testing.T) {
	t.Helper()
	for _, p := range m.servers {
		p.becomes(t, "count(cloud_quota_up)", " 5")
	}
	m.before = m.cloud.Requests()
}

// calls returns how many calls came since begin, by method and path.
func (m *meter) calls() map[string]int {
	calls := maps.Clone(m.cloud.Requests())
	for path, n := range m.before {
		calls[path] -= n
	}
	return calls
}
