package web_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/providers"
)

// notThere are the services of the catalogue that no region has. only is one that a single project has.
var (
	notThere = []string{"bcs", "cbh", "cse", "das", "deh", "dsc", "esw", "ief", "modelarts", "workspace"}
	only     = "er"
)

// allServices returns a site with every service of the catalogue, and discovered projects in regions that do not have a third of them.
func allServices(t *testing.T, projects int, more string) *site {
	t.Helper()
	var all []cloudsim.Project
	for i := range projects {
		name := fmt.Sprintf("ap-southeast-3_p%02d", i)
		all = append(all, cloudsim.Project{ID: cloudsim.ID(name), Name: name})
	}
	cloud := cloudtest.New(cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: all})
	absent := func(service, project string) {
		cloud.Inject(cloudtest.Fault{Service: service, ProjectID: project, Status: http.StatusNotFound, Body: cloudsim.ErrorBody(service, http.StatusNotFound, "no such API")})
	}
	for _, service := range notThere {
		absent(service, "")
	}
	for _, p := range all[1:] {
		absent(only, p.ID)
	}
	return newSiteOf(t, providers.All(), cloud, `accounts: [{name: main, credentials: {static: {access_key: AK, secret_key: SK}}, ca_file: CA, discovery: {}}]
services: {defaults: {enabled: true, max_in_flight: 64}, sdrs: {enabled: false}}
`+more)
}

// options returns the choices of a filter, but for "all".
func options(page *httptest.ResponseRecorder, filter string) []string {
	_, list, _ := strings.Cut(page.Body.String(), `<select name="`+filter+`">`)
	list, _, _ = strings.Cut(list, "</select>")
	var all []string
	for line := range strings.Lines(list) {
		if choice, is := strings.CutPrefix(line, "<option"); is && !strings.Contains(line, ">all<") {
			all = append(all, text("<option"+choice))
		}
	}
	return all
}

// TestEveryService: with all services of the catalogue, services that are not offered take one line or are folded, the filter has the enabled ones,
// and services without a documented API are marked.
func TestEveryService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := allServices(t, 3, "")
		s.Cloud.Inject(cloudtest.Fault{Service: "kms", ProjectID: cloudsim.ID("ap-southeast-3_p01"), Status: http.StatusForbidden, Body: cloudsim.ErrorBody("kms", http.StatusForbidden, "no")})
		s.Scrape(t, time.Minute)
		page := s.get(t, "/")
		enabled, accountLevel := len(providers.All())-1, 0
		for _, s := range providers.All() {
			if s.API.Account {
				accountLevel++
			}
		}
		ok := enabled - accountLevel - len(notThere)
		says(t, page, "Sources", "Project Services Region Account Project ID",
			fmt.Sprintf("ap-southeast-3_p01 forbidden: kms %d ok ", ok-2), "nat (unverified)", "1 not offered er ap-southeast-3 main",
			fmt.Sprintf("ap-southeast-3_p00 %d ok ", ok), "ap-southeast-3 main",
			fmt.Sprintf("ap-southeast-3_p02 %d ok ", ok-1), "1 not offered er ap-southeast-3 main",
			fmt.Sprintf("main %d ok iam, dns", accountLevel), "ucs main none: the account itself",
			"Not offered in any of these projects: ", "bcs, cse, modelarts", "Not offered: the region does not have the service.",
			"Unverified: no current document of Huawei describes the quota API of nat, ", "cse, dsc.",
		)
		got := options(page, "service")
		if len(got) != enabled || !slices.IsSorted(got) || slices.Contains(got, "sdrs") {
			t.Errorf("the filter offers %d services: %q, want the %d that are enabled, sorted", len(got), got, enabled)
		}
		says(t, s.get(t, "/?service=er"), "1 source fetched", "ap-southeast-3_p00 ok: er", "ap-southeast-3_p01 1 not offered er")
		for _, row := range rows(s.get(t, "/?service=nat&service=ecs")) {
			if strings.Contains(row, " nat ") != strings.Contains(row, "nat unverified") || strings.Contains(row, "ecs unverified") {
				t.Errorf("%q: want only nat to be unverified", row)
			}
		}
		page = s.get(t, "/?project=ap-southeast-3_p01&service=ecs")
		if all := text(page.Body.String()); strings.Contains(all, "Unverified:") || strings.Contains(all, "Not offered") {
			t.Errorf("hints about hidden content in\n%s", all)
		}
	})
}

