package fleet_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet/fleettest"
	"cloud_quota_exporter/internal/huaweicloud"
)

const chainConfig = `
accounts:
  - ca_file: CA
    projects: [{id: "00000000000000000000000000000000", region: ap-southeast-3, name: p00}]
`

// chainWorld is a fleet without stated credentials, in a machine without any.
func chainWorld(t *testing.T) *fleettest.World {
	t.Helper()
	w := fleettest.New(t, manyProjects(), chainConfig)
	w.Setenv("HOME", t.TempDir())
	w.Configure(t, chainConfig)
	return w
}

// checkCredentials has the fleet check its credentials, and returns what it logs: where they come from, and what is wrong.
func checkCredentials(t *testing.T, w *fleettest.World) (from, failure any) {
	t.Helper()
	w.CheckCredentials(t.Context())
	last := map[string]any{}
	for _, line := range w.Logged() {
		if line["from"] != nil {
			last = line
		}
	}
	return last["from"], last["err"]
}

func TestDefaultChainTakesTheFirstThatFits(t *testing.T) {
	dir := t.TempDir()
	write(dir, "credentials", "[basic]\nak = AK\nsk = SK\n")
	write(dir, "pod_token", "pod-token")
	environment := func(w *fleettest.World) { w.Setenv("HW_ACCESS_KEY", "AK"); w.Setenv("HW_SECRET_KEY", "SK") }
	profile := func(w *fleettest.World) {
		w.Setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", filepath.Join(dir, "credentials"))
	}
	metadata := func(w *fleettest.World) { w.Cloud.SetMachine(cloudtest.Machine{Account: "main"}) }
	pod := func(w *fleettest.World) {
		w.Setenv("HC_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.1.1/pod-identity/credentials")
		w.Setenv("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", filepath.Join(dir, "pod_token"))
		w.Cloud.Inject(cloudtest.Fault{Service: "metadata", Reset: true}) // pods can't reach it
		w.Cloud.SetMachine(cloudtest.Machine{Account: "main", PodAuthorization: "pod-token"})
	}
	for _, tc := range []struct {
		want string
		has  []func(*fleettest.World)
	}{
		{"environment: HW_ACCESS_KEY, HW_SECRET_KEY", []func(*fleettest.World){environment, profile, metadata}},
		{"profile: " + dir + "/credentials, section basic", []func(*fleettest.World){profile, metadata}},
		{"instance_metadata: http://169.254.169.254", []func(*fleettest.World){metadata}},
		{"pod_identity: HC_CONTAINER_CREDENTIALS_FULL_URI", []func(*fleettest.World){pod}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := chainWorld(t)
			for _, has := range tc.has {
				has(w)
			}
			w.Configure(t, chainConfig+"    cloud: myhuaweicloud.com\n") // looks at variables anew
			if from, failure := checkCredentials(t, w); from != tc.want || failure != nil {
				t.Errorf("taken from %s, %v; want %s", from, failure, tc.want)
			}
			wantScrape(t, w, tc.want, "map[ok:5]")
		})
	}
}

func TestDefaultChainTellsWhyNoneFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chainWorld(t)
		from, failure := checkCredentials(t, w)
		if failure == nil || from != "default chain: environment, profile, instance_metadata, pod_identity" {
			t.Fatalf("taken from %s, %v", from, failure)
		}
		for _, part := range []string{
			"no source of the default chain fits (environment: no keys are set), (profile: ", "/.huaweicloud/credentials: no such file or directory), (instance_metadata: ",
			"Please configure Cloud Service Agency first (request id ", "), (pod_identity: HC_CONTAINER_CREDENTIALS_FULL_URI is not set); state credentials",
		} {
			if !strings.Contains(fmt.Sprint(failure), part) {
				t.Errorf("%v, want %q", failure, part)
			}
		}
		wantScrape(t, w, "without keys", "map[credentials:5]")
		w.Cloud.SetMachine(cloudtest.Machine{Account: "main"})
		<-time.After(time.Minute)
		w.Scrape(t, time.Second)
		<-time.After(time.Second)
		wantScrape(t, w, "once the ECS has an agency", "map[ok:5]")
	})
}

// TestDefaultChainStopsAtWhatIsWrong has half of a pair of keys: the agency of the ECS must not be taken instead.
func TestDefaultChainStopsAtWhatIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chainWorld(t)
		w.Setenv("HW_ACCESS_KEY", "AK")
		w.Cloud.SetMachine(cloudtest.Machine{Account: "main"})
		if from, failure := checkCredentials(t, w); failure != "environment: HW_ACCESS_KEY is set, but HW_SECRET_KEY is not" {
			t.Errorf("taken from %s, %v", from, failure)
		}
	})
}

