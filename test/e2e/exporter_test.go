package e2e

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

const (
	accessKey = "AKIDEXAMPLE0123456789"
	secretKey = "a-secret-key-of-the-simulated-cloud"

	// examples is the project that responds with the examples of the five documents; named is the project with values set by the test.
	examples = "ap-southeast-3"
	named    = "ap-southeast-1_dev"
)

// newCloud returns a cloud of two projects. quotas is what Prometheus must have of them.
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
	env    []string // more variables of its environment
	at     string   // listening address
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
	return endpointsAt(openDoor(t, cloud).address)
}

// door is an address at which a cloud is served.
type door struct {
	address string
	server  *cloudsim.Server
}

func openDoor(t *testing.T, cloud *cloudtest.Cloud) *door {
	t.Helper()
	d := &door{address: "127.0.0.1:0"}
	if err := d.open(cloud); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.server.Close() })
	return d
}

// open serves the cloud at the address. If the cloud was served there earlier, something else might use the address for a moment.
func (d *door) open(cloud *cloudtest.Cloud) error {
	return await(patience, func() (string, bool) {
		listener, err := net.Listen("tcp", d.address)
		if err != nil {
			return err.Error(), false
		}
		d.address, d.server = listener.Addr().String(), cloudsim.ServePlain(cloud, listener)
		return "", true
	})
}

// endpointsAt returns the endpoints for a cloud at one address.
func endpointsAt(address string) string {
	return fmt.Sprintf("{default: %[1]q, iam: %[1]q}", "http://"+address)
}

// configured runs the exporter with a configuration and flags.
func configured(t *testing.T, config string, flags ...string) *exporter {
	t.Helper()
	e := &exporter{config: save(t, filepath.Join(t.TempDir(), "config.yml"), config), flags: flags}
	e.run(t, "127.0.0.1:0")
	return e
}

// run runs the binary, and waits until it is listening.
func (e *exporter) run(t *testing.T, address string) {
	t.Helper()
	e.process = startWith(t, e.env, exporterBinary, append([]string{"--config.file=" + e.config, "--web.listen-address=" + address}, e.flags...)...)
	e.at = e.address(t)
}

// quota is what Prometheus must have of one quota, in its number format. An empty value must be absent.
type quota struct {
	project, service, resourceType string

	used, limit, remaining string
	ratio                  string // used/limit
	unit                   string
}

// quotas are all quotas of newCloud. The values of the first project are those of the API documents. It has 2 audit instances and 1 remaining, so the
// limit is 3.
var quotas = []quota{
	{examples, "cts", "data_tracker", "9", "100", "91", "0.09", ""},
	{examples, "cts", "system_tracker", "1", "1", "0", "1", ""},
	{examples, "ces", "alarm", "10", "1000", "990", "0.01", ""},
	{examples, "taurusdb", "instance", "4", "50", "46", "0.08", ""},
	{examples, "dcs", "instance", "3", "10", "7", "0.3", ""},
	{examples, "dcs", "ram", "22", "800", "778", "0.0275", "GB"},
	{examples, "dbss", "audit_instance", "2", "3", "1", "0.6666666666666666", ""},
	{examples, "dbss", "cpu", "", "", "796", "", ""},
	{examples, "dbss", "ram", "", "", "1622016", "", "MB"},

	{named, "cts", "data_tracker", "5", "100", "95", "0.05", ""},
	{named, "cts", "system_tracker", "1", "1", "0", "1", ""},
	{named, "ces", "alarm", "93", "100", "7", "0.93", "count"},
	{named, "taurusdb", "instance", "9", "+Inf", "+Inf", "0", ""}, // -1 in the document: no limit
	{named, "dcs", "instance", "11", "10", "-1", "1.1", ""},       // more than the limit, which was lowered
	{named, "dcs", "ram", "8", "64", "56", "0.125", "GB"},
	{named, "dbss", "audit_instance", "0", "1", "1", "0", ""},
	{named, "dbss", "cpu", "", "", "800", "", ""},
	{named, "dbss", "ram", "", "", "1638400", "", "MB"},
}

const (
	// numbersOfQuotas selects the metrics with values.
	numbersOfQuotas = `{__name__=~"cloud_quota_(used|limit|remaining)"}`
	// changesOfNumbers counts recent changes of the values. Those of newCloud never change.
	changesOfNumbers = "max(changes(cloud_quota_used[10m])) + max(changes(cloud_quota_limit[10m])) + max(changes(cloud_quota_remaining[10m]))"
)

// numbers is the expected result of numbersOfQuotas.
func numbers() string {
	return lines(
		metric("cloud_quota_used", quotas, func(q quota) string { return q.used }),
		metric("cloud_quota_limit", quotas, func(q quota) string { return q.limit }),
		metric("cloud_quota_remaining", quotas, func(q quota) string { return q.remaining }),
	)
}

// metric writes the series of one metric of quotas.
func metric(name string, of []quota, number func(quota) string) []string {
	var all []string
	for _, q := range of {
		if n := number(q); n != "" {
			all = append(all, fmt.Sprintf("%s{project=%q,resource_type=%q,service=%q} %s", name, q.project, q.resourceType, q.service, n))
		}
	}
	return all
}

// sources writes the series of a metric that each service of each project has, with one value for dcs and one for the others.
func sources(name, dcs, others string) string {
	var all []string
	for _, project := range []string{examples, named} {
		all = append(all, fmt.Sprintf("%s{project=%q,service=\"dcs\"} %s", name, project, dcs))
		for _, service := range []string{"cts", "ces", "taurusdb", "dbss"} {
			all = append(all, fmt.Sprintf("%s{project=%q,service=%q} %s", name, project, service, others))
		}
	}
	return lines(all)
}

// lines joins and sorts series, as text writes results of Prometheus.
func lines(parts ...[]string) string {
	all := slices.Concat(parts...)
	slices.Sort(all)
	return strings.Join(all, "\n")
}
