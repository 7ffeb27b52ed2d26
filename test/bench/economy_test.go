package bench_test

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

const (
	economyProjects = 2
	span            = time.Hour
)

// expiring are kinds of credentials.
var expiring = map[string]string{
	"instance_metadata": "instance_metadata: {}",
	"assume_agency":     "static: {access_key: BASE, secret_key: SECRET}, assume_agency: {domain_name: main, agency_name: quotas, duration: 1h}",
}

// calls are what the cloud was asked in an hour.
type calls struct{ quotas, discovery, credentials float64 }

// TestAPIEconomy counts the calls of an hour from the start, of an account that discovers its projects by keys that expire, with all defaults.
// Servers that scrape in turn cost exactly what one does that scrapes as often as all of them, and there is a bound to that. Time is
// simulated, hence exact.
func TestAPIEconomy(t *testing.T) {
	each := map[time.Duration]float64{} // calls for quotas, by the time between two scrapes of whichever server
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
			n := hourOfCalls(t, expiring[tc.credentials], tc.interval, servers)
			if servers == 1 {
				one = n
			}
			name := fmt.Sprintf("APIEconomy/credentials=%s/interval=%.0fs/servers=%d", tc.credentials, tc.interval.Seconds(), servers)
			report(name, n.quotas/economyProjects, "quota-calls/project-hour", n.quotas/one.quotas, "calls/one-server",
				n.discovery, "discovery-calls/hour", n.credentials, "credential-calls/hour")
			between := tc.interval / time.Duration(servers)
			if known, found := each[between]; found && known != n.quotas || n.quotas > mostCalls() {
				t.Errorf("%s: %g calls for quotas, want at most %g, and as many as others that scrape each %s: %g", name, n.quotas, mostCalls(), between, known)
			}
			each[between] = n.quotas
			if n.discovery != 4 || n.credentials != 2 {
				t.Errorf("%s: %g calls for projects, want one in 15 minutes; %g for keys, want 2", name, n.discovery, n.credentials)
			}
		}
	}
}

// mostCalls is what an hour can cost: CES every 15 minutes, the others every 5, each a tenth earlier at most, and DBSS two calls.
func mostCalls() float64 {
	each := func(ttl time.Duration) float64 { return math.Ceil(float64(span) / (0.9 * float64(ttl))) }
	return economyProjects * (each(15*time.Minute) + 5*each(5*time.Minute))
}

// hourOfCalls has so many servers scrape for an hour, evenly spread over the interval.
func hourOfCalls(t *testing.T, credentials string, interval time.Duration, servers int) (n calls) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.New(
			cloudsim.Account{Name: "main", Projects: cloudtest.Scale(economyProjects).Projects()},
			cloudsim.Account{Name: "base", AccessKey: "BASE", SecretKey: "SECRET"},
		)
		cloud.SetIdentities("main", cloudtest.Identities{Agencies: []cloudtest.Agency{{Name: "quotas", Trusts: "base"}}})
		cloud.SetMachine(cloudtest.Machine{Account: "main"})
		w := fleettest.New(t, cloud, "accounts:\n  - name: main\n    ca_file: CA\n    discovery: {}\n    credentials: {"+credentials+"}\n")
		handler := pageOf(t, w)
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
