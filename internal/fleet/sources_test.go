package fleet_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

func TestUnchangedReadingKeepsItsPointer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), fleettest.DocumentsConfig)
		first, second := w.Scrape(t, time.Minute), w.Scrape(t, time.Minute)
		for i := range first {
			if first[i] != second[i] {
				t.Errorf("%s: another pointer, though nothing changed", first[i].Service)
			}
		}
		pass(15 * time.Minute)
		third := w.Scrape(t, time.Minute)
		for i := range first {
			if first[i] == third[i] {
				t.Errorf("%s: the same pointer after another fetch", first[i].Service)
			}
		}
	})
}

func TestNumbersServeForTheirTTLLessALittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudsim.Scale(20)
		w := fleettest.New(t, cloud, scaleConfig(cloud, "services: {ces: {enabled: false}, taurusdb: {enabled: false}, dcs: {enabled: false}, dbss: {enabled: false}}"))
		w.Scrape(t, time.Minute)
		pass(5*time.Minute*9/10 - time.Second)
		requests := func() int { return cloud.Requests()["GET /v3/{project_id}/quotas"] }
		w.Scrape(t, time.Minute)
		if n := requests(); n != 20 {
			t.Errorf("%d requests before nine tenths of the TTL, want 20", n)
		}
		pass(15 * time.Second)
		w.Scrape(t, time.Minute)
		if n := requests(); n == 20 || n == 40 {
			t.Errorf("%d requests half-way through the last tenth, want some sources to be asked again and others not yet", n)
		}
		pass(16 * time.Second)
		w.Scrape(t, time.Minute)
		if n := requests(); n != 40 {
			t.Errorf("%d requests after the TTL, want 40", n)
		}
	})
}

func TestTTLOfZeroAsksOnEveryScrape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), fleettest.DocumentsConfig+"services: {dcs: {cache_ttl: 0}}")
		for range 3 {
			w.Scrape(t, time.Minute)
		}
		if got := fmt.Sprint(w.Cloud.ProjectRequests(prodID)); got != "map[ces:1 cts:1 dbss:2 dcs:3 taurusdb:1]" {
			t.Errorf("requests %s", got)
		}
	})
}

func TestNumbersAreDroppedWhenTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), fleettest.DocumentsConfig+"services: {dcs: {max_stale: 1h}}")
		w.Scrape(t, time.Minute)
		w.Cloud.Inject(cloudsim.Fault{Service: "dcs", Status: http.StatusInternalServerError})
		pass(time.Hour)
		if r := find(t, w.Scrape(t, time.Minute), "dcs", "prod"); len(r.Quotas) != 2 || r.TooOld || r.Reason() != "server_error" {
			t.Errorf("after one hour: %+v, want the last good numbers", r)
		}
		pass(1)
		r := find(t, w.Scrape(t, time.Minute), "dcs", "prod")
		if len(r.Quotas) != 0 || !r.TooOld || r.State.ReadAt.IsZero() {
			t.Errorf("after more than one hour: %+v, want no numbers, but the time of the last ones", r)
		}
	})
}

func TestNumbersOfThisScrapeAreNeverTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), fleettest.DocumentsConfig+"services: {defaults: {cache_ttl: 0, max_stale: 2s}}")
		w.Cloud.Inject(cloudsim.Fault{Service: "dcs", Hang: true})
		for _, r := range w.Scrape(t, 5*time.Second) {
			if r.Service != "dcs" && (r.TooOld || len(r.Quotas) == 0) {
				t.Errorf("%s: %+v, want the numbers that were just read", r.Service, r)
			}
		}
	})
}

// throttledCloud has an account with two projects and another with one; CES answers 429 with what is given.
func throttledCloud(t *testing.T, header http.Header, message string) (w *fleettest.World, heal func()) {
	t.Helper()
	cloud := cloudsim.New(
		cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: []cloudsim.Project{
			{ID: prodID, Name: "ap-southeast-3"}, {ID: devID, Name: "ap-southeast-3_dev"},
		}},
		cloudsim.Account{Name: "other", AccessKey: "AK2", SecretKey: "SK2", Projects: []cloudsim.Project{{ID: "0ther", Name: "ap-southeast-3"}}},
	)
	w = fleettest.New(t, cloud, `accounts:
  - name: main
    credentials: {static: {access_key: AK, secret_key: SK}}
    ca_file: CA
    projects:
      - {id: `+prodID+`, region: ap-southeast-3, name: prod}
      - {id: `+devID+`, region: ap-southeast-3, name: dev}
  - name: other
    credentials: {static: {access_key: AK2, secret_key: SK2}}
    ca_file: CA
    projects: [{id: 0ther, region: ap-southeast-3, name: other}]
services: {ces: {cache_ttl: 1m, max_in_flight: 1}, dcs: {cache_ttl: 1m}}
`)
	return w, cloud.Inject(cloudsim.Fault{
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
				w.Read(t.Context(), func(service, project string) bool { return project == "prod" && service == "ces" })
				heal()
				pass(tc.pause - 1)
				readings := w.Scrape(t, time.Minute)
				if got := find(t, readings, "ces", "dev").State.Fetches; got != 0 {
					t.Errorf("dev was fetched %d times during the pause, want 0", got)
				}
				if got := outcomes(readings); strings.Count(got, ": ok") != 13 || find(t, readings, "ces", "other").Reason() != "" {
					t.Errorf("outcomes\n%s\nwant the other services and the other account as ever", got)
				}
				pass(1)
				w.Scrape(t, time.Minute)
				synctest.Wait()
				if got := outcomes(w.Scrape(t, time.Minute)); strings.Count(got, ": ok") != 15 {
					t.Errorf("after the pause\n%s", got)
				}
			})
		})
	}
}

func TestPausesGrowUpToTheTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), fleettest.DocumentsConfig+"services: {dcs: {cache_ttl: 1m}, ces: {cache_ttl: 0}}")
		w.Cloud.Inject(cloudsim.Fault{Status: http.StatusInternalServerError})
		for range 61 * 5 { // five minutes, a scrape each second
			w.Scrape(t, time.Minute)
			pass(time.Second)
		}
		// dcs: at 0, 15, 45, 105, 165, 225 and 285 s; ces: every 15 s; the others: at 0, 15, 45, 105 and 225 s.
		if got := fmt.Sprint(w.Cloud.ProjectRequests(prodID)); got != "map[ces:21 cts:5 dbss:5 dcs:7 taurusdb:5]" {
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
	})
}

func TestReloadKeepsPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), fleettest.DocumentsConfig)
		w.Cloud.Inject(cloudsim.Fault{Service: "ces", Status: http.StatusTooManyRequests})
		w.Scrape(t, time.Minute)
		w.Configure(t, fleettest.DocumentsConfig)
		w.Scrape(t, time.Minute)
		if n := w.Cloud.ProjectRequests(prodID)["ces"]; n != 1 {
			t.Errorf("%d requests, want the pause to outlive the reload", n)
		}
	})
}
