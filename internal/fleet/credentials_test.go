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

// kind is a kind of credentials that expire.
type kind struct {
	credentials string // of the configuration; DIR in it stands for a directory
	setup       func(w *fleettest.World, dir string)
	issues      string // what the cloud counts
	each        int    // how many keys or tokens twenty projects take
	path        string // of the request that issues them
	rotate      func(w *fleettest.World, dir string)
}

const metadataPath, tokenPath, keysPath = "/openstack/latest/securitykey", "/v3/auth/tokens", "/v3.0/OS-CREDENTIAL/securitytokens"

var kinds = map[string]kind{
	"instance_metadata": {
		credentials: "instance_metadata: {}", issues: "metadata", each: 1, path: metadataPath,
		setup: func(w *fleettest.World, _ string) { w.Cloud.SetMachine(cloudtest.Machine{Account: "main"}) },
	},
	"instance_metadata v1": {
		credentials: "instance_metadata: {endpoint: http://169.254.169.254}", issues: "metadata", each: 1, path: metadataPath,
		setup: func(w *fleettest.World, _ string) {
			w.Cloud.SetMachine(cloudtest.Machine{Account: "main", V1Only: true})
		},
	},
	"pod_identity": {
		credentials: "pod_identity: {}", issues: "pod_identity", each: 1, path: "/pod-identity/credentials",
		setup: func(w *fleettest.World, dir string) { setPod(w, dir, "pod-token-1") },
		rotate: func(w *fleettest.World, dir string) {
			setPod(w, dir, "pod-token-2")
		},
	},
	"oidc": {
		credentials: "oidc: {idp_id: idp, token_file: DIR/id_token}", issues: "token_keys", each: 1, path: keysPath,
		setup:  func(w *fleettest.World, dir string) { setIDToken(w, dir, "id.token.1") },
		rotate: func(w *fleettest.World, dir string) { setIDToken(w, dir, "id.token.2") },
	},
	"password": {
		credentials: "password: {domain_name: main, user_name: reader, password_file: DIR/password}", issues: "password", each: 21, path: tokenPath,
		setup:  func(w *fleettest.World, dir string) { setPassword(w, dir, "password-1") },
		rotate: func(w *fleettest.World, dir string) { setPassword(w, dir, "password-2") },
	},
	"assume_agency": {
		credentials: "static: {access_key: BASE, secret_key: SECRET}, assume_agency: {domain_name: main, agency_name: quotas, duration: 24h}",
		issues:      "assume_role", each: 1, path: keysPath,
		setup: func(*fleettest.World, string) {},
	},
	"assume_agency by password": {
		credentials: "password: {domain_name: base, user_name: robot, password: PASSWORD}, assume_agency: {domain_name: main, agency_name: quotas, duration: 24h}",
		issues:      "assume_role", each: 1, path: keysPath,
		setup: func(*fleettest.World, string) {},
	},
}

func setPod(w *fleettest.World, dir, token string) {
	write(dir, "pod_token", token)
	w.Setenv("HC_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.1.1/pod-identity/credentials")
	w.Setenv("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", filepath.Join(dir, "pod_token"))
	w.Cloud.SetMachine(cloudtest.Machine{Account: "main", PodAuthorization: token})
}

func setIDToken(w *fleettest.World, dir, token string) {
	write(dir, "id_token", token+"\n")
	w.Cloud.SetIDToken("main", token)
}

func setPassword(w *fleettest.World, dir, password string) {
	write(dir, "password", password)
	w.Cloud.SetPassword("main", "reader", password)
}

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

// forEachKind runs a test for every kind of credentials that expire, in a bubble of its own.
func forEachKind(t *testing.T, test func(t *testing.T, w *fleettest.World, k kind, dir string)) {
	for name, k := range kinds {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				w := fleettest.New(t, manyProjects(), fleettest.DocumentsConfig)
				k.setup(w, dir)
				w.Configure(t, `
accounts:
  - name: main
    credentials: {`+strings.ReplaceAll(k.credentials, "DIR", dir)+`}
`+unencrypted+`    discovery: {regions: [ap-southeast-3]}
services: {defaults: {max_in_flight: 256}, ces: {cache_ttl: 5m}}
`)
				test(t, w, k, dir)
			})
		})
	}
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

func wantIssued(t *testing.T, w *fleettest.World, k kind, when string, want int) {
	t.Helper()
	if got := w.Cloud.Issued()[k.issues]; got != want {
		t.Errorf("%s: %d keys or tokens were issued, want %d", when, got, want)
	}
}

// issued returns how many keys or tokens were issued since it was called last.
func (l *life) issued() int {
	n := l.w.Cloud.Issued()[l.issues]
	defer func() { l.issuedBefore = n }()
	return n - l.issuedBefore
}

// life is a kind of credentials that goes through all that can happen to them.
type life struct {
	kind

	w            *fleettest.World
	dir          string
	issuedBefore int
}

