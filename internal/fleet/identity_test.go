package fleet_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/fleet/fleettest"
	"cloud_quota_exporter/providers/providerstest"
)

// shown returns, for each reading of CTS, its project and the number of quotas.
func shown(readings []*fleet.Reading) string {
	var all []string
	for _, r := range readings {
		if r.Service == "cts" {
			all = append(all, fmt.Sprintf("%s=%s: %d", r.Project.Label, r.Project.ID, len(r.Quotas)))
		}
	}
	return strings.Join(all, " ")
}

// TestOtherKeysShowNoOldValues: a label represents another project as soon as the account has different keys, from a reload or in the files.
func TestOtherKeysShowNoOldValues(t *testing.T) {
	const probed = "ap-southeast-3"
	for _, projects := range []string{"projects: [{region: ap-southeast-3}]", "discovery: {include: ap-southeast-3}"} {
		for _, inFiles := range []bool{false, true} {
			t.Run(fmt.Sprintf("%.8s in files %t", projects, inFiles), func(t *testing.T) {
				dir := t.TempDir()
				synctest.Test(t, func(t *testing.T) {
					const keys = "accounts:\n  - name: main\n    credentials: {static: {access_key: AK, secret_key: SK}}\n    ca_file: CA\n    "
					yaml := keys + projects + "\nservices: {defaults: {cache_ttl: 1h}}\n"
					if inFiles {
						write(dir, "ak", "AK")
						write(dir, "sk", "SK")
						yaml = strings.Replace(yaml, "access_key: AK, secret_key: SK", "access_key_file: "+dir+"/ak, secret_key_file: "+dir+"/sk", 1)
					}
					w := fleettest.New(t, organization(), yaml)
					if got := shown(w.Scrape(t, time.Minute)); got != "ap-southeast-3="+prodID+": 2" {
						t.Fatalf("at first: %s", got)
					}
					if inFiles {
						write(dir, "ak", "AK2")
						write(dir, "sk", "SK2")
					} else {
						yaml = strings.Replace(yaml, "AK, secret_key: SK", "AK2, secret_key: SK2", 1)
					}
					heal := w.Cloud.Inject(cloudtest.Fault{Service: "iam", Hang: true})
					requests := fmt.Sprint(w.Cloud.ProjectRequests(prodID))
					w.Configure(t, yaml)
					w.CheckCredentials(t.Context())
					for _, names := range [][]string{{probed}, nil} {
						if got := shown(w.Read(timeout(t, 5*time.Second), fleet.Filter{Projects: names})); got != "ap-southeast-3=: 0" {
							t.Errorf("while IAM hangs: %s", got)
						}
					}
					heal()
					pass(16 * time.Second)
					w.Ask(t.Context()) // as for collect[]=exporter
					pass(time.Second)
					if known, _ := w.Known(); len(known) != 1 || known[0].ID != "0ther" {
						t.Errorf("after the request to IAM: %+v", known)
					}
					w.Read(t.Context(), fleet.Filter{Projects: []string{probed}}) // does not wait for failed fetches
					pass(time.Second)
					if got := shown(w.Read(t.Context(), fleet.Filter{Projects: []string{probed}})); got != "ap-southeast-3=0ther: 2" {
						t.Errorf("when IAM responds: %s", got)
					}
					if after := fmt.Sprint(w.Cloud.ProjectRequests(prodID)); after != requests {
						t.Errorf("requests for the old project %s, before %s", after, requests)
					}
				})
			})
		}
	}
}

// TestSameProjectKeepsItsValues: another IAM is queried first. If it returns the same project, its values are still shown although the services
// fail.
func TestSameProjectKeepsItsValues(t *testing.T) {
	for _, projects := range []string{"projects: [{region: ap-southeast-3}]", "discovery: {regions: [ap-southeast-3], include: ap-southeast-3}"} {
		synctest.Test(t, func(t *testing.T) {
			yaml := strings.TrimSuffix(mainAccount, "\n") + "\n    " + projects + "\n"
			w := fleettest.New(t, organization(), yaml)
			w.Scrape(t, time.Minute)
			w.Cloud.Inject(cloudtest.Fault{Service: "cts", Status: http.StatusInternalServerError})
			w.Cloud.Inject(cloudtest.Fault{Service: "iam", Latency: time.Second})
			w.Configure(t, strings.Replace(yaml, "    ca_file", "    endpoints: {iam: \"https://iam.myhuaweicloud.com\"}\n    ca_file", 1))
			if got := shown(w.Read(timeout(t, 500*time.Millisecond), fleet.Filter{})); got != "ap-southeast-3=: 0" {
				t.Errorf("%s: before IAM responds: %s", projects, got)
			}
			w.Scrape(t, time.Minute)
			pass(6 * time.Minute)
			readings := settled(t, w)
			if got := shown(readings); got != "ap-southeast-3="+prodID+": 2" || find(t, readings, "cts", "ap-southeast-3").Reason() != "server_error" {
				t.Errorf("%s: afterwards: %s", projects, got)
			}
		})
	}
}

