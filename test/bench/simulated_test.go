package bench_test

import (
	"flag"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

// Time is simulated in these tests, so the results are exact. They only run at full size if someone sees the figures.

// showsFigures reports whether go test shows the output of report.
func showsFigures() bool { return testing.Verbose() || flag.Lookup("test.bench").Value.String() != "" }

// get scrapes like a Prometheus with the default timeout of 10 seconds, and returns the page and the duration.
func get(t *testing.T, handler http.Handler) (string, time.Duration) {
	t.Helper()
	start := time.Now()
	page := httptest.NewRecorder()
	handler.ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	if page.Code != http.StatusOK {
		t.Fatal(page.Code, page.Body)
	}
	return page.Body.String(), time.Since(start)
}

// report prints figures in the format of benchmarks: alternating values and units.
func report(name string, figures ...any) {
	line := "Benchmark" + name + " \t1"
	for pair := range slices.Chunk(figures, 2) {
		line += fmt.Sprintf("\t%.4g %s", pair...)
	}
	fmt.Println(line)
}

const (
	economyProjects = 2
	span            = time.Hour
)

// expiring are kinds of credentials that expire.
var expiring = map[string]string{
	"instance_metadata": "instance_metadata: {}",
	"assume_agency":     "static: {access_key: BASE, secret_key: SECRET}, assume_agency: {domain_name: main, agency_name: quotas, duration: 1h}",
}

// calls counts the requests of an hour.
type calls struct{ quotas, discovery, credentials float64 }

// TestAPIEconomy counts the requests of the first hour for an account that discovers its projects with temporary credentials, with all defaults.
// Several servers cost as much as one server that scrapes as often as all of them together, and there is an upper bound.
func TestAPIEconomy(t *testing.T) {
	each := map[time.Duration]float64{} // quota requests, by the time between two scrapes of any server
	for _, tc := range []struct {
		credentials string
		interval    time.Duration
		servers     []int
	}{
		{"instance_metadata", 15 * time.Second, []int{1, 2, 4}},
		{"instance_metadata", 30 * time.Second, []int{1, 2, 4}},
		{"instance_metadata", time.Minute, []int{1, 2, 4}},
		{"assume_agency", time.Minute, []int{1, 4}},
	} {
		var one calls
		for _, servers := range tc.servers {
			if !showsFigures() && tc.interval/time.Duration(servers) < 30*time.Second {
				continue
			}
			n := hourOfCalls(t, expiring[tc.credentials], tc.interval, servers)
			if servers == 1 {
				one = n
			}
			name := fmt.Sprintf("APIEconomy/credentials=%s/interval=%.0fs/servers=%d", tc.credentials, tc.interval.Seconds(), servers)
			report(name, n.quotas/economyProjects, "quota-calls/project-hour", n.quotas/one.quotas, "calls/one-server",
				n.discovery, "discovery-calls/hour", n.credentials, "credential-calls/hour")
			between := tc.interval / time.Duration(servers)
			if known, found := each[between]; found && known != n.quotas || n.quotas > mostCalls() {
				t.Errorf("%s: %g quota requests, want at most %g, and as many as with other servers that scrape every %s: %g", name, n.quotas, mostCalls(), between, known)
			}
			each[between] = n.quotas
			if n.quotas > mostForSeveral*one.quotas {
				t.Errorf("%s: %g calls for quotas, want at most %g times those for one server, %g", name, n.quotas, mostForSeveral, one.quotas)
			}
			if n.discovery != 4 || n.credentials != 2 {
				t.Errorf("%s: %g project list requests, want one in 15 minutes; %g credential requests, want 2", name, n.discovery, n.credentials)
			}
		}
	}
}

// mostCalls is the maximum cost of an hour: CES every 15 minutes and the others every 5, each up to a tenth earlier, and two requests for DBSS.
func mostCalls() float64 {
	each := func(ttl time.Duration) float64 { return math.Ceil(float64(span) / (0.9 * float64(ttl))) }
	return economyProjects * (each(15*time.Minute) + 5*each(5*time.Minute))
}

// hourOfCalls lets n servers scrape for an hour, evenly distributed over the interval.
func hourOfCalls(t *testing.T, credentials string, interval time.Duration, servers int) (n calls) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.New(
			cloudsim.Account{Name: "main", Projects: cloudtest.Scale(economyProjects).Projects()},
			cloudsim.Account{Name: "base", AccessKey: "BASE", SecretKey: "SECRET"},
		)
		cloud.SetIdentities("main", cloudtest.Identities{Agencies: []cloudtest.Agency{{Name: "quotas", Trusts: "base"}}})
		cloud.SetMachine(cloudtest.Machine{Account: "main"})
		w := fleettest.New(t, cloud, "accounts:\n  - name: main\n    ca_file: CA\n"+unencrypted+"    discovery: {}\n    credentials: {"+credentials+"}\n")
		handler := handlerOf(t, w.Fleet, prometheus.NewRegistry())
		var scrapes sync.WaitGroup
		for i := range servers {
			scrapes.Go(func() {
				<-time.After(interval * time.Duration(i) / time.Duration(servers))
				for range int(span / interval) {
					get(t, handler)
					<-time.After(interval)
				}
			})
		}
		scrapes.Wait()
		for path, requests := range cloud.Requests() {
			switch {
			case strings.Contains(path, "{project_id}"):
				n.quotas += float64(requests)
			case strings.HasSuffix(path, "/v3/projects"):
				n.discovery += float64(requests)
			default:
				n.credentials += float64(requests)
			}
		}
	})
	return n
}

