package fleet_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

func TestNumbersServeForTheirTTLLessALittle(t *testing.T) {
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
			t.Errorf("%d requests half-way through the last tenth, want some sources to be asked again and others not yet", n)
		}
		if n := requestsAfter(16 * time.Second); n != 40 {
			t.Errorf("%d requests after the TTL, want 40", n)
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
			if r.TooOld || len(r.Quotas) == 0 && r.Service != "dcs" {
				t.Errorf("%s: %+v, want the numbers that were just read, and nothing that could be dropped of dcs", r.Service, r)
			}
		}
	})
}
