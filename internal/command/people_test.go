package command_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/command"
	"cloud_quota_exporter/internal/democloud"
)

var update = flag.Bool("update", false, "update the golden files; read the diff before you commit them")

// generated compares the text between two comments in a document with a text, or replaces it.
func generated(t *testing.T, file, begin, end, text string) {
	t.Helper()
	document, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	begin, end = "<!-- "+begin+" -->\n", "<!-- "+end+" -->"
	before, rest, found := strings.Cut(string(document), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s lacks the comment %s or %s", file, strings.TrimSpace(begin), end)
	}
	want := before + begin + text + end + after
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if want != string(document) {
		t.Errorf("%s is not up to date; -update writes\n%s", file, text)
	}
}

// golden compares the output of a command with a file. What differs between runs is replaced: the port, times, durations, and request IDs.
func golden(t *testing.T, name, got string) {
	t.Helper()
	for pattern, replacement := range map[string]string{
		`127\.0\.0\.1:\d+`:                      "127.0.0.1:PORT",
		`(127\.0\.0\.1:\w+)/\S+: 401`:           "$1/PATH: 401", // of whichever request proves the key
		`request ID [0-9a-f-]+`:                 "request ID ID",
		`"read_at": "[^"]+"`:                    `"read_at": "TIME"`,
		`(signature|server) time:\w+`:           "$1 time:TIME",
		`no response after [0-9.]+m?s`:          "no response after TIME",
		regexp.QuoteMeta(os.TempDir()) + `\S*/`: "DIR/",
	} {
		got = regexp.MustCompile(pattern).ReplaceAllString(got, replacement)
	}
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}

// people is a simulated cloud on a port. Some of its projects are configured.
type people struct {
	cloud *cloudtest.Cloud
	at    string
}

func newPeople(t *testing.T, projects int) *people {
	t.Helper()
	cloud := cloudtest.Scale(projects)
	return &people{cloud, listen(t, cloud)}
}

// config has all projects of the cloud, followed by more.
func (p *people) config(t *testing.T, secretKey, more string) string {
	t.Helper()
	return write(t, "config.yml", allProjects(p.cloud, secretKey, fmt.Sprintf("{default: %[1]q, iam: %[1]q}", p.at))+more)
}

// allProjects is a configuration with all projects of a cloud.
func allProjects(cloud *cloudtest.Cloud, secretKey, endpoints string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "accounts:\n  - name: main\n    credentials: {static: {access_key: %s, secret_key: %s}}\n", democloud.AccessKey, secretKey)
	fmt.Fprintf(&b, "    endpoints: %s\n    projects:\n", endpoints)
	for _, project := range cloud.Projects() {
		fmt.Fprintf(&b, "      - {id: %s, region: %s, name: %s}\n", project.ID, project.Region, project.Name)
	}
	return b.String()
}

// transcriptOf is the result of a command: its output on stdout and stderr, and its exit code.
func transcriptOf(run func(command.Terminal) error) string {
	var stdout, stderr bytes.Buffer
	err := run(command.Terminal{Out: &stdout, Err: &stderr})
	return transcript(&stdout, &stderr, err)
}

func transcript(stdout, stderr *bytes.Buffer, err error) string {
	code := 0
	var found *command.ExitError
	switch {
	case errors.As(err, &found):
		code = found.Code
	case err != nil:
		code = 1
	}
	text := stdout.String() + "--- stderr\n" + stderr.String()
	if err != nil {
		text += "cloud_quota_exporter: " + err.Error() + "\n"
	}
	return fmt.Sprintf("%s--- exit code %d\n", text, code)
}

func query(t *testing.T, config string, q command.Query) string {
	t.Helper()
	q.Timeout = time.Hour
	return transcriptOf(func(terminal command.Terminal) error { return q.Run(t.Context(), terminal, config) })
}

