package fleet_test

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/fleet/fleettest"
	"cloud_quota_exporter/providers"
)

const (
	accountServices = "services: {defaults: {enabled: false}, iam: {enabled: true}, dns: {enabled: true}, eps: {enabled: true}}\n"
	knownProject    = "    projects: [{id: '00000000000000000000000000000001', region: ap-southeast-3, name: p01}]\n"

	accountRead = "iam/main: ok\ndns/main: ok\neps/main: ok"
)

// accountOf configures the account "main" of cloudtest.ManyProjects.
func accountOf(credentials, more string) string {
	return "accounts:\n  - name: main\n    credentials: {" + credentials + "}\n" + "    ca_file: CA\n" + more + accountServices
}

// asked returns the requested APIs of IAM and STS, and how often.
func asked(cloud *cloudtest.Cloud) string {
	requests := cloud.Requests()
	maps.DeleteFunc(requests, func(request string, _ int) bool {
		return !slices.Contains([]string{
			"GET /v3/projects", "GET /v3/auth/projects", "GET /v3/auth/domains", "GET /v5/caller-identity", "POST /v3/auth/tokens", "POST /v3.0/OS-AUTH/id-token/tokens",
		}, request)
	})
	return strings.TrimPrefix(fmt.Sprint(requests), "map")
}

