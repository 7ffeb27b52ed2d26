package fleet_test

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/democloud"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/fleet/fleettest"
	"cloud_quota_exporter/providers"
	"cloud_quota_exporter/providers/providerstest"
)

// notPublished is the gateway's response in a region that does not have the service.
var notPublished = cloudsim.ErrorBody("gateway", http.StatusNotFound, "The API does not exist or has not been published in the environment")

// servicesOf parses entries of a catalogue.
func servicesOf(t *testing.T, entries string) []providers.Service {
	t.Helper()
	services, err := providers.ReadCatalogue([]byte(entries))
	if err != nil {
		t.Fatal(err)
	}
	return services
}

// everyCloud has the five services, those of entries and "mine", and two projects.
func everyCloud(t *testing.T) *cloudtest.Cloud {
	t.Helper()
	cloud := cloudtest.New(cloudsim.Account{
		Name: "main", AccessKey: "AK", SecretKey: "SK",
		Projects: []cloudsim.Project{{ID: prodID, Name: "ap-southeast-3"}, {ID: devID, Name: "ap-southeast-3_dev"}},
	})
	const mine = `mine: {product: P, title: T, api: {host: mine, path: "/v1/{project_id}/mine"}}`
	for _, s := range servicesOf(t, entries+mine) {
		example := exampleOf(s.Name)
		if len(example) == 0 {
			example = exampleOf("list")
		}
		cloud.Publish(democloud.APIsOf([]providers.Service{s}, func(string) []byte { return example })...)
	}
	return cloud
}

// everyWay discovers a project and configures another one. "list" and "pairs" are enabled by the defaults, "map" by its name; "mine" is the user's
// own API.
const everyWay = mainAccount + `    discovery: {}
    projects: [{id: ` + devID + `, region: ap-southeast-3, name: stated}]
services:
  defaults: {enabled: true}
  map: {enabled: true}
  "off": {enabled: false}
  mine: {api: {host: mine, path: "/v1/{project_id}/mine", list: quotas.resources}}
`

// notOffered returns "service/project" of the readings that are not offered, and the pointers.
func notOffered(readings []*fleet.Reading) string {
	var all []string
	for _, r := range readings {
		if r.NotOffered {
			all = append(all, r.Service+"/"+r.Project.Label)
		}
	}
	return strings.Join(all, " ")
}

// TestNotOffered: which responses mean that a region does not have a service, and when that is not a failure. Services that a user configures, and
// the five services in a configured project, are expected to work.
func TestNotOffered(t *testing.T) {
	services := slices.Concat(providerstest.Five(), servicesOf(t, entries))
	const good = "cts/ap-southeast-3 list/ap-southeast-3 map/ap-southeast-3 mine/ap-southeast-3 list/stated"
	coded := func(code string) []byte { return []byte(`{"error_code":"` + code + `","error_msg":"no"}`) }
	for _, tc := range []struct {
		name   string
		status int // 0: no such host
		body   []byte
		want   string
	}{
		{"no such API", 404, notPublished, good},
		{"no such API, by the gateway's other code", 404, coded("APIG.0101"), good},
		{"not in the region", 403, coded("APIGW.0801"), good},
		{"no such host", 0, nil, good},
		{"404 of the service", 404, coded("CTS.0404"), ""},
		{"404 of a service whose code ends like the gateway's", 404, coded("CTS.0101"), ""},
		{"404 of anything", 404, nil, ""},
		{"no rights in the region", 403, coded("APIGW.0802"), ""},
		{"403", 403, coded("APIGW.0302"), ""},
		{"out of order", 503, coded("APIGW.0101"), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := fleettest.NewOf(t, services, everyCloud(t), everyWay)
				for _, host := range []string{"cts.", "a-list.", "map.", "mine."} {
					if tc.status == 0 {
						w.HideHosts("cts.", "a-list.", "map.", "mine.")
					} else {
						w.Cloud.Inject(cloudtest.Fault{Host: host, Status: tc.status, Body: tc.body})
					}
				}
				readings := w.Scrape(t, time.Minute)
				if got := notOffered(readings); got != tc.want {
					t.Errorf("not offered are %s, want %s", got, tc.want)
				}
				if !slices.Equal(readings, w.Scrape(t, time.Minute)) {
					t.Error("the same readings are other pointers")
				}
				for _, r := range readings {
					isBad := slices.Contains([]string{"cts", "list", "map", "mine"}, r.Service)
					if failed := r.Reason() != ""; failed != isBad {
						t.Errorf("%s/%s: %s", r.Service, r.Project.Label, cmp.Or(r.Reason(), "ok"))
					}
				}
				scrapeFor(t, w, 59*time.Minute)
				for _, r := range settled(t, w) {
					if r.NotOffered && r.State.Fetches != 1 || r.State.Err != nil && !r.NotOffered && r.State.Fetches < 4 {
						t.Errorf("%s/%s was fetched %d times in an hour, not offered is %t", r.Service, r.Project.Label, r.State.Fetches, r.NotOffered)
					}
				}
			})
		})
	}
}

