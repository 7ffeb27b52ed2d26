package fleet_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

const (
	byAgency   = "static: {access_key: BASE, secret_key: SECRET}, assume_agency: {domain_name: main, agency_name: quotas, duration: 24h}"
	byPassword = "password: {domain_name: main, user_name: reader, password_file: DIR/password}"
)

func write(dir, name, contents string) {
	if err := os.WriteFile(filepath.Join(dir, name), []byte(contents), 0o600); err != nil {
		panic(err)
	}
}

// manyProjects is a cloud with twenty projects, which make a hundred sources, and all that the kinds of credentials need.
func manyProjects() *cloudtest.Cloud {
	var projects []cloudsim.Project
	for i := range 20 {
		projects = append(projects, cloudsim.Project{ID: fmt.Sprintf("%032d", i), Name: fmt.Sprintf("ap-southeast-3_p%02d", i)})
	}
	cloud := cloudtest.New(
		cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: projects},
		cloudsim.Account{Name: "base", AccessKey: "BASE", SecretKey: "SECRET"},
	)
	cloud.SetIdentities("main", cloudtest.Identities{
		Users:            []cloudtest.User{{Name: "reader", Password: "password-1"}},
		Agencies:         []cloudtest.Agency{{Name: "quotas", Trusts: "base"}},
		IdentityProvider: &cloudtest.IdentityProvider{ID: "idp", IDToken: "id.token.1"},
	})
	cloud.SetIdentities("base", cloudtest.Identities{Users: []cloudtest.User{{Name: "robot", Password: "PASSWORD"}}})
	return cloud
}

// scrape reads everything and returns how many sources had which outcome: "ok", or the reason.
func scrape(t *testing.T, w *fleettest.World) string {
	t.Helper()
	counts := map[string]int{}
	for _, r := range w.Scrape(t, time.Minute) {
		switch {
		case r.State.Err != nil:
			counts[r.Reason()]++
		case r.State.Fetches > 0:
			counts["ok"]++
		default:
			counts["unread"]++
		}
	}
	return fmt.Sprint(counts)
}

const allRead = "map[ok:100]"

func wantScrape(t *testing.T, w *fleettest.World, when, want string) {
	t.Helper()
	if got := scrape(t, w); got != want {
		t.Errorf("%s: %s, want %s", when, got, want)
	}
}

// life is an account whose credentials expire, which goes through all that can happen to them.
type life struct {
	*fleettest.World

	issues, path string // what the cloud counts, and the path of the request that issues it
	each         int    // how many keys or tokens twenty projects take
	issuedBefore int
}

// wantIssued counts the keys or tokens that were issued since it was called last.
func (l *life) wantIssued(t *testing.T, when string, want int) {
	t.Helper()
	n := l.Cloud.Issued()[l.issues]
	if got := n - l.issuedBefore; got != want {
		t.Errorf("%s: %d keys or tokens were issued, want %d", when, got, want)
	}
	l.issuedBefore = n
}

func (l *life) wantUp(t *testing.T, when string, want bool) {
	t.Helper()
	if l.Accounts()[0].Up != want {
		t.Errorf("%s, the account is up: %v", when, !want)
	}
}

// TestLifeOfCredentials is about a hundred sources whose keys or tokens expire. The tests of credentials are about each kind of them.
func TestLifeOfCredentials(t *testing.T) {
	for credentials, l := range map[string]life{
		byAgency:   {issues: "assume_role", path: "/v3.0/OS-CREDENTIAL/securitytokens", each: 1},
		byPassword: {issues: "password", path: "/v3/auth/tokens", each: 21},
	} {
		kind, _, _ := strings.Cut(credentials, ":")
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				write(dir, "password", "password-1")
				l.World = fleettest.New(t, manyProjects(), `
accounts:
  - name: main
    credentials: {`+strings.ReplaceAll(credentials, "DIR", dir)+`}
`+unencrypted+`    discovery: {regions: [ap-southeast-3]}
services: {defaults: {max_in_flight: 256}, ces: {cache_ttl: 5m}}
`)
				l.begin(t)
				l.serveUntilExpiry(t)
				l.refused(t)
				l.expired(t)
			})
		})
	}
}

