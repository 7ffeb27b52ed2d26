package fleet_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

// TestHangingDiscoveryLeavesTheOthers: the first scrape waits for the list of one account, and shows the other one all the same.
func TestHangingDiscoveryLeavesTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, organisation(), discoverAll+`  - name: other
    credentials: {static: {access_key: AK2, secret_key: SK2}}
    ca_file: CA
    projects: [{id: 0ther, region: ap-southeast-3, name: other}]
`)
		w.Cloud.Inject(cloudtest.Fault{Service: "iam", Hang: true})
		w.Cloud.Inject(cloudtest.Fault{Service: "dcs", Latency: time.Second})
		start := time.Now()
		if got := outcomes(w.Scrape(t, 5*time.Second)); got != all("other", "ok") || time.Since(start) != 5*time.Second {
			t.Errorf("after %s\n%s", time.Since(start), got)
		}
	})
}

func TestSkippedProjectsAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, organisation(), discoverAll+"    projects: [{id: x, region: eu-de, name: ap-southeast-3_dev}]\n")
		w.Scrape(t, time.Minute)
		w.Scrape(t, time.Minute)
		w.Configure(t, discoverAll)
		var logged []string
		for _, line := range w.Logged() {
			if text := fmt.Sprint(line["msg"]); strings.Contains(text, "left out") {
				logged = append(logged, fmt.Sprint(line["account"], " ", text, " ", line["projects"]))
			}
		}
		const want = "main projects are left out since others have their labels; name_prefix tells them apart ap-southeast-3_dev\n" +
			"main no projects are left out any more <nil>"
		if got := strings.Join(logged, "\n"); got != want {
			t.Errorf("logged\n%s\nwant\n%s", got, want)
		}
	})
}

// TestKnownProjectsWaitForNoList: the projects that a scrape names are known, whatever becomes of another account's list.
func TestKnownProjectsWaitForNoList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, organisation(), discoverAll+"    projects: [{id: "+prodID+", region: ap-southeast-3, name: prod}]\n")
		w.Cloud.Inject(cloudtest.Fault{Service: "iam", Hang: true})
		start := time.Now()
		readings := w.Read(t.Context(), fleet.Filter{Projects: []string{"prod"}})
		if got := outcomes(readings); got != all("prod", "ok") || time.Since(start) > 1100*time.Millisecond {
			t.Errorf("after %s, want a second for the key that IAM's silence leaves unproven\n%s", time.Since(start), got)
		}
		pass(time.Minute) // the list is under way all the same, and its time-out ends it
	})
}

// TestCompleteAsOfTheSources: a list that lands when nobody looks makes no short answer complete.
func TestCompleteAsOfTheSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, organisation(), discoverAll)
		w.Cloud.Inject(cloudtest.Fault{Service: "iam", Latency: 2 * time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w.Discover(ctx)
		pass(2 * time.Second)
		if projects, incomplete := w.Known(); fmt.Sprint(incomplete) != "[main]" || len(projects) != 0 {
			t.Errorf("incomplete %v with %v", incomplete, projects)
		}
		w.Discover(t.Context())
		if projects, incomplete := w.Known(); len(incomplete) != 0 || len(projects) != 2 {
			t.Errorf("incomplete %v with %v", incomplete, projects)
		}
	})
}

// TestUnchangedListKeepsReadings: only a list with other projects makes other sources.
func TestUnchangedListKeepsReadings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, organisation(), discoverAll+"services: {defaults: {cache_ttl: 1h}}")
		before := w.Scrape(t, time.Minute)
		pass(20 * time.Minute)
		w.Scrape(t, time.Minute)
		synctest.Wait()
		after := w.Scrape(t, time.Minute)
		for i := range before {
			if before[i] != after[i] {
				t.Errorf("%s: another reading, though nothing changed", before[i].Service)
			}
		}
		if n := w.Cloud.Requests()["GET /v3/projects"]; n != 2 {
			t.Errorf("%d lists, want 2", n)
		}
	})
}

// TestHolderKeepsItsLabel: a series must not become another project's when an account comes back.
func TestHolderKeepsItsLabel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, organisation(), strings.Replace(discoverAll, "{exclude", `{name_prefix: "", exclude`, 1)+`  - name: other
    credentials: {static: {access_key: AK2, secret_key: SK2}}
    ca_file: CA
    discovery: {name_prefix: ""}
`)
		w.Cloud.SetKeys("main", "AK", "changed", "")
		w.Scrape(t, time.Minute)
		w.Cloud.SetKeys("main", "AK", "SK", "")
		pass(5 * time.Minute) // the key was refused
		w.Scrape(t, time.Minute)
		pass(time.Second)
		if r := find(t, w.Scrape(t, time.Minute), "cts", "ap-southeast-3"); r.Account != "other" || r.Project.ID != "0ther" {
			t.Errorf("the label went to %s, %s", r.Account, r.Project.ID)
		}
		if got := account(t, w, "main"); got != "asked true up true projects 1 skipped 1" {
			t.Errorf("main: %s", got)
		}
	})
}

// TestReloadMendsDiscovery: with other keys, the list is asked for at once; without a change, nothing is asked for.
func TestReloadMendsDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, organisation(), strings.Replace(discoverAll, "SK", "wrong", 1))
		for range 20 {
			w.Scrape(t, time.Minute)
			pass(time.Minute)
		}
		w.Configure(t, discoverAll)
		w.Scrape(t, time.Minute)
		synctest.Wait()
		if got := outcomes(w.Scrape(t, time.Minute)); strings.Count(got, ": ok") != 10 {
			t.Errorf("outcomes\n%s", got)
		}
		before := account(t, w, "main")
		w.Configure(t, discoverAll)
		if after := account(t, w, "main"); after != before || before != "asked true up true projects 2 skipped 0" {
			t.Errorf("%s before a reload, %s after it", before, after)
		}
	})
}

// TestReloadEndsNoPauseWithoutReason: adding a project is no reason to ask a failing service of another one.
func TestReloadEndsNoPauseWithoutReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), fleettest.DocumentsConfig)
		w.Cloud.Inject(cloudtest.Fault{Service: "dcs", Status: http.StatusInternalServerError})
		w.Cloud.Inject(cloudtest.Fault{Service: "ces", Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1800"}}})
		w.Scrape(t, time.Minute)
		w.Configure(t, fleettest.DocumentsConfig+"      - {region: ap-southeast-1}\nservices: {ces: {max_in_flight: 3}}")
		w.Scrape(t, time.Minute)
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

// TestReloadShortensTTL: a new cache_ttl is in force at once.
func TestReloadShortensTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), fleettest.DocumentsConfig)
		w.Scrape(t, time.Minute)
		w.Configure(t, fleettest.DocumentsConfig+"services: {dcs: {cache_ttl: 0}}")
		w.Scrape(t, time.Minute)
		if n := w.Cloud.ProjectRequests(prodID)["dcs"]; n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
	})
}

// TestManyLookAtOnce is for the race detector: lists are looked at and rebuilt while others look.
func TestManyLookAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, organisation(), strings.Replace(discoverAll, "{exclude", `{refresh_interval: 1m, exclude`, 1))
		var scrapes sync.WaitGroup
		for range 16 {
			scrapes.Go(func() {
				for i := range 20 {
					w.Scrape(t, time.Minute)
					if i == 10 {
						w.Configure(t, discoverAll)
					}
					<-time.After(30 * time.Second)
				}
			})
		}
		scrapes.Wait()
	})
}