// TestOfferedLater: a service that is not offered is retried every hour. Once it was fetched, it is a failure if it is no longer offered.
func TestOfferedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, organization(), discoverAll)
		fault := cloudtest.Fault{Service: "dbss", Status: http.StatusNotFound, Body: notPublished}
		heal := w.Cloud.Inject(fault)
		w.Scrape(t, time.Minute)
		heal()
		scrapeFor(t, w, 59*time.Minute)
		if r := find(t, settled(t, w), "dbss", "ap-southeast-3"); !r.NotOffered {
			t.Errorf("within the hour: %+v", r)
		}
		pass(2 * time.Minute)
		if r := find(t, settled(t, w), "dbss", "ap-southeast-3"); r.NotOffered || len(r.Quotas) != 3 {
			t.Errorf("once it is offered: %+v", r)
		}
		w.Cloud.Inject(fault)
		pass(6 * time.Minute)
		if r := find(t, settled(t, w), "dbss", "ap-southeast-3"); r.NotOffered || r.Reason() != "not_found" {
			t.Errorf("once it is gone: %+v", r)
		}
		if got := loggedOf(w, "Service not offered in the region"); strings.Count(got, "\n") != 1 {
			t.Errorf("logged\n%s\nwant both projects", got)
		}
	})
}

// TestNothingOfAProjectIsFetched: with a wrong region or cloud, no service seems to be offered. This is a failure, and is retried soon. Once one service
// is fetched, the others are not offered, also after a reload that disables it.
func TestNothingOfAProjectIsFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		services := slices.Concat(providerstest.Five(), servicesOf(t, entries))
		w := fleettest.NewOf(t, services, everyCloud(t), everyWay)
		heal := w.Cloud.Inject(cloudtest.Fault{ProjectID: prodID, Status: http.StatusNotFound, Body: notPublished})
		scrapeFor(t, w, 10*time.Minute)
		readings := settled(t, w)
		if got := notOffered(readings); got != "" {
			t.Errorf("not offered are %s", got)
		}
		for _, r := range readings {
			if r.Project.Label == "ap-southeast-3" && (r.Reason() != "not_found" || r.State.Fetches < 4) {
				t.Errorf("%s: %q after %d fetches, want it to fail and to be fetched again", r.Service, r.Reason(), r.State.Fetches)
			}
		}
		if got := loggedOf(w, "Failed to fetch quotas"); strings.Count(got, "\n") < 8 {
			t.Errorf("logged\n%s\nwant each service of the project", got)
		}
		heal()
		for _, service := range []string{"cts", "ces", "taurusdb", "dbss", "list", "map", "pairs", "mine"} {
			w.Cloud.Inject(cloudtest.Fault{ProjectID: prodID, Service: service, Status: http.StatusNotFound, Body: notPublished})
		}
		pass(5 * time.Minute)
		const rest = "cts/ap-southeast-3 ces/ap-southeast-3 taurusdb/ap-southeast-3 dbss/ap-southeast-3 list/ap-southeast-3 map/ap-southeast-3 " +
			"pairs/ap-southeast-3 mine/ap-southeast-3"
		if got := notOffered(settled(t, w)); got != rest {
			t.Errorf("once DCS is fetched, not offered are\n%s\nwant\n%s", got, rest)
		}
		w.Configure(t, strings.Replace(everyWay, "    discovery", "    endpoints: {cts: \"https://cts.elsewhere.myhuaweicloud.com\"}\n    discovery", 1))
		if got := notOffered(settled(t, w)); got != rest {
			t.Errorf("after a reload with another endpoint of CTS, not offered are\n%s\nwant\n%s", got, rest)
		}
		w.Configure(t, everyWay)
		settled(t, w)
		requests := w.Cloud.Requests()
		w.Configure(t, everyWay+"  dcs: {enabled: false}\n")
		if got := notOffered(settled(t, w)); got != rest || fmt.Sprint(w.Cloud.Requests()) != fmt.Sprint(requests) {
			t.Errorf("after a reload without DCS, not offered are\n%s\nwant\n%s", got, rest)
		}
		w.Configure(t, strings.Replace(everyWay, "    discovery", "    endpoints: {default: \"https://{service}.elsewhere.myhuaweicloud.com\"}\n    discovery", 1))
		if got := notOffered(settled(t, w)); got != "" {
			t.Errorf("elsewhere, not offered are %s", got)
		}
	})
}

// TestWrongAddressOfIAM: a wrong address of IAM does not affect the services.
func TestWrongAddressOfIAM(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		services := slices.Concat(providerstest.Five(), servicesOf(t, entries))
		w := fleettest.NewOf(t, services, everyCloud(t), lookedUp+"services: {defaults: {enabled: true}}\n")
		w.Scrape(t, time.Minute)
		w.HideHosts("iam.")
		w.Configure(t, strings.Replace(lookedUp, "secret_key: SK", "secret_key: SK2", 1)+"services: {defaults: {enabled: true}}\n")
		if got := notOffered(settled(t, w)); got != "" {
			t.Errorf("not offered are %s", got)
		}
	})
}