// TestOtherEndpointShowsNoOldValues: values of another host are not the same. The other services are not affected, and the ID from IAM is kept.
func TestOtherEndpointShowsNoOldValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), lookedUp)
		w.Scrape(t, time.Minute)
		w.Cloud.Inject(cloudtest.Fault{Host: "cts.elsewhere", Status: http.StatusBadGateway})
		w.Cloud.Inject(cloudtest.Fault{Service: "iam", Hang: true})
		w.Configure(t, strings.Replace(lookedUp, "    ca_file", "    endpoints: {cts: \"https://cts.elsewhere.myhuaweicloud.com\"}\n    ca_file", 1))
		readings := w.Scrape(t, time.Minute)
		cts, dcs := find(t, readings, "cts", "ap-southeast-3"), find(t, readings, "dcs", "ap-southeast-3")
		if len(cts.Quotas) != 0 || cts.Reason() != "server_error" || len(dcs.Quotas) == 0 {
			t.Errorf("cts %v %s, dcs %v", cts.Quotas, cts.Reason(), dcs.Quotas)
		}
	})
}

// TestListTakesEffectForEveryRequest: a project is deleted and created again with its name, and only /probe and collect[]=exporter are requested.
func TestListTakesEffectForEveryRequest(t *testing.T) {
	for name, ask := range map[string]func(*testing.T, *fleettest.World){
		"probe": func(t *testing.T, w *fleettest.World) {
			w.Read(t.Context(), fleet.Filter{Projects: []string{"ap-southeast-3"}})
		},
		"exporter": func(t *testing.T, w *fleettest.World) { w.Ask(t.Context()) },
	} {
		synctest.Test(t, func(t *testing.T) {
			w := fleettest.New(t, organization(), discoverAll)
			w.Scrape(t, time.Minute)
			w.Cloud.RemoveProject(prodID)
			w.Cloud.AddProject("main", cloudsim.Project{ID: "n3w", Name: "ap-southeast-3"})
			pass(16 * time.Minute)
			ask(t, w)
			pass(time.Second)
			got := w.Read(t.Context(), fleet.Filter{Projects: []string{"ap-southeast-3"}})
			if shown(got) != "ap-southeast-3=n3w: 2" || strings.Count(outcomes(got), ": ok") != 5 {
				t.Errorf("%s: %s\n%s", name, shown(got), outcomes(got))
			}
		})
	}
}

// TestNamedProjectIsLookedUpAgain: a project with a configured name is deleted and created again, and only /probe is requested.
func TestNamedProjectIsLookedUpAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, organization(), discoverAll)
		yaml := strings.Replace(mainAccount, "ca_file: CA", "ca_file: "+w.CAFile(), 1) + "    projects: [{region: ap-southeast-3, name: dev}]\n"
		c, err := config.Parse("test.yml", []byte(yaml), providerstest.Five(), os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		c.Accounts[0].Projects[0].IAMName = "ap-southeast-3_dev" // as without a file
		w.Load(c)
		probe := func() string { return shown(w.Read(t.Context(), fleet.Filter{Projects: []string{"dev"}})) }
		if got := probe(); got != "dev="+devID+": 2" {
			t.Errorf("at first: %s", got)
		}
		w.Cloud.RemoveProject(devID)
		w.Cloud.AddProject("main", cloudsim.Project{ID: "n3w", Name: "ap-southeast-3_dev"})
		for range 30 {
			pass(time.Minute)
			probe()
		}
		if got := probe(); got != "dev=n3w: 2" {
			t.Errorf("half an hour later: %s", got)
		}
	})
}

func timeout(t *testing.T, after time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), after)
	t.Cleanup(cancel)
	return ctx
}