// TestAccountID: the steps of the chain that finds the account ID, each without the previous ones. The cloud rejects requests about another account,
// and requests to DNS without a project.
func TestAccountID(t *testing.T) {
	const keys = "static: {access_key: AK, secret_key: SK}"
	domainID := cloudsim.ID("main")
	fault := func(f cloudtest.Fault) func(*fleettest.World) { return func(w *fleettest.World) { w.Cloud.Inject(f) } }
	domains := func(shown ...string) func(*fleettest.World) {
		return func(w *fleettest.World) { w.Cloud.SetDomains("main", shown...) }
	}
	list := func(projects string) func(*fleettest.World) {
		return fault(cloudtest.Fault{Path: "/v3/projects", Status: http.StatusOK, Body: []byte(`{"projects":[` + projects + `]}`)})
	}
	const p1, p2 = `{"id":"00000000000000000000000000000001","name":"ap-southeast-3_p01","domain_id":"`, `{"id":"00000000000000000000000000000002","name":"ap-southeast-3_p02","domain_id":`
	for name, tc := range map[string]struct {
		credentials, more string
		prepare           func(*fleettest.World)
		asked             string
	}{
		"configured":    {keys, "    domain_id: " + domainID + "\n" + knownProject, nil, "[]"},
		"of the agency": {"static: {access_key: BASE, secret_key: SECRET}, assume_agency: {domain_id: " + domainID + ", agency_name: quotas}", knownProject, nil, "[]"},
		"configured before that of the agency": {
			"static: {access_key: BASE, secret_key: SECRET}, assume_agency: {domain_id: " + cloudsim.ID("main") + ", agency_name: quotas}",
			"    domain_id: " + domainID + "\n" + knownProject, nil, "[]",
		},
		"in a token":                 {"password: {domain_name: main, user_name: reader, password: password-1}", knownProject, nil, "[POST /v3/auth/tokens:1]"},
		"in the token of a provider": {"oidc: {idp_id: idp, token_file: DIR/token}", knownProject, nil, "[POST /v3.0/OS-AUTH/id-token/tokens:1]"},
		"of listed projects":         {keys, "    discovery: {}\n", nil, "[GET /v3/projects:1]"},
		"of a project that is looked up": {keys, "    projects: [{region: ap-southeast-3}]\n", func(w *fleettest.World) {
			w.Cloud.AddProject("main", cloudsim.Project{ID: prodID, Name: "ap-southeast-3"})
		}, "[GET /v3/projects:1]"},
		"projects that do not say":             {keys, "    discovery: {}\n", list(p1 + `"},` + p2 + `null}`), "[GET /v3/auth/domains:1 GET /v3/projects:1]"},
		"projects of several accounts":         {keys, "    discovery: {}\n", list(p1 + domainID + `"},` + p2 + `"` + cloudsim.ID("base") + `"}`), "[GET /v3/auth/domains:1 GET /v3/projects:1]"},
		"a project whose domain_id is no text": {keys, "    discovery: {}\n", list(p1 + domainID + `"},` + p2 + `5}`), "[GET /v3/projects:1]"},
		"projects of a bad domain_id":          {keys, "    discovery: {}\n", list(p1 + `a/b"}`), "[GET /v3/auth/domains:1 GET /v3/projects:1]"},
		"listed by IAM":                        {keys, knownProject, nil, "[GET /v3/auth/domains:1]"},
		"of an agency by name":                 {"static: {access_key: BASE, secret_key: SECRET}, assume_agency: {domain_name: main, agency_name: quotas}", knownProject, nil, "[GET /v3/auth/domains:1]"},
		"no account listed":                    {keys, knownProject, domains(), "[GET /v3/auth/domains:1 GET /v5/caller-identity:1]"},
		"several accounts listed":              {keys, knownProject, domains("main", "base"), "[GET /v3/auth/domains:1 GET /v5/caller-identity:1]"},
		"the list is refused":                  {keys, knownProject, fault(cloudtest.Fault{Path: "/v3/auth/domains", Status: http.StatusForbidden, Body: cloudsim.ErrorBody("iam", 403, "no")}), "[GET /v3/auth/domains:1 GET /v5/caller-identity:1]"},
		"the list is not there":                {keys, knownProject, fault(cloudtest.Fault{Path: "/v3/auth/domains", Status: http.StatusNotFound}), "[GET /v3/auth/domains:1 GET /v5/caller-identity:1]"},
		"the list is malformed":                {keys, knownProject, fault(cloudtest.Fault{Path: "/v3/auth/domains", Status: http.StatusOK, Body: []byte(`{"domains":[{"name":"main"}]}`)}), "[GET /v3/auth/domains:1 GET /v5/caller-identity:1]"},
		"the list fails":                       {keys, knownProject, fault(cloudtest.Fault{Path: "/v3/auth/domains", Status: http.StatusBadGateway}), "[GET /v3/auth/domains:1 GET /v5/caller-identity:1]"},
		"the list hangs":                       {keys, knownProject, fault(cloudtest.Fault{Path: "/v3/auth/domains", Hang: true}), "[GET /v3/auth/domains:1 GET /v5/caller-identity:1]"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				write(dir, "token", "id.token.1")
				w := fleettest.NewOf(t, providers.All(), cloudtest.ManyProjects(), accountOf(strings.ReplaceAll(tc.credentials, "DIR", dir), tc.more))
				if tc.prepare != nil {
					tc.prepare(w)
				}
				for range 2 { // the second one finds the id
					if got := outcomes(w.Scrape(t, time.Minute)); got != accountRead {
						t.Errorf("outcomes\n%s", got)
					}
					pass(20 * time.Minute)
				}
				if got := asked(w.Cloud); got != tc.asked && !strings.Contains(tc.more, "discovery") || strings.Contains(got, "domains") != strings.Contains(tc.asked, "domains") {
					t.Errorf("requested %s, want %s", got, tc.asked)
				}
			})
		})
	}
}

// TestProjectHangs: while IAM does not return the project that a few APIs need in a header, the other account-level services are fetched.
func TestProjectHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		yaml := accountOf("static: {access_key: AK, secret_key: SK}", "    domain_id: "+cloudsim.ID("main")+"\n    projects: [{region: ap-southeast-3}]\n")
		w := fleettest.NewOf(t, providers.All(), cloudtest.ManyProjects(), strings.Replace(yaml, "dns: {enabled: true}, ", "", 1))
		w.Cloud.Inject(cloudtest.Fault{Path: "/v3/projects", Hang: true})
		for range 2 {
			if got, want := outcomes(w.Scrape(t, time.Minute)), "iam/main: ok\neps/main: ok"; got != want {
				t.Errorf("outcomes\n%s\nwant\n%s", got, want)
			}
			pass(20 * time.Minute)
		}
	})
}

