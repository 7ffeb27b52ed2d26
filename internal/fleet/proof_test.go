package fleet_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

// unencrypted disables TLS for IAM and all services, because it takes most of a test's time.
const unencrypted = `    endpoints:
      iam: http://iam.{region}.myhuaweicloud.com
      default: http://{service}.{region}.myhuaweicloud.com
`

// keyed is an account with the twenty projects of cloudtest.ManyProjects, and key files in dir.
func keyed(dir, name string) string {
	yaml := "  - name: " + name + "\n    credentials: {static: {access_key: AK, secret_key_file: " + filepath.Join(dir, name) + "}}\n" +
		unencrypted + "    projects:\n"
	for i := range 20 {
		yaml += fmt.Sprintf("      - {id: \"%032d\", region: ap-southeast-3, name: %s-%02d}\n", i, name, i)
	}
	return yaml
}

// keyedWorld fetches the twenty projects with a secret key in the file "main" of dir.
func keyedWorld(t *testing.T, dir, secretKey string) *fleettest.World {
	t.Helper()
	write(dir, "main", secretKey)
	return fleettest.New(t, cloudtest.ManyProjects(), "accounts:\n"+keyed(dir, "main"))
}

// unauthorized returns how many requests the cloud rejected with a 401.
func unauthorized(w *fleettest.World) (n int) {
	for _, r := range w.Requests() {
		if strings.HasSuffix(r, " 401") {
			n++
		}
	}
	return n
}

const allRefused = "map[unauthorized:100]"

// TestWrongSecretKey costs one failed signature in five minutes, for any number of sources and scrapes. The next scrape after the file is corrected
// succeeds. Old values are still exposed, and show that they are not fetched now. If the key is corrected in the cloud, it is tried again after five
// minutes, with one request.
func TestWrongSecretKey(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := keyedWorld(t, dir, "wrong")
		start := time.Now()
		for time.Since(start) < 5*time.Minute {
			wantScrape(t, w, "with a wrong secret key", allRefused)
			pass(15 * time.Second)
		}
		if got := unauthorized(w); got != 1 || len(w.Requests()) != 1 {
			t.Errorf("%d failed signatures in five minutes, want 1; requests %v", got, w.Requests())
		}
		wantScrape(t, w, "after five minutes", allRefused)
		pass(time.Second) // scrapes do not wait for sources that are known to fail
		if got := unauthorized(w); got != 2 {
			t.Errorf("%d failed signatures after five minutes, want 2", got)
		}
		pass(20 * time.Second)
		write(dir, "main", "wrong-again")
		wantScrape(t, w, "with another wrong secret key", allRefused)
		write(dir, "main", "SK")
		wantScrape(t, w, "as soon as the file is corrected", allRead)
		if got := unauthorized(w); got != 3 {
			t.Errorf("%d failed signatures, want one of each wrong key and one after the pause", got)
		}
		write(dir, "main", "other")
		pass(16 * time.Minute)
		w.Scrape(t, 10*time.Second)
		for _, r := range w.Scrape(t, 10*time.Second) {
			if r.Reason() != "unauthorized" || len(r.Quotas) == 0 || r.State.Failures == 0 {
				t.Errorf("%s of %s: reason %q, %d quotas", r.Service, r.Project.Label, r.Reason(), len(r.Quotas))
			}
		}
		w.Cloud.SetKeys("main", "AK", "other", "")
		pass(4*time.Minute + 59*time.Second)
		wantScrape(t, w, "before the pause is over", allRefused)
		pass(time.Second)
		w.Scrape(t, 10*time.Second)
		pass(time.Second)
		wantScrape(t, w, "after the pause", allRead)
		if got := unauthorized(w); got != 4 {
			t.Errorf("%d failed signatures, want one more", got)
		}
	})
}

