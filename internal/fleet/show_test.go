package fleet_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

const (
	prodID = fleettest.ProjectID
	devID  = "054e292c9880d4992f02c0196d3ea468"
)

// mainAccount and otherAccount are the accounts of organization, without projects.
const (
	mainAccount = `accounts:
  - name: main
    credentials: {static: {access_key: AK, secret_key: SK}}
    ca_file: CA
`
	otherAccount = `  - name: other
    credentials: {static: {access_key: AK2, secret_key: SK2}}
    ca_file: CA
`
)

// find returns the reading of a service of a project.
func find(t *testing.T, readings []*fleet.Reading, service, project string) *fleet.Reading {
	t.Helper()
	i := slices.IndexFunc(readings, func(r *fleet.Reading) bool { return r.Service == service && r.Project.Label == project })
	if i < 0 {
		t.Fatalf("no reading of %s in %s", service, project)
	}
	return readings[i]
}

// outcomes returns "service/project: reason" for each reading, with "ok" for a success and "?" before the first fetch.
func outcomes(readings []*fleet.Reading) string {
	var lines []string
	for _, r := range readings {
		outcome := r.Reason()
		switch {
		case r.State.Fetches == 0:
			outcome = "?"
		case outcome == "":
			outcome = "ok"
		}
		lines = append(lines, fmt.Sprintf("%s/%s: %s", r.Service, r.Project.Label, outcome))
	}
	return strings.Join(lines, "\n")
}

// all returns the outcomes of five services of a project if they are all the same.
func all(project, outcome string) string {
	return fmt.Sprintf("cts/%[1]s: %[2]s\nces/%[1]s: %[2]s\ntaurusdb/%[1]s: %[2]s\ndcs/%[1]s: %[2]s\ndbss/%[1]s: %[2]s", project, outcome)
}

// ctsAlone serves only CTS, with the settings.
func ctsAlone(settings string) string {
	return "services: {cts: {" + settings + "}, ces: {enabled: false}, taurusdb: {enabled: false}, dcs: {enabled: false}, dbss: {enabled: false}}"
}

func number(n *float64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

// numbers returns "service/project type in unit: used of limit, remaining" for each quota.
func numbers(readings []*fleet.Reading) string {
	var lines []string
	for _, r := range readings {
		for _, q := range r.Quotas {
			resource := q.ResourceType
			if q.Unit != "" {
				resource += " in " + q.Unit
			}
			lines = append(lines, fmt.Sprintf("%s/%s %s: %s of %s, %s", r.Service, r.Project.Label, resource, number(q.Used), number(q.Limit), number(q.Remaining)))
		}
	}
	return strings.Join(lines, "\n")
}

// settled fetches everything, and returns when no fetch is in progress.
func settled(t *testing.T, w *fleettest.World) []*fleet.Reading {
	t.Helper()
	w.Scrape(t, time.Minute) // does not wait for sources that are known to fail
	synctest.Wait()
	return w.Scrape(t, time.Minute)
}

// pass lets time pass in a bubble.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// scrapeFor scrapes every 15 seconds for a time.
func scrapeFor(t *testing.T, w *fleettest.World, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); pass(15 * time.Second) {
		w.Scrape(t, 10*time.Second)
	}
}
