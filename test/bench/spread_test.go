package bench_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/fleet/fleettest"
	"cloud_quota_exporter/providers"
)

const (
	window         = 10 * time.Second
	mostBurst      = 3    // calls in a window, over the mean
	mostForSeveral = 1.05 // calls for several servers, over those for one
)

// TestSpread counts the calls of all services of the catalogue in the second hour: whether several servers cost more than one, and how many
// calls there are in ten seconds at most. All calls for one scrape come at once, so the least is the time between two scrapes over ten seconds.
func TestSpread(t *testing.T) {
	const projects = 10
	for _, interval := range []time.Duration{15 * time.Second, 30 * time.Second} {
		var one float64
		for _, servers := range []int{1, 2, 4} {
			between := interval / time.Duration(servers)
			if !showsFigures() && between != 15*time.Second {
				continue
			}
			calls := secondHour(t, projects, interval, servers)
			largest := 0
			for i, first := range calls {
				next, _ := slices.BinarySearch(calls, first+window)
				largest = max(largest, next-i)
			}
			n := float64(len(calls))
			if one == 0 {
				one = n
			}
			burst := float64(largest) / (n * float64(window) / float64(span))
			name := fmt.Sprintf("Spread/interval=%.0fs/servers=%d", interval.Seconds(), servers)
			report(name, n/float64(projects), "quota-calls/project-hour", n/one, "calls/one-server", burst, "burst/mean")
			if n/one > mostForSeveral || between <= 15*time.Second && burst > mostBurst {
				t.Errorf("%s: %.3g times the calls for one server, want at most %g; %.3g times the mean in %s, want at most %d",
					name, n/one, mostForSeveral, burst, window, mostBurst)
			}
		}
	}
}

// secondHour lets several servers scrape for two hours, evenly distributed over the interval, and returns the times of the requests in the second hour.
func secondHour(t *testing.T, projects int, interval time.Duration, servers int) (calls []time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.Scale(projects)
		start := time.Now()
		var mu sync.Mutex
		cloud.Inject(cloudtest.Fault{Latency: latency, When: func(int) bool {
			mu.Lock()
			defer mu.Unlock()
			if at := time.Since(start); at >= span {
				calls = append(calls, at)
			}
			return true
		}})
		w := fleettest.NewOf(t, providers.All(), cloud, fleettest.AccountOf(cloud, unencrypted)+"services: {defaults: {enabled: true}}")
		var scrapes sync.WaitGroup
		for i := range servers {
			scrapes.Go(func() {
				<-time.After(interval * time.Duration(i) / time.Duration(servers))
				for begun := time.Now(); time.Since(start) < 2*span; {
					w.Read(t.Context(), fleet.Filter{})
					<-time.After(interval - time.Since(begun)%interval)
				}
			})
		}
		scrapes.Wait()
	})
	slices.Sort(calls)
	return calls
}
