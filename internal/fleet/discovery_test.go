package fleet_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

// organization is a cloud with two accounts. The first has projects of every kind.
func organization() *cloudtest.Cloud {
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

const discoverAll = mainAccount + `    discovery: {exclude: ".*_sandbox"}
`

func complete(w *fleettest.World) bool {
	_, incomplete := w.Known()
	return len(incomplete) == 0
}

// account returns the state of an account.
func account(t *testing.T, w *fleettest.World, name string) string {
	t.Helper()
	all := w.Accounts()
	i := slices.IndexFunc(all, func(a fleet.Account) bool { return a.Name == name })
	if i < 0 {
		t.Fatalf("no account %s", name)
	}
	a := all[i]
	return fmt.Sprintf("asked %t up %t projects %d skipped %d", a.Asked, a.Up, a.Projects, len(a.Skipped))
}

func TestDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, organization(), discoverAll)
		if complete(w) || len(w.Projects()) != 0 || account(t, w, "main") != "asked false up true projects 0 skipped 0" {
			t.Errorf("before the first request: complete %t, projects %v, %s", complete(w), w.Projects(), account(t, w, "main"))
		}
		if got := outcomes(w.Scrape(t, time.Minute)); got != all("ap-southeast-3", "ok")+"\n"+all("ap-southeast-3_dev", "ok") {
			t.Errorf("outcomes\n%s", got)
		}
		if got := account(t, w, "main"); !complete(w) || got != "asked true up true projects 2 skipped 0" {
			t.Errorf("complete %t, %s", complete(w), got)
		}
		// One is added and one is removed with the next list, for which nothing waits.
		w.Cloud.AddProject("main", cloudsim.Project{ID: "n3w", Name: "ap-southeast-1"})
		w.Cloud.RemoveProject(devID)
		pass(15 * time.Minute)
		settled(t, w)
		if got := strings.Join(w.Projects(), " "); got != "ap-southeast-1 ap-southeast-3" {
			t.Errorf("projects %s", got)
		}
		if n := w.Cloud.Requests()["GET /v3/projects"]; n != 2 {
			t.Errorf("%d lists, want 2", n)
		}
	})
}

func TestConfiguredAndDiscoveredTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, organization(), mainAccount+`    projects: [{id: `+prodID+`, region: ap-southeast-3, name: prod}]
    discovery: {name_prefix: "", exclude: ".*_sandbox"}
`+otherAccount+`    projects: [{region: ap-southeast-1, name: ap-southeast-3_dev}]
    discovery: {}
services: {dcs: {cache_ttl: 0}}
`)
		w.Cloud.Inject(cloudtest.Fault{Service: "iam", Latency: 3 * time.Second})
		w.Scrape(t, time.Minute)
		if n := w.Cloud.ProjectRequests(prodID)["dcs"]; n != 1 {
			t.Errorf("%d requests of a scrape, want 1 before the list and none after it", n)
		}
		if got := strings.Join(w.Projects(), " "); got != "ap-southeast-3_dev other/ap-southeast-3 prod" {
			t.Errorf("projects %s, want the configured label of one and a prefixed one", got)
		}
		if got := account(t, w, "main"); got != "asked true up true projects 1 skipped 1" {
			t.Errorf("main: %s, want one skipped, because the other account has its label", got)
		}
		if got := account(t, w, "other"); got != "asked true up true projects 2 skipped 0" {
			t.Errorf("other: %s", got)
		}
		w.Scrape(t, time.Minute)
		w.Configure(t, discoverAll)
		var logged []string
		for _, line := range w.Logged() {
			if text := fmt.Sprint(line["msg"]); strings.Contains(text, "kipped") {
				logged = append(logged, fmt.Sprint(line["account"], " ", text, " ", line["projects"]))
			}
		}
		const want = "main Skipped projects with duplicate labels; set name_prefix to make them unique ap-southeast-3_dev\n" +
			"main Projects are no longer skipped <nil>"
		if got := strings.Join(logged, "\n"); got != want {
			t.Errorf("logged\n%s\nwant\n%s", got, want)
		}
	})
}

