package command_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// target is what a fault befalls: something that the exporter asks, in a configuration of which other parts must not notice.
type target struct {
	name, column string
	yaml         string          // CA and DIR stand for files
	at           cloudtest.Fault // which requests, and by Host which connections
	asked        string          // what it answers like
	services     []string        // of the project prod, that can't be read then
	account      string          // whose account_up shows it; empty: none's
	first        bool            // it befalls an exporter that has read nothing yet
	later        time.Duration   // before it is asked anew
	recovers     time.Duration   // until it is asked again at the latest
	plain        bool            // it is asked without TLS
	want         string          // whatever goes wrong; empty: as the fault has it
}

const (
	stagingID = "5bd2d60ff638ccd9a8a28114eab086e7"
	devID     = "025a94d043e9521d20e221a2a9e60fe1"

	instanceList   = "list of audit instances"
	lookUp         = "look-up of a project"
	discoveryFirst = "first discovery"
	discoveryLater = "discovery"
)

var allServices = []string{"cts", "ces", "taurusdb", "dcs", "dbss"}

// The configurations: the project prod, of which something fails, and one in another region, which must not notice. What can't fail is
// asked without TLS, which takes most of the time.
const (
	always  = "services: {defaults: {cache_ttl: 20s, max_stale: 240h}, ces: {cache_ttl: 20s}}\n"
	static  = "credentials: {static: {access_key: AK, secret_key: SECRETKEY}}, ca_file: CA, "
	plain   = `endpoints: {default: "http://{service}.{region}.a.b"}, `
	prod    = "{id: " + projectID + ", region: ap-southeast-3, name: prod}"
	staging = "{id: " + stagingID + ", region: ap-southeast-1, name: staging}"
	other   = "{name: other, credentials: {static: {access_key: AK2, secret_key: SECRETKEY2}}, ca_file: CA, " + plain + "projects: [{id: " + devID + ", region: ap-southeast-1, name: dev}]}"

	stated   = always + "accounts: [{name: main, " + static + "projects: [" + prod + ", " + staging + "]}]"
	lookedUp = always + "accounts: [{name: main, " + static + plain + "projects: [{region: ap-southeast-3, name: prod}, " + staging + "]}]"
	discover = always + "accounts: [" + other + ", {name: main, " + static + plain + "discovery: {regions: [ap-southeast-3], name_prefix: prod/}}]"
	issued   = always + "accounts: [" + other + ", {name: main, credentials: {KIND}, ca_file: CA, " + plain + "projects: [" + prod + "]}]"
)

func targets() []target {
	var all []target
	for _, service := range allServices {
		all = append(all, target{
			name: service, column: "services", yaml: stated, asked: service, services: []string{service}, recovers: 16 * time.Second,
			at: cloudtest.Fault{Service: service, Host: hostOf(service) + ".ap-southeast-3."},
		})
	}
	all = append(all, target{
		name: instanceList, column: "services", yaml: stated, asked: instanceList, services: []string{"dbss"}, recovers: 16 * time.Second,
		at: cloudtest.Fault{Path: "/v2/{project_id}/audit/instances", Host: "dbss.ap-southeast-3."},
	})
	iam := cloudtest.Fault{Service: "iam", Host: "iam.ap-southeast-3."}
	all = append(
		all,
		target{name: lookUp, column: "IAM", yaml: lookedUp, at: iam, asked: "iam", services: allServices, first: true, recovers: 16 * time.Second},
		target{name: discoveryFirst, column: "IAM", yaml: discover, at: iam, asked: "iam", account: "main", first: true, recovers: 2 * time.Minute},
		target{name: discoveryLater, column: "IAM", yaml: discover, at: iam, asked: "iam", account: "main", later: 16 * time.Minute, recovers: 16 * time.Minute},
	)
	for _, c := range []struct{ kind, states, host string }{
		{"static", "static: {access_key: AK, secret_key: SECRETKEY}", ""},
		{"instance_metadata", "instance_metadata: {}", "169.254.169.254"},
		{"pod_identity", "pod_identity: {}", "169.254.1.1"},
		{"oidc", "oidc: {idp_id: idp, token_file: DIR/id_token}", "iam.ap-southeast-3."},
		{"password", "password: {domain_name: main, user_name: reader, password_file: DIR/password}", "iam.ap-southeast-3."},
		{"assume_agency", "static: {access_key: BASE, secret_key: SECRETBASE}, assume_agency: {domain_name: main, agency_name: quotas, duration: 24h}", "iam.ap-southeast-3."},
	} {
		if c.kind == "static" {
			all = append(all, target{
				name: c.kind, column: "credentials", services: allServices, yaml: strings.Replace(issued, "KIND", c.states, 1), recovers: 16 * time.Second,
			})
			continue
		}
		all = append(all, target{
			name: c.kind, column: "credentials", at: cloudtest.Fault{Host: c.host}, asked: "cts", services: allServices, account: "main",
			yaml:  strings.Replace(issued, "KIND", c.states, 1),
			later: 25 * time.Hour, recovers: 20 * time.Minute, plain: strings.HasPrefix(c.host, "169."), want: "credentials",
		})
	}
	return all
}