// TestProjectMissing: the remedy if an API needs a project of the account, and there is none.
func TestProjectMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		yaml := accountOf("static: {access_key: AK, secret_key: SK}", "    domain_id: "+cloudsim.ID("main")+"\n    projects: []\n")
		w := fleettest.NewOf(t, providers.All(), cloudtest.ManyProjects(), strings.NewReplacer("iam: {enabled: true}, ", "", "eps: ", "ces: ").Replace(yaml))
		const want = "; check that a project of the account is configured or discovered, and that the credentials are correct"
		if err := find(t, w.Scrape(t, time.Minute), "dns", "main").State.Err; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v has no remedy%s", err, want)
		}
	})
}

// TestNoAccountID: the error if no step of the chain finds an ID, and that the next scrape after IAM has recovered succeeds.
func TestNoAccountID(t *testing.T) {
	const keys, password = "static: {access_key: AK, secret_key: SK}", "password: {domain_name: main, user_name: reader, password: wrong}"
	refuse := func(path string, status int) cloudtest.Fault {
		return cloudtest.Fault{Path: path, Status: status, Body: cloudsim.ErrorBody("iam", status, "no")}
	}
	const sts, iamDomains = "/v5/caller-identity", "/v3/auth/domains"
	for name, tc := range map[string]struct {
		credentials, more string
		faults            []cloudtest.Fault
		hide              string
		reason, says      string
	}{
		"no account listed, no STS":           {keys, knownProject, nil, "sts.", "not_found", "IAM lists 0 accounts, expected one; GET https://sts.ap-southeast-3."},
		"no account listed, STS has none":     {keys, knownProject, []cloudtest.Fault{{Path: sts, Status: http.StatusOK, Body: []byte(`{"account_id":null}`)}}, "", "not_found", "account_id is missing"},
		"no account listed, STS times out":    {keys, knownProject, []cloudtest.Fault{{Path: sts, Hang: true}}, "", "not_found", "no response after 3s"},
		"IAM refuses, and STS":                {keys, knownProject, []cloudtest.Fault{refuse(iamDomains, 403), refuse(sts, 403)}, "", "not_found", "403 Forbidden"},
		"IAM fails":                           {keys, knownProject, []cloudtest.Fault{refuse(iamDomains, 502)}, "sts.", "server_error", "look up the ID of account main: GET http"},
		"IAM throttles":                       {keys, knownProject, []cloudtest.Fault{refuse(iamDomains, 429)}, "sts.", "throttled", "look up the ID of account main: GET http"},
		"no keys":                             {password, knownProject, nil, "", "credentials", "401 Unauthorized"},
		"no region":                           {keys, "    projects: []\n", nil, "", "not_found", "the region of account main is unknown because the account has no project; set discovery.regions for the account"},
		"no region for IAM":                   {keys, "    projects: []\n    endpoints: {iam: 'https://iam.{region}.test'}\n", nil, "", "not_found", "the region of account main is unknown"},
		"no region for IAM of another region": {keys, "    projects: []\n    endpoints: {iam: {eu-de: 'https://iam.eu-de.test'}}\n", nil, "", "not_found", "the region of account main is unknown"},
		"no region, as nothing is discovered": {keys, "    discovery: {}\n", []cloudtest.Fault{{Path: "/v3/projects", Status: http.StatusOK, Body: []byte(`{"projects":[]}`)}}, "", "not_found", "the region of account main is unknown"},
		"no region, as discovery fails":       {keys, "    discovery: {}\n", []cloudtest.Fault{refuse("/v3/projects", 503)}, "", "server_error", "find the region of account main by its first project: "},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := fleettest.NewOf(t, providers.All(), cloudtest.ManyProjects(), accountOf(tc.credentials, tc.more))
				w.Cloud.SetDomains("main")
				var heal []func()
				for _, f := range tc.faults {
					heal = append(heal, w.Cloud.Inject(f))
				}
				w.HideHosts(cmp.Or(tc.hide, "nothing"))
				w.Scrape(t, 30*time.Second)
				pass(10 * time.Second)
				readings := w.Scrape(t, 30*time.Second)
				for _, r := range readings {
					if r.Reason() != tc.reason || !strings.Contains(r.State.Err.Error(), tc.says) {
						t.Errorf("%s: %s, %v, want %s, %s", r.Service, r.Reason(), r.State.Err, tc.reason, tc.says)
					}
					if tc.reason == "not_found" && !strings.Contains(tc.says, "region") && !strings.Contains(r.State.Err.Error(), "; set domain_id for the account") {
						t.Errorf("%v has no remedy", r.State.Err)
					}
				}
				if len(readings) != 3 {
					t.Errorf("%d readings", len(readings))
				}
				for _, end := range heal {
					end()
				}
				w.Configure(t, accountOf(keys, "    domain_id: "+cloudsim.ID("main")+"\n"+knownProject))
				if got := outcomes(w.Scrape(t, time.Minute)); got != accountRead {
					t.Errorf("once domain_id is set\n%s", got)
				}
			})
		})
	}
}

