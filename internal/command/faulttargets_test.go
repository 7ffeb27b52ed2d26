package command_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
	later        time.Duration   // before it is asked again
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

// examples are the resources of the documents' examples, with which the simulated cloud answers.
var examples = map[string][]string{
	"cts":      {`{"type":"data_tracker","used":9,"quota":100}`, `{"type":"system_tracker","used":1,"quota":1}`},
	"ces":      {`{"type":"alarm","used":10,"quota":1000,"unit":""}`},
	"taurusdb": {`{"type":"instance","used":4,"quota":50}`},
	"dcs":      {`{"type":"instance","used":3,"quota":10,"min":1,"max":10}`, `{"type":"ram","used":22,"quota":800,"min":1,"max":800,"unit":"GB"}`},
	"dbss":     {`"cpu":796`, `"ram":1622016`, `"audit_quota":1`},
	"iam":      {`{"id":"` + projectID + `","name":"ap-southeast-3","enabled":true}`, `{"id":"` + stagingID + `","name":"ap-southeast-1","enabled":true}`},
}

// usual is the usual answer, with more behind what is in it: resources, fields of DBSS, projects of IAM.
func usual(asked string, more ...string) string {
	inside := strings.Join(slices.Concat(examples[asked], more), ",")
	switch asked {
	case "cts":
		return `{"resources":[` + inside + `]}`
	case "dbss":
		return `{` + inside + `}`
	case "iam":
		return `{"projects":[` + inside + `]}`
	default:
		return `{"quotas":{"resources":[` + inside + `]}}`
	}
}

// extra is something more in an answer: a resource, a field of DBSS, a project of IAM.
type extra struct{ resource, field, project string }

func (e extra) of(asked string) string {
	switch asked {
	case "dbss":
		return e.field
	case "iam":
		return e.project
	default:
		return e.resource
	}
}

// beside has something bad behind what is good.
func beside(name, says string, bad extra) wrong {
	return wrong{
		name: name, half: true, want: "read, 1 left out", says: says, body: func(asked string) string { return usual(asked, bad.of(asked)) },
		but: map[string]string{"dbss": isRead, lookUp: isRead, discoveryFirst: isRead, discoveryLater: isRead},
	}
}

// number has a number that is none, in a field that DBSS must have and IAM wants otherwise.
func number(name, number, says string) wrong {
	w := beside(name, says, extra{`{"type":"bad","used":` + number + `,"quota":2}`, `"cpu":` + number, `{"id":"x","name":"MOS","enabled":` + number + `}`})
	w.but = map[string]string{lookUp: "malformed", discoveryFirst: "malformed", discoveryLater: "malformed"}
	w.gone = map[string]*regexp.Regexp{"dbss": regexp.MustCompile(`resource_type="cpu"`)}
	return w
}

// halfReadable are answers of which the good part must be served.
func halfReadable() []wrong {
	long := strings.Repeat("x", 10_000)
	strings10k := beside("a type of 10,000 characters", "longer than 256 bytes",
		extra{`{"type":"` + long + `","used":1,"quota":2}`, `"` + long + `":1`, `{"id":"x","name":"` + long + `"}`})
	noUTF8 := beside("a type that is no UTF-8", "is no valid UTF-8",
		extra{`{"type":"a` + "\xff" + `","used":1,"quota":2}`, `"a` + "\xff" + `":1`, `{"id":"x","name":"M` + "\xff" + `S"}`})
	twice := beside("a resource twice", "is there twice", extra{})
	twice.body = func(asked string) string { return usual(asked, examples[asked][0]) }
	many := beside("10,000 resources", "more than 200 resources", extra{})
	many.want, many.new = "read, 9800 left out", 200
	many.body = func(asked string) string { return usual(asked, numbered(asked, 10_000-len(examples[asked]))...) }
	asStrings := beside("numbers as strings", "cannot unmarshal", extra{})
	asStrings.want, asStrings.but = isRead, map[string]string{lookUp: "malformed", discoveryFirst: "malformed", discoveryLater: "malformed"}
	bare := regexp.MustCompile(`:(-?[0-9]+|true)`)
	asStrings.body = func(asked string) string { return bare.ReplaceAllString(usual(asked), `:"$1"`) }
	return []wrong{
		asStrings,
		number("a negative number", "-1", "used is -1|cpu is -1|cannot unmarshal"),
		number("1e400", "1e400", "want a number|cannot unmarshal"),
		number("NaN in a string", `"NaN"`, "want a number|cannot unmarshal"),
		twice,
		beside("a resource without a type", "it has no type", extra{`{"used":1,"quota":2}`, `"disk":1`, `{"name":"ap-southeast-3"}`}),
		noUTF8, strings10k, many,
	}
}

// numbered are resources, fields or projects of different names.
func numbered(asked string, n int) []string {
	items := make([]string, n)
	for i := range items {
		items[i] = extra{
			fmt.Sprintf(`{"type":"t%d","used":1,"quota":2}`, i), fmt.Sprintf(`"t%d":1`, i), fmt.Sprintf(`{"id":"%d","name":"MOS"}`, i),
		}.of(asked)
	}
	return items
}

func zipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text)) // a buffer takes everything
	_ = w.Close()
	return b.String()
}