func TestFailedDiscoveryKeepsTheLastList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, organization(), discoverAll)
		heal := w.Cloud.Inject(cloudtest.Fault{Service: "iam", Status: http.StatusForbidden, Body: cloudsim.ErrorBody("iam", 403, "no")})
		if got := w.Scrape(t, time.Minute); len(got) != 0 || complete(w) {
			t.Errorf("%d readings, complete %t", len(got), complete(w))
		}
		if got := account(t, w, "main"); got != "asked true up false projects 0 skipped 0" {
			t.Errorf("main: %s", got)
		}
		if text := w.Accounts()[0].DiscoveryErr.Error(); !strings.Contains(text, "grant the IAM action iam:projects:listProjects") {
			t.Errorf("the error is %s", text)
		}
		heal()
		pass(15 * time.Second)
		settled(t, w)
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

// TestLongListIsRead: 2,000 projects are ten pages, which together take longer than the timeout of one.
func TestLongListIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var projects []cloudsim.Project
		for i := range 2000 {
			projects = append(projects, cloudsim.Project{ID: fmt.Sprintf("%032d", i), Name: fmt.Sprintf("ap-southeast-3_p%05d", i)})
		}
		cloud := cloudtest.New(cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: projects})
		w := fleettest.New(t, cloud, mainAccount+"    discovery: {}\n"+ctsAlone(""))
		heal := w.Cloud.Inject(cloudtest.Fault{Path: "/v3/projects", Latency: 3 * time.Second})
		start := time.Now()
		w.Discover(t.Context())
		if got := len(w.Projects()); got != 2000 || time.Since(start) > 40*time.Second {
			t.Errorf("%d projects after %s: %v", got, time.Since(start), w.Accounts()[0].DiscoveryErr)
		}
		heal()
		w.Cloud.Inject(cloudtest.Fault{Path: "/v3/projects", Hang: true, When: func(n int) bool { return n == 5 }})
		pass(16 * time.Minute)
		w.Discover(t.Context())
		pass(11 * time.Second)
		if account := w.Accounts()[0]; account.DiscoveryErr == nil || len(w.Projects()) != 2000 {
			t.Errorf("a page that hangs: %v with %d projects, want its own timeout to end the list", account.DiscoveryErr, len(w.Projects()))
		}
	})
}

// TestHangingDiscoveryDoesNotAffectOthers: a scrape waits for the list of one account, and shows the other one all the same. Configured projects are
// known without waiting for a list.
func TestHangingDiscoveryDoesNotAffectOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, organization(), discoverAll+otherAccount+`    projects: [{id: 0ther, region: ap-southeast-3, name: other}]
services: {defaults: {cache_ttl: 0}}
`)
		w.Cloud.Inject(cloudtest.Fault{Service: "iam", Hang: true})
		w.Cloud.Inject(cloudtest.Fault{Service: "dcs", Latency: time.Second})
		start := time.Now()
		if got := outcomes(w.Read(t.Context(), fleet.Filter{Projects: []string{"other"}})); got != all("other", "ok") || time.Since(start) > 2*time.Second {
			t.Errorf("of one project, after %s\n%s", time.Since(start), got)
		}
		if n := w.Cloud.Requests()["GET /v3/projects"]; n != 1 {
			t.Errorf("%d lists are requested, want the one that no read waits for", n)
		}
		start = time.Now()
		if got := outcomes(w.Scrape(t, 5*time.Second)); got != all("other", "ok") || time.Since(start) != 5*time.Second {
			t.Errorf("after %s\n%s", time.Since(start), got)
		}
	})
}

