package command_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// target is the part that a fault affects: a service or credentials in a configuration whose other parts must not be affected.
type target struct {
	name, column string
	yaml         string          // CA and DIR are replaced by files
	at           cloudtest.Fault // the affected requests; Host also selects connections
	asked        string          // format of its responses
	services     []string        // of the project, whose fetches then fail
	isAccount    bool            // the services are those of the account main; otherwise of the project prod
	account      string          // whose account_up shows it; empty: none
	first        bool            // the exporter has fetched nothing when the fault occurs
	later        time.Duration   // before the next request
	recovers     time.Duration   // until the next request at the latest
	plain        bool            // requests without TLS
	few          bool            // its responses are parsed like those of another target, so it is tested with one fault of each kind
}

const (
	stagingID = "5bd2d60ff638ccd9a8a28114eab086e7"
	devID     = "025a94d043e9521d20e221a2a9e60fe1"
	mainID    = "0d6e4079e36703ebd37c00722f5891d2" // of the account

	instanceList   = "list of audit instances"
	lookUp         = "look-up of a project"
	lookUpAccount  = "look-up of an account"
	discoveryFirst = "first discovery"
	discoveryLater = "discovery"
	behindProxy    = "behind a proxy"
	keyFiles       = "key files"
)

var allServices = []string{"cts", "ces", "taurusdb", "dcs", "dbss"}

// project returns the label of what fails.
func (to target) project() string {
	if to.isAccount {
		return "main"
	}
	return "prod"
}

// shapes are services with different response formats: a list, a nested list with a number as a string, and remaining amounts.
var shapes = []string{"cts", "taurusdb", "dbss"}

var oneOfEachKind = []string{"connection refused", "no response", "401", "503", "invalid JSON", "a negative number", "10,000 resources"}

// The configurations: the project prod, of which something fails, and a project in another region, which must not be affected. Requests that cannot
// fail use no TLS, which takes most of the time.
const (
	always  = "services: {defaults: {cache_ttl: 20s, max_stale: 240h}, ces: {enabled: false}, dcs: {enabled: false}}\n"
	static  = "credentials: {static: {access_key: AK, secret_key: SECRETKEY}}, ca_file: CA, "
	plain   = `endpoints: {default: "http://{service}.{region}.a.b"}, `
	prod    = "{id: " + projectID + ", region: ap-southeast-3, name: prod}"
	staging = "{id: " + stagingID + ", region: ap-southeast-1, name: staging}"
	other   = "{name: other, credentials: {static: {access_key: AK2, secret_key: SECRETKEY2}}, " + plain + "projects: [{id: " + devID + ", region: ap-southeast-1, name: dev}]}"

	// wide also has a service whose response is a map, and one of the account.
	wide = "services: {defaults: {cache_ttl: 20s, max_stale: 240h}, ces: {enabled: false}, dcs: {enabled: false}, evs: {enabled: true, cache_ttl: 20s}, eps: {enabled: true, cache_ttl: 20s}}\n"

	stated    = wide + "accounts: [{name: main, domain_id: " + mainID + ", " + static + "projects: [" + prod + ", " + staging + "]}]"
	ofAccount = wide + "accounts: [{name: main, " + static + plain + "projects: [" + prod + ", " + staging + "]}]"
	lookedUp  = always + "accounts: [{name: main, " + static + plain + "projects: [{region: ap-southeast-3, name: prod}, " + staging + "]}]"
	discover  = always + "accounts: [" + other + ", {name: main, " + static + plain + "discovery: {regions: [ap-southeast-3], name_prefix: prod/}}]"
	proxied   = always + "accounts: [" + other + ", {name: main, " + static + "endpoints: {default: {ap-southeast-3: \"https://{service}.ap-southeast-3.proxied.example\", " +
		"default: \"https://{service}.{region}.myhuaweicloud.com\"}}, projects: [" + prod + ", " + staging + "]}]"
	inFiles = always + "accounts: [" + other + ", {name: main, credentials: {static: {access_key_file: DIR/access_key, secret_key_file: DIR/secret_key}}, ca_file: CA, projects: [" + prod + "]}]"
	issued  = always + "accounts: [" + other + ", {name: main, credentials: {KIND}, ca_file: CA, " + plain + "projects: [" + prod + "]}]"
)

