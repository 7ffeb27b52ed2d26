package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

const (
	accessKey = "AKIDEXAMPLE0123456789"
	secretKey = "a-secret-key-of-the-simulated-cloud"

	// examples is the project that answers with the examples of the five documents, named that of which the numbers are the test's.
	examples = "ap-southeast-3"
	named    = "ap-southeast-1_dev"
)

// newCloud returns a cloud of two projects. expected_test.go states what Prometheus must know of them.
func newCloud() *cloudtest.Cloud {
	return cloudtest.New(cloudsim.Account{
		Name: "main", AccessKey: accessKey, SecretKey: secretKey,
		Projects: []cloudsim.Project{
			{ID: "0250cb8a80c24c0b9f20f557cb159aad", Name: examples, AuditInstances: 2},
			{ID: "7d3c1f0e5b9a48e2a6c4d8f01b2e3a59", Name: named, Quotas: map[string][]cloudsim.Quota{
				"cts":      {{Type: "data_tracker", Used: 5, Limit: 100}, {Type: "system_tracker", Used: 1, Limit: 1}},
				"ces":      {{Type: "alarm", Unit: "count", Used: 93, Limit: 100}},
				"taurusdb": {{Type: "instance", Used: 9, Limit: -1}},
				"dcs":      {{Type: "instance", Used: 11, Limit: 10, Min: 1, Max: 50}, {Type: "ram", Unit: "GB", Used: 8, Limit: 64, Min: 1, Max: 800}},
				"dbss":     {{Type: "audit_instance", Limit: 1}, {Type: "cpu", Limit: 800}, {Type: "ram", Limit: 1638400}},
			}},
		},
	})
}

// exporter is the exporter's process.
type exporter struct {
	*process

	config string
	flags  []string
	at     string // the address at which it listens
}

// startExporter serves a cloud on a port and runs the exporter with all its projects. services is that key of the configuration.
func startExporter(t *testing.T, cloud *cloudtest.Cloud, services string) *exporter {
	t.Helper()
	var config strings.Builder
	fmt.Fprintf(&config, "accounts:\n  - name: main\n    credentials: {static: {access_key: %s, secret_key: %s}}\n", accessKey, secretKey)
	fmt.Fprintf(&config, "    endpoints: %s\n    projects:\n", serve(t, cloud))
	for _, p := range cloud.Projects() {
		fmt.Fprintf(&config, "      - {id: %s, region: %s, name: %s}\n", p.ID, p.Region, p.Name)
	}
	fmt.Fprintf(&config, "services: %s\n", services)
	return configured(t, config.String())
}

// serve serves a cloud on a port, and returns the endpoints to configure.
func serve(t *testing.T, cloud *cloudtest.Cloud) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cloudsim.ServePlain(cloud, listener).Close)
	return endpointsAt(listener.Addr().String())
}

// endpointsAt are the endpoints to configure for a cloud at one address.
func endpointsAt(address string) string {
	return fmt.Sprintf("{default: %[1]q, iam: %[1]q}", "http://"+address)
}

// configured runs the exporter with a configuration, and perhaps more flags.
func configured(t *testing.T, config string, flags ...string) *exporter {
	t.Helper()
	e := &exporter{config: filepath.Join(t.TempDir(), "config.yml"), flags: flags}
	if err := os.WriteFile(e.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	e.run(t, "127.0.0.1:0")
	return e
}

// run runs the binary until it listens.
func (e *exporter) run(t *testing.T, address string) {
	t.Helper()
	e.process = startProcess(t, exporterBinary, append([]string{"--config.file=" + e.config, "--web.listen-address=" + address}, e.flags...)...)
	e.at = e.address(t)
}
