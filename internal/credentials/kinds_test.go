package credentials_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/credentials"
	"cloud_quota_exporter/internal/huaweicloud"
)

// world is a simulated cloud with twenty projects, and the machine from which sources of credentials reach it.
type world struct {
	*cloudtest.Cloud
	dir  string
	deps credentials.Deps
	env  map[string]string
	http *http.Client

	refusals atomic.Int64 // requests that IAM has rejected
}

func newWorld(t *testing.T, dir string) *world {
	t.Helper()
	pipe := cloudsim.NewPipe()
	w := &world{Cloud: cloudtest.ManyProjects(), dir: dir, env: map[string]string{"HOME": dir}, http: huaweicloud.NewHTTPClient(pipe.Dial, "", 100)}
	t.Cleanup(cloudsim.ServePlain(w.Cloud, pipe).Close)
	w.deps = credentials.Deps{
		IAM: func(region string) *huaweicloud.Client { return w.client("iam", region) }, Region: "ap-southeast-3",
		Dial: pipe.Dial, Getenv: func(name string) string { return w.env[name] }, Logins: credentials.NewLogins(),
	}
	return w
}

func (w *world) client(service, region string) *huaweicloud.Client {
	return &huaweicloud.Client{
		HTTP: w.http, Service: service, BaseURL: "http://" + service + "." + region + ".myhuaweicloud.com",
		Events: func(service, code string, _ time.Duration) {
			if service+code == "iam401" {
				w.refusals.Add(1)
			}
		},
	}
}

// read fetches the quotas of all projects at once with the keys or tokens of a source, and returns the number of requests with each outcome.
func (w *world) read(t *testing.T, s credentials.Source) string {
	t.Helper()
	var mu sync.Mutex
	var reading sync.WaitGroup
	outcomes := map[string]int{}
	for _, p := range w.Projects() {
		reading.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
			defer cancel()
			c := w.client("cts", "ap-southeast-3")
			c.Auth, c.Scope = s, huaweicloud.Scope{ProjectID: p.ID, Region: "ap-southeast-3"}
			outcome := "ok"
			if _, err := c.Get(ctx, "/v3/{project_id}/quotas"); err != nil {
				outcome = huaweicloud.Reason(err)
			}
			mu.Lock()
			defer mu.Unlock()
			outcomes[outcome]++
		})
	}
	reading.Wait()
	return fmt.Sprint(outcomes)
}

const allRead, noKeys = "map[ok:20]", "map[credentials:20]"

func (w *world) wantRead(t *testing.T, s credentials.Source, when, want string) {
	t.Helper()
	if got := w.read(t, s); got != want {
		t.Errorf("%s: %s, want %s; %v", when, got, want, s.Status().Err)
	}
}

// readFor fetches every 15 seconds.
func (w *world) readFor(t *testing.T, s credentials.Source, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		w.read(t, s)
		<-time.After(15 * time.Second)
	}
}

// kind is a kind of credentials that expire.
type kind struct {
	yaml   string                         // DIR is replaced by a directory
	setup  func(w *world, version string) // makes the cloud accept another version of the proof of identity
	issues string                         // what the cloud counts
	each   int                            // how many keys or tokens twenty projects need
	path   string                         // of the request that issues them
}

const metadataPath, tokenPath, keysPath = "/openstack/latest/securitykey", "/v3/auth/tokens", "/v3.0/OS-CREDENTIAL/securitytokens"

const byPassword = "password: {domain_name: base, user_name: robot, password: PASSWORD}" + quotas