func (l *life) begin(t *testing.T) {
	heal := l.Cloud.Inject(cloudtest.Fault{Latency: time.Second})
	defer heal()
	wantScrape(t, l.World, "at first", allRead)
	l.wantIssued(t, "a hundred requests without keys", l.each)
	if left := time.Until(l.Accounts()[0].KeysExpire); left < 23*time.Hour || left > 24*time.Hour {
		t.Errorf("the keys expire in %s", left)
	}
	l.wantUp(t, "at first", true)
}

func (l *life) serveUntilExpiry(t *testing.T) {
	<-time.After(time.Until(l.Accounts()[0].KeysExpire) - 9*time.Minute)
	heal := l.Cloud.Inject(cloudtest.Fault{Path: l.path, Status: http.StatusInternalServerError, Body: cloudsim.ErrorBody("iam", 500, "no")})
	wantScrape(t, l.World, "while no keys are issued", allRead)
	<-time.After(6 * time.Minute)
	wantScrape(t, l.World, "three minutes before the keys expire", allRead)
	l.wantUp(t, "while its keys can't be renewed", false)
	<-time.After(6 * time.Minute)
	l.Scrape(t, time.Minute)
	<-time.After(time.Second)
	wantScrape(t, l.World, "after the keys have expired", "map[credentials:100]")
	readings := l.Scrape(t, time.Minute)
	if err := readings[0].State.Err.Error(); !strings.Contains(err, "500 Internal Server Error") || len(readings[0].Quotas) == 0 {
		t.Errorf("quotas %v, error %s", readings[0].Quotas, err)
	}
	heal()
	<-time.After(5 * time.Minute)
	l.Scrape(t, time.Minute)
	<-time.After(time.Second)
	wantScrape(t, l.World, "when keys are issued again", allRead)
	l.wantUp(t, "when keys are issued again", true)
	l.wantIssued(t, "when keys are issued again", l.each)
}

func (l *life) refused(t *testing.T) {
	heal := l.Cloud.Inject(cloudtest.Fault{Latency: time.Second})
	defer heal()
	l.Cloud.Revoke("main")
	<-time.After(6 * time.Minute)
	l.Scrape(t, 10*time.Second) // DBSS asks twice
	wantScrape(t, l.World, "after a hundred refusals", "map[unauthorized:100]")
	<-time.After(16 * time.Second)
	l.Scrape(t, 10*time.Second)
	<-time.After(20 * time.Second) // nobody waits for a source that is known to fail
	wantScrape(t, l.World, "after the pause", allRead)
	l.wantIssued(t, "a hundred refusals", l.each)
}

func (l *life) expired(t *testing.T) {
	heal := l.Cloud.Inject(cloudtest.Fault{Latency: time.Second})
	defer heal()
	<-time.After(25 * time.Hour)
	wantScrape(t, l.World, "with expired keys", allRead)
	l.wantIssued(t, "a hundred requests with expired keys", l.each)
	if most := l.Cloud.MaxInFlight(); most < 40 { // a hundred, but that tokens of projects are asked for eight at a time
		t.Errorf("at most %d requests at a time", most)
	}
}

// TestGoodKeysThatAreRefused has a service that refuses whatever keys it is shown: they are fetched again once, the service is paused for five
// minutes at a time, and the other services go on.
func TestGoodKeysThatAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, manyProjects(), `
accounts:
  - name: main
    credentials: {`+byAgency+`}
`+unencrypted+`    projects:
      - {id: "00000000000000000000000000000000", region: ap-southeast-3, name: p00}
      - {id: "00000000000000000000000000000001", region: ap-southeast-3, name: p01}
services: {defaults: {cache_ttl: 0s}, ces: {cache_ttl: 0s}}
`)
		w.Cloud.Inject(cloudtest.Fault{Service: "dcs", Status: http.StatusUnauthorized, Body: cloudsim.ErrorBody("dcs", 401, "no")})
		w.Scrape(t, time.Minute)
		for range 40 {
			<-time.After(15 * time.Second)
			w.Scrape(t, 10*time.Second)
		}
		wantScrape(t, w, "after ten minutes", "map[ok:8 unauthorized:2]")
		if got := w.Cloud.Issued()["assume_role"]; got < 2 || got > 4 {
			t.Errorf("keys were fetched %d times in ten minutes, want once more after each pause", got)
		}
	})
}