func targets() []target {
	var all []target
	for _, service := range append([]string{"evs"}, shapes...) {
		all = append(all, target{
			name: service, column: "services", yaml: stated, asked: service, services: []string{service}, recovers: 16 * time.Second,
			at:  cloudtest.Fault{Service: service, Host: strings.Replace(service, "taurus", "gauss", 1) + ".ap-southeast-3."},
			few: service == "taurusdb", // eps has the same format
		})
	}
	all = append(all, target{
		name: "eps", column: "services", yaml: stated, asked: "eps", services: []string{"eps"}, isAccount: true, recovers: 16 * time.Second,
		at: cloudtest.Fault{Service: "eps", Host: "eps.myhuaweicloud.com"},
	})
	all = append(all, target{
		name: instanceList, column: "services", yaml: stated, asked: instanceList, services: []string{"dbss"}, recovers: 16 * time.Second,
		at: cloudtest.Fault{Path: "/v2/{project_id}/audit/instances", Host: "dbss.ap-southeast-3."},
	})
	iam := cloudtest.Fault{Service: "iam", Host: "iam.ap-southeast-3."}
	all = append(
		all,
		target{name: behindProxy, column: "services", yaml: proxied, services: shapes, recovers: 16 * time.Second},
		target{name: keyFiles, column: "credentials", account: "main", yaml: inFiles, services: shapes, recovers: 16 * time.Second},
		target{name: lookUp, column: "IAM", yaml: lookedUp, at: iam, asked: "iam", services: shapes, first: true, recovers: 16 * time.Second},
		target{name: lookUpAccount, column: "IAM", yaml: ofAccount, at: iam, asked: "domains", services: []string{"eps"}, isAccount: true, first: true, few: true, recovers: 16 * time.Second},
		target{name: discoveryFirst, column: "IAM", yaml: discover, at: iam, asked: "iam", account: "main", first: true, few: true, recovers: 2 * time.Minute},
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
				name: c.kind, column: "credentials", services: shapes, yaml: strings.Replace(issued, "KIND", c.states, 1), recovers: 16 * time.Second,
			})
			continue
		}
		all = append(all, target{
			name: c.kind, column: "credentials", at: cloudtest.Fault{Host: c.host}, asked: "cts", services: shapes, account: "main",
			yaml:  strings.Replace(issued, "KIND", c.states, 1),
			later: 25 * time.Hour, recovers: 20 * time.Minute, plain: strings.HasPrefix(c.host, "169."), few: c.kind == "oidc" || c.kind == "pod_identity",
		})
	}
	return all
}

// freshFor is how long values are fresh.
const freshFor = 20 * time.Second

func (f wrong) refusesKey() bool { return f.keys || f.fault.Status == http.StatusUnauthorized }

func (f wrong) befallsConnections() bool {
	return f.fault.Dial != nil || f.fault.Certificate != "" || f.proxy != nil
}

// affects reports whether the fault applies to the target.
func (f wrong) affects(to target) bool {
	if f.proxy != nil || f.files != nil || to.name == behindProxy || to.name == keyFiles {
		return f.proxy != nil && to.name == behindProxy || f.files != nil && to.name == keyFiles
	}
	if to.few && !slices.Contains(oneOfEachKind, f.name) {
		return false
	}
	if to.name == instanceList && (f.befallsConnections() || f.half) {
		return false // its host is that of DBSS, and it has no resources
	}
	if f.keys || to.name == "static" { // static keys are not requested
		return f.keys && to.name == "static"
	}
	if f.fault.Dead {
		return to.column == "services" && to.name != instanceList // connections to the others are closed by then
	}
	return f.fault.Certificate == "" || !to.plain
}

// inject injects the fault for the target.
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

