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
)

// organisation is a cloud with two accounts, of which the first has projects of every kind.
func organisation() *cloudtest.Cloud {
	return cloudtest.New(
		cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: []cloudsim.Project{
			{ID: prodID, Name: "ap-southeast-3"},
			{ID: devID, Name: "ap-southeast-3_dev"},
			{ID: "d15ab1ed", Name: "cn-north-4", Disabled: true},
			{ID: "0b5", Name: "MOS"},
			{ID: "sandb0x", Name: "eu-de_sandbox"},
		}},
		cloudsim.Account{Name: "other", AccessKey: "AK2", SecretKey: "SK2", Projects: []cloudsim.Project{{ID: "0ther", Name: "ap-southeast-3"}}},
	)
}

const discoverAll = `accounts:
  - name: main
    credentials: {static: {access_key: AK, secret_key: SK}}
    ca_file: CA
    discovery: {exclude: ".*_sandbox"}
`

func complete(w *fleettest.World) bool {
	_, incomplete := w.Known()
	return len(incomplete) == 0
}

// account finds what is known of an account.
func account(t *testing.T, w *fleettest.World, name string) string {
	t.Helper()
	all := w.Accounts()
	i := slices.IndexFunc(all, func(a fleet.Account) bool { return a.Name == name })
	if i < 0 {
		t.Fatalf("there is no account %s", name)
	}
	a := all[i]
	return fmt.Sprintf("asked %t up %t projects %d skipped %d", a.Asked, a.Up, a.Projects, len(a.Skipped))
}

func TestDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, organisation(), discoverAll)
		if complete(w) || len(w.Projects()) != 0 || account(t, w, "main") != "asked false up true projects 0 skipped 0" {
			t.Errorf("before anybody asked: complete %t, projects %v, %s", complete(w), w.Projects(), account(t, w, "main"))
		}
		if got := outcomes(w.Scrape(t, time.Minute)); got != all("ap-southeast-3", "ok")+"\n"+all("ap-southeast-3_dev", "ok") {
			t.Errorf("outcomes\n%s", got)
		}
		if got := account(t, w, "main"); !complete(w) || got != "asked true up true projects 2 skipped 0" {
			t.Errorf("complete %t, %s", complete(w), got)
		}
		// One is added and one is gone with the next list, which nobody waits for.
		w.Cloud.AddProject("main", cloudsim.Project{ID: "n3w", Name: "ap-southeast-1"})
		w.Cloud.RemoveProject(devID)
		pass(15 * time.Minute)
		w.Scrape(t, time.Minute)
		synctest.Wait()
		w.Scrape(t, time.Minute)
		if got := strings.Join(w.Projects(), " "); got != "ap-southeast-1 ap-southeast-3" {
			t.Errorf("projects %s", got)
		}
		if n := w.Cloud.Requests()["GET /v3/projects"]; n != 2 {
			t.Errorf("%d lists, want 2", n)
		}
	})
}

func TestStatedAndDiscoveredTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, organisation(), `accounts:
  - name: main
    credentials: {static: {access_key: AK, secret_key: SK}}
    ca_file: CA
    projects: [{id: `+prodID+`, region: ap-southeast-3, name: prod}]
    discovery: {name_prefix: "", exclude: ".*_sandbox"}
  - name: other
    credentials: {static: {access_key: AK2, secret_key: SK2}}
    ca_file: CA
    projects: [{region: ap-southeast-1, name: ap-southeast-3_dev}]
    discovery: {}
`)
		w.Scrape(t, time.Minute)
		if got := strings.Join(w.Projects(), " "); got != "ap-southeast-3_dev other/ap-southeast-3 prod" {
			t.Errorf("projects %s, want the stated label of one and a prefixed one", got)
		}
		if got := account(t, w, "main"); got != "asked true up true projects 1 skipped 1" {
			t.Errorf("main: %s, want one skipped, whose label the other account states", got)
		}
		if got := account(t, w, "other"); got != "asked true up true projects 2 skipped 0" {
			t.Errorf("other: %s", got)
		}
	})
}

