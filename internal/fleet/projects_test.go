package fleet_test

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
				cloud := cloudtest.New(cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: tc.projects})
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
		heal := w.Cloud.Inject(cloudtest.Fault{Service: "iam", Status: http.StatusForbidden, Body: cloudsim.ErrorBody("iam", 403, "no")})
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
	for name, fault := range map[string]cloudtest.Fault{
		"hangs":       {Service: "iam", Hang: true},
		"answers 500": {Service: "iam", Status: http.StatusInternalServerError},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := fleettest.New(t, fleettest.Documents(), lookedUp+"services: {defaults: {cache_ttl: 0}}")
				w.Scrape(t, time.Minute)
				w.Cloud.Inject(fault)
				pass(25 * time.Hour)
				for i, wait := range []time.Duration{0, 10 * time.Second, 20 * time.Second} { // 10 s: within the pause after the failure
					pass(wait)
					start := time.Now()
					if got := outcomes(w.Scrape(t, time.Minute)); got != all("ap-southeast-3", "ok") || time.Since(start) != 0 {
						t.Errorf("scrape %d took %s, want it not to wait for IAM; outcomes\n%s", i+1, time.Since(start), got)
					}
				}
				synctest.Wait()
				if n := w.Cloud.Requests()["GET /v3/projects"]; n != 3 {
					t.Errorf("%d look-ups, want the first, one after a day, and one after the pause", n)
				}
			})
		})
	}
}

func TestHangingIAMIsATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), lookedUp+"services: {defaults: {timeout: 2s}}")
		w.Cloud.Inject(cloudtest.Fault{Service: "iam", Hang: true})
		readings := w.Scrape(t, time.Minute)
		if got := outcomes(readings); got != all("ap-southeast-3", "timeout") {
			t.Errorf("outcomes\n%s", got)
		}
		if text := readings[0].State.Err.Error(); !strings.Contains(text, "IAM has not answered in time") {
			t.Errorf("the error says %s", text)
		}
	})
}

// TestIAMHasATimeoutOfItsOwn: a service that may take long does not make IAM wait as long.
func TestIAMHasATimeoutOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), lookedUp+"services: {defaults: {timeout: 1m}}")
		w.Cloud.Inject(cloudtest.Fault{Service: "iam", Hang: true})
		start := time.Now()
		readings := w.Scrape(t, time.Minute)
		if got, took := outcomes(readings), time.Since(start); got != all("ap-southeast-3", "timeout") || took != 8*time.Second {
			t.Errorf("after %s, want 8s; outcomes\n%s", took, got)
		}
	})
}

func TestFoundIDShowsBesideAnOldFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), lookedUp)
		heal := w.Cloud.Inject(cloudtest.Fault{Service: "iam", Status: http.StatusForbidden})
		w.Scrape(t, time.Minute)
		heal()
		w.Cloud.Inject(cloudtest.Fault{Service: "dcs", Hang: true})
		pass(16 * time.Second)
		w.Scrape(t, time.Minute) // the look-up succeeds, and dcs does not answer yet
		synctest.Wait()
		if r := find(t, w.Scrape(t, time.Minute), "dcs", "ap-southeast-3"); r.Reason() != "forbidden" || r.Project.ID != prodID {
			t.Errorf("got reason %q and %+v, want the known failure and the id that is known now", r.Reason(), r.Project)
		}
	})
}