// TestAccountWithoutProject: services that need a project of the account, and get a 401 without one, report this, and do not affect the others.
func TestAccountWithoutProject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.ManyProjects()
		cloud.Inject(cloudtest.Fault{Service: "ga", Status: http.StatusUnauthorized, Body: cloudsim.ErrorBody("gateway", http.StatusUnauthorized, "no project")})
		w := fleettest.NewOf(t, providers.All(), cloud, mainAccount+"    domain_id: "+cloudsim.ID("main")+"\n    projects: []\n"+
			"services: {defaults: {enabled: false}, dns: {enabled: true, cache_ttl: 1m}, ga: {enabled: true, cache_ttl: 1m}, eps: {enabled: true, cache_ttl: 1m}}\n")
		for range 40 {
			readings := w.Scrape(t, 10*time.Second)
			if r := find(t, readings, "eps", "main"); r.Reason() != "" {
				t.Fatalf("eps: %v", r.State.Err)
			}
			if r := find(t, readings, "dns", "main"); r.Reason() != "unauthorized" || !strings.Contains(r.State.Err.Error(), "; check that a project of the account is configured or discovered, and that") {
				t.Fatalf("dns: %s, %v", r.Reason(), r.State.Err)
			}
			pass(30 * time.Second)
		}
	})
}

// TestAccountLevelByEachKind: each kind of credentials fetches account-level and project-level services, with the token of each.
func TestAccountLevelByEachKind(t *testing.T) {
	for kind, states := range map[string]string{
		"static":             "static: {access_key: AK, secret_key: SK}",
		"environment":        "environment: {}",
		"profile":            "profile: {file: DIR/profile}",
		"agency":             byAgency,
		"oidc":               "oidc: {idp_id: idp, token_file: DIR/token}",
		"password":           byPassword,
		"agency by password": "password: {domain_name: base, user_name: robot, password: PASSWORD}, assume_agency: {domain_name: main, agency_name: quotas}",
		"instance_metadata":  "instance_metadata: {endpoint: 'http://169.254.169.254'}",
		"pod_identity":       "pod_identity: {}",
	} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				write(dir, "password", "password-1")
				write(dir, "token", "id.token.1")
				write(dir, "profile", "[basic]\nak = AK\nsk = SK\n")
				cloud := cloudtest.ManyProjects()
				cloud.SetMachine(cloudtest.Machine{Account: "main", PodAuthorization: "id.token.1"})
				w := fleettest.NewOf(t, providers.All(), cloud, mainAccount+knownProject)
				w.Setenv("HUAWEICLOUD_SDK_AK", "AK")
				w.Setenv("HUAWEICLOUD_SDK_SK", "SK")
				w.Setenv("HC_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/pod-identity/credentials")
				w.Setenv("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", filepath.Join(dir, "token"))
				w.Configure(t, "accounts:\n  - name: main\n    credentials: {"+strings.ReplaceAll(states, "DIR", dir)+"}\n    ca_file: CA\n"+knownProject+
					"services: {ces: {enabled: false}, taurusdb: {enabled: false}, dcs: {enabled: false}, dbss: {enabled: false}, iam: {enabled: true}, dns: {enabled: true}, eps: {enabled: true}}\n")
				if got, want := outcomes(w.Scrape(t, time.Minute)), accountRead+"\ncts/p01: ok"; got != want {
					t.Errorf("outcomes\n%s\nwant\n%s", got, want)
				}
			})
		})
	}
}

