package web_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

var tag = regexp.MustCompile(`(?s)<style>.*?</style>|<script>.*?</script>|<[^>]*>`)

// text returns what a person reads in a part of the page.
func text(piece string) string {
	return strings.Join(strings.Fields(html.UnescapeString(tag.ReplaceAllString(piece, " "))), " ")
}

// rows returns the text of each quota, in the order of the page.
func rows(page *httptest.ResponseRecorder) []string {
	_, table, _ := strings.Cut(page.Body.String(), `<table id="rows"`)
	table, _, _ = strings.Cut(table, "</table>")
	var all []string
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "<tr") {
			all = append(all, text(line))
		}
	}
	return all
}

// says asserts that the page contains these texts, in this order.
func says(t *testing.T, page *httptest.ResponseRecorder, want ...string) {
	t.Helper()
	all := text(page.Body.String())
	rest := all
	for _, piece := range want {
		_, after, found := strings.Cut(rest, piece)
		if !found {
			t.Errorf("%q is missing, or not in its place, in\n%s", piece, all)
			return
		}
		rest = after
	}
}

// TestWorstFirst has a quota of every kind. Quotas without a limit or with unknown values have no bar, and follow the others.
func TestWorstFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quotas := map[string][]cloudsim.Quota{
			"cts": {
				{Type: "data_tracker", Used: 4, Limit: 5},
				{Type: "system_tracker", Used: 1, Limit: 1},
				{Type: "granted_nothing", Used: 0, Limit: 0},
				{Type: "revoked", Used: 2, Limit: 0},
				{Type: "raised", Used: 11, Limit: 10},
				{Type: "unused", Used: 0, Limit: 12345678},
			},
			"ces":      {{Type: "alarm", Unit: "count", Used: 949, Limit: 1000}},
			"taurusdb": {{Type: "instance", Used: 3, Limit: -1}},
			"dcs":      {{Type: "instance", Used: 8, Limit: 10, Min: 1, Max: 10}, {Type: "ram", Unit: "GB", Used: 760, Limit: 800, Min: 1, Max: 1600}},
			"dbss":     {{Type: "audit_instance", Used: 2, Limit: 5}, {Type: "cpu", Used: 800, Limit: 800}, {Type: "ram", Used: 0, Limit: 1638400}},
		}
		cloud := cloudtest.New(cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: []cloudsim.Project{
			{ID: fleettest.ProjectID, Name: "ap-southeast-3", AuditInstances: 2, Quotas: quotas},
		}})
		s := newSite(t, cloud, fleettest.DocumentsConfig+"thresholds: {overrides: [{service: dcs, resource_type: instance, ratios: {}}, {resource_type: raised, ratios: {page: 1}}]}")
		page := s.get(t, "/")
		want := `prod cts revoked in use with a limit of 0 critical 2 0 -2 0 s ago
prod cts raised 110.0 % page 11 10 -1 0 s ago
prod dbss cpu limit not reported exhausted unknown unknown 0 0 s ago
prod dcs ram 95.0 % critical 760 GB 800 GB up to 1,600 GB 40 GB 0 s ago
prod ces alarm 94.9 % warning 949 1,000 51 0 s ago
prod cts data_tracker 80.0 % warning 4 5 1 0 s ago
prod dbss audit_instance 40.0 % 2 5 3 0 s ago
prod cts unused 0.0 % 0 12,345,678 12,345,678 0 s ago
prod dbss ram limit not reported unknown unknown 1,638,400 MB 0 s ago
prod taurusdb instance no limit 3 unlimited unlimited 0 s ago
prod cts granted_nothing limit 0, none in use 0 0 0 0 s ago
Muted: no alerts fire for these
prod cts system_tracker 100.0 % muted 1 1 0 0 s ago
prod dcs instance 80.0 % muted 8 10 2 0 s ago`
		if got := strings.Join(rows(page), "\n"); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		says(t, page, "2 critical", "1 page", "1 exhausted", "2 warning", "5 sources fetched", "13 quotas", "As of 2000-01-01 00:00:00 UTC")
		body := page.Body.String()
		for _, want := range []string{ // programs and screen readers get the same from a bar as eyes get from its color
			`<tr class="alarm"><th scope="row">prod<th scope="row">cts<th scope="row">raised<td><div class="bar"><meter aria-label="used" low="1" high="1" optimum="0" value="1"></meter>`,
			`<tr class="alarm"><th scope="row">prod<th scope="row">dcs<th scope="row">ram<td><div class="bar"><meter aria-label="used" low="0.8" high="0.95" optimum="0" value="0.95"></meter>`,
			`<tr class="warn"><th scope="row">prod<th scope="row">cts<th scope="row">data_tracker<td><div class="bar"><meter aria-label="used" low="0.8" high="0.95" optimum="0" value="0.8"></meter>`,
			`<tr><th scope="row">prod<th scope="row">dbss<th scope="row">audit_instance<td><div class="bar"><meter aria-label="used" low="0.8" high="0.95" optimum="0" value="0.4"></meter>`,
			`<tr class="muted"><th scope="row">prod<th scope="row">cts<th scope="row">system_tracker<td><div class="bar"><meter aria-label="used" value="1"></meter>`,
			`<time datetime="2000-01-01T00:00:00Z">0 s ago</time>`,
			"<td>760\u00a0GB<td>800\u00a0GB ", // a number and its unit stay on one line
		} {
			if !strings.Contains(body, want) {
				t.Errorf("no %s in\n%s", want, body)
			}
		}
		if n := strings.Count(body, "<meter"); n != 8 {
			t.Errorf("%d bars, want 8: none for the five that are not used of a limit", n)
		}
	})
}

func TestFailingSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig+"services: {defaults: {cache_ttl: 1m, max_stale: 3h}}")
		s.get(t, "/")
		s.Cloud.Inject(cloudtest.Fault{Service: "dcs", Status: http.StatusForbidden, Body: cloudsim.ErrorBody("dcs", 403, "no")})
		for _, tc := range []struct {
			passes      time.Duration
			age, source string
		}{
			{2 * time.Minute, "2 min ago", "The last values are shown: 2 min ago"},
			{2*time.Hour + 57*time.Minute, "2 h ago", "The last values are shown: 2 h ago"},
			{50 * time.Hour, "", "The last values are too old to show: 2 days ago"},
		} {
			<-time.After(tc.passes)
			s.get(t, "/")
			synctest.Wait()
			page := s.get(t, "/")
			says(t, page, "1 of 5 sources failing", "Problems", "forbidden dcs in prod",
				"What to do: grant the IAM action dcs:quota:get, and check that the project ID belongs to this account",
				"GET https://dcs.ap-southeast-3.myhuaweicloud.com/v2/"+fleettest.ProjectID+"/quota: 403 Forbidden DCS.0403: no (request ID", tc.source,
				"Sources", "prod forbidden: dcs ok: cts, ces, taurusdb, dbss ap-southeast-3 main "+fleettest.ProjectID)
			got := strings.Join(rows(page), "\n")
			if failing := "prod dcs instance 30.0 % 3 10 7 " + tc.age + " failing"; strings.Contains(got, failing) != (tc.age != "") || strings.Count(got, "dcs") > 2 {
				t.Errorf("after %s:\n%s", tc.passes, got)
			}
		}
	})
}

// TestWaitForAHostIsShown: fetches that wait because of max_in_flight_per_host are a problem, with a remedy.
func TestWaitForAHostIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, fleettest.Documents(), strings.Replace(fleettest.DocumentsConfig, "    ca_file: CA\n",
			"    endpoints: {default: \"http://gateway.example.com\"}\n    max_in_flight_per_host: 1\n", 1))
		s.Cloud.Inject(cloudtest.Fault{Latency: 5 * time.Second})
		says(t, s.get(t, "/"), "5 sources not fetched yet", "Problems", "not asked ", " in prod",
			"What to do: increase max_in_flight_per_host of the account if the host can handle more concurrent requests",
			"request not sent yet: the account has reached its limit of concurrent requests to gateway.example.com, 1")
	})
}