func (l *life) wantIssued(t *testing.T, when string, want int) {
	t.Helper()
	if got := l.issued(); got != want {
		t.Errorf("%s: %d keys or tokens were issued, want %d", when, got, want)
	}
}

// TestLifeOfCredentials takes every kind of credentials that expire through their life.
func TestLifeOfCredentials(t *testing.T) {
	forEachKind(t, func(t *testing.T, w *fleettest.World, k kind, dir string) {
		l := &life{kind: k, w: w, dir: dir}
		l.begin(t)
		l.renewedAhead(t)
		l.serveUntilExpiry(t)
		l.refused(t)
		l.expired(t)
		if k.rotate != nil {
			k.rotate(w, dir)
			<-time.After(25 * time.Hour)
			wantScrape(t, w, "after rotation", allRead)
		}
	})
}

func (l *life) begin(t *testing.T) {
	heal := l.w.Cloud.Inject(cloudtest.Fault{Latency: time.Second})
	defer heal()
	wantScrape(t, l.w, "at first", allRead)
	l.wantIssued(t, "a hundred requests without keys", l.each)
	account := l.w.Accounts()[0]
	if left := time.Until(account.KeysExpire); left < 5*time.Hour || left > 24*time.Hour || !account.Up {
		t.Errorf("the keys expire in %s, up %v", left, account.Up)
	}
}

func (l *life) renewedAhead(t *testing.T) {
	<-time.After(time.Until(l.w.Accounts()[0].KeysExpire) - 11*time.Minute)
	wantScrape(t, l.w, "eleven minutes before the keys expire", allRead)
	l.wantIssued(t, "eleven minutes before the keys expire", 0)
	<-time.After(6 * time.Minute)
	heal := l.w.Cloud.Inject(cloudtest.Fault{Path: l.path, Latency: 2 * time.Second}) // the keys that are there serve meanwhile
	before := time.Now()
	wantScrape(t, l.w, "five minutes before the keys expire", allRead)
	if took := time.Since(before); took > time.Second {
		t.Errorf("the scrape took %s: it waited for keys that it didn't need", took)
	}
	<-time.After(10 * time.Second)
	l.wantIssued(t, "five minutes before the keys expire", l.each)
	heal()
}

func (l *life) serveUntilExpiry(t *testing.T) {
	w := l.w
	<-time.After(time.Until(w.Accounts()[0].KeysExpire) - 9*time.Minute)
	heal := w.Cloud.Inject(cloudtest.Fault{Path: l.path, Status: http.StatusInternalServerError, Body: cloudsim.ErrorBody("iam", 500, "no")})
	wantScrape(t, w, "while no keys are issued", allRead)
	<-time.After(6 * time.Minute)
	wantScrape(t, w, "three minutes before the keys expire", allRead)
	<-time.After(6 * time.Minute)
	w.Scrape(t, time.Minute)
	<-time.After(time.Second)
	wantScrape(t, w, "after the keys have expired", "map[credentials:100]")
	readings := w.Scrape(t, time.Minute)
	if err := readings[0].State.Err.Error(); !strings.Contains(err, "500 Internal Server Error") || len(readings[0].Quotas) == 0 {
		t.Errorf("quotas %v, error %s", readings[0].Quotas, err)
	}
	if w.Accounts()[0].Up {
		t.Error("the account is up without keys")
	}
	heal()
	<-time.After(5 * time.Minute)
	w.Scrape(t, time.Minute)
	<-time.After(time.Second)
	wantScrape(t, w, "when keys are issued again", allRead)
	if !w.Accounts()[0].Up {
		t.Error("the account is down with keys")
	}
	l.issued()
}

func (l *life) refused(t *testing.T) {
	heal := l.w.Cloud.Inject(cloudtest.Fault{Latency: time.Second})
	defer heal()
	l.w.Cloud.Revoke("main")
	<-time.After(6 * time.Minute)
	l.w.Scrape(t, 10*time.Second) // DBSS asks twice
	wantScrape(t, l.w, "after a hundred refusals", "map[unauthorized:100]")
	<-time.After(16 * time.Second)
	l.w.Scrape(t, 10*time.Second)
	<-time.After(20 * time.Second) // nobody waits for a source that is known to fail
	wantScrape(t, l.w, "after the pause", allRead)
	l.wantIssued(t, "a hundred refusals", l.each)
}

func (l *life) expired(t *testing.T) {
	heal := l.w.Cloud.Inject(cloudtest.Fault{Latency: time.Second})
	defer heal()
	<-time.After(25 * time.Hour)
	wantScrape(t, l.w, "with expired keys", allRead)
	l.wantIssued(t, "a hundred requests with expired keys", l.each)
	if most := l.w.Cloud.MaxInFlight(); most < 40 { // a hundred, but that tokens of projects are asked for eight at a time
		t.Errorf("at most %d requests at a time", most)
	}
}