// TestAccountLabel: the label of an account, and what does not count as a project.
func TestAccountLabel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.ManyProjects()
		cloud.AddProject("main", cloudsim.Project{ID: prodID, Name: "ap-southeast-3_x"})
		yaml := accountOf("static: {access_key: AK, secret_key: SK}", "    discovery: {name_prefix: '', include: 'ap-southeast-3_x'}\n")
		yaml = strings.Replace(strings.Replace(yaml, "name: main", "name: ap-southeast-3_x", 1), "defaults: {enabled: false}", "cts: {enabled: true}", 1)
		w := fleettest.NewOf(t, providers.All(), cloud, yaml)
		readings := w.Scrape(t, time.Minute)
		want := fleet.Project{Label: "ap-southeast-3_x", Account: "ap-southeast-3_x", IsAccount: true}
		if got := readings[0].Project; got != want {
			t.Errorf("project %+v", got)
		}
		a := w.Accounts()[0]
		if a.Projects != 0 || len(a.Skipped) != 1 || len(readings) != 3 {
			t.Errorf("%d projects, skipped %s, %d readings; the label of the account wins", a.Projects, a.Skipped, len(readings))
		}
		w.Configure(t, strings.NewReplacer("iam: {enabled: true}, dns: {enabled: true}, eps: {enabled: true}", "cts: {cache_ttl: 1m}", "cts: {enabled: true}, ", "").Replace(yaml))
		a = w.Accounts()[0]
		if a.Projects != 1 || len(a.Skipped) != 0 {
			t.Errorf("without account-level services: %d projects, skipped %s", a.Projects, a.Skipped)
		}
	})
}

// TestAccountRegion: the first of discovery.regions, or that of the first project, which does not change while it has projects.
func TestAccountRegion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.New(cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: []cloudsim.Project{
			{ID: prodID, Name: "ap-southeast-3_b"}, {ID: devID, Name: "ap-southeast-3_c"},
		}})
		w := fleettest.NewOf(t, providers.All(), cloud, mainAccount+"    discovery: {}\n"+accountServices)
		readings := w.Read(t.Context(), fleet.Filter{Projects: []string{"main"}}) // as /probe does right after the start
		if got := outcomes(readings); got != accountRead {
			t.Errorf("at first\n%s", got)
		}
		where := func() string { return w.Describe(t.Context())[0].Sources[0].URL }
		if got := where(); got != "https://iam.ap-southeast-3.myhuaweicloud.com" {
			t.Errorf("requested at %s", got)
		}
		cloud.AddProject("main", cloudsim.Project{ID: cloudsim.ID("a"), Name: "ap-southeast-1_a"})
		pass(16 * time.Minute)
		w.Scrape(t, time.Minute)
		synctest.Wait()
		if got := where(); got != "https://iam.ap-southeast-3.myhuaweicloud.com" {
			t.Errorf("with a project that is listed before: requested at %s", got)
		}
		cloud.RemoveProject(prodID)
		cloud.RemoveProject(devID)
		pass(16 * time.Minute)
		w.Scrape(t, time.Minute)
		synctest.Wait()
		if got := where(); got != "https://iam.ap-southeast-1.myhuaweicloud.com" {
			t.Errorf("without its previous projects: requested at %s", got)
		}
		w.Configure(t, mainAccount+"    discovery: {regions: [ap-southeast-2, ap-southeast-1]}\n"+accountServices)
		if got := where(); got != "https://iam.ap-southeast-2.myhuaweicloud.com" {
			t.Errorf("with discovery.regions: requested at %s", got)
		}
	})
}