// TestEveryServiceFails: forty problems do not push the quotas out of sight, and a problem with forty services stays short.
func TestEveryServiceFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := allServices(t, 1, "")
		s.Scrape(t, time.Minute)
		heal := s.Cloud.Inject(cloudtest.Fault{Status: http.StatusForbidden, Body: cloudsim.ErrorBody("ecs", http.StatusForbidden, "no permission")})
		<-time.After(2 * time.Hour)
		s.Scrape(t, time.Minute)
		page := s.get(t, "/")
		before, folded, found := strings.Cut(page.Body.String(), " more problems</summary>")
		if n := strings.Count(before, "<article"); !found || n != 10 {
			t.Errorf("%d problems at once, want 10, and the others folded: %t", n, found)
		}
		for _, service := range []string{"cts", "ecs", "kms"} {
			if action := "grant the IAM action " + service + ":"; !strings.Contains(before+folded, action) {
				t.Errorf("%q is missing", action)
			}
		}
		says(t, page, " sources failing", "33 forbidden cts, ces, ", "Not offered in any of these projects")
		heal()
		s.Cloud.Inject(cloudtest.Fault{Status: http.StatusServiceUnavailable})
		<-time.After(2 * time.Hour)
		s.Scrape(t, time.Minute)
		synctest.Wait() // does not wait for sources that are known to fail
		says(t, s.get(t, "/"), "server_error cts, ces, taurusdb, dcs, dbss, ecs, evs, vpc and ", " more services in ap-southeast-3_p00", "server_error cts, ")
	})
}

// TestRulesOfEveryService: thresholds, muted types, and configured limits work for every service of the catalogue.
func TestRulesOfEveryService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := allServices(t, 1, `limits: [{service: ecs, resource_type: "spot_.*|key_pairs", limit: 5}, {service: kms, resource_type: first, limit: 5}, {service: ges, resource_type: first, limit: 8}]
thresholds:
  defaults: {warning: 0.6, critical: 0.9}
  overrides:
    - {service: sfsturbo, ratios: {}}
    - {service: nat, ratios: {page: 0.02}}
    - {service: ".*", resource_type: second, ratios: {}}
`)
		want := `ap-southeast-3_p00 kms first 80.0 % warning 4 GB 5 GB up to 100 GB 1 GB 0 s ago
ap-southeast-3_p00 ecs server_groups 20.0 % 2 10 8 0 s ago
ap-southeast-3_p00 nat unverified nat_gateway 2.7 % page 4 150 146 0 s ago
ap-southeast-3_p00 ecs instances 1.0 % 21 2,048 2,027 0 s ago
ap-southeast-3_p00 ecs ram 0.3 % 75,776 MB 25,165,824 MB 25,090,048 MB 0 s ago
ap-southeast-3_p00 ecs cores 0.2 % 40 20,480 20,440 0 s ago
ap-southeast-3_p00 ecs spot_instances 0.0 % 0 5 5 0 s ago
ap-southeast-3_p00 ecs spot_cores 0.0 % 0 5 5 0 s ago
ap-southeast-3_p00 ecs spot_ram 0.0 % 0 MB 5 MB 5 MB 0 s ago
ap-southeast-3_p00 ecs key_pairs usage not reported unknown 5 unknown 0 s ago
Muted: no alerts fire for these
ap-southeast-3_p00 sfsturbo shares 1.3 % muted 5 400 395 0 s ago
ap-southeast-3_p00 sfsturbo capacity 0.0 % muted 0 GB 20 GB 20 GB 0 s ago
ap-southeast-3_p00 kms second 0.0 % muted 0 20 20 0 s ago`
		got := strings.Join(rows(s.get(t, "/?service=ecs&service=nat&service=sfsturbo&service=kms")), "\n")
		if got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}