var kinds = map[string]kind{
	"instance_metadata": {"instance_metadata: {}", func(w *world, _ string) {
		w.SetMachine(cloudtest.Machine{Account: "main"})
	}, "metadata", 1, metadataPath},
	"instance_metadata v1": {"instance_metadata: {endpoint: 'http://169.254.169.254'}", func(w *world, _ string) {
		w.SetMachine(cloudtest.Machine{Account: "main", V1Only: true})
	}, "metadata", 1, metadataPath},
	"pod_identity": {"pod_identity: {}", func(w *world, version string) {
		w.setPod("pod-token-" + version)
	}, "pod_identity", 1, "/pod-identity/credentials"},
	"oidc": {oidc("DIR/id_token"), func(w *world, version string) {
		w.write("id_token", "id.token."+version+"\n")
		w.SetIDToken("main", "id.token."+version)
	}, "token_keys", 1, keysPath},
	"password": {passwordFile("DIR/password"), func(w *world, version string) {
		w.write("password", "password-"+version)
		w.SetPassword("main", "reader", "password-"+version)
	}, "password", 20, tokenPath},
	"assume_agency": {"static: {access_key: BASE, secret_key: SECRET}" + quotas, func(*world, string) {}, "assume_role", 1, keysPath},
	"assume_agency by domain_id": {
		"static: {access_key: BASE, secret_key: SECRET}, assume_agency: {domain_id: " + cloudsim.ID("main") + ", agency_name: quotas, duration: 24h}",
		func(*world, string) {}, "assume_role", 1, keysPath,
	},
	"assume_agency by password": {byPassword, func(*world, string) {}, "assume_role", 1, keysPath},
}

func (w *world) write(name, contents string) { write(filepath.Join(w.dir, name), contents) }

func (w *world) setPod(token string) {
	w.write("pod_token", token)
	w.env[podURI], w.env[podFile] = "http://169.254.1.1/pod-identity/credentials", filepath.Join(w.dir, "pod_token")
	w.SetMachine(cloudtest.Machine{Account: "main", PodAuthorization: token})
}

// life is a source of a kind whose keys or tokens go through all possible states.
type life struct {
	kind
	*world
	source       credentials.Source
	issuedBefore int
}

// forEachKind runs a test for every kind of credentials that expire, each in its own bubble.
func forEachKind(t *testing.T, test func(t *testing.T, l *life)) {
	for name, k := range kinds {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, dir)
				k.setup(w, "1")
				test(t, &life{kind: k, world: w, source: source(t, w.deps, strings.ReplaceAll(k.yaml, "DIR", dir))})
			})
		})
	}
}

func (l *life) wantRead(t *testing.T, when, want string) {
	t.Helper()
	l.world.wantRead(t, l.source, when, want)
}

// wantIssued asserts how many keys or tokens were issued since the last call.
func (l *life) wantIssued(t *testing.T, when string, want int) {
	t.Helper()
	synctest.Wait() // no request waits for a renewal
	n := l.Issued()[l.issues]
	if got := n - l.issuedBefore; got != want {
		t.Errorf("%s: %d keys or tokens were issued, want %d", when, got, want)
	}
	l.issuedBefore = n
}

// waitUntil waits until a time before the first keys expire.
func (l *life) waitUntil(before time.Duration) {
	<-time.After(time.Until(l.source.Status().Expires) - before)
}

func (l *life) wantError(t *testing.T, when string, want bool) {
	t.Helper()
	synctest.Wait()
	if err := l.source.Status().Err; (err != nil) != want {
		t.Errorf("%s: %v", when, err)
	}
}

