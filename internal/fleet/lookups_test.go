package fleet_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

// lookedUp has only a region: IAM returns the project ID.
const lookedUp = mainAccount + `    projects: [{region: ap-southeast-3}]
`

func TestUnresolvableProjectKeepsItsSources(t *testing.T) {
	for says, projects := range map[string][]cloudsim.Project{
		"IAM lists no project with the name ap-southeast-3":    {{ID: devID, Name: "ap-southeast-3_dev"}},
		"IAM lists 2 projects (" + prodID + ", " + devID + ")": {{ID: prodID, Name: "ap-southeast-3"}, {ID: devID, Name: "ap-southeast-3"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			cloud := cloudtest.New(cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: projects})
			readings := fleettest.New(t, cloud, lookedUp).Scrape(t, time.Minute)
			if got := outcomes(readings); got != all("ap-southeast-3", "not_found") {
				t.Errorf("outcomes\n%s", got)
			}
			if r := readings[0]; r.Project.ID != "" || !strings.Contains(r.State.Err.Error(), says) {
				t.Errorf("project %+v, error %v, want: %s", r.Project, r.State.Err, says)
			}
		})
	}
}

// TestIAMFailsAndRecovers: the ID is shown as soon as it is found, next to a failure that is still the last known one of dcs.
func TestIAMFailsAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), lookedUp)
		heal := w.Cloud.Inject(cloudtest.Fault{Service: "iam", Status: http.StatusForbidden, Body: cloudsim.ErrorBody("iam", 403, "no")})
		readings := w.Scrape(t, time.Minute)
		if got := outcomes(readings); got != all("ap-southeast-3", "forbidden") {
			t.Errorf("outcomes\n%s", got)
		}
		if text := readings[0].State.Err.Error(); !strings.Contains(text, "grant the IAM action iam:projects:listProjects") {
			t.Errorf("the error is %s", text)
		}
		heal()
		w.Cloud.Inject(cloudtest.Fault{Service: "dcs", Hang: true})
		pass(16 * time.Second)
		// starts it, and waits for none that is known to fail
		readings = settled(t, w)
		if got := outcomes(readings); got != strings.Replace(all("ap-southeast-3", "ok"), "dcs/ap-southeast-3: ok", "dcs/ap-southeast-3: forbidden", 1) {
			t.Errorf("after it recovered\n%s", got)
		}
		if r := find(t, readings, "dcs", "ap-southeast-3"); r.Project.ID != prodID {
			t.Errorf("dcs: %+v, want the id that is known now", r.Project)
		}
		if n := w.Cloud.Requests()["GET /v3/projects"]; n != 2 {
			t.Errorf("%d look-ups, want 2", n)
		}
	})
}

// TestIAMHasItsOwnTimeout: a service with a long timeout does not make requests to IAM wait as long.
func TestIAMHasItsOwnTimeout(t *testing.T) {
	for timeout, want := range map[string]time.Duration{"2s": 2 * time.Second, "1m": 8 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			w := fleettest.New(t, fleettest.Documents(), lookedUp+"services: {defaults: {timeout: "+timeout+"}}")
			w.Cloud.Inject(cloudtest.Fault{Service: "iam", Hang: true})
			start := time.Now()
			readings := w.Scrape(t, time.Minute)
			if got, took := outcomes(readings), time.Since(start); got != all("ap-southeast-3", "timeout") || took != want {
				t.Errorf("after %s, want %s; outcomes\n%s", took, want, got)
			}
			if text := readings[0].State.Err.Error(); timeout == "2s" && !strings.Contains(text, "no response from IAM in time") {
				t.Errorf("the error is %s", text)
			}
		})
	}
}

// TestThrottledIAM: the lookup of one region is throttled, which pauses IAM for the account, but no service of projects with an ID.
func TestThrottledIAM(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.New(cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: []cloudsim.Project{
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
		heal := cloud.Inject(cloudtest.Fault{Service: "iam", Status: http.StatusTooManyRequests})
		w.Read(t.Context(), fleet.Filter{Projects: []string{"ap-southeast-1"}})
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
		if got := outcomes(settled(t, w)); strings.Count(got, ": ok") != 15 {
			t.Errorf("after it recovered\n%s", got)
		}
	})
}