// newFaultyCloud has everything that the targets request.
func newFaultyCloud() *cloudtest.Cloud {
	volumes := map[string][]cloudsim.Quota{"evs": {{Type: "volumes", Used: 108, Limit: -1}, {Type: "gigabytes", Used: 2792, Limit: 42790}}}
	ofMain := []cloudsim.Project{
		{ID: projectID, Name: "ap-southeast-3", AuditInstances: 2, Quotas: volumes}, {ID: stagingID, Name: "ap-southeast-1", Quotas: volumes},
	}
	c := cloudtest.New(
		cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SECRETKEY", Projects: ofMain},
		cloudsim.Account{Name: "base", AccessKey: "BASE", SecretKey: "SECRETBASE"},
		cloudsim.Account{Name: "other", AccessKey: "AK2", SecretKey: "SECRETKEY2", Projects: []cloudsim.Project{{ID: devID, Name: "ap-southeast-1"}}},
	)
	c.SetIdentities("main", cloudtest.Identities{
		Users:            []cloudtest.User{{Name: "reader", Password: "SECRETPASSWORD"}},
		Agencies:         []cloudtest.Agency{{Name: "quotas", Trusts: "base"}},
		IdentityProvider: cloudtest.IdentityProvider{ID: "idp", IDToken: "SECRETIDTOKEN"},
	})
	c.SetMachine(cloudtest.Machine{Account: "main", PodAuthorization: "SECRETPOD"})
	return c
}