// TestLifeOfCredentials takes every kind of credentials that expire through their life.
func TestLifeOfCredentials(t *testing.T) {
	forEachKind(t, func(t *testing.T, l *life) {
		heal := l.Inject(cloudtest.Fault{Latency: time.Second})
		l.wantRead(t, "at first", allRead)
		heal()
		l.wantIssued(t, "twenty requests without keys", l.each)
		if left := time.Until(l.source.Status().Expires); left < 5*time.Hour || left > 24*time.Hour {
			t.Errorf("the keys expire in %s", left)
		}
		l.renewed(t)
		l.serveUntilExpiry(t)

		l.Revoke("main")
		<-time.After(2 * time.Minute)
		heal = l.Inject(cloudtest.Fault{Latency: time.Second}) // all are sent before the first rejection
		l.wantRead(t, "with revoked keys", "map[unauthorized:20]")
		heal()
		l.wantRead(t, "after twenty rejections", allRead)
		l.wantIssued(t, "after twenty rejections", l.each)

		<-time.After(25 * time.Hour)
		l.wantRead(t, "with expired keys", allRead)
		l.wantIssued(t, "twenty requests with expired keys", l.each)

		l.setup(l.world, "2")
		<-time.After(25 * time.Hour)
		l.wantRead(t, "after rotation", allRead)
		l.wantError(t, "after rotation", false)
	})
}

// renewed checks that keys are renewed some time before they expire, and as soon as they are issued again.
func (l *life) renewed(t *testing.T) {
	var first any
	if l.issues != "password" { // these have none, which would need the token of the account
		first = origin(t, l.source)
	}
	l.waitUntil(11 * time.Minute)
	l.wantRead(t, "eleven minutes before the keys expire", allRead)
	l.wantIssued(t, "eleven minutes before the keys expire", 0)
	<-time.After(7 * time.Minute)
	heal := l.Inject(cloudtest.Fault{Path: l.path, Latency: 2 * time.Second}) // the existing keys are used in the meantime
	before := time.Now()
	l.wantRead(t, "four minutes before the keys expire", allRead)
	if took := time.Since(before); took > time.Second {
		t.Errorf("the requests took %s: they waited for keys that they did not need", took)
	}
	<-time.After(10 * time.Second)
	l.wantIssued(t, "four minutes before the keys expire", l.each)
	if l.issues != "password" && (first == nil || origin(t, l.source) != first) {
		t.Errorf("the origin of keys is %v, and %v of those that renew them", first, origin(t, l.source))
	}
	heal()

	l.waitUntil(4 * time.Minute)
	heal = l.Inject(cloudtest.Fault{Path: l.path, Status: http.StatusInternalServerError})
	l.wantRead(t, "while no keys are issued", allRead)
	l.wantError(t, "while no keys are issued", true)
	heal()
	<-time.After(time.Minute)
	l.wantRead(t, "after the pause", allRead)
	l.wantIssued(t, "after the pause", l.each)
	l.wantError(t, "after the pause", false)
}

// origin is that of the keys in use; nil for tokens. Because of it, keys count as proven if the previous ones were.
func origin(t *testing.T, s credentials.Source) any {
	t.Helper()
	grant, err := s.Grant(t.Context(), huaweicloud.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	keys, _ := grant.(*huaweicloud.Keys)
	if keys == nil {
		return nil
	}
	return keys.Origin
}

// serveUntilExpiry checks that keys which cannot be renewed are used until they expire.
func (l *life) serveUntilExpiry(t *testing.T) {
	l.waitUntil(9 * time.Minute)
	heal := l.Inject(cloudtest.Fault{Path: l.path, Status: http.StatusInternalServerError, Body: cloudsim.ErrorBody("iam", 500, "no")})
	l.wantRead(t, "nine minutes before the keys expire", allRead)
	<-time.After(6 * time.Minute)
	l.wantRead(t, "three minutes before the keys expire", allRead)
	<-time.After(6 * time.Minute)
	l.wantRead(t, "after the keys have expired", noKeys)
	wantText(t, l.source.Status().Err, "500 Internal Server Error")
	heal()
	<-time.After(5 * time.Minute)
	l.read(t, l.source)
	l.wantRead(t, "when keys are issued again", allRead)
	l.wantIssued(t, "when keys are issued again", l.each)
	l.wantError(t, "when keys are issued again", false)
}

// TestKeysOfShortLife are renewed after three quarters to seven eighths of their lifetime.
func TestKeysOfShortLife(t *testing.T) {
	forEachKind(t, func(t *testing.T, l *life) {
		if l.path == keysPath {
			return // these request their own lifetime
		}
		l.SetLifetime(20 * time.Minute)
		l.wantRead(t, "at first", allRead)
		l.wantIssued(t, "at first", l.each)
		<-time.After(14*time.Minute + 50*time.Second)
		l.wantRead(t, "after almost three quarters", allRead)
		l.wantIssued(t, "after almost three quarters", 0)
		<-time.After(3 * time.Minute)
		l.wantRead(t, "after seven eighths", allRead)
		l.wantIssued(t, "after seven eighths", l.each)
	})
}

// TestAgencyWithRevokedBase revokes the keys of the agency and the base keys that assume it.
func TestAgencyWithRevokedBase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		s := source(t, w.deps, byPassword)
		w.wantRead(t, s, "at first", allRead)
		w.Revoke("main")
		w.Revoke("base")
		w.readFor(t, s, 4*time.Minute)
		w.wantRead(t, s, "after four minutes", allRead)
		if got := w.Issued(); got["assume_role"] != 2 || got["password"] != 2 {
			t.Errorf("issued %v, want two of each", got)
		}
	})
}

