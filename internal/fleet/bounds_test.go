package fleet_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

// loggedOf returns the account, message and count of the lines that contain a text.
func loggedOf(w *fleettest.World, text string) string {
	var all []string
	for _, line := range w.Logged() {
		if message := fmt.Sprint(line["msg"]); strings.Contains(message, text) {
			all = append(all, fmt.Sprint(line["account"], ": ", message, " ", line["count"]))
		}
	}
	return strings.Join(all, "\n")
}

// TestInvalidProjectsAreSkipped: names that the configuration rejects are also rejected from IAM. One invalid element affects nothing else.
func TestInvalidProjectsAreSkipped(t *testing.T) {
	good := fmt.Sprintf(`{"id":%q,"name":"ap-southeast-3"}`, prodID)
	named := func(id, name string) string {
		text, _ := json.Marshal(map[string]string{"id": id, "name": name})
		return string(text)
	}
	for _, tc := range []struct {
		name, bad string
		skipped   int
	}{
		{"an id that is a number", `{"id":5,"name":"eu-de"}`, 1},
		{"an enabled that is a text", `{"id":"a","name":"eu-de","enabled":"true"}`, 1},
		{"a name that is a number", `{"id":"a","name":7}`, 1},
		{"a text", `"eu-de"`, 1},
		{"an id that is a number, and an enabled that is a text", `{"id":5,"name":"eu-de","enabled":"true"}`, 1},
		{"no id", `{"name":"eu-de"}`, 1},
		{"an id with a header", named("a b\nX-Evil: 1", "eu-de"), 1},
		{"an id of 65 characters", named(strings.Repeat("a", 65), "eu-de"), 1},
		{"a long name", named("a", "eu-de_"+strings.Repeat("x", 500_000)), 1},
		{"long names", named("a", "eu-de_"+strings.Repeat("x", 2_000_000)) + "," + named("b", "eu-de_"+strings.Repeat("x", 2_000_000)), 2},
		{"a label of 128 bytes", named("a", "eu-de_"+strings.Repeat("x", 120)), 0},
		{"a label of 129 bytes", named("a", "eu-de_"+strings.Repeat("x", 121)), 1},
		{"a name with ESC", named("a", "eu-de_\x1b[2J"), 1},
		{"a name with NUL", named("a", "eu-de_\x00"), 1},
		{"a name with a newline", named("a", "eu-de_a\nb"), 1},
		{"a name that is not UTF-8", "{\"id\":\"a\",\"name\":\"eu-de_\xff\"}", 1},
		{"not selected", `{"id":5,"name":"cn-north-4_sandbox"},{"id":6,"name":"MOS"},` + named("\x00", "sa-brazil-1"), 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := fleettest.New(t, organization(), mainAccount+`    discovery: {exclude: "(.*_sandbox|sa-.*)", name_prefix: "p/"}`+"\n")
				w.Cloud.Inject(cloudtest.Fault{Path: "/v3/projects", Status: http.StatusOK, Body: []byte(`{"projects":[` + tc.bad + "," + good + `]}`)})
				readings := w.Scrape(t, time.Minute)
				a := w.Accounts()[0]
				if a.Unreadable.Count != tc.skipped || !a.Up || find(t, readings, "cts", "p/ap-southeast-3").Reason() != "" {
					t.Errorf("skipped %+v, up %t", a.Unreadable, a.Up)
				}
				want := ""
				if tc.skipped > 0 {
					want = fmt.Sprint("main: Skipped projects with invalid entries in IAM's list ", tc.skipped)
				}
				if got := loggedOf(w, "invalid entries"); got != want {
					t.Errorf("logged %q, want %q", got, want)
				}
			})
		})
	}
}