// TestWrongSecretKeyThatTakesLong: a second request is sent after a second, and no other one. A proxy that responds with a page proves nothing.
func TestWrongSecretKeyThatTakesLong(t *testing.T) {
	for name, fault := range map[string]cloudtest.Fault{
		"slow":  {Latency: 3 * time.Second},
		"hangs": {Hang: true, When: func(n int) bool { return n == 1 }},
		"proxy": {Status: http.StatusOK, Body: []byte("<html>hello</html>"), When: func(n int) bool { return n == 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				w := keyedWorld(t, dir, "wrong")
				heal := w.Cloud.Inject(fault)
				for range 19 {
					w.Scrape(t, 10*time.Second)
					pass(5 * time.Second)
				}
				wantScrape(t, w, "with a wrong secret key", allRefused)
				most := 2
				if name == "proxy" {
					most++ // responds to it
				}
				if got := w.Requests(); len(got) > most {
					t.Errorf("requests in five minutes: %v, want %d at most", got, most)
				}
				heal()
				write(dir, "main", "SK")
				wantScrape(t, w, "as soon as the file is corrected", allRead)
			})
		})
	}
}

// TestNothingRespondsAnyMore: a response that proved nothing does not hide that no service responds now. The sources that wait for a trial also fail.
func TestNothingRespondsAnyMore(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := keyedWorld(t, dir, "SK")
		heal := w.Cloud.Inject(cloudtest.Fault{Status: http.StatusInternalServerError, Body: cloudsim.ErrorBody("", 500, "no")})
		wantScrape(t, w, "while all services fail", "map[server_error:100]")
		heal()
		w.Cloud.Inject(cloudtest.Fault{Hang: true})
		scrapeFor(t, w, 2*time.Minute)
		wantScrape(t, w, "once nothing responds", "map[timeout:100]")
	})
}

// TestReloadsKeepAKeyPaused: five reloads of an account that is configured differently each time send no signature.
func TestReloadsKeepAKeyPaused(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := keyedWorld(t, dir, "wrong")
		wantScrape(t, w, "at first", allRefused)
		for i := range 5 {
			w.Configure(t, "accounts:\n"+keyed(dir, "main")+fmt.Sprintf("    cloud: cloud-%d.example.com\n", i))
			wantScrape(t, w, "after a reload", allRefused)
			w.Configure(t, "accounts:\n"+strings.ReplaceAll(keyed(dir, "main"), "name: main", "name: renamed"))
			wantScrape(t, w, "with another label", allRefused)
		}
		if got := unauthorized(w); got != 1 {
			t.Errorf("%d failed signatures with 10 reloads, want 1", got)
		}
	})
}

// TestManySecretKeysOfOneAccessKey: failed signatures are counted by access key. A wrong secret key does not affect the account with the right one.
func TestManySecretKeysOfOneAccessKey(t *testing.T) {
	for wrong, want := range map[int]string{1: "map[ok:100 unauthorized:100]", 4: "map[unauthorized:400]"} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			w := keyedWorld(t, dir, "SK")
			yaml := "accounts:\n"
			for i := range wrong {
				name := fmt.Sprint("wrong", i)
				write(dir, name, name)
				yaml += keyed(dir, name)
			}
			if wrong == 1 {
				yaml += keyed(dir, "main")
			}
			w.Configure(t, yaml)
			for range 19 {
				wantScrape(t, w, "with wrong secret keys", want)
				pass(15 * time.Second)
			}
			if got := unauthorized(w); got > min(wrong, 2) {
				t.Errorf("%d failed signatures of %d keys in five minutes", got, wrong)
			}
			write(dir, "wrong0", "SK")
			if wrong == 1 {
				wantScrape(t, w, "as soon as the file is corrected", "map[ok:200]")
			}
		})
	}
}