// TestCompleteOnceSourcesExist: a list takes effect when it arrives, regardless of reads. A reload keeps discovered projects.
func TestCompleteOnceSourcesExist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, organization(), discoverAll)
		w.Cloud.Inject(cloudtest.Fault{Service: "iam", Latency: 2 * time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w.Discover(ctx)
		if projects, incomplete := w.Known(); fmt.Sprint(incomplete) != "[main]" || len(projects) != 0 {
			t.Errorf("incomplete %v with %v", incomplete, projects)
		}
		pass(2 * time.Second)
		if projects, incomplete := w.Known(); len(incomplete) != 0 || len(projects) != 2 {
			t.Errorf("incomplete %v with %v", incomplete, projects)
		}
		w.Scrape(t, time.Minute)
		before := fmt.Sprint(w.Cloud.Requests())
		w.Configure(t, strings.Replace(discoverAll, "{exclude", `{name_prefix: "x/", exclude`, 1))
		settled(t, w)
		if got := strings.Join(w.Projects(), " "); got != "x/ap-southeast-3 x/ap-southeast-3_dev" || fmt.Sprint(w.Cloud.Requests()) != before {
			t.Errorf("projects %s after a reload; requests %v, before %s", got, w.Cloud.Requests(), before)
		}
	})
}

// TestUnchangedListKeepsReadings: sources only change if the list has other projects.
func TestUnchangedListKeepsReadings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, organization(), discoverAll+"services: {defaults: {cache_ttl: 1h}, ces: {cache_ttl: 1h}}")
		before := w.Scrape(t, time.Minute)
		pass(20 * time.Minute)
		after := settled(t, w)
		pass(40 * time.Minute)
		again := settled(t, w)
		for i := range before {
			if before[i] != after[i] || before[i] == again[i] {
				t.Errorf("%s: another reading without a change, %t; after another fetch, %t", before[i].Service, before[i] != after[i], before[i] != again[i])
			}
		}
		if n := w.Cloud.Requests()["GET /v3/projects"]; n != 3 {
			t.Errorf("%d lists, want 3", n)
		}
	})
}

// TestHolderKeepsItsLabel: a series must not change to another project when an account recovers.
func TestHolderKeepsItsLabel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, organization(), strings.Replace(discoverAll, "{exclude", `{name_prefix: "", exclude`, 1)+otherAccount+`    discovery: {name_prefix: ""}
`)
		w.Cloud.SetKeys("main", "AK", "changed", "")
		w.Scrape(t, time.Minute)
		w.Cloud.SetKeys("main", "AK", "SK", "")
		pass(5 * time.Minute) // the key was rejected
		w.Scrape(t, time.Minute)
		pass(time.Second)
		if r := find(t, w.Scrape(t, time.Minute), "cts", "ap-southeast-3"); r.Account != "other" || r.Project.ID != "0ther" {
			t.Errorf("the label moved to %s, %s", r.Account, r.Project.ID)
		}
		if got := account(t, w, "main"); got != "asked true up true projects 1 skipped 1" {
			t.Errorf("main: %s", got)
		}
	})
}

// TestReloadFixesDiscovery: with other keys, the list is requested at once; without a change, nothing is requested.
func TestReloadFixesDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, organization(), strings.Replace(discoverAll, "SK", "wrong", 1))
		for range 20 {
			w.Scrape(t, time.Minute)
			pass(time.Minute)
		}
		w.Configure(t, discoverAll)
		if got := outcomes(settled(t, w)); strings.Count(got, ": ok") != 10 {
			t.Errorf("outcomes\n%s", got)
		}
		before := account(t, w, "main")
		w.Configure(t, discoverAll)
		if after := account(t, w, "main"); after != before || before != "asked true up true projects 2 skipped 0" {
			t.Errorf("%s before a reload, %s after it", before, after)
		}
	})
}

// TestConcurrentLists is for the race detector: lists are read and rebuilt concurrently.
func TestConcurrentLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, organization(), strings.Replace(discoverAll, "{exclude", `{refresh_interval: 1m, exclude`, 1))
		var scrapes sync.WaitGroup
		for range 16 {
			scrapes.Go(func() {
				for i := range 20 {
					w.Scrape(t, time.Minute)
					if i == 10 {
						w.Configure(t, discoverAll)
					}
					<-time.After(30 * time.Second)
				}
			})
		}
		scrapes.Wait()
	})
}
