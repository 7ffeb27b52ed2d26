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
	"cloud_quota_exporter/internal/fleet/fleettest"
)

// passwordWorld reads twenty projects with a password in a file.
func passwordWorld(t *testing.T, dir, services string) *fleettest.World {
	t.Helper()
	w := fleettest.New(t, manyProjects(), fleettest.DocumentsConfig)
	write(dir, "password", "password-1")
	w.Configure(t, `
accounts:
  - name: main
    credentials: {`+strings.ReplaceAll(kinds["password"].credentials, "DIR", dir)+`}
`+unencrypted+`    discovery: {regions: [ap-southeast-3]}
services: `+services+`
`)
	return w
}

func scrapeFor(t *testing.T, w *fleettest.World, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		w.Scrape(t, 10*time.Second)
		<-time.After(15 * time.Second)
	}
}

// TestChangedPasswordLocksNobodyOut changes the password of a user whose twenty tokens end at once: IAM locks out after three failures.
func TestChangedPasswordLocksNobodyOut(t *testing.T) {
	for name, revoked := range map[string]bool{"tokens end with the password": true, "tokens serve on": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				w := passwordWorld(t, dir, "{defaults: {max_in_flight: 256}, ces: {cache_ttl: 5m}}")
				wantScrape(t, w, "at first", allRead)
				<-time.After(5 * time.Minute)
				w.Cloud.SetPassword("main", "reader", "password-2")
				if revoked {
					w.Cloud.Revoke("main")
				}
				<-time.After(24 * time.Hour)
				before := refusals(w)
				scrapeFor(t, w, 14*time.Minute)
				if got := refusals(w) - before; got != 1 {
					t.Errorf("%d logins were refused in 14 minutes, want 1", got)
				}
				write(dir, "password", "password-2")
				scrapeFor(t, w, 5*time.Minute+30*time.Second) // the sources have pauses of their own, up to cache_ttl
				wantScrape(t, w, "after the file was mended", allRead)
			})
		})
	}
}

// TestRefusedTokensAreNotRenewedForEver has a service that refuses whatever token it is shown.
func TestRefusedTokensAreNotRenewedForEver(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := passwordWorld(t, dir, "{defaults: {cache_ttl: 1m}, ces: {cache_ttl: 1m}}")
		w.Cloud.Inject(cloudtest.Fault{Service: "dcs", Status: http.StatusUnauthorized, Body: cloudsim.ErrorBody("dcs", 401, "no")})
		scrapeFor(t, w, 55*time.Minute)
		wantScrape(t, w, "after an hour", "map[ok:80 unauthorized:20]")
		if got := w.Cloud.Issued()["password"]; got > 21+21+20 { // those at first, and one more each
			t.Errorf("%d tokens in an hour", got)
		}
	})
}

func TestAtMostEightLoginsAtATime(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := passwordWorld(t, dir, "{defaults: {max_in_flight: 256}, ces: {cache_ttl: 5m}}")
		w.Cloud.Inject(cloudtest.Fault{Path: tokenPath, Latency: time.Second})
		scrapeFor(t, w, time.Minute)
		if got := w.Cloud.Issued()["password"]; got != 21 {
			t.Errorf("%d tokens, want 21", got)
		}
		if most := w.Cloud.MaxInFlight(); most > 8+20*5-8 {
			t.Errorf("%d requests at a time", most)
		}
	})
}

// TestThrottledLoginStopsTheOthers counts them.
func TestThrottledLoginStopsTheOthers(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := passwordWorld(t, dir, "{defaults: {max_in_flight: 256}, ces: {cache_ttl: 5m}}")
		w.Cloud.Inject(cloudtest.Fault{
			Path: tokenPath, When: func(n int) bool { return n > 1 }, Latency: time.Second,
			Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"600"}},
		})
		scrapeFor(t, w, 5*time.Minute)
		if got := w.Cloud.Requests()["POST "+tokenPath]; got > 1+8 {
			t.Errorf("%d logins within what IAM asked to wait", got)
		}
	})
}

// TestExpiryIsOfTokensInUse takes a project away, and with it its token.
func TestExpiryIsOfTokensInUse(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := passwordWorld(t, dir, "{}")
		w.Scrape(t, time.Minute)
		w.Cloud.RemoveProject("00000000000000000000000000000007")
		for range 40 {
			<-time.After(time.Hour)
			w.Scrape(t, time.Minute)
		}
		if left := time.Until(w.Accounts()[0].KeysExpire); left <= 0 {
			t.Errorf("the tokens in use expired %s ago", -left)
		}
	})
}

// TestKeysOfShortLife are fetched anew after three quarters of it.
func TestKeysOfShortLife(t *testing.T) {
	forEachKind(t, func(t *testing.T, w *fleettest.World, k kind, _ string) {
		if strings.HasPrefix(k.credentials, "oidc") || strings.Contains(k.credentials, "assume_agency") {
			return // these ask for a life of their own
		}
		w.Cloud.SetLifetime(20 * time.Minute)
		wantScrape(t, w, "at first", allRead)
		<-time.After(14*time.Minute + 50*time.Second)
		w.Scrape(t, time.Minute)
		<-time.After(time.Second)
		wantIssued(t, w, k, "after almost three quarters", k.each)
		<-time.After(4 * time.Minute)
		w.Scrape(t, time.Minute)
		<-time.After(10 * time.Second)
		w.Scrape(t, time.Minute)
		<-time.After(time.Second)
		if got := w.Cloud.Issued()[k.issues]; got < k.each+1 {
			t.Errorf("after three quarters: %d keys or tokens were issued", got)
		}
		wantScrape(t, w, "after three quarters", allRead)
	})
}

