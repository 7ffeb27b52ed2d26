package bench_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

// throttling is what CES's gateway is known to let through for a user.
const (
	throttleCalls  = 200
	throttlePeriod = 5 * time.Minute
	throttled      = `{"error_code":"APIGW.0308","error_msg":"The throttling threshold has been reached: policy user over ratelimit,limit:200,time:5 minute"}`
)

// gateway lets so many calls through in a period, and counts those that it refuses.
type gateway struct {
	mu      sync.Mutex
	passed  []time.Time
	refused int
}

func (g *gateway) refuses(int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.passed); n >= throttleCalls && time.Since(g.passed[n-throttleCalls]) < throttlePeriod {
		g.refused++
		return true
	}
	g.passed = append(g.passed, time.Now())
	return false
}

// TestThrottle has CES throttle an account by the limit that is known of it, and scrapes each minute for two hours: how long it takes until all
// numbers are there and, in the second hour, how many calls are refused and how old numbers get. Time is simulated, hence exact.
func TestThrottle(t *testing.T) {
	for _, tc := range []struct {
		projects int
		oldest   time.Duration
	}{
		{200, 15 * time.Minute}, // the cache_ttl: all fit into one period
		{400, 25 * time.Minute},
		{600, 45 * time.Minute}, // as many as are let through in a cache_ttl
		{800, 90 * time.Minute},
	} {
		name := fmt.Sprintf("Throttle/projects=%d", tc.projects)
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g gateway
				cloud := cloudtest.Scale(tc.projects)
				cloud.Inject(cloudtest.Fault{Service: "ces", Status: http.StatusTooManyRequests, Body: []byte(throttled), When: g.refuses})
				cloud.Inject(cloudtest.Fault{Latency: latency})
				w := fleettest.New(t, cloud, scaleConfig(cloud)+cesAlone)
				complete, _ := observe(t, w, time.Hour)
				g.refused = 0
				_, oldest := observe(t, w, time.Hour)
				report(name, float64(complete), "complete-ns", float64(g.refused), "refused/hour", float64(oldest), "oldest-ns")
				if complete == 0 || oldest > tc.oldest || tc.projects <= throttleCalls && g.refused > 0 {
					t.Errorf("complete after %s, %d refused, the oldest number of %s", complete, g.refused, oldest)
				}
			})
		})
	}
}

const cesAlone = "services: {cts: {enabled: false}, taurusdb: {enabled: false}, dcs: {enabled: false}, dbss: {enabled: false}}"

// observe scrapes each minute. It returns when all numbers were there first, and how old they were at most.
func observe(t *testing.T, w *fleettest.World, span time.Duration) (complete, oldest time.Duration) {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < span; <-time.After(time.Minute) {
		all := w.Scrape(t, 10*time.Second)
		missing := slices.ContainsFunc(all, func(r *fleet.Reading) bool { return r.State.ReadAt.IsZero() })
		if missing {
			continue
		}
		if complete == 0 {
			complete = time.Since(begun)
		}
		for _, r := range all {
			oldest = max(oldest, time.Since(r.State.ReadAt))
		}
	}
	return complete, oldest
}
