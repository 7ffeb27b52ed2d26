package browser

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/democloud"
	"cloud_quota_exporter/internal/fleet/fleettest"
	"cloud_quota_exporter/internal/web"
	"cloud_quota_exporter/providers"
	"cloud_quota_exporter/providers/providerstest"
)

// site is the exporter with a simulated cloud.
type site struct {
	*fleettest.World

	config, url string
}

// newSite returns a site with a configuration. An empty one means all projects of the demo account, with the names that they have in IAM.
func newSite(t *testing.T, cloud *cloudtest.Cloud, config string) *site {
	t.Helper()
	if config == "" {
		config = fmt.Sprintf("accounts:\n  - name: main\n    credentials: {static: {access_key: %s, secret_key: %s}}\n    ca_file: CA\n    projects:\n",
			democloud.AccessKey, democloud.SecretKey)
		for _, p := range cloud.Projects() {
			config += fmt.Sprintf("      - {id: %s, region: %s, name: %s}\n", p.ID, p.Region, p.Name)
		}
	}
	return newSiteOf(t, providerstest.Five(), cloud, config)
}

// newSiteOf is like newSite, with other services.
func newSiteOf(t *testing.T, services []providers.Service, cloud *cloudtest.Cloud, config string) *site {
	t.Helper()
	world := fleettest.NewOf(t, services, cloud, config)
	handler, err := web.NewHandler(web.Options{
		Fleet: world.Fleet, Process: prometheus.NewRegistry(), TelemetryPath: "/metrics", TimeoutOffset: time.Second / 2, Version: "1.2.3",
		Logger: log.NewNopLogger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return &site{world, config, server.URL + "/"}
}

// errorBody is like cloudsim.ErrorBody, except for 404, which the gateway sends if the region does not offer the service.
func errorBody(service string, status int, message string) []byte {
	if status == http.StatusNotFound {
		service = "gateway"
	}
	return cloudsim.ErrorBody(service, status, message)
}

// newTrouble returns a site with every kind of problem: a source that fails and was never fetched, one that fails after a success, one that hangs,
// one with skipped resources, a service that is not offered, an account whose discovery fails, and a skipped project.
func newTrouble(t *testing.T) *site {
	t.Helper()
	const prod, sandbox = "0250cb8a80c24c0b9f20f557cb159aad", "5bd2d60ff638ccd9a8a28114eab086e7"
	cloud := cloudtest.New(
		cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: []cloudsim.Project{
			{ID: prod, Name: "ap-southeast-3", AuditInstances: 2},
			{ID: sandbox, Name: "ap-southeast-1_sandbox"},
			{ID: "7d3c1f0e5b9a48e2a6c4d8f01b2e3a59", Name: "eu-de"},
		}},
		cloudsim.Account{Name: "other", AccessKey: "AK2", SecretKey: "SK2"},
	)
	refuse := func(service, project string, status int, message string) {
		cloud.Inject(cloudtest.Fault{Service: service, ProjectID: project, Status: status, Body: errorBody(service, status, message)})
	}
	refuse("dcs", "", http.StatusForbidden, `<script>alert("no")</script> not allowed`)
	cloud.Inject(cloudtest.Fault{
		Service: "taurusdb", ProjectID: sandbox, Status: http.StatusNotFound, Body: cloudsim.ErrorBody("gateway", http.StatusNotFound, "no such API"),
	})
	cloud.Inject(cloudtest.Fault{Service: "cts", ProjectID: prod, Status: http.StatusOK, Body: []byte(`{"resources": [
		{"type": "data_tracker", "used": 96, "quota": 100}, {"used": 1, "quota": 1}, {"type": "<b>trackers</b>", "used": 85, "quota": 100}]}`)})
	s := newSite(t, cloud, `accounts:
  - name: main
    credentials: {static: {access_key: AK, secret_key: SK}}
    ca_file: CA
    projects: [{id: `+prod+`, region: ap-southeast-3, name: prod}, {id: x, region: ap-southeast-1, name: eu-de}]
    discovery: {name_prefix: ""}
  - name: other
    credentials: {static: {access_key: AK2, secret_key: wrong}}
    ca_file: CA
    discovery: {}
services: {dbss: {cache_ttl: 0, timeout: 5m}, ces: {cache_ttl: 0}}
`)
	cloud.Inject(cloudtest.Fault{Service: "dbss", ProjectID: sandbox, Hang: true})
	s.Scrape(t, time.Second)
	refuse("ces", prod, http.StatusServiceUnavailable, "come back later")
	s.Scrape(t, time.Second)
	return s
}

var listening = regexp.MustCompile(`Listening on" address=(\S+)`)

// startDemo runs the demo command and returns the URL of its page.
func startDemo(t *testing.T) (url string) {
	t.Helper()
	demo := exec.CommandContext(t.Context(), exporterBinary, "demo", "--web.listen-address=127.0.0.1:0")
	stderr, err := demo.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = demo.Wait() }) // the context of the test has ended it
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			return "http://" + m[1] + "/"
		}
	}
	t.Fatalf("the demo ended before it was listening: %v", lines.Err())
	return ""
}