// secretFiles writes the files of the credentials.
func secretFiles(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, contents := range map[string]string{
		"id_token": "SECRETIDTOKEN", "password": "SECRETPASSWORD", "pod_token": "SECRETPOD", "access_key": "AK", "secret_key": "SECRETKEY",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(contents), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("HTTPS_PROXY", "http://"+proxyAddress)
	t.Setenv("NO_PROXY", ".myhuaweicloud.com,.a.b")
	t.Setenv("HC_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.1.1/pod-identity/credentials")
	t.Setenv("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", filepath.Join(dir, "pod_token"))
	return dir
}

// examples are the resources that the simulated cloud returns, those of the documented examples except for EVS.
var examples = map[string][]string{
	"cts":      {`{"type":"data_tracker","used":9,"quota":100}`, `{"type":"system_tracker","used":1,"quota":1}`},
	"taurusdb": {`{"type":"instance","used":4,"quota":50}`},
	"evs":      {`"volumes":{"in_use":108,"limit":-1}`, `"gigabytes":{"in_use":2792,"limit":42790}`},
	"eps":      {`{"type":"enterprise_project","used":3,"quota":100}`},
	"dbss":     {`"cpu":796`, `"ram":1622016`, `"audit_quota":1`},
	"domains":  {`{"id":"` + mainID + `","name":"main","enabled":true}`},
	"iam":      {`{"id":"` + projectID + `","name":"ap-southeast-3","enabled":true}`, `{"id":"` + stagingID + `","name":"ap-southeast-1","enabled":true}`},
}

// usual returns the usual response with additional elements: resources, entries of a map, fields of DBSS, or projects of IAM.
func usual(asked string, more ...string) string {
	inside := strings.Join(slices.Concat(examples[asked], more), ",")
	switch asked {
	case "cts":
		return `{"resources":[` + inside + `]}`
	case "dbss":
		return `{` + inside + `}`
	case "evs":
		return `{"quota_set":{` + inside + `}}`
	case "domains":
		return `{"domains":[` + inside + `]}`
	case "iam":
		return `{"projects":[` + inside + `]}`
	default:
		return `{"quotas":{"resources":[` + inside + `]}}`
	}
}

// extra is an additional element of a response: a resource, an entry of a map, a field of DBSS, or a project of IAM.
type extra struct{ resource, entry, field, project string }

func (e extra) of(asked string) string {
	switch asked {
	case "dbss":
		return e.field
	case "evs":
		return e.entry
	case "domains", "iam":
		return e.project
	default:
		return e.resource
	}
}

// beside adds an invalid element after the valid ones.
func beside(name, says string, bad extra) wrong {
	return wrong{
		name: name, half: true, says: says, body: func(asked string) string { return usual(asked, bad.of(asked)) },
	}
}

// number adds an invalid number, in a field that DBSS requires and that has another type in IAM.
func number(name, number, says string) wrong {
	w := beside(name, says, extra{
		`{"type":"bad","used":` + number + `,"quota":2}`, `"bad":{"in_use":` + number + `,"limit":2}`,
		`"cpu":` + number, `{"id":"x","name":"MOS","enabled":` + number + `}`,
	})
	w.gone = map[string]*regexp.Regexp{"dbss": regexp.MustCompile(`resource_type="cpu"`)}
	return w
}

// halfReadable are responses whose valid part must be used.
func halfReadable() []wrong {
	long := strings.Repeat("x", 10_000)
	strings10k := beside("a type of 10,000 characters", "longer than 256 bytes",
		extra{`{"type":"` + long + `","used":1,"quota":2}`, `"` + long + `":{"in_use":1,"limit":2}`, `"` + long + `":1`, `{"id":"x","name":"` + long + `"}`})
	noUTF8 := beside("a type that is not UTF-8", "is not valid UTF-8",
		extra{`{"type":"a` + "\xff" + `","used":1,"quota":2}`, `"a` + "\xff" + `":{"in_use":1,"limit":2}`, `"a` + "\xff" + `":1`, `{"id":"x","name":"M` + "\xff" + `S"}`})
	twice := beside("a duplicate resource", "duplicate type", extra{})
	twice.body = func(asked string) string { return usual(asked, examples[asked][0]) }
	many := beside("10,000 resources", "more than 200 resources", extra{})
	many.new = 200
	many.body = func(asked string) string { return usual(asked, numbered("t", asked, 10_000-len(examples[asked]))...) }
	asStrings := beside("numbers as strings", "has the wrong type|cannot unmarshal", extra{})
	bare := regexp.MustCompile(`:(-?[0-9]+|true)`)
	asStrings.body = func(asked string) string { return bare.ReplaceAllString(usual(asked), `:"$1"`) }
	ranges := beside("a range of -1 to -1", "", extra{
		`{"type":"new","used":1,"quota":2,"min":-1,"max":-1}`, `"new":{"in_use":1,"limit":2,"min":-1,"max":-1}`, `"min":-1,"max":-1`, `{"id":"x","name":"MOS","min":-1}`,
	})
	ranges.new = 1
	single := beside("a number in place of a resource", "it has no type|it is not a (resource|project)", extra{"5", `"bad":5`, `"bad":5`, "5"})
	single.skipsProject = true
	return []wrong{
		asStrings, ranges,
		single,
		number("a negative number", "-1", "(used|in_use|cpu) is -1|cannot unmarshal|has the wrong type"),
		number("1e400", "1e400", "expected a number|cannot unmarshal|has the wrong type"),
		number("NaN in a string", `"NaN"`, "expected a number|cannot unmarshal|has the wrong type"),
		twice,
		beside("a resource without a type", "it has no type|it is not a resource", extra{`{"used":1,"quota":2}`, `"":{"in_use":1,"limit":2}`, `"disk":1`, `{"name":"MOS"}`}),
		noUTF8, strings10k, many,
	}
}

// numbered returns resources, fields, or projects with different names.
func numbered(name, asked string, n int) []string {
	items := make([]string, n)
	for i := range items {
		items[i] = extra{
			fmt.Sprintf(`{"type":"%s%d","used":1,"quota":2}`, name, i), fmt.Sprintf(`"%s%d":{"in_use":1,"limit":2}`, name, i), fmt.Sprintf(`"%s%d":1`, name, i), fmt.Sprintf(`{"id":"%d","name":"MOS"}`, i),
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

// wrong is a fault of the cloud. The document contains the reaction of the exporter.
type wrong struct {
	name  string
	fault cloudtest.Fault
	body  func(asked string) string // of a 200, by the requested service

	keys  bool              // the account has another secret key in the cloud
	proxy http.HandlerFunc  // responds to CONNECT in place of the proxy
	files map[string]string // contents of files; missing: none, half: half of what they had
	lasts time.Duration     // the second scrape comes so long after the first; 0: there is none

	says         string                    // in the logged error, as a regular expression
	gone         map[string]*regexp.Regexp // by target: the series that are missing after such a response
	new          int                       // resource types that such a response adds
	skipsProject bool                      // a discovery logs the skipped project
	half         bool                      // some resources in the response are valid
	asks         time.Duration             // Retry-After of the cloud
}

// isRead is the outcome of a response without a problem.
const isRead = "read"

// faults are all faults, in the order of the document.
var faults = slices.Concat(connections(), proxies(), statuses(), unreadable(), halfReadable(), halfWritten())

// connections are faults without a response.
func connections() []wrong {
	return []wrong{
		{name: "connection refused", fault: cloudtest.Fault{Dial: syscall.ECONNREFUSED}, says: "connection refused"},
		{name: "connection attempt without a response", fault: cloudtest.Fault{Dial: cloudtest.ErrBlackHole}, says: tooLong},
		{
			name: "no such host", fault: cloudtest.Fault{Dial: &net.DNSError{Err: "no such host", Name: "host", IsNotFound: true}},
			says: "no such host",
		},
		{name: "connection reset before the response", fault: cloudtest.Fault{Reset: true}, says: "EOF"},
		{name: "connection reset in the middle of the body", fault: cloudtest.Fault{CutBody: true}, says: "incomplete: unexpected EOF"},
		{name: "certificate of another host", fault: cloudtest.Fault{Certificate: cloudtest.OfAnotherHost}, says: "certificate is valid for another-host"},
		{name: "expired certificate", fault: cloudtest.Fault{Certificate: cloudtest.Expired}, says: "certificate has expired"},
		{name: "no response", fault: cloudtest.Fault{Hang: true}, says: tooLong},
		{name: "idle connections that were dropped", fault: cloudtest.Fault{Dead: true}},
		{name: "a body at one byte per second", fault: cloudtest.Fault{Drip: time.Second}, says: tooLong},
	}
}

// proxies are responses of a proxy to CONNECT.
func proxies() []wrong {
	of := func(name string, status int, header, value string) wrong {
		return wrong{name: name, says: fmt.Sprintf("the proxy .* responded with %d", status), proxy: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(header, value)
			w.WriteHeader(status)
		}}
	}
	return []wrong{
		of("403 of a proxy", http.StatusForbidden, "Via", "1.1 proxy"),
		of("407 of a proxy", http.StatusProxyAuthRequired, "Proxy-Authenticate", `Basic realm="proxy"`),
		of("502 of a proxy", http.StatusBadGateway, "X-Squid-Error", "ERR_CONNECT_FAIL 111"),
		of("503 of a proxy that finds no such host", http.StatusServiceUnavailable, "X-Squid-Error", "ERR_DNS_FAIL 0"),
		{name: "no response of a proxy", says: tooLong, proxy: func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		}},
	}
}

// Contents of files in halfWritten.
const missing, half = "-missing", "-half"

// halfWritten are files in the middle of a replacement.
func halfWritten() []wrong {
	const long = 40 * time.Second // longer than the last good contents are used
	return []wrong{
		{name: "an empty file with a key", files: map[string]string{"DIR/secret_key": ""}},
		{name: "an empty file with a key, for 40 seconds", files: map[string]string{"DIR/secret_key": ""}, lasts: long, says: "secret_key"},
		{name: "no file with a key", files: map[string]string{"DIR/access_key": missing}},
		{name: "no file with a key, for 40 seconds", files: map[string]string{"DIR/access_key": missing}, lasts: long, says: "access_key"},
		{name: "half of a CA file", files: map[string]string{"CA": half}},
		{name: "half of a CA file, for 40 seconds", files: map[string]string{"CA": half}, lasts: long, says: "ca_file"},
	}
}

// tooLong matches the errors of several timeouts.
const tooLong = "deadline exceeded|not had in time|Client.Timeout exceeded"

// statuses are responses other than 200.
func statuses() []wrong {
	var all []wrong
	for _, status := range []int{400, 401, 403, 404, 408, 409, 429, 500, 502, 503} {
		name := fmt.Sprint(status)
		w := wrong{name: name, says: name + " " + http.StatusText(status), fault: cloudtest.Fault{Status: status}}
		switch status {
		case http.StatusUnauthorized:
			w.fault.Body = cloudsim.ErrorBody("", status, "no")
			w.asks = 5 * time.Minute // the service is paused, or the key
		case http.StatusForbidden, http.StatusNotFound:
			w.gone = map[string]*regexp.Regexp{instanceList: regexp.MustCompile("cloud_quota_(used|limit){.*audit_instance")}
		case http.StatusTooManyRequests:
			w.fault.Body = cloudsim.ErrorBody("", status, "slow down")
			asks := w
			asks.name += " with Retry-After: 120"
			asks.fault.Header = http.Header{"Retry-After": {"120"}}
			asks.asks = 2 * time.Minute
			fraction := w
			fraction.name += " with Retry-After: 90.5"
			fraction.fault.Header = http.Header{"Retry-After": {"90.5"}}
			fraction.asks = 91 * time.Second
			all = append(all, asks, fraction)
		case http.StatusBadGateway:
			w.name += " with a page of HTML"
			w.fault.Body = []byte("<html><body><h1>Bad Gateway</h1></body></html>")
		default:
			w.fault.Body = cloudsim.ErrorBody("", status, "no")
		}
		all = append(all, w)
		if status == http.StatusServiceUnavailable {
			w.name += " with Retry-After: 120"
			w.fault.Header, w.asks = http.Header{"Retry-After": {"120"}}, 2*time.Minute
			all = append(all, w)
		}
	}
	elsewhere := http.Header{"Location": {"https://elsewhere.example.com/"}}
	return append(
		all,
		wrong{name: "302 to another host", says: "302 Found", fault: cloudtest.Fault{Status: http.StatusFound, Header: elsewhere}},
		wrong{name: "another secret key", keys: true, says: "401 Unauthorized APIGW.0301", asks: 5 * time.Minute},
		wrong{name: "101, and the connection stays open", says: "101 Switching Protocols", fault: cloudtest.Fault{Status: http.StatusSwitchingProtocols}},
		wrong{name: "204", says: "it is empty", fault: cloudtest.Fault{Status: http.StatusNoContent}},
	)
}

// unreadable are responses without a valid part.
func unreadable() []wrong {
	is := func(body string) func(string) string { return func(string) string { return body } }
	encoded := func(name, encoding, body, says string) wrong {
		fault := cloudtest.Fault{Header: http.Header{"Content-Encoding": {encoding}}}
		return wrong{name: name, says: says, fault: fault, body: is(body)}
	}
	const tooLong = "longer than 1048576 bytes|longer than 8388608 bytes" // of a service, of IAM
	large := strings.Repeat(" ", 9<<20)
	whole := zipped(usual("cts"))
	bomb := zipped(strings.Repeat(" ", 16<<20))
	return []wrong{
		{name: "an empty 200", says: "it is empty", body: is("")},
		{name: "invalid JSON", says: "invalid character", body: is("{oops}")},
		{name: "JSON of another shape", says: "no quotas in it|it has no list", body: is(`{"data":[1,"2",{}],"ok":true}`)},
		{name: "truncated JSON", says: "unexpected end of JSON", body: func(asked string) string {
			whole := usual(asked)
			return whole[:len(whole)/2]
		}},
		{name: "two JSON documents", says: "after top-level value", body: func(asked string) string { return usual(asked) + usual(asked) }},
		{name: "a byte order mark before JSON", says: "invalid character", body: func(asked string) string { return "\ufeff" + usual(asked) }},
		{name: "the page of a login, with 200", says: "invalid character '<'", body: is("<html><title>Login</title></html>")},
		{name: "9 MiB", says: tooLong, body: is(large)},
		{name: "nested 20,000 deep", says: "exceeded max depth", body: is(strings.Repeat("[", 20_000))},
		encoded("gzip that unpacks to 16 MiB", "gzip", bomb, tooLong),
		encoded("unsolicited gzip within gzip", "gzip, gzip", zipped(bomb), "invalid character"),
		encoded("plain text declared as gzip", "gzip", usual("cts"), "gzip: invalid header"),
		encoded("damaged gzip", "gzip", whole[:len(whole)-8]+"checksum", "gzip: invalid checksum"),
		{name: "NaN as a number", says: "invalid character 'N'", body: func(asked string) string {
			return strings.Replace(usual(asked), "{", `{"x":NaN,`, 1)
		}},
	}
}
