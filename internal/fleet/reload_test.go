package fleet_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/fleet/fleettest"
	"cloud_quota_exporter/providers/providerstest"
)

// withServices is the project of Documents with sections of services.
func withServices(sections ...string) string {
	return fleettest.DocumentsConfig + "services:\n  " + strings.Join(sections, "\n  ") + "\n"
}

const (
	mine      = `mine: {api: {host: mine, path: "/v1/{project_id}/mine", list: quotas.resources}}`
	mineThere = `mine: {api: {host: elsewhere, path: "/v1/{project_id}/mine", list: quotas.resources}}`
)

// states returns the states of readings by service.
func states(readings []*fleet.Reading) map[string]any {
	all := map[string]any{}
	for _, r := range readings {
		all[r.Service] = r.State
	}
	return all
}

// TestServicesComeAndGo by reloads. The other services keep their values, counters, and pauses. A removed service starts from
// scratch when it is added again.
func TestServicesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		services := slices.Concat(providerstest.Five(), servicesOf(t, entries))
		w := fleettest.NewOf(t, services, everyCloud(t), withServices("list: {enabled: true}", mine))
		w.Cloud.Inject(cloudtest.Fault{Service: "dcs", Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"3000"}}})
		w.Cloud.Inject(cloudtest.Fault{Service: "list", Status: http.StatusInternalServerError})
		scrapeFor(t, w, 2*time.Minute)
		before, requests := states(settled(t, w)), w.Cloud.ProjectRequests(prodID)
		failed := func() int { return strings.Count(loggedOf(w, "Failed to fetch quotas")+"\n", "\n") }
		logged := failed()

		w.Configure(t, withServices("cts: {enabled: false}", "map: {enabled: true}"))
		readings := settled(t, w)
		if got := fmt.Sprint(w.Services()); got != "[ces taurusdb dcs dbss map]" || len(readings) != 5 {
			t.Errorf("%d readings of %s", len(readings), got)
		}
		for _, r := range readings {
			switch was, kept := before[r.Service]; {
			case r.Service == "map" && (r.State.Fetches != 1 || len(r.Quotas) == 0):
				t.Errorf("what was enabled: %+v", r)
			case kept && was != any(r.State):
				t.Errorf("%s has another state than before", r.Service)
			}
		}
		requests["map"] = 1
		if got := fmt.Sprint(w.Cloud.ProjectRequests(prodID)); got != fmt.Sprint(requests) {
			t.Errorf("requests %s, want %v", got, requests)
		}

		w.Configure(t, withServices("list: {enabled: true}", "map: {enabled: true}", mine))
		readings = settled(t, w)
		if r := find(t, readings, "list", "prod"); r.State.Fetches != 1 || r.Reason() != "server_error" || failed() != logged+1 {
			t.Errorf("the failed service that was removed and added again: %+v, %d failures logged after %d", r.State, failed(), logged)
		}
		if r := find(t, readings, "mine", "prod"); r.State.Fetches != 1 || len(r.Quotas) != 2 {
			t.Errorf("the user's own API that was added again: %+v", r)
		}
		if r := find(t, readings, "dcs", "prod"); before["dcs"] != any(r.State) {
			t.Errorf("dcs was fetched during its pause: %+v", r.State)
		}
	})
}

// TestDisabledWhileFetchesWait: a queued fetch is not started if its service is disabled in the meantime.
func TestDisabledWhileFetchesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.Scale(40)
		cloud.Inject(cloudtest.Fault{Service: "cts", Latency: time.Second})
		w := fleettest.New(t, cloud, fleettest.AccountOf(cloud, unencrypted)+"services: {defaults: {max_in_flight: 1}}\n")
		w.Scrape(t, 2500*time.Millisecond)
		w.Configure(t, fleettest.AccountOf(cloud, unencrypted)+"services: {cts: {enabled: false}}\n")
		pass(time.Minute)
		if n := strings.Count(fmt.Sprint(w.Requests()), "cts "); n == 0 || n > 2*3 {
			t.Errorf("%d requests, want at most the three of each region that were sent before the reload", n)
		}
		w.Configure(t, fleettest.AccountOf(cloud, unencrypted))
		if got := outcomes(w.Scrape(t, time.Minute)); strings.Count(got, ": ok") != 200 {
			t.Errorf("enabled again\n%s", got)
		}
	})
}

