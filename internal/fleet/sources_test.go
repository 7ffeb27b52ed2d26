package fleet_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

// throttledCloud has two projects of an account and one of another; CES responds with 429 and the given text.
func throttledCloud(t *testing.T, header http.Header, message string) (w *fleettest.World, heal func()) {
	t.Helper()
	w = fleettest.New(t, organization(), mainAccount+`    projects:
      - {id: `+prodID+`, region: ap-southeast-3, name: prod}
      - {id: `+devID+`, region: ap-southeast-3, name: dev}
`+otherAccount+`    projects: [{id: 0ther, region: ap-southeast-3, name: other}]
services: {ces: {cache_ttl: 1m, max_in_flight: 1}, dcs: {cache_ttl: 1m}}
`)
	return w, w.Cloud.Inject(cloudtest.Fault{
		Service: "ces", ProjectID: prodID, Status: http.StatusTooManyRequests, Header: header,
		Body: []byte(`{"error_code":"APIGW.0308","error_msg":"` + message + `"}`),
	})
}

func TestThrottlingPausesTheServiceForTheAccount(t *testing.T) {
	for _, tc := range []struct {
		name    string
		header  http.Header
		message string
		pause   time.Duration
	}{
		{"without a hint", nil, "slow down", 15 * time.Second},
		{"Retry-After", http.Header{"Retry-After": {"90"}}, "slow down", 90 * time.Second},
		{"hint", nil, "policy user over ratelimit,limit:200,time:5 minute", 5 * time.Minute},
		{"a hint shorter than the pause", http.Header{"Retry-After": {"1"}}, "", 15 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, heal := throttledCloud(t, tc.header, tc.message)
				w.Read(t.Context(), fleet.Filter{Services: []string{"ces"}, Projects: []string{"prod"}})
				heal()
				pass(tc.pause - 1)
				readings := w.Scrape(t, time.Minute)
				if got := find(t, readings, "ces", "dev").State.Fetches; got != 0 {
					t.Errorf("dev was fetched %d times during the pause, want 0", got)
				}
				if got := outcomes(readings); strings.Count(got, ": ok") != 13 || find(t, readings, "ces", "other").Reason() != "" {
					t.Errorf("outcomes\n%s\nwant the other services and the other account unaffected", got)
				}
				pass(1)
				if got := outcomes(settled(t, w)); strings.Count(got, ": ok") != 15 {
					t.Errorf("after the pause\n%s", got)
				}
			})
		})
	}
}

// TestUnavailablePausesOnlyTheSource: a 503 with Retry-After only pauses one source. The other projects of the service continue.
func TestUnavailablePausesOnlyTheSource(t *testing.T) {
	for header, pause := range map[string]time.Duration{"": 15 * time.Second, "90.5": 90500 * time.Millisecond, "1": 15 * time.Second, "86400": time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			w, heal := throttledCloud(t, nil, "")
			heal()
			w.Cloud.Inject(cloudtest.Fault{
				Service: "ces", ProjectID: prodID, Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {header}},
				When: func(n int) bool { return n == 1 },
			})
			if got := outcomes(w.Scrape(t, time.Minute)); strings.Count(got, ": ok") != 14 {
				t.Errorf("outcomes\n%s\nwant all but one", got)
			}
			pass(pause - 1)
			readings := settled(t, w)
			if got := find(t, readings, "ces", "prod").State.Fetches; got != 1 {
				t.Errorf("%q: prod was fetched %d times within the pause, want once", header, got)
			}
			if got := find(t, readings, "ces", "dev").State.Fetches; pause > time.Minute && got != 2 {
				t.Errorf("%q: dev was fetched %d times, want twice", header, got)
			}
			pass(1)
			if got := find(t, settled(t, w), "ces", "prod"); got.State.Fetches != 2 || got.State.Err != nil {
				t.Errorf("%q: after the pause, %+v", header, got.State)
			}
		})
	}
}

func TestPausesGrowUpToTheTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), fleettest.DocumentsConfig+"services: {dcs: {cache_ttl: 50s}, ces: {cache_ttl: 0}}")
		w.Cloud.Inject(cloudtest.Fault{Status: http.StatusInternalServerError})
		for range 61 * 5 { // five minutes, a scrape each second
			w.Scrape(t, time.Minute)
			pass(time.Second)
		}
		// dcs: at 0, 15, 45, 95, 145, 195, 245 and 295 s; ces: every 15 s; the others: at 0, 15, 45, 105 and 225 s.
		if got := fmt.Sprint(w.Cloud.ProjectRequests(prodID)); got != "map[ces:21 cts:5 dbss:5 dcs:8 taurusdb:5]" {
			t.Errorf("requests %s", got)
		}
	})
}

func TestReloadKeepsWhatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), fleettest.DocumentsConfig)
		w.Scrape(t, time.Minute)
		renamed := strings.Replace(fleettest.DocumentsConfig, "name: prod", "name: renamed", 1)
		w.Configure(t, renamed+"services: {cts: {enabled: false}, ces: {max_in_flight: 2}}")
		readings := w.Scrape(t, time.Minute)
		_, others, _ := strings.Cut(strings.ReplaceAll(documentsNumbers, "/prod", "/renamed"), "\nces")
		if got := numbers(readings); got != "ces"+others {
			t.Errorf("got\n%s", got)
		}
		if got := fmt.Sprint(w.Cloud.ProjectRequests(prodID), w.Projects(), w.Services()); got != "map[ces:1 cts:1 dbss:2 dcs:1 taurusdb:1] [renamed] [ces taurusdb dcs dbss]" {
			t.Errorf("got %s, want no request more", got)
		}
		w.Configure(t, renamed+"services: {cts: {enabled: false}, dcs: {cache_ttl: 0}}") // active at once, and every scrape fetches
		w.Scrape(t, time.Minute)
		w.Scrape(t, time.Minute)
		if got := fmt.Sprint(w.Cloud.ProjectRequests(prodID)); got != "map[ces:1 cts:1 dbss:2 dcs:3 taurusdb:1]" {
			t.Errorf("requests with a shorter TTL: %s", got)
		}
	})
}

// TestReloadEndsNoPauseWithoutReason: adding a project does not retry a failing service of another one.
func TestReloadEndsNoPauseWithoutReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), fleettest.DocumentsConfig)
		w.Cloud.Inject(cloudtest.Fault{Service: "dcs", Status: http.StatusInternalServerError})
		w.Cloud.Inject(cloudtest.Fault{Service: "ces", Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1800"}}})
		w.Scrape(t, time.Minute)
		w.Configure(t, fleettest.DocumentsConfig+"      - {region: ap-southeast-1}\nservices: {ces: {max_in_flight: 3}}")
		settled(t, w)
		if got := fmt.Sprint(w.Cloud.ProjectRequests(prodID)); got != "map[ces:1 cts:1 dbss:2 dcs:1 taurusdb:1]" {
			t.Errorf("requests %s", got)
		}
		w.Configure(t, fleettest.DocumentsConfig+"services: {dcs: {timeout: 20s}}")
		w.Scrape(t, time.Minute)
		synctest.Wait()
		if n := w.Cloud.ProjectRequests(prodID)["dcs"]; n != 2 {
			t.Errorf("%d requests after the timeout was raised, want 2", n)
		}
	})
}

func TestValuesAreUsedForNearlyTheirTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.Scale(20)
		w := fleettest.New(t, cloud, fleettest.AccountOf(cloud, unencrypted)+ctsAlone(""))
		requestsAfter := func(d time.Duration) int {
			pass(d)
			w.Scrape(t, time.Minute)
			return cloud.Requests()["GET /v3/{project_id}/quotas"]
		}
		requestsAfter(0)
		if n := requestsAfter(5*time.Minute*9/10 - time.Second); n != 20 {
			t.Errorf("%d requests before nine tenths of the TTL, want 20", n)
		}
		if n := requestsAfter(15 * time.Second); n == 20 || n == 40 {
			t.Errorf("%d requests half-way through the last tenth, want some sources to be fetched again and others not yet", n)
		}
		if n := requestsAfter(16 * time.Second); n != 40 {
			t.Errorf("%d requests after the TTL, want 40", n)
		}
	})
}

func TestValuesAreDroppedWhenTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), fleettest.DocumentsConfig+"services: {dcs: {max_stale: 1h}}")
		w.Scrape(t, time.Minute)
		w.Cloud.Inject(cloudtest.Fault{Service: "dcs", Status: http.StatusInternalServerError})
		pass(time.Hour)
		if r := find(t, w.Scrape(t, time.Minute), "dcs", "prod"); len(r.Quotas) != 2 || r.TooOld || r.Reason() != "server_error" {
			t.Errorf("after one hour: %+v, want the last good values", r)
		}
		pass(1)
		r := find(t, w.Scrape(t, time.Minute), "dcs", "prod")
		if len(r.Quotas) != 0 || !r.TooOld || r.State.ReadAt.IsZero() {
			t.Errorf("after more than one hour: %+v, want no values, but the time of the last ones", r)
		}
	})
}

func TestValuesOfThisScrapeAreNeverTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), fleettest.DocumentsConfig+"services: {defaults: {cache_ttl: 0, max_stale: 2s}, ces: {cache_ttl: 0}}")
		w.Cloud.Inject(cloudtest.Fault{Service: "dcs", Hang: true})
		for _, r := range w.Scrape(t, 5*time.Second) {
			if r.TooOld || len(r.Quotas) == 0 && r.Service != "dcs" {
				t.Errorf("%s: %+v, want the values that were just fetched, and nothing to drop of dcs", r.Service, r)
			}
		}
	})
}