// TestFailingRenewalIsTold is about keys that are still good.
func TestFailingRenewalIsTold(t *testing.T) {
	forEachKind(t, func(t *testing.T, w *fleettest.World, k kind, _ string) {
		wantScrape(t, w, "at first", allRead)
		<-time.After(time.Until(w.Accounts()[0].KeysExpire) - 9*time.Minute)
		heal := w.Cloud.Inject(cloudtest.Fault{Path: k.path, Status: http.StatusInternalServerError})
		w.Scrape(t, time.Minute)
		<-time.After(5 * time.Minute)
		wantScrape(t, w, "while they serve", allRead)
		if w.Accounts()[0].Up {
			t.Error("the account is up while its keys can't be renewed")
		}
		heal()
		<-time.After(time.Minute)
		w.Scrape(t, time.Minute)
		<-time.After(16 * time.Second)
		w.Scrape(t, time.Minute)
		<-time.After(5 * time.Minute)
		wantScrape(t, w, "when they are renewed", allRead)
		synctest.Wait() // the renewal keeps no scrape waiting
		if !w.Accounts()[0].Up {
			t.Error("the account is down though its keys were renewed")
		}
	})
}

// TestMendedRegionIsAsked reloads a configuration whose first region was wrong, which is where IAM is asked.
func TestMendedRegionIsAsked(t *testing.T) {
	for name, k := range kinds {
		if !strings.Contains(k.path, "/v3") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				w := fleettest.New(t, manyProjects(), fleettest.DocumentsConfig)
				k.setup(w, dir)
				w.HideHosts("ap-southeast-33")
				configure := func(region string) {
					w.Configure(t, `
accounts:
  - name: main
    credentials: {`+strings.ReplaceAll(k.credentials, "DIR", dir)+`}
`+unencrypted+`    projects: [{id: "00000000000000000000000000000000", region: `+region+`, name: p00}]
`)
				}
				configure("ap-southeast-33")
				wantScrape(t, w, "with a wrong region", "map[credentials:5]")
				configure("ap-southeast-3")
				wantScrape(t, w, "when it is mended", "map[ok:5]")
			})
		})
	}
}

// TestReloadsKeepALoginPaused: ten reloads that change how IAM is asked, and nothing of the credentials, make no login.
func TestReloadsKeepALoginPaused(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := passwordWorld(t, dir, "{}")
		write(dir, "password", "wrong")
		configure := func(label, extra string) {
			w.Configure(t, "accounts:\n  - name: "+label+"\n    credentials: {"+strings.ReplaceAll(kinds["password"].credentials, "DIR", dir)+"}\n"+
				"    projects: [{id: '00000000000000000000000000000001', region: ap-southeast-3, name: p}]\n"+extra)
			w.Scrape(t, 10*time.Second)
		}
		for i := range 10 {
			configure("main", fmt.Sprintf("    ca_file: CA\n    endpoints: {cts: 'http://cts%d.example.com'}\n", i))
			configure("renamed", "    ca_file: CA\n")
		}
		if got := refusals(w); got != 1 {
			t.Errorf("%d logins were refused with 20 reloads, want 1", got)
		}
		write(dir, "password", "password-1")
		wantScrape(t, w, "as soon as the file is corrected", "map[ok:5]")
	})
}

// TestOneLoginOfManyAccounts: ten accounts with one user make one login with a wrong password, and few with ten wrong ones.
func TestOneLoginOfManyAccounts(t *testing.T) {
	for name, most := range map[string]int{"one password": 1, "ten passwords": 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				yaml := "accounts:\n"
				for i := range 10 {
					password := "wrong"
					if most > 1 {
						password += fmt.Sprint(i)
					}
					yaml += fmt.Sprintf("  - name: a%[1]d\n    ca_file: CA\n    credentials: {password: {domain_name: main, user_name: reader, password: %[2]s}}\n"+
						"    projects: [{id: '%032[1]d', region: ap-southeast-3, name: p%[1]d}]\n", i, password)
				}
				w := fleettest.New(t, manyProjects(), yaml)
				w.Cloud.Inject(cloudtest.Fault{Path: tokenPath, Latency: 10 * time.Millisecond})
				scrapeFor(t, w, 14*time.Minute)
				wantScrape(t, w, "with wrong passwords", "map[credentials:50]")
				if got := refusals(w); got > most {
					t.Errorf("%d logins were refused in 14 minutes, want %d at most", got, most)
				}
			})
		})
	}
}

// TestLateRefusalCounts: IAM refuses the password after nobody waits for the login any more.
func TestLateRefusalCounts(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := passwordWorld(t, dir, "{}")
		write(dir, "password", "wrong")
		w.Cloud.Inject(cloudtest.Fault{Path: tokenPath, Latency: 12 * time.Second})
		scrapeFor(t, w, 14*time.Minute)
		if got := w.Cloud.Requests()["POST "+tokenPath]; got != 1 {
			t.Errorf("%d logins in 14 minutes, want 1", got)
		}
		if got := refusals(w); got != 1 {
			t.Errorf("%d refusals were heard of, want 1", got)
		}
	})
}