// TestOwnAPIThatChanges: values, counters, pauses, and rejections of a key belong to the requested URL, not to the name.
func TestOwnAPIThatChanges(t *testing.T) {
	for _, tc := range []struct {
		name   string
		fault  cloudtest.Fault
		reason string
	}{
		{"throttled", cloudtest.Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"3000"}}}, "throttled"},
		{"refuses the key", cloudtest.Fault{Status: http.StatusUnauthorized, Body: cloudsim.ErrorBody("", http.StatusUnauthorized, "no")}, "unauthorized"},
		{"fails", cloudtest.Fault{Status: http.StatusInternalServerError}, "server_error"},
		{"well", cloudtest.Fault{Host: "none."}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := fleettest.New(t, everyCloud(t), withServices("ces: {cache_ttl: 1m}"))
				w.Cloud.Inject(cloudtest.Fault{Host: "elsewhere.", Status: http.StatusOK, Body: exampleOf("pairs"), When: func(n int) bool { return n > 1 }})
				w.Cloud.Inject(cloudtest.Fault{Host: "elsewhere.", Status: http.StatusOK, Body: []byte(`{"quotas":{"resources":[{"type":"x","used":1,"quota":2}]}}`)})
				tc.fault.Host += "mine."
				w.Cloud.Inject(tc.fault)
				w.Scrape(t, time.Minute) // proves the key
				w.Configure(t, withServices("ces: {cache_ttl: 1m}", mine))
				w.Scrape(t, time.Minute)
				if r := find(t, settled(t, w), "mine", "prod"); r.Reason() != tc.reason || r.State.Fetches != 1 {
					t.Fatalf("at first: %s, %+v", r.Reason(), r.State)
				}
				w.Configure(t, withServices("ces: {cache_ttl: 1m}", mineThere))
				if r := find(t, w.Scrape(t, time.Minute), "mine", "prod"); r.State.Fetches != 1 || r.Reason() != "" || len(r.Quotas) != 1 || r.Quotas[0].ResourceType != "x" {
					t.Errorf("elsewhere: %s %v %+v", r.Reason(), r.Quotas, r.State)
				}
			})
		})
	}
}

// TestPausesOfOtherEndpoints: a pause belongs to the API at its endpoint, in all regions.
func TestPausesOfOtherEndpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), fleettest.DocumentsConfig)
		w.Cloud.Inject(cloudtest.Fault{Host: "dcs.ap-southeast-3.", Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"3000"}}})
		w.Scrape(t, time.Minute)
		w.Configure(t, strings.Replace(fleettest.DocumentsConfig, "    ca_file", "    endpoints: {dcs: \"http://dcs.{region}.myhuaweicloud.com\"}\n    ca_file", 1))
		if r := find(t, w.Scrape(t, time.Minute), "dcs", "prod"); r.State.Fetches != 1 || r.Reason() != "throttled" {
			t.Errorf("elsewhere: %+v", r.State)
		}
		if n := w.Cloud.ProjectRequests(prodID)["dcs"]; n != 2 {
			t.Errorf("%d requests, want one at each endpoint", n)
		}
	})
}

// TestUnverifiedServicesAreLogged in one line, at the start and when they change.
func TestUnverifiedServicesAreLogged(t *testing.T) {
	const catalogue = `
a: {product: P, title: T, evidence: sdk, api: {path: "/a/{project_id}"}}
b: {product: P, title: T, evidence: terraform, api: {path: "/b/{project_id}"}}
c: {product: P, title: T, evidence: openapi, enabled: true, api: {path: "/c/{project_id}"}}
d: {product: P, title: T, evidence: outdated, api: {path: "/d/{project_id}"}}
`
	w := fleettest.NewOf(t, servicesOf(t, catalogue), fleettest.Documents(), withServices("a: {enabled: true}", mine))
	for _, sections := range []string{"a: {enabled: true, cache_ttl: 1m}", "defaults: {enabled: true}", "c: {cache_ttl: 1m}", "a: {enabled: true}"} {
		w.Configure(t, withServices(sections))
	}
	var got []string
	for _, line := range w.Logged() {
		got = append(got, fmt.Sprint(line["level"], ": ", line["services"]))
	}
	if want := []string{"warn: a", "warn: a, b, d", "warn: a"}; !slices.Equal(got, want) {
		t.Errorf("logged %q, want %q", got, want)
	}
}
