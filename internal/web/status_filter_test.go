package web_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

func TestFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := twoProjects(t)
		for query, want := range map[string]int{
			"":                                   18 + 1, // with the heading of those that are muted
			"?project=&service=":                 18 + 1, // what the form sends
			"?project=prod":                      9 + 1,
			"?project=prod&service=dcs":          2,
			"?service=dcs&service=ces":           6,
			"?project=dev+%26+test&service=dbss": 3,
		} {
			page := s.get(t, "/"+query)
			if got := rows(page); page.Code != http.StatusOK || len(got) != want {
				t.Errorf("%s: %d, %d rows, want %d\n%s", query, page.Code, len(got), want, strings.Join(got, "\n"))
			}
		}
		page := s.get(t, "/?project=dev+%26+test&service=dcs")
		says(t, page, "1 source read", "2 quotas", "Not everything is shown: show all", "dev & test dcs instance", "Project dcs Region", "dev & test ok ap-southeast-1")
		for _, want := range []string{"<option selected>dev &amp; test</option>", "<option>prod</option>", "<option selected>dcs</option>", "<option>cts</option>", `<a href="?project=dev%20%26%20test">`} {
			if !strings.Contains(page.Body.String(), want) {
				t.Errorf("there is no %s in\n%s", want, page.Body)
			}
		}
		for query, want := range map[string]string{
			"project=x":             `project="x" is not known; known are: dev & test, prod`,
			"service=x":             `service="x" is not known; known are: cts, ces, taurusdb, dcs, dbss`,
			"project=prod&region=x": `parameter="region" is not known; known are: project, service`,
			"project=%zz":           `the query can't be read: invalid URL escape "%zz"`,
		} {
			page := s.get(t, "/?"+query)
			if got := strings.TrimSpace(page.Body.String()); page.Code != http.StatusBadRequest || got != want {
				t.Errorf("%s: %d %s\nwant 400 %s", query, page.Code, got, want)
			}
			if got := page.Header().Get("Content-Type"); !strings.HasPrefix(got, "text/plain") {
				t.Errorf("%s: Content-Type %s", query, got)
			}
		}
	})
}

// TestFilterReadsNoMore: who looks at one project waits for that one alone.
func TestFilterReadsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig+"    discovery: {}\n")
		s.Cloud.Inject(cloudtest.Fault{Service: "iam", Hang: true})
		s.Cloud.Inject(cloudtest.Fault{Service: "dcs", Hang: true})
		s.get(t, "/?project=prod&service=cts") // proves the key, a second later
		for query, want := range map[string]time.Duration{"?project=prod&service=cts": 0, "?project=prod": 3 * time.Second, "?service=cts": 3 * time.Second} {
			start := time.Now()
			if page := s.get(t, "/"+query); page.Code != http.StatusOK || time.Since(start) != want {
				t.Errorf("%s: %d after %s, want %s", query, page.Code, time.Since(start), want)
			}
		}
		start := time.Now()
		page := s.get(t, "/?project=other")
		if took := time.Since(start); page.Code != http.StatusServiceUnavailable || took.Round(100*time.Millisecond) != 3*time.Second {
			t.Errorf("a project that may still be discovered: %d after %s", page.Code, took)
		}
		<-time.After(time.Minute)
	})
}

// TestAccounts: what discovery could not do stands on the page, with what to do.
func TestAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.New(
			cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: []cloudsim.Project{
				{ID: fleettest.ProjectID, Name: "ap-southeast-3"}, {ID: "054e292c9880d4992f02c0196d3ea468", Name: "eu-de"},
			}},
			cloudsim.Account{Name: "other", AccessKey: "AK2", SecretKey: "SK2"},
		)
		s := newSite(t, cloud, `accounts:
  - name: main
    credentials: {static: {access_key: AK, secret_key: SK}}
    ca_file: CA
    projects: [{id: `+fleettest.ProjectID+`, region: ap-southeast-3, name: eu-de}]
    discovery: {name_prefix: ""}
  - name: other
    credentials: {static: {access_key: AK2, secret_key: wrong}}
    ca_file: CA
    discovery: {}
  - name: keyless
    credentials: {static: {access_key_file: /nowhere/ak, secret_key_file: /nowhere/sk}}
    ca_file: CA
    projects: [{id: x, region: ap-southeast-1, name: keyless}]
`)
		says(t, s.get(t, "/"), "Projects may be missing", "unauthorized discovery of projects in account other",
			"What to do: check that the keys are right, active and of this cloud", "credentials cts, ces, taurusdb, dcs, dbss in keyless", "4 more",
			"Accounts", "main ok 1 eu-de", "other discovery fails 0 none", "keyless no keys 1 none", "Left out: another project has the label already.")
	})
}

// TestNotOffered: a region without a service is no failure.
func TestNotOffered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, fleettest.Documents(), "accounts:\n  - name: main\n    credentials: {static: {access_key: AK, secret_key: SK}}\n    ca_file: CA\n    discovery: {}\n")
		s.HideHosts("dbss.")
		page := s.get(t, "/")
		says(t, page, "4 sources read", "ap-southeast-3 ok ok ok ok not offered ap-southeast-3 main", "Not offered: the region of a discovered project has never had the service.", "main ok 1 none")
		if strings.Contains(text(page.Body.String()), "Problems") {
			t.Errorf("it is shown as a problem:\n%s", text(page.Body.String()))
		}
	})
}

// TestLeftOut: what could not be read of an answer is told.
func TestLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fleettest.Documents()
		cloud.Inject(cloudtest.Fault{Service: "cts", Status: http.StatusOK, Body: []byte(`{"resources": [{"type": "a", "used": 1, "quota": 2}, {"used": 1, "quota": 1}]}`)})
		cloud.Inject(cloudtest.Fault{Service: "dbss", Path: "/v2/{project_id}/audit/instances", Status: http.StatusForbidden, Body: cloudsim.ErrorBody("dbss", 403, "no")})
		s := newSite(t, cloud, fleettest.DocumentsConfig+"limits: [{service: dbss, resource_type: ram, limit: 5}]")
		says(t, s.get(t, "/"), "5 sources read", "resources left out cts in prod", "resource 2 of 2: it has no type", "incomplete dbss in prod",
			"What to do: grant the IAM action dbss:auditInstance:list", "stated limit not used dbss in prod", "What to do: raise or remove it",
			"prod incomplete ok ok ok incomplete ap-southeast-3")
	})
}