const passwordConfig = `
accounts:
  - name: main
    credentials: {password: {domain_name: main, user_name: reader, password_file: DIR/password}}
` + unencrypted + `    projects:
      - {id: "00000000000000000000000000000000", region: ap-southeast-3, name: p00}
      - {id: "00000000000000000000000000000001", region: ap-southeast-3, name: p01}
      - {id: "0000000000000000000000000000000000ff", region: ap-southeast-3, name: elsewhere}
services: {defaults: {cache_ttl: 1m}, ces: {cache_ttl: 1m}}
`

// TestWrongPasswordIsTriedSeldom counts logins: IAM locks users out who fail too often.
func TestWrongPasswordIsTriedSeldom(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, manyProjects(), fleettest.DocumentsConfig)
		write(dir, "password", "wrong")
		w.Configure(t, strings.ReplaceAll(passwordConfig, "DIR", dir))
		scrapes := func(n int) {
			for range n {
				w.Scrape(t, time.Second)
				<-time.After(15 * time.Second)
			}
		}
		scrapes(4 * 14)
		if got := w.Cloud.Requests()["POST /v3/auth/tokens"]; got != 1 {
			t.Errorf("%d logins with a wrong password in 14 minutes, want 1", got)
		}
		write(dir, "password", "password-1")
		scrapes(4 * 3)
		wantScrape(t, w, "with the right password, and one project of another account", "map[credentials:5 ok:10]")
		w.Cloud.SetPassword("main", "reader", "password-2")
		w.Cloud.Revoke("main")
		before := refusals(w)
		scrapes(4 * 12)
		if got := refusals(w) - before; got < 1 || got > 4 { // of each of the two projects that it was right for, and of the account
			t.Errorf("%d logins were refused within 12 minutes after the password was changed, want 1 to 4", got)
		}
	})
}

// refusals counts the requests that IAM refused.
func refusals(w *fleettest.World) int {
	n := 0
	for _, r := range w.Requests() {
		if r == "iam 401" {
			n++
		}
	}
	return n
}

// TestGoodKeysThatAreRefused has a service that refuses whatever keys it is shown: they are fetched again once, the service is paused for five
// minutes at a time, and the other services go on.
func TestGoodKeysThatAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, manyProjects(), fleettest.DocumentsConfig)
		w.Cloud.SetMachine(cloudtest.Machine{Account: "main"})
		w.Configure(t, `
accounts:
  - name: main
    credentials: {instance_metadata: {}}
`+unencrypted+`    discovery: {regions: [ap-southeast-3]}
services: {defaults: {cache_ttl: 0s, max_in_flight: 256}, ces: {cache_ttl: 0s}}
`)
		w.Cloud.Inject(cloudtest.Fault{Service: "dcs", Status: http.StatusUnauthorized, Body: cloudsim.ErrorBody("dcs", 401, "no")})
		w.Scrape(t, time.Minute)
		for range 40 {
			<-time.After(15 * time.Second)
			w.Scrape(t, 10*time.Second)
		}
		wantScrape(t, w, "after ten minutes", "map[ok:80 unauthorized:20]")
		if got := w.Cloud.Issued()["metadata"]; got < 2 || got > 4 {
			t.Errorf("keys were fetched %d times in ten minutes, want once more after each pause", got)
		}
	})
}

// TestKeysOfAnAgencyAreAskedForWithNewKeys revokes those of the agency and those that it is assumed with.
func TestKeysOfAnAgencyAreAskedForWithNewKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, manyProjects(), fleettest.DocumentsConfig)
		w.Configure(t, `
accounts:
  - name: main
    credentials: {`+kinds["assume_agency by password"].credentials+`}
`+unencrypted+`    discovery: {regions: [ap-southeast-3]}
services: {defaults: {cache_ttl: 1m}, ces: {cache_ttl: 1m}}
`)
		wantScrape(t, w, "at first", allRead)
		w.Cloud.Revoke("main")
		w.Cloud.Revoke("base")
		for range 16 {
			<-time.After(15 * time.Second)
			w.Scrape(t, 10*time.Second)
		}
		wantScrape(t, w, "after four minutes", allRead)
		if got := w.Cloud.Issued(); got["assume_role"] != 2 || got["password"] != 2 {
			t.Errorf("issued %v, want two of each", got)
		}
	})
}

// TestClockSkew has a machine whose clock is wrong: the answer's Date tells.
func TestClockSkew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), fleettest.DocumentsConfig)
		late := http.Header{"Date": {time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}}
		w.Cloud.Inject(cloudtest.Fault{Status: http.StatusUnauthorized, Header: late, Body: cloudsim.ErrorBody("", 401, "signature expired")})
		readings := w.Scrape(t, time.Minute)
		if r := readings[0]; r.Reason() != huaweicloud.ReasonClockSkew || !strings.Contains(r.State.Err.Error(), "1h0m0s behind the cloud's) (request id ") {
			t.Errorf("%s: %v", r.Reason(), r.State.Err)
		}
	})
}
