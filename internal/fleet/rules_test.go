package fleet_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

// TestStatedLimits: a stated limit replaces the reported one; where only what remains is known, it tells what is used.
func TestStatedLimits(t *testing.T) {
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
		if !strings.Contains(refused, `type "ram": the stated limit 1000 is below what remains, 1622016, and is not used; raise or remove it`) {
			t.Errorf("refused: %s", refused)
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

// TestFiniteLimit: a stated limit replaces an infinite one, for stores that reject +Inf.
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