func check(t *testing.T, config string, online bool) string {
	t.Helper()
	return transcriptOf(func(terminal command.Terminal) error {
		return command.Check{Once: command.Once{Timeout: time.Hour}, Online: online}.Run(t.Context(), terminal, config)
	})
}

func TestQuery(t *testing.T) {
	p := newPeople(t, 3)
	config := p.config(t, democloud.SecretKey, "")
	p.cloud.SetQuota(p.cloud.Projects()[1].ID, "taurusdb", "instance", 9, -1)
	p.cloud.SetQuota(p.cloud.Projects()[2].ID, "dcs", "ram", 768, 800)
	golden(t, "query", query(t, config, command.Query{}))
	golden(t, "query-usage", query(t, config, command.Query{Sort: "usage", Services: []string{"dcs", "cts"}, FailAbove: 0.9}))
	golden(t, "query-json", query(t, config, command.Query{Output: "json", Projects: []string{p.cloud.Projects()[1].Name}, Services: []string{"taurusdb", "dbss"}}))
	golden(t, "query-unknown", query(t, config, command.Query{Services: []string{"dx"}})+query(t, config, command.Query{Projects: []string{"prod"}}))
	// A tracker of 1 of 1 is muted, and nothing else is at 0.97.
	golden(t, "query-below", query(t, config, command.Query{Services: []string{"cts"}, FailAbove: 0.97}))
}

func TestQueryFailures(t *testing.T) {
	p := newPeople(t, 3)
	config := p.config(t, democloud.SecretKey, "limits: [{service: dbss, resource_type: ram, limit: 5}]\n")
	id := p.cloud.Projects()[0].ID
	p.cloud.Inject(cloudtest.Fault{Service: "dcs", ProjectID: id, Status: http.StatusForbidden, Body: cloudsim.ErrorBody("dcs", 403, "no")})
	p.cloud.Inject(cloudtest.Fault{Service: "cts", ProjectID: id, Status: http.StatusOK, Body: []byte(`{"resources":[{"type":"a","used":1,"quota":2},{}]}`)})
	p.cloud.Inject(cloudtest.Fault{Path: "/v2/{project_id}/audit/instances", ProjectID: id, Status: http.StatusForbidden, Body: cloudsim.ErrorBody("dbss", 403, "no")})
	one := command.Query{Projects: []string{p.cloud.Projects()[0].Name}}
	golden(t, "query-failures", query(t, config, one))
	one.Output = "json"
	one.Services = []string{"dcs"}
	golden(t, "query-failures-json", query(t, config, one))
}