// TestMendedRegionIsAsked reloads a configuration whose first region was wrong, which is where IAM is asked.
func TestMendedRegionIsAsked(t *testing.T) {
	for _, credentials := range []string{byAgency, byPassword, "oidc: {idp_id: idp, token_file: DIR/id_token}"} {
		kind, _, _ := strings.Cut(credentials, ":")
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				write(dir, "password", "password-1")
				write(dir, "id_token", "id.token.1")
				yaml := `
accounts:
  - name: main
    credentials: {` + strings.ReplaceAll(credentials, "DIR", dir) + `}
` + unencrypted + `    projects: [{id: "00000000000000000000000000000000", region: ap-southeast-33, name: p00}]
`
				w := fleettest.New(t, manyProjects(), yaml)
				w.HideHosts("ap-southeast-33")
				wantScrape(t, w, "with a wrong region", "map[credentials:5]")
				w.Configure(t, strings.ReplaceAll(yaml, "ap-southeast-33", "ap-southeast-3"))
				wantScrape(t, w, "when it is mended", "map[ok:5]")
			})
		})
	}
}

// TestReloadsKeepALoginPaused: ten reloads that change how IAM is asked, and nothing of the credentials, make no login.
func TestReloadsKeepALoginPaused(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		write(dir, "password", "wrong")
		w := fleettest.New(t, manyProjects(), fleettest.DocumentsConfig)
		configure := func(label, extra string) {
			w.Configure(t, "accounts:\n  - name: "+label+"\n    credentials: {"+strings.ReplaceAll(byPassword, "DIR", dir)+"}\n"+
				"    projects: [{id: '00000000000000000000000000000001', region: ap-southeast-3, name: p}]\n"+extra)
			w.Scrape(t, 10*time.Second)
		}
		for i := range 10 {
			configure("main", fmt.Sprintf("    ca_file: CA\n    endpoints: {cts: 'http://cts%d.example.com'}\n", i))
			configure("renamed", "    ca_file: CA\n")
		}
		if got := unauthorized(w); got != 1 {
			t.Errorf("%d logins were refused with 20 reloads, want 1", got)
		}
		write(dir, "password", "password-1")
		wantScrape(t, w, "as soon as the file is corrected", "map[ok:5]")
	})
}

// TestSourceOfCredentialsIsLogged has no credentials stated: the default chain finds the agency of the ECS.
func TestSourceOfCredentialsIsLogged(t *testing.T) {
	home := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		const yaml = "accounts:\n  - ca_file: CA\n    projects: [{id: \"00000000000000000000000000000000\", region: ap-southeast-3, name: p00}]\n"
		w := fleettest.New(t, manyProjects(), yaml)
		w.Setenv("HOME", home)
		w.Configure(t, yaml+"    cloud: myhuaweicloud.com\n") // looks at variables again
		w.CheckCredentials(t.Context())
		w.Cloud.SetMachine(cloudtest.Machine{Account: "main"})
		<-time.After(time.Minute)
		w.CheckCredentials(t.Context())
		var logged []string
		for _, line := range w.Logged() {
			logged = append(logged, fmt.Sprint(line["msg"], " from ", line["from"]))
		}
		const want = "credentials can't be had from default chain: environment, profile, instance_metadata, pod_identity, " +
			"credentials can be had again from instance_metadata: http://169.254.169.254, credentials are there from instance_metadata: http://169.254.169.254"
		if got := strings.Join(logged, ", "); got != want {
			t.Errorf("logged %s", got)
		}
		wantScrape(t, w, "once the ECS has an agency", "map[ok:5]")
	})
}