// TestThrottledIAMQuotas: a 429 of the service "iam" pauses neither discovery nor tokens, and a 429 of IAM's list of projects does not pause the
// service.
func TestThrottledIAMQuotas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.NewOf(t, providers.All(), cloudtest.ManyProjects(), accountOf("static: {access_key: AK, secret_key: SK}", "    discovery: {}\n"))
		heal := w.Cloud.Inject(cloudtest.Fault{Path: "/v3.0/OS-QUOTA/domains/{domain_id}", Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"3000"}}})
		w.Scrape(t, time.Minute)
		pass(16 * time.Minute)
		w.Scrape(t, time.Minute)
		synctest.Wait() // the list is known, so nothing waits for it
		if got := w.Cloud.Requests()["GET /v3/projects"]; got != 2 {
			t.Errorf("the list of projects was requested %d times, want 2", got)
		}
		heal()
		pass(40 * time.Minute)
		w.Cloud.Inject(cloudtest.Fault{Path: "/v3/projects", Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"3000"}}})
		w.Scrape(t, time.Minute)
		pass(16 * time.Minute)
		if got := outcomes(w.Scrape(t, time.Minute)); got != accountRead {
			t.Errorf("while IAM throttles the list of projects\n%s", got)
		}
	})
}

// TestKeyOfAnotherSite: hosts in the region of another site do not know the key. They are never its first request, and do not pause the other
// services.
func TestKeyOfAnotherSite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.New(cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: []cloudsim.Project{{ID: prodID, Name: "cn-east-3"}}})
		for _, service := range []string{"ccm", "ccm_ca", "tms"} {
			cloud.Inject(cloudtest.Fault{Service: service, Status: http.StatusUnauthorized, Body: cloudsim.ErrorBody("gateway", http.StatusUnauthorized, "ak not exist")})
		}
		yaml := strings.Replace(mainAccount, "main", "a", 1) + "    domain_id: " + cloudsim.ID("main") + "\n    projects: [{id: " + prodID + ", region: cn-east-3, name: p01}]\n" +
			"services: {defaults: {enabled: false, cache_ttl: 1m}, cts: {enabled: true}, ccm: {enabled: true, cache_ttl: 1m}, ccm_ca: {enabled: true, cache_ttl: 1m}, tms: {enabled: true, cache_ttl: 1m}}\n"
		w := fleettest.NewOf(t, providers.All(), cloud, yaml)
		for range 40 {
			w.Scrape(t, 10*time.Second)
			synctest.Wait()
			if r := find(t, w.Scrape(t, 10*time.Second), "cts", "p01"); r.Reason() != "" {
				t.Fatalf("cts: %v", r.State.Err)
			}
			pass(30 * time.Second)
		}
		if got := find(t, w.Scrape(t, time.Second), "ccm_ca", "a").Reason(); got != "unauthorized" {
			t.Errorf("ccm_ca: %q", got)
		}
	})
}

// TestListThatHasJustArrived: account-level services request the list of projects themselves. The first scrape waits until the received list is active,
// so that it has the projects.
func TestListThatHasJustArrived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.NewOf(t, providers.All(), cloudtest.ManyProjects(), mainAccount+"    discovery: {regions: [ap-southeast-3], include: '.*_p01'}\n"+
			"services: {defaults: {enabled: false}, cts: {enabled: true}, eps: {enabled: true}}\n")
		w.OnLog = func(keyvals ...any) {
			if slices.Contains(keyvals, any("Discovered projects")) { // by the fetch, after it ends and before the list is active
				<-time.After(time.Second)
			}
		}
		w.Cloud.Inject(cloudtest.Fault{Service: "eps", Latency: 5 * time.Second})
		go w.Read(t.Context(), fleet.Filter{Services: []string{"eps"}, Projects: []string{"main"}})
		<-time.After(100 * time.Millisecond)
		if got := outcomes(w.Scrape(t, time.Minute)); got != "cts/ap-southeast-3_p01: ok\neps/main: ok" {
			t.Errorf("outcomes\n%s", got)
		}
	})
}
