package fleet_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
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
		cloud := cloudtest.Scale(20)
		w := fleettest.New(t, cloud, scaleConfig(cloud, ctsAlone("")))
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
		w.Cloud.Inject(cloudtest.Fault{Service: "dcs", Status: http.StatusInternalServerError})
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
		w.Cloud.Inject(cloudtest.Fault{Service: "dcs", Hang: true})
		for _, r := range w.Scrape(t, 5*time.Second) {
			if r.Service != "dcs" && (r.TooOld || len(r.Quotas) == 0) {
				t.Errorf("%s: %+v, want the numbers that were just read", r.Service, r)
			}
		}
	})
}

func TestNumbersThatWereNeverReadAreNotTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), fleettest.DocumentsConfig)
		w.Cloud.Inject(cloudtest.Fault{Service: "dcs", Hang: true})
		if r := find(t, w.Scrape(t, 5*time.Second), "dcs", "prod"); r.TooOld {
			t.Errorf("got %+v, want nothing that could be dropped", r)
		}
	})
}