func TestFailedDiscoveryKeepsTheLastList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, organisation(), discoverAll)
		heal := w.Cloud.Inject(cloudtest.Fault{Service: "iam", Status: http.StatusForbidden, Body: cloudsim.ErrorBody("iam", 403, "no")})
		if got := w.Scrape(t, time.Minute); len(got) != 0 || complete(w) {
			t.Errorf("%d readings, complete %t", len(got), complete(w))
		}
		if got := account(t, w, "main"); got != "asked true up false projects 0 skipped 0" {
			t.Errorf("main: %s", got)
		}
		if text := w.Accounts()[0].DiscoveryErr.Error(); !strings.Contains(text, "grant the IAM action iam:projects:listProjects") {
			t.Errorf("it says %s", text)
		}
		heal()
		pass(15 * time.Second)
		w.Scrape(t, time.Minute)
		synctest.Wait()
		w.Scrape(t, time.Minute)
		w.Cloud.Inject(cloudtest.Fault{Service: "iam", Hang: true})
		pass(time.Hour)
		start := time.Now()
		w.Scrape(t, time.Minute)
		if took := time.Since(start); took != 0 {
			t.Errorf("the scrape took %s, want none to wait for an old list", took)
		}
		pass(time.Minute)
		if got := outcomes(w.Scrape(t, time.Minute)); strings.Count(got, ": ok") != 10 || account(t, w, "main") != "asked true up false projects 2 skipped 0" {
			t.Errorf("%s\n%s", account(t, w, "main"), got)
		}
	})
}

// TestServiceThatARegionDoesNotOffer: that is no failure, and asked again only every hour.
func TestServiceThatARegionDoesNotOffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, organisation(), discoverAll)
		w.HideHosts("dbss.")
		w.Cloud.Inject(cloudtest.Fault{Service: "taurusdb", Status: http.StatusNotFound})
		for range 4 * 59 {
			w.Scrape(t, time.Minute)
			pass(15 * time.Second)
		}
		readings := w.Scrape(t, time.Minute)
		for _, service := range []string{"dbss", "taurusdb"} {
			if r := find(t, readings, service, "ap-southeast-3"); !r.NotOffered || r.State.Fetches != 1 {
				t.Errorf("%s: not offered %t after %d fetches", service, r.NotOffered, r.State.Fetches)
			}
		}
		if r := find(t, readings, "dcs", "ap-southeast-3"); r.NotOffered || r.Reason() != "" {
			t.Errorf("dcs: %+v", r)
		}
		w.HideHosts("")
		pass(2 * time.Minute)
		w.Scrape(t, time.Minute)
		synctest.Wait()
		if r := find(t, w.Scrape(t, time.Minute), "dbss", "ap-southeast-3"); r.NotOffered || len(r.Quotas) != 3 {
			t.Errorf("once it is offered: %+v", r)
		}
	})
}

// TestStatedProjectIsOffered: what a user states is expected to work, so that a 404 is a failure.
func TestStatedProjectIsOffered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), fleettest.DocumentsConfig)
		w.Cloud.Inject(cloudtest.Fault{Service: "dcs", Status: http.StatusNotFound})
		if r := find(t, w.Scrape(t, time.Minute), "dcs", "prod"); r.NotOffered || r.Reason() != "not_found" {
			t.Errorf("got %+v", r)
		}
	})
}

func TestReloadKeepsWhatWasDiscovered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, organisation(), discoverAll)
		w.Scrape(t, time.Minute)
		w.Configure(t, strings.Replace(discoverAll, "{exclude", `{name_prefix: "x/", exclude`, 1))
		if got := strings.Join(w.Projects(), " "); got != "x/ap-southeast-3 x/ap-southeast-3_dev" {
			t.Errorf("projects %s", got)
		}
		before := fmt.Sprint(w.Cloud.Requests())
		w.Scrape(t, time.Minute)
		if after := fmt.Sprint(w.Cloud.Requests()); after != before {
			t.Errorf("requests\n%s\nbefore\n%s", after, before)
		}
	})
}

// TestLongListIsRead: 10,000 projects are fifty pages, which take longer together than any of them may.
func TestLongListIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var projects []cloudsim.Project
		for i := range 10_000 {
			projects = append(projects, cloudsim.Project{ID: fmt.Sprintf("%032d", i), Name: fmt.Sprintf("ap-southeast-3_p%05d", i)})
		}
		cloud := cloudtest.New(cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: projects})
		w := fleettest.New(t, cloud, "accounts:\n  - name: main\n    credentials: {static: {access_key: AK, secret_key: SK}}\n    ca_file: CA\n    discovery: {}\n")
		heal := w.Cloud.Inject(cloudtest.Fault{Path: "/v3/projects", Latency: 700 * time.Millisecond})
		start := time.Now()
		w.Discover(t.Context())
		if got := len(w.Projects()); got != 10_000 || time.Since(start) > 40*time.Second {
			t.Errorf("%d projects after %s: %v", got, time.Since(start), w.Accounts()[0].DiscoveryErr)
		}
		heal()
		w.Cloud.Inject(cloudtest.Fault{Path: "/v3/projects", Hang: true, When: func(n int) bool { return n == 20 }})
		pass(16 * time.Minute)
		w.Discover(t.Context())
		pass(11 * time.Second)
		if account := w.Accounts()[0]; account.DiscoveryErr == nil || len(w.Projects()) != 10_000 {
			t.Errorf("a page that hangs: %v with %d projects, want its own timeout to end the list", account.DiscoveryErr, len(w.Projects()))
		}
	})
}