func TestQueryOnATerminal(t *testing.T) {
	p := newPeople(t, 5)
	config := p.config(t, democloud.SecretKey, "")
	for i, used := range map[int]int64{0: 10, 1: 85, 2: 97, 3: 120} {
		p.cloud.SetQuota(p.cloud.Projects()[i].ID, "ces", "alarm", used, 100)
	}
	p.cloud.SetQuota(p.cloud.Projects()[4].ID, "taurusdb", "instance", 9, -1)
	var stdout, stderr bytes.Buffer
	err := command.Query{Once: command.Once{Timeout: time.Hour}}.Run(t.Context(), command.Terminal{Out: &stdout, Err: &stderr, Width: 120, Color: true, Live: true}, config)
	if progress := regexp.MustCompile(`^(\r\d+ of 25 fetched)+\r\x1b\[K$`); !progress.MatchString(stderr.String()) || !strings.Contains(stderr.String(), "\r25 of 25 fetched") {
		t.Errorf("progress %q", stderr.String())
	}
	stderr.Reset()
	golden(t, "query-terminal", transcript(&stdout, &stderr, err))
	for line := range strings.SplitSeq(regexp.MustCompile(`\x1b\[[0-9]*m`).ReplaceAllString(stdout.String(), ""), "\n") {
		if n := len([]rune(line)); n > 120 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestCheckConfigOffline(t *testing.T) {
	p := newPeople(t, 2)
	golden(t, "check-offline", check(t, p.config(t, democloud.SecretKey, `limits: [{service: dcs, resource_type: ram, project: "prod.*", limit: 600}]
thresholds: {overrides: [{service: dcs, ratios: {warning: 0.7}}]}
services: {ces: {enabled: false}}
`), false))
	golden(t, "check-bad", check(t, write(t, "config.yml", "accounts: [{projects: [{id: 1, region: Nowhere}]}]\n"), false))
	golden(t, "check-no-keys", check(t, write(t, "config.yml", `accounts:
  - credentials: {static: {access_key: AK, secret_key_file: /nowhere/sk}}
    ca_file: /nowhere/ca.pem
    projects: [{region: ap-southeast-1}]
`), false))
}

func TestCheckConfigOnline(t *testing.T) {
	p := newPeople(t, 3)
	config := p.config(t, democloud.SecretKey, "")
	golden(t, "check-online", check(t, config, true))
	// A 403 for each of the services, in one project.
	var heals []func()
	for _, service := range allServices {
		heals = append(heals, p.cloud.Inject(cloudtest.Fault{
			Service: service, ProjectID: p.cloud.Projects()[1].ID, Status: http.StatusForbidden, Body: cloudsim.ErrorBody(service, 403, "no permission"),
		}))
	}
	golden(t, "check-online-forbidden", check(t, config, true))
	golden(t, "query-forbidden", query(t, config, command.Query{}))
	for _, heal := range heals {
		heal()
	}
	refused := p.config(t, "wrong", "")
	golden(t, "check-online-keys", check(t, refused, true))
	golden(t, "query-keys", query(t, refused, command.Query{}))
	p.cloud.Inject(cloudtest.Fault{
		Status: http.StatusUnauthorized, Header: http.Header{"Date": {time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)}},
		Body: []byte(`{"error_msg":"Incorrect IAM authentication information: signature expired","error_code":"APIGW.0301"}`),
	})
	hour := func(text string) string { return regexp.MustCompile(`1h0m\d+s`).ReplaceAllString(text, "1h0m0s") }
	golden(t, "check-online-clock", hour(check(t, config, true)))
	golden(t, "query-clock", hour(query(t, config, command.Query{})))
}

func TestCheckConfigOnlineWrongEndpoint(t *testing.T) {
	p := newPeople(t, 3)
	config, err := os.ReadFile(p.config(t, democloud.SecretKey, ""))
	if err != nil {
		t.Fatal(err)
	}
	wrong := strings.Replace(string(config), "endpoints: {", `endpoints: {taurusdb: "`+p.at+`/wrong", dcs: "`+noListener(t)+`", `, 1)
	file := write(t, "config.yml", wrong)
	golden(t, "check-online-endpoint", check(t, file, true))
	golden(t, "query-endpoint", query(t, file, command.Query{}))
}

// noListener returns an address without a listener.
func noListener(t *testing.T) (url string) {
	t.Helper()
	server := httptest.NewServer(nil)
	server.Close()
	return server.URL
}

func TestManyProjects(t *testing.T) {
	const projects = 60
	p := newPeople(t, projects)
	config := p.config(t, democloud.SecretKey, "")
	got := query(t, config, command.Query{})
	if n := strings.Count(got, " dbss      audit_instance "); n != projects || !strings.HasSuffix(got, "--- stderr\n--- exit code 0\n") {
		t.Errorf("%d projects in\n%s", n, got)
	}
	for _, service := range allServices {
		p.cloud.Inject(cloudtest.Fault{Service: service, Status: http.StatusForbidden, Body: cloudsim.ErrorBody(service, 403, "no permission")})
	}
	ids := regexp.MustCompile(`[0-9a-f]{32}`)
	golden(t, "query-many", ids.ReplaceAllString(query(t, config, command.Query{}), "ID"))
	got = check(t, config, true)
	_, problems, _ := strings.Cut(got, "\nforbidden: ")
	golden(t, "check-online-many", "forbidden: "+ids.ReplaceAllString(problems, "ID"))
	if n := strings.Count(got, "forbidden  forbidden  forbidden"); n != projects {
		t.Errorf("%d lines of projects, want %d", n, projects)
	}
}

// TestQuotaOfNothing: usage above a limit of 0 is above any ratio; 0 of 0 is not.
func TestQuotaOfNothing(t *testing.T) {
	p := newPeople(t, 2)
	p.cloud.SetQuota(p.cloud.Projects()[0].ID, "ces", "alarm", 5, 0)
	p.cloud.SetQuota(p.cloud.Projects()[1].ID, "ces", "alarm", 0, 0)
	config := p.config(t, democloud.SecretKey, "")
	golden(t, "query-nothing", query(t, config, command.Query{Services: []string{"ces"}, Sort: "usage", FailAbove: 0.9}))
	golden(t, "query-nothing-json", query(t, config, command.Query{Services: []string{"ces"}, Output: "json"}))
}

func TestDiscoveryForPeople(t *testing.T) {
	p := newPeople(t, 2)
	discovering := fmt.Sprintf(`accounts:
  - credentials: {static: {access_key: %s, secret_key: %s}}
    endpoints: {default: %[3]q, iam: %[3]q}
    discovery: {regions: [ap-southeast-1, ap-southeast-3], include: "ap-.*", exclude: ".*x", name_prefix: "x/"}
`, democloud.AccessKey, democloud.SecretKey, p.at)
	config := write(t, "config.yml", discovering)
	golden(t, "check-discovery", check(t, config, false))
	golden(t, "check-discovery-online", check(t, config, true))
	notPublished := cloudsim.ErrorBody("gateway", http.StatusNotFound, "The API does not exist")
	p.cloud.Inject(cloudtest.Fault{Service: "dbss", Status: http.StatusNotFound, Body: notPublished})
	golden(t, "check-discovery-not-offered", check(t, config, true))
	for _, service := range []string{"cts", "ces", "taurusdb", "dcs"} {
		p.cloud.Inject(cloudtest.Fault{Service: service, Status: http.StatusNotFound, Body: notPublished})
	}
	golden(t, "check-discovery-nothing-offered", check(t, config, true))
	mistyped := write(t, "config.yml", strings.Replace(discovering, "ap-.*", "ap_.*", 1))
	golden(t, "check-discovery-empty", check(t, mistyped, true))
	golden(t, "query-discovery-empty", query(t, mistyped, command.Query{}))
	golden(t, "query-discovery-empty-json", query(t, mistyped, command.Query{Output: "json"}))
	p.cloud.Inject(cloudtest.Fault{Service: "iam", Status: http.StatusForbidden, Body: cloudsim.ErrorBody("iam", 403, "no permission")})
	golden(t, "check-discovery-forbidden", check(t, config, true))
	golden(t, "query-discovery-forbidden", query(t, config, command.Query{}))
}

// TestServeLogsThatNothingIsDiscovered: IAM omits projects that the credentials cannot access, so an empty list is a valid response, but it is
// logged.
func TestServeLogsThatNothingIsDiscovered(t *testing.T) {
	p := newPeople(t, 1)
	r := serve(t, "", write(t, "config.yml", fmt.Sprintf(`accounts:
  - credentials: {static: {access_key: %s, secret_key: %s}}
    endpoints: {iam: %q}
    discovery: {include: nothing}
`, democloud.AccessKey, democloud.SecretKey, p.at)), nil)
	for range 2 {
		r.get(t, "/metrics")
	}
	const says = `account=default msg="Discovered no projects" err="discovery selects none of the 1 projects that IAM lists; check that `
	if n := strings.Count(r.log.String(), says); n != 1 {
		t.Errorf("it is in the log %d times:\n%s", n, r.log)
	}
	contains(t, r.get(t, "/"), "no projects", "discovery selects none of the 1 projects that IAM lists")
}
