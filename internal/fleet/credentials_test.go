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

// scrape fetches everything and returns the number of sources with each outcome: "ok", or the reason.
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

// TestLifeOfCredentials uses about a hundred sources whose keys or tokens expire. The tests of credentials cover each kind.
func TestLifeOfCredentials(t *testing.T) {
	for credentials, path := range map[string]string{byAgency: "/v3.0/OS-CREDENTIAL/securitytokens", byPassword: "/v3/auth/tokens"} {
		t.Run(strings.Split(credentials, ":")[0], func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				write(dir, "password", "password-1")
				w := fleettest.New(t, cloudtest.ManyProjects(), `
accounts:
  - name: main
    credentials: {`+strings.ReplaceAll(credentials, "DIR", dir)+`}
`+unencrypted+`    discovery: {regions: [ap-southeast-3]}
services: {defaults: {max_in_flight: 256}, ces: {cache_ttl: 5m}}
`)
				wantUp := func(when string, want bool) {
					synctest.Wait() // no scrape waits for a renewal
					if w.Accounts()[0].Up != want {
						t.Errorf("%s, the account is up: %v", when, !want)
					}
				}
				heal := w.Cloud.Inject(cloudtest.Fault{Latency: time.Second})
				wantScrape(t, w, "at first", allRead)
				heal()
				if most := w.Cloud.MaxInFlight(); most < 40 { // a hundred, but tokens of projects are requested eight at a time
					t.Errorf("at most %d requests at a time", most)
				}
				wantUp("at first", true)
				left := time.Until(w.Accounts()[0].KeysExpire)
				if left < 23*time.Hour || left > 24*time.Hour {
					t.Errorf("the keys expire in %s", left)
				}

				<-time.After(left - 3*time.Minute)
				heal = w.Cloud.Inject(cloudtest.Fault{Path: path, Status: http.StatusInternalServerError, Body: cloudsim.ErrorBody("iam", 500, "no")})
				wantScrape(t, w, "while no keys are issued", allRead)
				pass(time.Second)
				wantUp("while its keys cannot be renewed", false)
				<-time.After(6 * time.Minute)
				w.Scrape(t, time.Minute)
				pass(time.Second)
				readings := w.Scrape(t, time.Minute)
				if err := readings[0].State.Err; readings[0].Reason() != "credentials" || !strings.Contains(err.Error(), "500 Internal Server Error") || len(readings[0].Quotas) == 0 {
					t.Errorf("quotas %v, error %v", readings[0].Quotas, err)
				}
				heal()
				<-time.After(5 * time.Minute)
				w.Scrape(t, time.Minute)
				pass(time.Second)
				wantScrape(t, w, "when keys are issued again", allRead)
				wantUp("when keys are issued again", true)

				w.Cloud.Revoke("main")
				<-time.After(6 * time.Minute)
				heal = w.Cloud.Inject(cloudtest.Fault{Latency: time.Second})
				w.Scrape(t, 10*time.Second) // DBSS has two requests
				wantScrape(t, w, "after a hundred rejections", "map[unauthorized:100]")
				heal()
				<-time.After(16 * time.Second)
				w.Scrape(t, 10*time.Second)
				<-time.After(20 * time.Second) // scrapes do not wait for sources that are known to fail
				wantScrape(t, w, "after the pause", allRead)
			})
		})
	}
}