// TestNothingIsKnownYet: the page waits three seconds for a cloud that hangs, and shows what it does not know.
func TestNothingIsKnownYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig)
		s.Cloud.Inject(cloudtest.Fault{Hang: true})
		start := time.Now()
		page := s.get(t, "/")
		if took := time.Since(start); took != 3*time.Second || page.Code != http.StatusOK || len(rows(page)) != 0 {
			t.Errorf("%d after %s, with %q", page.Code, took, rows(page))
		}
		says(t, page, "5 sources not fetched yet", "No quota is known yet.", "The page waits 3s for the cloud. Reload it to see later responses.",
			"prod not fetched yet: cts, ces, taurusdb, dcs, dbss ap-southeast-3", "main ok 1 none")
		if strings.Contains(text(page.Body.String()), "Problems") {
			t.Error("waiting is shown as a problem")
		}
		<-time.After(20 * time.Second) // those that waited for the key to be proven also have their own timeout
		start = time.Now()
		says(t, s.get(t, "/"), "5 of 5 sources failing", "timeout ", " in prod", "check the network")
		if took := time.Since(start); took != 0 {
			t.Errorf("the next page took %s, want none to wait for a known failure", took)
		}
		<-time.After(time.Minute)
	})
}

func TestFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := twoProjects(t)
		for query, want := range map[string]int{
			"":                                   18 + 1, // with the heading of the muted ones
			"?project=&service=":                 18 + 1, // the parameters of the form
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
		says(t, page, "1 source fetched", "2 quotas", "Not everything is shown: show all", "dev & test dcs instance", "Project Services Region", "dev & test ok: dcs ap-southeast-1")
		for _, want := range []string{"<option selected>dev &amp; test</option>", "<option>prod</option>", "<option selected>dcs</option>", "<option>cts</option>", `<a href="?project=dev%20%26%20test">`} {
			if !strings.Contains(page.Body.String(), want) {
				t.Errorf("no %s in\n%s", want, page.Body)
			}
		}
	})
}

// TestAccounts: failed discoveries are on the page, with a remedy.
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
		says(t, s.get(t, "/"), "Projects might be missing", "unauthorized discovery of projects in account other",
			"What to do: check that the credentials are correct, active, and issued by this cloud", "credentials cts, ces, taurusdb, dcs, dbss in keyless", "4 more",
			"Accounts", "other discovery fails 0 none", "keyless no credentials 1 none", "main ok 1 eu-de", "Skipped: another project already has this label.")
	})
}

// TestSkipped: invalid parts of a response are shown. A region without a service is not a failure.
func TestSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fleettest.Documents()
		cloud.Inject(cloudtest.Fault{Service: "cts", Status: http.StatusOK, Body: []byte(`{"resources": [{"type": "a", "used": 1, "quota": 2}, {"used": 1, "quota": 1}]}`)})
		cloud.Inject(cloudtest.Fault{Service: "dbss", Path: "/v2/{project_id}/audit/instances", Status: http.StatusForbidden, Body: cloudsim.ErrorBody("dbss", 403, "no")})
		s := newSite(t, cloud, `limits: [{service: dbss, resource_type: ram, limit: 5}]
accounts:
  - name: main
    credentials: {static: {access_key: AK, secret_key: SK}}
    ca_file: CA
    discovery: {}
`)
		s.HideHosts("gaussdb.")
		page := s.get(t, "/")
		says(t, page, "4 sources fetched", "resources skipped cts in ap-southeast-3", "resource 2 of 2: it has no type", "incomplete dbss in ap-southeast-3",
			"What to do: grant the IAM action dbss:auditInstance:list", "configured limit ignored dbss in ap-southeast-3", "What to do: increase or remove it",
			"ap-southeast-3 incomplete: cts, dbss ok: ces, dcs ap-southeast-3 main",
			"Not offered in any of these projects: taurusdb.", "Not offered: the region does not have the service.", "main ok 1 none")
		if got := problemsOf(page); len(got) != 3 {
			t.Errorf("problems %q, want none of the service that is not offered", got)
		}
	})
}
