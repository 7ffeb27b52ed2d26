package fleet_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

const documentsNumbers = `cts/prod data_tracker: 9 of 100, 91
cts/prod system_tracker: 1 of 1, 0
ces/prod alarm: 10 of 1000, 990
taurusdb/prod instance: 4 of 50, 46
dcs/prod instance: 3 of 10, 7
dcs/prod ram in GB: 22 of 800, 778
dbss/prod audit_instance: 2 of 3, 1
dbss/prod cpu: - of -, 796
dbss/prod ram in MB: - of -, 1.622016e+06`

func TestReadsAllServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), fleettest.DocumentsConfig)
		if got := fmt.Sprint(w.Services(), w.Projects()); got != "[cts ces taurusdb dcs dbss] [prod]" {
			t.Errorf("serves %s", got)
		}
		readings := w.Read(t.Context(), fleet.Filter{Services: []string{"dcs"}, Projects: []string{"prod"}})
		if got := outcomes(readings) + fmt.Sprint(w.Cloud.Requests()); got != "dcs/prod: okmap[GET /v2/{project_id}/quota:1]" {
			t.Errorf("of the selected one: %s", got)
		}
		readings = w.Scrape(t, time.Minute)
		if got := outcomes(readings); got != all("prod", "ok") {
			t.Errorf("outcomes\n%s", got)
		}
		if got := numbers(readings); got != documentsNumbers {
			t.Errorf("got\n%s\nwant\n%s", got, documentsNumbers)
		}
		if kept := find(t, readings, "cts", "prod").State.Value.Quotas[0].Remaining; kept != nil {
			t.Errorf("remaining, which CTS does not report, is kept as %s", number(kept))
		}
		want := fleet.Project{Label: "prod", ID: prodID, Region: "ap-southeast-3", Account: "main"}
		if r := readings[0]; r.Project != want || r.Account != "main" {
			t.Errorf("project %+v", r.Project)
		}
	})
}

func TestHangingServiceDoesNotAffectOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), fleettest.DocumentsConfig)
		heal := w.Cloud.Inject(cloudtest.Fault{Service: "dcs", Hang: true})
		start := time.Now()
		readings := w.Scrape(t, 5*time.Second)
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("took %s, want the deadline", took)
		}
		if got, want := outcomes(readings), strings.Replace(all("prod", "ok"), "dcs/prod: ok", "dcs/prod: ?", 1); got != want {
			t.Errorf("outcomes\n%s\nwant\n%s", got, want)
		}
		pass(5 * time.Second) // the service's timeout of 8 s ends the fetch
		if got := find(t, w.Scrape(t, 5*time.Second), "dcs", "prod").Reason(); got != "timeout" {
			t.Errorf("reason %q, want timeout", got)
		}
		pass(14 * time.Second) // after the pause it is fetched again, and nothing waits for it
		start = time.Now()
		if got := find(t, w.Scrape(t, 5*time.Second), "dcs", "prod").Reason(); got != "timeout" || time.Since(start) != 0 {
			t.Errorf("reason %q after %s, want the known failure at once", got, time.Since(start))
		}
		heal()
		pass(time.Minute)
		w.Scrape(t, 5*time.Second)
		synctest.Wait()
		if got := numbers(w.Scrape(t, 5*time.Second)); got != documentsNumbers {
			t.Errorf("after it recovered, got\n%s", got)
		}
		var logged []string
		for _, line := range w.Logged() {
			logged = append(logged, fmt.Sprint(line["service"], ": ", line["msg"], " ", line["reason"]))
		}
		if got := strings.Join(logged, ", "); got != "dcs: Failed to fetch quotas timeout, dcs: Quotas recovered <nil>" {
			t.Errorf("logged %s", got)
		}
	})
}