// TestServiceThatRejectsAProvenKey: only this service is paused, and its queued requests are not sent.
func TestServiceThatRejectsAProvenKey(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := keyedWorld(t, dir, "SK")
		wantScrape(t, w, "at first", allRead)
		heal := w.Cloud.Inject(cloudtest.Fault{Service: "dcs", Status: http.StatusUnauthorized, Body: cloudsim.ErrorBody("", 401, "no"), Latency: time.Second})
		pass(6 * time.Minute)
		w.Scrape(t, 10*time.Second)
		wantScrape(t, w, "while a service rejects the key", "map[ok:80 unauthorized:20]")
		if got := unauthorized(w); got > 8 {
			t.Errorf("%d rejections, want the maximum in flight, 8", got)
		}
		heal()
		pass(5 * time.Minute)
		w.Scrape(t, 10*time.Second)
		pass(time.Second)
		wantScrape(t, w, "after five minutes", allRead)
	})
}

// TestKeyThatTwoServicesReject must be proven again: it was revoked.
func TestKeyThatTwoServicesReject(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := keyedWorld(t, dir, "SK")
		wantScrape(t, w, "at first", allRead)
		w.Cloud.SetKeys("main", "AK", "rotated", "")
		w.Cloud.Inject(cloudtest.Fault{Latency: 10 * time.Millisecond})
		pass(16 * time.Minute)
		scrapeFor(t, w, 285*time.Second)
		wantScrape(t, w, "with a revoked key", allRefused)
		if got := unauthorized(w); got > 5*8 {
			t.Errorf("%d failed signatures, want at most the requests in flight when the key was revoked", got)
		}
		before := unauthorized(w)
		scrapeFor(t, w, 8*time.Minute)
		if got := unauthorized(w) - before; got < 1 || got > 2 {
			t.Errorf("%d failed signatures in eight minutes, want one every five", got)
		}
		write(dir, "main", "rotated")
		w.Scrape(t, 10*time.Second)
		wantScrape(t, w, "as soon as the file has the new key", allRead)
	})
}

// TestKeysThatAppear: key files are missing at first, and then wrong. Discovery and ID lookups also continue with the next scrape.
func TestKeysThatAppear(t *testing.T) {
	for name, projects := range map[string]string{
		"discovered": "discovery: {regions: [ap-southeast-3], include: 'ap-southeast-3_p0[0-4]', name_prefix: x}",
		"looked up":  "projects: [{region: ap-southeast-3, name: x1}]",
		"stated":     "projects: [{id: '00000000000000000000000000000001', region: ap-southeast-3, name: x1}]",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				cloud := cloudtest.ManyProjects()
				cloud.AddProject("main", cloudsim.Project{ID: prodID, Name: "ap-southeast-3"})
				w := fleettest.New(t, cloud, "accounts:\n  - name: main\n    credentials: {static: {access_key: AK, secret_key_file: "+
					filepath.Join(dir, "sk")+"}}\n"+unencrypted+"    "+projects+"\n")
				scrapeFor(t, w, 10*time.Minute)
				write(dir, "sk", "wrong")
				scrapeFor(t, w, 150*time.Second)
				if got := unauthorized(w); got != 1 {
					t.Errorf("%d failed signatures, want 1", got)
				}
				write(dir, "sk", "SK")
				readings := w.Read(t.Context(), fleet.Filter{})
				if got := outcomes(readings); len(readings) == 0 || strings.Count(got, ": ok") != len(readings) {
					t.Errorf("as soon as the file is corrected:\n%s", got)
				}
			})
		})
	}
}