// TestValidKeysThatAreRejected: a service rejects all keys. They are renewed once, the service is paused for five minutes at a time, and the other
// services continue.
func TestValidKeysThatAreRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, cloudtest.ManyProjects(), `
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

// TestCorrectedRegionIsUsed reloads a configuration whose first region was wrong, which is used for IAM.
func TestCorrectedRegionIsUsed(t *testing.T) {
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
				w := fleettest.New(t, cloudtest.ManyProjects(), yaml)
				w.HideHosts("ap-southeast-33")
				wantScrape(t, w, "with a wrong region", "map[credentials:5]")
				w.Configure(t, strings.ReplaceAll(yaml, "ap-southeast-33", "ap-southeast-3"))
				wantScrape(t, w, "when it is corrected", "map[ok:5]")
			})
		})
	}
}

// TestReloadsKeepALoginPaused: ten reloads that change the requests to IAM, but not the credentials, make no login.
func TestReloadsKeepALoginPaused(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		write(dir, "password", "wrong")
		w := fleettest.New(t, cloudtest.ManyProjects(), fleettest.DocumentsConfig)
		configure := func(label, extra string) {
			w.Configure(t, "accounts:\n  - name: "+label+"\n    credentials: {"+strings.ReplaceAll(byPassword, "DIR", dir)+"}\n"+
				"    discovery: {regions: [ap-southeast-3]}\n"+extra)
			w.Scrape(t, 10*time.Second)
		}
		for i := range 10 {
			configure("main", fmt.Sprintf("    ca_file: CA\n    endpoints: {cts: 'http://cts%d.example.com'}\n", i))
			configure("renamed", "    ca_file: CA\n")
		}
		if got := unauthorized(w); got != 1 {
			t.Errorf("%d logins were rejected with 20 reloads, want 1", got)
		}
		write(dir, "password", "password-1")
		wantScrape(t, w, "as soon as the file is corrected", allRead)
	})
}

// TestSourceOfCredentialsIsLogged without configured credentials: the default chain finds the agency of the ECS.
func TestSourceOfCredentialsIsLogged(t *testing.T) {
	home := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		const yaml = "accounts:\n  - ca_file: CA\n    projects: [{id: \"00000000000000000000000000000000\", region: ap-southeast-3, name: p00}]\n"
		w := fleettest.New(t, cloudtest.ManyProjects(), yaml)
		w.Setenv("HOME", home)
		w.Configure(t, yaml+"    cloud: myhuaweicloud.com\n") // reads variables again
		w.CheckCredentials(t.Context())
		w.Cloud.SetMachine(cloudtest.Machine{Account: "main"})
		<-time.After(time.Minute)
		w.CheckCredentials(t.Context())
		var logged []string
		for _, line := range w.Logged() {
			logged = append(logged, fmt.Sprint(line["msg"], " from ", line["from"]))
		}
		const want = "Failed to get credentials from default chain: environment, profile, instance_metadata, pod_identity, " +
			"Credentials recovered from instance_metadata: http://169.254.169.254, Credentials loaded from instance_metadata: http://169.254.169.254"
		if got := strings.Join(logged, ", "); got != want {
			t.Errorf("logged %s", got)
		}
		wantScrape(t, w, "once the ECS has an agency", "map[ok:5]")
	})
}

// TestSecretsInNoFileAreNotExposed: the demo's keys are in a configuration without a file.
func TestSecretsInNoFileAreNotExposed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), mainAccount+"    projects: [{id: "+prodID+", region: ap-southeast-3, name: prod}]\n")
		w.CheckCredentials(t.Context())
		for _, line := range w.Logged() {
			if line["level"] != "info" {
				t.Errorf("logged %v", line)
			}
		}
	})
}

// TestNoTokenOfTheAccount: if the IDs of all projects are configured, logins are only made for each project, at the start and later. The user of the
// password needs no role on the account.
func TestNoTokenOfTheAccount(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		write(dir, "password", "password-1")
		w := fleettest.New(t, cloudtest.ManyProjects(), "accounts:\n"+strings.ReplaceAll(keyed(dir, "main"),
			"static: {access_key: AK, secret_key_file: "+filepath.Join(dir, "main")+"}", strings.ReplaceAll(byPassword, "DIR", dir)))
		w.CheckCredentials(t.Context())
		wantScrape(t, w, "at first", allRead)
		if n := w.Cloud.Issued()["password"]; n != 20 || !w.Accounts()[0].Up || w.Accounts()[0].KeysExpire.IsZero() {
			t.Errorf("%d tokens, want one for each of 20 projects; %+v", n, w.Accounts()[0])
		}
	})
}
