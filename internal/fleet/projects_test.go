package fleet_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

// lookedUp names a region alone: IAM tells the id.
const lookedUp = `accounts:
  - name: main
    credentials: {static: {access_key: AK, secret_key: SK}}
    ca_file: CA
    projects: [{region: ap-southeast-3}]
`

func TestProjectIDIsLookedUpOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), lookedUp)
		readings := w.Scrape(t, time.Minute)
		if got := outcomes(readings); got != all("ap-southeast-3", "ok") {
			t.Errorf("outcomes\n%s", got)
		}
		if r := readings[0]; r.Project.ID != prodID {
			t.Errorf("project %+v, want its id", r.Project)
		}
		if n := w.Cloud.Requests()["GET /v3/projects"]; n != 1 {
			t.Errorf("%d look-ups, want 1", n)
		}
	})
}

func TestUnresolvableProjectKeepsItsSources(t *testing.T) {
	for _, tc := range []struct {
		name     string
		projects []cloudsim.Project
		reason   string
		says     string
	}{
		{"none", []cloudsim.Project{{ID: devID, Name: "ap-southeast-3_dev"}}, "not_found", "IAM knows no project of the name ap-southeast-3"},
		{
			"several",
			[]cloudsim.Project{{ID: prodID, Name: "ap-southeast-3"}, {ID: devID, Name: "ap-southeast-3"}},
			"not_found",
			"IAM knows 2 projects (" + prodID + ", " + devID + ")",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cloud := cloudsim.New(cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: tc.projects})
				readings := fleettest.New(t, cloud, lookedUp).Scrape(t, time.Minute)
				if got := outcomes(readings); got != all("ap-southeast-3", tc.reason) {
					t.Errorf("outcomes\n%s", got)
				}
				if r := readings[0]; r.Project.ID != "" || !strings.Contains(r.State.Err.Error(), tc.says) {
					t.Errorf("project %+v, error %v", r.Project, r.State.Err)
				}
			})
		})
	}
}

func TestIAMFailsAndHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), lookedUp)
		heal := w.Cloud.Inject(cloudsim.Fault{Service: "iam", Status: http.StatusForbidden, Body: cloudsim.ErrorBody("iam", 403, "no")})
		readings := w.Scrape(t, time.Minute)
		if got := outcomes(readings); got != all("ap-southeast-3", "forbidden") {
			t.Errorf("outcomes\n%s", got)
		}
		if text := readings[0].State.Err.Error(); !strings.Contains(text, "grant the IAM action iam:projects:listProjects") {
			t.Errorf("the error says %s", text)
		}
		heal()
		pass(16 * time.Second)
		w.Scrape(t, time.Minute) // begins it, and waits for none that is known to fail
		synctest.Wait()
		if got := outcomes(w.Scrape(t, time.Minute)); got != all("ap-southeast-3", "ok") {
			t.Errorf("after it healed\n%s", got)
		}
		if n := w.Cloud.Requests()["GET /v3/projects"]; n != 2 {
			t.Errorf("%d look-ups, want 2", n)
		}
	})
}

func TestKnownIDServesWhileIAMFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), lookedUp)
		w.Scrape(t, time.Minute)
		w.Cloud.Inject(cloudsim.Fault{Service: "iam", Hang: true})
		pass(25 * time.Hour)
		w.Scrape(t, time.Minute)
		if got := outcomes(w.Scrape(t, time.Minute)); strings.Contains(got, "?") || strings.Count(got, "timeout") != 0 {
			t.Errorf("outcomes\n%s", got)
		}
	})
}

func TestHangingIAMIsATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), lookedUp+"services: {defaults: {timeout: 2s}}")
		w.Cloud.Inject(cloudsim.Fault{Service: "iam", Hang: true})
		readings := w.Scrape(t, time.Minute)
		if got := outcomes(readings); got != all("ap-southeast-3", "timeout") {
			t.Errorf("outcomes\n%s", got)
		}
		if text := readings[0].State.Err.Error(); !strings.Contains(text, "IAM has not answered in time") {
			t.Errorf("the error says %s", text)
		}
	})
}

// TestThrottledIAM: the look-up of one region is throttled, which pauses IAM for the account, but no service of projects with an id.
func TestThrottledIAM(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudsim.New(cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: []cloudsim.Project{
			{ID: prodID, Name: "ap-southeast-3"}, {ID: devID, Name: "ap-southeast-1"}, {ID: "0ther", Name: "cn-north-4"},
		}})
		w := fleettest.New(t, cloud, `accounts:
  - credentials: {static: {access_key: AK, secret_key: SK}}
    ca_file: CA
    projects:
      - {id: `+prodID+`, region: ap-southeast-3, name: prod}
      - {region: ap-southeast-1}
      - {region: cn-north-4}
`)
		heal := cloud.Inject(cloudsim.Fault{Service: "iam", Status: http.StatusTooManyRequests})
		w.Read(t.Context(), func(_, project string) bool { return project == "ap-southeast-1" })
		readings := w.Scrape(t, time.Minute)
		want := strings.Join([]string{all("ap-southeast-1", "throttled"), all("cn-north-4", "throttled"), all("prod", "ok")}, "\n")
		if got := outcomes(readings); got != want {
			t.Errorf("outcomes\n%s\nwant\n%s", got, want)
		}
		if n := cloud.Requests()["GET /v3/projects"]; n != 1 {
			t.Errorf("%d look-ups, want 1", n)
		}
		heal()
		pass(16 * time.Second)
		w.Scrape(t, time.Minute)
		synctest.Wait()
		if got := outcomes(w.Scrape(t, time.Minute)); strings.Count(got, ": ok") != 15 {
			t.Errorf("after it healed\n%s", got)
		}
	})
}