// TestCorrectedCredentialIsUsedAtOnce: the proof of identity for keys is wrong, and then corrected. The next scrape succeeds.
func TestCorrectedCredentialIsUsedAtOnce(t *testing.T) {
	for kind, c := range map[string]struct{ states, file, right string }{
		"agency":             {"static: {access_key: BASE, secret_key_file: DIR/c}, assume_agency: {domain_name: main, agency_name: quotas}", "c", "SECRET"},
		"agency by password": {"password: {domain_name: base, user_name: robot, password_file: DIR/c}, assume_agency: {domain_name: main, agency_name: quotas}", "c", "PASSWORD"},
		"oidc":               {"oidc: {idp_id: idp, token_file: DIR/c}", "c", "id.token.1"},
		"password":           {"password: {domain_name: main, user_name: reader, password_file: DIR/c}", "c", "password-1"},
	} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				write(dir, c.file, "wrong")
				yaml := strings.Replace(keyed(dir, "main"), "static: {access_key: AK, secret_key_file: "+filepath.Join(dir, "main")+"}", strings.ReplaceAll(c.states, "DIR", dir), 1)
				w := fleettest.New(t, cloudtest.ManyProjects(), "accounts:\n"+yaml)
				scrapeFor(t, w, 3*time.Minute)
				wantScrape(t, w, "with a wrong credential", "map[credentials:100]")
				synctest.Wait() // a scrape does not wait for fetches that are known to fail: one of them might still use the wrong one
				write(dir, c.file, c.right)
				wantScrape(t, w, "as soon as it is corrected", allRead)
			})
		})
	}
}

// TestKeyCorrectedDuringTheTrials: both requests with the wrong key are in progress when the file is corrected. The right key is sent at once.
func TestKeyCorrectedDuringTheTrials(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := keyedWorld(t, dir, "wrong")
		w.Cloud.Inject(cloudtest.Fault{Latency: 3 * time.Second, When: func(n int) bool { return n == 1 }})
		w.Cloud.Inject(cloudtest.Fault{Latency: 1900 * time.Millisecond, When: func(n int) bool { return n == 2 }}) // both end before another one starts
		read := func(service string) {
			ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
			defer cancel()
			w.Read(ctx, fleet.Filter{Services: []string{service}})
		}
		read("cts")
		write(dir, "main", "SK")
		read("ces") // with the right key, while the trials of the wrong one continue
		pass(10 * time.Second)
		w.Scrape(t, 10*time.Second)
		wantScrape(t, w, "after the trials", allRead)
	})
}

// TestEveryRequestFails: nothing proves the key, so requests are sent two at a time. Each source shows its own reason, or nothing yet.
func TestEveryRequestFails(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := keyedWorld(t, dir, "SK")
		w.Cloud.Inject(cloudtest.Fault{Status: http.StatusServiceUnavailable, Latency: 200 * time.Millisecond})
		for range 4 {
			for _, r := range w.Scrape(t, 10*time.Second) {
				if reason := r.Reason(); reason != "" && reason != "server_error" {
					t.Fatalf("%s of %s: %v", r.Service, r.Project.Label, r.State.Err)
				}
			}
			pass(5 * time.Second)
		}
		wantScrape(t, w, "after half a minute", "map[server_error:100]")
	})
}

// TestSameKeysOfManyAccounts: the metadata service returns the same keys to all accounts. A proof for one account is a proof for all.
func TestSameKeysOfManyAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.New(cloudsim.Account{
			Name: "main", AccessKey: "AK", SecretKey: "SK", SecurityToken: "T", Projects: []cloudsim.Project{{ID: prodID, Name: "ap-southeast-3"}},
		})
		cloud.Inject(cloudtest.Fault{Path: "/openstack/latest/securitykey", Status: http.StatusOK, Body: []byte(
			`{"credential":{"access":"AK","secret":"SK","securitytoken":"T","expires_at":"2000-01-01T12:00:00Z"}}`)})
		cloud.Inject(cloudtest.Fault{Service: "cts", Latency: 300 * time.Millisecond})
		yaml := "accounts:\n"
		for i := range 40 {
			yaml += fmt.Sprintf("  - name: a%d\n    credentials: {instance_metadata: {}}\n%s    projects: [{id: %s, region: ap-southeast-3, name: p%d}]\n", i, unencrypted, prodID, i)
		}
		w, start := fleettest.New(t, cloud, yaml), time.Now()
		readings := w.Read(t.Context(), fleet.Filter{Services: []string{"cts"}})
		if got, took := outcomes(readings), time.Since(start); strings.Count(got, ": ok") != 40 || took > 2*time.Second {
			t.Errorf("after %s:\n%s", took, got)
		}
	})
}