// freshFor is how long numbers serve.
const freshFor = 20 * time.Second

// hostOf is the first label of a service's host in ap-southeast-3.
func hostOf(service string) string {
	if service == "taurusdb" {
		return "gaussdb"
	}
	return service
}

func (f wrong) befallsConnections() bool { return f.fault.Dial != nil || f.fault.Certificate != "" }

// befalls tells whether the fault means something to the target.
func (f wrong) befalls(to target) bool {
	if to.name == instanceList && (f.befallsConnections() || f.half) {
		return false // its host is DBSS's, and it has no resources
	}
	if f.keys || to.name == "static" { // keys that somebody states are asked of nobody
		return f.keys && to.name == "static"
	}
	if f.fault.Dead {
		return to.column == "services" && to.name != instanceList // connections to the others are closed by then
	}
	return f.fault.Certificate == "" || !to.plain
}

// outcome is what the fault is to come to.
func (f wrong) outcome(to target) string {
	if but := f.but[to.name]; but != "" {
		return but
	}
	if to.want != "" {
		return to.want
	}
	return f.want
}

// inject makes the fault befall the target.
func (f wrong) inject(c *cloudtest.Cloud, to target) (heal func()) {
	if f.keys {
		c.SetKeys("main", "AK", "SECRETOTHER", "")
		return func() { c.SetKeys("main", "AK", "SECRETKEY", "") }
	}
	fault := f.fault
	fault.Service, fault.Path, fault.Host = to.at.Service, to.at.Path, to.at.Host
	if f.half && to.name == "dbss" {
		fault.Path = "/v2/{project_id}/audit/quota" // its list has no resources
	}
	if f.body != nil {
		fault.Status, fault.Body = 200, []byte(f.body(to.asked))
	}
	return c.Inject(fault)
}

// newFaultyCloud has what the targets ask for.
func newFaultyCloud() *cloudtest.Cloud {
	ofMain := []cloudsim.Project{{ID: projectID, Name: "ap-southeast-3", AuditInstances: 2}, {ID: stagingID, Name: "ap-southeast-1"}}
	c := cloudtest.New(
		cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SECRETKEY", Projects: ofMain},
		cloudsim.Account{Name: "base", AccessKey: "BASE", SecretKey: "SECRETBASE"},
		cloudsim.Account{Name: "other", AccessKey: "AK2", SecretKey: "SECRETKEY2", Projects: []cloudsim.Project{{ID: devID, Name: "ap-southeast-1"}}},
	)
	c.SetIdentities("main", cloudtest.Identities{
		Users:            []cloudtest.User{{Name: "reader", Password: "SECRETPASSWORD"}},
		Agencies:         []cloudtest.Agency{{Name: "quotas", Trusts: "base"}},
		IdentityProvider: &cloudtest.IdentityProvider{ID: "idp", IDToken: "SECRETIDTOKEN"},
	})
	c.SetMachine(cloudtest.Machine{Account: "main", PodAuthorization: "SECRETPOD"})
	return c
}

// secretFiles writes what credentials are made of.
func secretFiles(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, contents := range map[string]string{"id_token": "SECRETIDTOKEN", "password": "SECRETPASSWORD", "pod_token": "SECRETPOD"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(contents), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("HC_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.1.1/pod-identity/credentials")
	t.Setenv("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", filepath.Join(dir, "pod_token"))
	return dir
}