// TestKnownIDIsUsedWhileIAMFails: an ID is looked up once a day. While that fails, it is retried after increasing pauses, and no scrape waits for it.
func TestKnownIDIsUsedWhileIAMFails(t *testing.T) {
	for name, tc := range map[string]struct {
		fault cloudtest.Fault
		want  int // lookups in an hour
	}{
		// At 0, 15, 45, 105, 225 and 465 s, and from then on every 300 s: 765, 1065, ... 3465 s.
		"answers 500": {cloudtest.Fault{Service: "iam", Status: http.StatusInternalServerError}, 16},
		// A pause starts when the timeout ends the lookup.
		"hangs": {cloudtest.Fault{Service: "iam", Hang: true}, 15},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := fleettest.New(t, fleettest.Documents(), lookedUp+ctsAlone("cache_ttl: 0"))
				lookUps := func() int { return w.Cloud.Requests()["GET /v3/projects"] }
				w.Scrape(t, time.Minute)
				pass(24*time.Hour - time.Second)
				w.Scrape(t, time.Minute)
				if n := lookUps(); n != 1 {
					t.Errorf("%d look-ups within 24 h, want 1", n)
				}
				w.Cloud.Inject(tc.fault)
				pass(time.Second)
				before := lookUps()
				for range 60 * 60 / 15 { // an hour, a scrape every 15 s
					start := time.Now()
					if got := outcomes(w.Scrape(t, time.Minute)); got != "cts/ap-southeast-3: ok" || time.Since(start) != 0 {
						t.Errorf("a scrape took %s, want it not to wait for IAM; outcomes\n%s", time.Since(start), got)
					}
					pass(15 * time.Second)
				}
				if n := lookUps() - before; n != tc.want {
					t.Errorf("%d look-ups in an hour of failures, want %d", n, tc.want)
				}
			})
		})
	}
}

// TestLookupsDoNotWaitForOtherRegions: IAM hangs in one region of 24.
func TestLookupsDoNotWaitForOtherRegions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK"}
		yaml := "accounts:\n  - credentials: {static: {access_key: AK, secret_key: SK}}\n    ca_file: CA\n    projects:\n"
		for i := range 24 {
			region := fmt.Sprintf("cn-north-%d", i+1)
			account.Projects = append(account.Projects, cloudsim.Project{ID: fmt.Sprint("id", i), Name: region})
			yaml += "      - {region: " + region + "}\n"
		}
		w := fleettest.New(t, cloudtest.New(account), yaml+ctsAlone("max_in_flight: 100, timeout: 7s"))
		w.Cloud.Inject(cloudtest.Fault{Host: "iam.cn-north-7.", Hang: true})
		w.Cloud.Inject(cloudtest.Fault{Service: "iam", Latency: 500 * time.Millisecond})
		if got := outcomes(w.Scrape(t, 9*time.Second)); strings.Count(got, ": ok") != 23 {
			t.Errorf("outcomes\n%s", got)
		}
	})
}

// TestAccountsLookUpTheirOwn: the same region is another project in each account.
func TestAccountsLookUpTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, organization(), mainAccount+"    projects: [{region: ap-southeast-3, name: prod}]\n"+
			otherAccount+"    projects: [{region: ap-southeast-3, name: dev}]\n")
		readings := w.Scrape(t, time.Minute)
		if prod, dev := find(t, readings, "cts", "prod").Project.ID, find(t, readings, "cts", "dev").Project.ID; prod != prodID || dev != "0ther" {
			t.Errorf("ids %s and %s", prod, dev)
		}
		if n := w.Cloud.Requests()["GET /v3/projects"]; n != 2 || outcomes(readings) != all("dev", "ok")+"\n"+all("prod", "ok") {
			t.Errorf("%d look-ups, want one of each account; outcomes\n%s", n, outcomes(readings))
		}
	})
}