// TestMaxProjects: previously discovered projects stay, and new ones replace those that were removed.
func TestMaxProjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK"}
		for _, name := range []string{"d", "e", "f"} {
			account.Projects = append(account.Projects, cloudsim.Project{ID: name, Name: "eu-de_" + name})
		}
		w := fleettest.New(t, cloudtest.New(account), mainAccount+"    discovery: {max_projects: 3}\n"+ctsAlone(""))
		list := func(when, want string, beyond int) {
			t.Helper()
			pass(16 * time.Minute)
			w.Discover(t.Context())
			pass(time.Second)
			if got := strings.Join(w.Projects(), " "); got != want || w.Accounts()[0].Beyond != beyond || w.Accounts()[0].Projects != 3 {
				t.Errorf("%s: %s, %+v, want %s and %d beyond", when, got, w.Accounts()[0], want, beyond)
			}
		}
		list("at first", "eu-de_d eu-de_e eu-de_f", 0)
		w.Cloud.AddProject("main", cloudsim.Project{ID: "a", Name: "eu-de_a"})
		w.Cloud.AddProject("main", cloudsim.Project{ID: "z", Name: "eu-de_z"})
		list("two more", "eu-de_d eu-de_e eu-de_f", 2)
		w.Cloud.RemoveProject("e")
		list("one less", "eu-de_a eu-de_d eu-de_f", 1)
		w.Configure(t, mainAccount+"    discovery: {max_projects: 2}\n"+ctsAlone(""))
		w.Configure(t, mainAccount+"    discovery: {max_projects: 3}\n"+ctsAlone(""))
		list("after a reload that had fewer", "eu-de_a eu-de_d eu-de_f", 1)
		const want = "main: Skipped projects beyond discovery.max_projects; increase it, or restrict discovery.regions and include "
		if got := loggedOf(w, "max_projects"); got != want+"2\n"+want+"1\n"+want+"2\n"+want+"1" {
			t.Errorf("logged\n%s", got)
		}
	})
}

// TestListWithoutPermission: IAM rejects the list of all projects, and has a list of the caller's own projects, for discovery and for looking up an
// ID.
func TestListWithoutPermission(t *testing.T) {
	for _, projects := range []string{"projects: [{region: ap-southeast-3}]", "discovery: {include: ap-southeast-3}"} {
		synctest.Test(t, func(t *testing.T) {
			w := fleettest.New(t, organization(), mainAccount+"    "+projects+"\n")
			w.Cloud.Inject(cloudtest.Fault{Path: "/v3/projects", Status: http.StatusForbidden, Body: cloudsim.ErrorBody("iam", 403, "no")})
			if got := outcomes(w.Scrape(t, time.Minute)); got != all("ap-southeast-3", "ok") || !w.Accounts()[0].Up {
				t.Errorf("%s: outcomes\n%s", projects, got)
			}
		})
	}
}

// TestLogForgetsProjects: many projects fail, a reload replaces the projects or their endpoints, and they fail again.
func TestLogForgetsProjects(t *testing.T) {
	for _, replaced := range []string{"projects", "endpoint"} {
		synctest.Test(t, func(t *testing.T) {
			cloud := cloudtest.Scale(20)
			cloud.Inject(cloudtest.Fault{Service: "cts", Status: http.StatusInternalServerError})
			header, projects, _ := strings.Cut(fleettest.AccountOf(cloud, unencrypted), "    projects:\n")
			lines := strings.SplitAfter(projects, "\n")
			old, others := strings.Join(lines[:10], ""), strings.Join(lines[10:], "")
			w := fleettest.New(t, cloud, header+"    projects:\n"+old+ctsAlone(""))
			w.Scrape(t, time.Minute)
			failures := func() int { return strings.Count(loggedOf(w, "Failed to fetch quotas"), "\n") + 1 }
			if n := failures(); n != 5 {
				t.Errorf("%d failures are logged, want 5 of 10", n)
			}
			if replaced == "endpoint" {
				header, others = strings.Replace(header, "://{service}.", "://{service}-2.", 1), old
			}
			w.Configure(t, header+"    projects:\n"+others+ctsAlone(""))
			w.Scrape(t, time.Minute)
			if n := failures(); n != 10 {
				t.Errorf("%d failures are logged, want 5 more after a reload with other %s", n, replaced)
			}
		})
	}
}