var loggedFailure = regexp.MustCompile(`level=warn account=(\w+)(?: project=\S+ service=(\w+))? msg="(?:quotas|projects) can't be (?:read|discovered)" reason=(\w+)`)

var lastFailure = regexp.MustCompile(`^cloud_quota_last_failure_reason{project="prod",reason="(\w+)",service="(\w+)"}$`)

// outcomeOf returns what the page shows: the reason of what fails, the same for each source, or that all is read.
func (x *trial) outcomeOf(t *testing.T, p scraped) string {
	t.Helper()
	if x.services == nil { // no metric has the reason of a discovery: the log does
		if p.series[`cloud_quota_account_up{account="`+x.account+`"}`] == "1" {
			return isRead
		}
		failures := loggedFailure.FindAllStringSubmatch(x.log.String(), -1)
		return failures[len(failures)-1][3]
	}
	var all []string
	for _, service := range x.services {
		of := `project="prod",service="` + service + `"}`
		outcome := "neither up nor down"
		switch up, skipped := p.series[`cloud_quota_up{`+of], p.series[`cloud_quota_resources_skipped{`+of]; {
		case up == "1" && skipped == "0":
			outcome = isRead
		case up == "1":
			outcome = fmt.Sprintf("read, %s left out", skipped)
		case up == "0":
			outcome = "down without a reason"
			for series := range p.series {
				if m := lastFailure.FindStringSubmatch(series); m != nil && m[2] == service {
					outcome = m[1]
				}
			}
		}
		if !slices.Contains(all, outcome) {
			all = append(all, outcome)
		}
	}
	if x.account != "" && p.series[`cloud_quota_account_up{account="`+x.account+`"}`] != "0" {
		all = append(all, "the account is up")
	}
	return strings.Join(all, ", ")
}

// wantNumbers asserts that the last good numbers stay and say how old they are, and that there are none where none were ever read.
func (x *trial) wantNumbers(t *testing.T, p scraped) {
	t.Helper()
	known, lost := 0, 0
	for series, want := range x.good.series {
		isAge := strings.HasPrefix(series, "cloud_quota_last_success_timestamp_seconds{")
		isDown := p.series[`cloud_quota_up{project="`+label(series, "project")+`",service="`+label(series, "service")+`"}`] != "1"
		if !x.isHit(series) || !isAge && !isNumber(series) || isAge && !isDown {
			continue
		}
		if gone := x.fault.gone[x.name]; gone != nil && gone.MatchString(series) || x.first && isDown {
			want = ""
			lost++
		}
		known++
		if got := p.series[series]; got != want {
			t.Errorf("%s is %q, want %q", series, got, want)
		}
	}
	if known == 0 && x.name != discoveryLater || lost > 0 && lost == known && !x.first {
		t.Errorf("%d of %d numbers are lost", lost, known)
	}
	if more := p.types(x.isHit) - x.good.types(x.isHit); more > x.fault.new {
		t.Errorf("%d new resource types, want %d at most", more, x.fault.new)
	}
}

// wantLogged asserts that the log names the cause once for each source, and nothing else.
func (x *trial) wantLogged(t *testing.T, outcome, logged string) {
	t.Helper()
	var want []string
	switch {
	case outcome == isRead && x.fault.gone[x.name] == nil:
	case x.services == nil:
		want = []string{"level=warn account=main msg=\"projects can't be discovered\" reason=" + outcome}
	default:
		message := `msg="quotas can't be read" reason=` + outcome
		if outcome == isRead {
			message = `msg="quotas are incomplete"`
		} else if n, isLeftOut := strings.CutPrefix(outcome, "read, "); isLeftOut {
			message = `msg="resources are left out" count=` + strings.TrimSuffix(n, " left out")
		}
		for _, service := range x.services {
			want = append(want, "level=warn account=main project=prod service="+service+" "+message)
		}
	}
	if x.column == "credentials" && x.name != "static" && outcome != isRead {
		want = append(want, "level=warn account=main from=") // that the credentials failed to load
	}
	cause := x.fault.says
	if x.column == "credentials" && (x.fault.body != nil || x.fault.fault.Status/100 == 2) {
		cause = "the answer|no token|token of the metadata service|gzip|flate" // of which nothing may be shown
	}
	lines := slices.Collect(strings.Lines(logged))
	if x.fault.want == "unauthorized" { // the other project of the account may be asked before or after
		isOfStaging := func(line string) bool {
			return strings.Contains(line, "account=main project=staging ") && strings.Contains(line, "401 Unauthorized")
		}
		lines = slices.DeleteFunc(lines, isOfStaging)
	}
	if outcome == isRead {
		isList := func(line string) bool {
			return strings.Contains(line, `level=info account=main msg="projects are discovered"`)
		}
		lines = slices.DeleteFunc(lines, isList) // there are more or fewer than before
	}
	for _, line := range want {
		i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, line) })
		if i < 0 || !regexp.MustCompile(cause).MatchString(lines[i]) {
			t.Fatalf("the log lacks\n%s ... %s\nin\n%s", line, cause, logged)
		}
		lines = slices.Delete(lines, i, i+1)
	}
	if len(lines) > 0 {
		t.Errorf("logged besides:\n%s", strings.Join(lines, ""))
	}
}