// TestSlots: the projects are in two regions, each with its own slots, and with other ones after a reload.
func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.Scale(160)
		cloud.Inject(cloudtest.Fault{Latency: 100 * time.Millisecond})
		w := fleettest.New(t, cloud, fleettest.AccountOf(cloud, unencrypted)+ctsAlone(""))
		start := time.Now()
		readings := w.Scrape(t, time.Minute)
		if got := outcomes(readings); len(readings) != 160 || strings.Count(got, ": ok") != 160 {
			t.Errorf("%d readings, of which %d are good", len(readings), strings.Count(got, ": ok"))
		}
		if took, most := time.Since(start), cloud.MaxInFlight(); took != 1100*time.Millisecond || most != 16 {
			t.Errorf("took %s with %d requests at a time, want 1.1s with 8 in each of two regions, and the request that proves the key", took, most)
		}
		w.Configure(t, fleettest.AccountOf(cloud, unencrypted)+ctsAlone("cache_ttl: 0, max_in_flight: 20"))
		w.Scrape(t, time.Minute)
		if most := cloud.MaxInFlight(); most != 2*20 {
			t.Errorf("%d requests at a time after the reload, want 20 in each region", most)
		}
	})
}

// TestDeadRegionDoesNotAffectOthers: half of the projects are in a region that hangs, and are fetched first. A second later, a fetch starts in the other
// region, and more follow.
func TestDeadRegionDoesNotAffectOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.Scale(160)
		cloud.Inject(cloudtest.Fault{Host: "cts.ap-southeast-3.", Hang: true})
		cloud.Inject(cloudtest.Fault{Latency: 100 * time.Millisecond})
		w := fleettest.New(t, cloud, fleettest.AccountOf(cloud, unencrypted)+ctsAlone(""))
		if got := strings.Count(outcomes(w.Scrape(t, 3*time.Second)), ": ok"); got != 80 {
			t.Errorf("%d projects were fetched, want the 80 of the other region", got)
		}
		w.Scrape(t, 9500*time.Millisecond)
		start := time.Now()
		w.Scrape(t, 9500*time.Millisecond)
		if took := time.Since(start); took != 0 {
			t.Errorf("a scrape took %s, want none to wait for the rest of the region that hangs", took)
		}
	})
}

func TestBadProjectDoesNotAffectOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.New(
			cloudsim.Account{Name: "good", AccessKey: "AK", SecretKey: "SK", Projects: []cloudsim.Project{{ID: prodID, Name: "ap-southeast-3"}}},
			cloudsim.Account{Name: "other", AccessKey: "AK2", SecretKey: "SK2", Projects: []cloudsim.Project{{ID: devID, Name: "ap-southeast-3"}}},
		)
		w := fleettest.New(t, cloud, `accounts:
  - name: good
    credentials: {static: {access_key: AK, secret_key: SK}}
    ca_file: CA
    projects:
      - {id: `+prodID+`, region: ap-southeast-3, name: prod}
      - {id: `+prodID+`, region: nowhere-1, name: lost}
      - {id: `+devID+`, region: ap-southeast-3, name: foreign}
  - name: wrong-keys
    credentials: {static: {access_key: AK2, secret_key: wrong}}
    ca_file: CA
    projects: [{id: `+devID+`, region: ap-southeast-3, name: dev}]
  - name: no-keys
    ca_file: CA
    projects: [{region: ap-southeast-3, name: keyless}]
  - name: no-certificate
    credentials: {static: {access_key: AK, secret_key: SK}}
    projects: [{id: `+prodID+`, region: ap-southeast-3, name: distrusted}]
`)
		w.HideHosts("nowhere")
		want := strings.Join([]string{
			all("dev", "unauthorized"), all("distrusted", "tls"), all("foreign", "forbidden"), all("keyless", "credentials"),
			all("lost", "network"), all("prod", "ok"),
		}, "\n")
		readings := w.Scrape(t, time.Minute)
		if got := outcomes(readings); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		if err := find(t, readings, "ces", "foreign").State.Err; !strings.Contains(err.Error(), "grant the IAM action ces:quotas:get") {
			t.Errorf("the error does not name an action of the service: %v", err)
		}
	})
}

// TestConfiguredLimits: a configured limit replaces the reported one. If only the remaining amount is known, the usage is calculated from it.
func TestConfiguredLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), fleettest.DocumentsConfig+`limits:
  - {service: dcs, resource_type: ram, project: "pro.", limit: 600}
  - {service: dcs, resource_type: ram, limit: 5}
  - {service: dbss, resource_type: cpu, limit: 800}
  - {service: dbss, resource_type: ram, limit: 1000}
  - {service: dbss, resource_type: audit_instance, limit: 2}
  - {project: other, limit: 1}
`)
		readings := w.Scrape(t, time.Minute)
		got := numbers(readings)
		want := strings.NewReplacer(
			"ram in GB: 22 of 800, 778", "ram in GB: 22 of 600, 578",
			"cpu: - of -, 796", "cpu: 4 of 800, 796",
			"audit_instance: 2 of 3, 1", "audit_instance: 2 of 2, 0",
		).Replace(documentsNumbers)
		if got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		refused := fmt.Sprint(find(t, readings, "dbss", "prod").Refused)
		if !strings.Contains(refused, `type "ram": ignored the configured limit 1000 because it is below the remaining amount 1622016; increase or remove it`) {
			t.Errorf("refused: %s", refused)
		}
	})
}