// TestDefaultChain uses the first source that exists on the machine, and stops at one that exists but is invalid.
func TestDefaultChain(t *testing.T) {
	const unmet = "default chain: environment, profile, instance_metadata, pod_identity"
	environment := func(w *world) { w.env["HW_ACCESS_KEY"], w.env["HW_SECRET_KEY"] = "AK", "SK" }
	half := func(w *world) { w.env["HW_ACCESS_KEY"] = "AK" }
	profile := func(w *world) {
		w.write("credentials", "[basic]\nak = AK\nsk = SK\n")
		w.env[sdkProfile] = filepath.Join(w.dir, "credentials")
	}
	metadata := func(w *world) { w.SetMachine(cloudtest.Machine{Account: "main"}) }
	pod := func(w *world) {
		w.setPod("pod-token")
		w.Inject(cloudtest.Fault{Service: "metadata", Reset: true}) // pods cannot reach it
	}
	for _, tc := range []struct {
		from string
		has  []func(*world)
		says []string // the error, if there is one
	}{
		{"environment: HW_ACCESS_KEY, HW_SECRET_KEY", []func(*world){environment, profile, metadata}, nil},
		{"profile: DIR/credentials, section basic", []func(*world){profile, metadata}, nil},
		{"instance_metadata: http://169.254.169.254", []func(*world){metadata}, nil},
		{"pod_identity: HC_CONTAINER_CREDENTIALS_FULL_URI", []func(*world){pod}, nil},
		{unmet, []func(*world){half, metadata}, []string{"environment: HW_ACCESS_KEY is set, but HW_SECRET_KEY is not"}},
		{unmet, nil, []string{
			"no credentials found in the default chain (environment: no keys set), (profile: ", "/.huaweicloud/credentials: no such file or directory), (instance_metadata: ",
			"Please configure Cloud Service Agency first (request ID ", "), (pod_identity: HC_CONTAINER_CREDENTIALS_FULL_URI is not set); configure credentials",
		}},
	} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, dir)
			for _, has := range tc.has {
				has(w)
			}
			s := source(t, w.deps, "")
			outcome := allRead
			if tc.says != nil {
				outcome = noKeys
			}
			w.wantRead(t, s, tc.from, outcome)
			status := s.Status()
			if from := strings.ReplaceAll(tc.from, "DIR", dir); status.From != from || (status.Err != nil) != (tc.says != nil) {
				t.Errorf("taken from %s, %v; want %s", status.From, status.Err, from)
			}
			for _, part := range tc.says {
				wantText(t, status.Err, part)
			}
			if tc.says == nil {
				w.Revoke("main")
				w.read(t, s)
				w.wantRead(t, s, "after "+tc.from+" is revoked", allRead)
			}
		})
	}
}