// TestSlowService makes each request to one service take 30 seconds, from the start or from the first refresh, and scrapes ten times.
func TestSlowService(t *testing.T) {
	sizes := []int{1, 10}
	if showsFigures() {
		sizes = []int{1, 100}
	}
	for _, projects := range sizes {
		for _, numbers := range []string{"none", "old"} {
			name := fmt.Sprintf("SlowService/projects=%d/numbers=%s", projects, numbers)
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cloud := cloudtest.Scale(projects)
					w := fleettest.New(t, cloud, fleettest.AccountOf(cloud, unencrypted))
					handler := handlerOf(t, w.Fleet, prometheus.NewRegistry())
					if numbers == "old" {
						get(t, handler)
						<-time.After(5 * time.Minute)
					}
					cloud.Inject(cloudtest.Fault{Service: "dcs", Latency: 30 * time.Second})
					took := tenScrapes(t, handler, projects)
					p50, p99 := took[len(took)/2], took[len(took)-1]
					report(name, float64(p50), "p50-ns", float64(p99), "p99-ns")
					if p50 > 0 || p99 > 9500*time.Millisecond {
						t.Errorf("%v, want at most one scrape that waits, and none beyond its timeout", took)
					}
				})
			})
		}
	}
}

// tenScrapes scrapes every 15 seconds, and returns the durations, sorted. It fails if values of the other services are missing.
func tenScrapes(t *testing.T, handler http.Handler, projects int) (took []time.Duration) {
	t.Helper()
	const others = 5 // used values of a project without DCS
	for range 10 {
		page, d := get(t, handler)
		if n := strings.Count(page, "\ncloud_quota_used{"); n < others*projects {
			t.Errorf("%d values, want %d for each of %d projects", n, others, projects)
		}
		took = append(took, d)
		<-time.After(15*time.Second - d)
	}
	slices.Sort(took)
	return took
}

const (
	throttlePeriod = 5 * time.Minute
	throttled      = `{"error_code":"APIGW.0308","error_msg":"The throttling threshold has been reached: policy user over ratelimit,limit:200,time:5 minute"}`
)

// gateway accepts a limited number of requests per period, and counts those that it rejects.
type gateway struct {
	calls   int
	mu      sync.Mutex
	passed  []time.Time
	refused int
}

func (g *gateway) refuses(int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.passed); n >= g.calls && time.Since(g.passed[n-g.calls]) < throttlePeriod {
		g.refused++
		return true
	}
	g.passed = append(g.passed, time.Now())
	return false
}

// TestThrottle makes CES throttle an account at its known limit, and scrapes every minute for two hours. It measures how long it takes until all
// values are complete and, in the second hour, how many requests are rejected and how old values get. Rejected requests must not always be those of
// the same projects.
func TestThrottle(t *testing.T) {
	calls := 20
	if showsFigures() {
		calls = 200 // known limit of the CES gateway per user
	}
	for _, tc := range []struct {
		periods int // time needed for one request per project
		oldest  time.Duration
	}{
		{1, 15 * time.Minute}, // the cache_ttl
		{2, 15 * time.Minute},
		{3, 15 * time.Minute}, // the maximum in a cache_ttl
		{4, 25 * time.Minute},
	} {
		name := fmt.Sprintf("Throttle/projects=%d", tc.periods*calls)
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := gateway{calls: calls}
				cloud := cloudtest.Scale(tc.periods * calls)
				cloud.Inject(cloudtest.Fault{Service: "ces", Status: http.StatusTooManyRequests, Body: []byte(throttled), When: g.refuses})
				cloud.Inject(cloudtest.Fault{Latency: latency})
				w := fleettest.New(t, cloud, fleettest.AccountOf(cloud, unencrypted)+
					"services: {cts: {enabled: false}, taurusdb: {enabled: false}, dcs: {enabled: false}, dbss: {enabled: false}}")
				complete, _ := observe(t, w, time.Hour)
				g.refused = 0
				_, oldest := observe(t, w, time.Hour)
				report(name, float64(complete), "complete-ns", float64(g.refused), "refused/hour", float64(oldest), "oldest-ns")
				if complete == 0 || oldest > tc.oldest || tc.periods <= 3 && g.refused > 0 {
					t.Errorf("complete after %s, %d rejected, oldest value %s", complete, g.refused, oldest)
				}
			})
		})
	}
}

// observe scrapes every minute. It returns when all values were complete for the first time, and their maximum age.
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