// TestUsageIsCalculated from the limit and the remaining amount, if the API reports these two. A configured limit takes precedence.
func TestUsageIsCalculated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fleettest.Documents()
		cloud.Inject(cloudtest.Fault{Host: "mine.", Status: 200, Body: []byte(`{"quotas":{"resources":[{"type":"a","quota":10,"left":"3"},{"type":"b","quota":10,"left":3},
			{"type":"c","quota":-1,"left":3},{"type":"d","quota":2,"left":3},{"type":"e","quota":10,"left":3,"used":1}]}}`)})
		w := fleettest.New(t, cloud, fleettest.DocumentsConfig+`services:
  defaults: {enabled: false}
  mine: {api: {host: mine, path: /v1/quotas, remaining: left, no_limit: -1}}
limits: [{resource_type: b, limit: 8}]
`)
		const want = `mine/prod a: 7 of 10, 3
mine/prod b: 7 of 8, 1
mine/prod c: - of +Inf, -
mine/prod d: - of 2, 3
mine/prod e: 1 of 10, 3`
		if got := numbers(w.Scrape(t, time.Minute)); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

func TestThresholdsAndRatios(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fleettest.Documents()
		cloud.Inject(cloudtest.Fault{Service: "ces", Status: 200, Body: []byte(`{"quotas":{"resources":[{"type":"alarm","used":0,"quota":0}]}}`)})
		cloud.Inject(cloudtest.Fault{Service: "taurusdb", Status: 200, Body: []byte(`{"quotas":{"resources":[{"type":"instance","used":4,"quota":-1}]}}`)})
		w := fleettest.New(t, cloud, fleettest.DocumentsConfig+`thresholds:
  overrides:
    - {service: dcs, resource_type: ram, ratios: {page: 0.5}}
`)
		var lines []string
		for _, r := range w.Scrape(t, time.Minute) {
			for _, q := range r.Quotas {
				ratio, known := q.Ratio()
				line := fmt.Sprintf("%s %s %.3g %t", r.Service, q.ResourceType, ratio, known)
				for _, severity := range slices.Sorted(maps.Keys(q.Thresholds)) {
					line += fmt.Sprintf(" %s %g", severity, q.Thresholds[severity])
				}
				lines = append(lines, line)
			}
		}
		const want = `cts data_tracker 0.09 true critical 0.95 warning 0.8
cts system_tracker 1 true
ces alarm 0 false critical 0.95 warning 0.8
taurusdb instance 0 true critical 0.95 warning 0.8
dcs instance 0.3 true critical 0.95 warning 0.8
dcs ram 0.0275 true page 0.5
dbss audit_instance 0.667 true critical 0.95 warning 0.8
dbss cpu 0 false critical 0.95 warning 0.8
dbss ram 0 false critical 0.95 warning 0.8`
		if got := strings.Join(lines, "\n"); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// TestFiniteLimit: a configured limit replaces an infinite one, for stores that reject +Inf.
func TestFiniteLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fleettest.Documents()
		cloud.Inject(cloudtest.Fault{Service: "taurusdb", Status: 200, Body: []byte(`{"quotas":{"resources":[{"type":"instance","used":0.1,"quota":-1}]}}`)})
		w := fleettest.New(t, cloud, fleettest.DocumentsConfig+"limits: [{service: taurusdb, resource_type: instance, limit: 0.8}]\n")
		q := find(t, w.Scrape(t, time.Minute), "taurusdb", "prod").Quotas[0]
		if ratio, known := q.Ratio(); *q.Limit != 0.8 || *q.Remaining != 0.7 || !known || ratio != 0.125 {
			t.Errorf("limit %g, remaining %g, ratio %g", *q.Limit, *q.Remaining, ratio)
		}
	})
}
