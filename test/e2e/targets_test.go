package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/democloud"
)

// interval is that of the scrapes of probing.
const interval = 2 * time.Second

// startDiscovering runs the exporter with accounts whose projects it must find in IAM. discovery and services are these keys of the
// configuration, endpoints what serve returned.
func startDiscovering(t *testing.T, endpoints, discovery, services string, accounts ...cloudsim.Account) *exporter {
	t.Helper()
	var config strings.Builder
	config.WriteString("accounts:\n")
	for _, a := range accounts {
		fmt.Fprintf(&config, "  - name: %s\n    credentials: {static: {access_key: %s, secret_key: %s}}\n", a.Name, a.AccessKey, a.SecretKey)
		fmt.Fprintf(&config, "    endpoints: %s\n    discovery: %s\n", endpoints, discovery)
	}
	fmt.Fprintf(&config, "services: %s\n", services)
	return configured(t, config.String())
}

// scaled is the account of cloudtest.Scale.
var scaled = cloudsim.Account{Name: "demo", AccessKey: democloud.AccessKey, SecretKey: democloud.SecretKey}

// probing configures a job that probes each project of which an exporter tells. relabel may leave some out.
func probing(job, address, relabel string) string {
	return fmt.Sprintf(`
  - job_name: %s
    scrape_interval: %[2]s
    scrape_timeout: %[2]s
    http_sd_configs: [{url: "http://%[3]s/sd", refresh_interval: 1s}]
    relabel_configs: [%[4]s]
`, job, interval, address, relabel)
}

// labels returns the labels of projects that one account has in the cloud.
func labels(projects []cloudsim.Project) []string {
	var all []string
	for _, p := range projects {
		all = append(all, p.Name)
	}
	return all
}

// byTarget has an expression carry the label instance, which text leaves out, as target.
func byTarget(expr string) string {
	return fmt.Sprintf(`label_replace(%s, "target", "$1", "instance", "(.*)")`, expr)
}

// ups is the value of byTarget("up") where these targets, and no others, have this value.
func ups(targets []string, value string) string {
	var all []string
	for _, target := range targets {
		all = append(all, fmt.Sprintf("up{target=%q} %s", target, value))
	}
	return lines(all)
}

// target is a target that Prometheus scrapes.
type target struct {
	Labels    map[string]string
	LastError string
}

// targets returns what Prometheus scrapes now.
func (p *prometheus) targets(t *testing.T) []target {
	t.Helper()
	var data struct{ ActiveTargets []target }
	if err := p.get("/api/v1/targets", nil, &data); err != nil {
		t.Fatal(err)
	}
	return data.ActiveTargets
}

// keeping looks as look does, and asserts each time that Prometheus has these targets.
func (p *prometheus) keeping(t *testing.T, kept []string, look func([]target) (state string, ok bool)) func() (string, bool) {
	return func() (string, bool) {
		t.Helper()
		now := p.targets(t)
		for _, want := range kept {
			if !slices.ContainsFunc(now, func(a target) bool { return a.Labels["instance"] == want }) {
				t.Fatalf("the target %s is lost; there are %d: %v", want, len(now), now)
			}
		}
		return look(now)
	}
}

// keepsUntil waits until an expression has this value, as becomes does, while Prometheus never loses these targets.
func (p *prometheus) keepsUntil(t *testing.T, kept []string, expr, want string) {
	t.Helper()
	eventually(t, expr, p.keeping(t, kept, func([]target) (string, bool) {
		got := text(p.now(t, expr))
		return "-got +want\n" + difference(got, want), got == want
	}))
}

// neverPaused asserts that since a moment each of these targets was scraped all the time, whether that succeeded or not. On a machine that is busy
// with other things, a scrape or two are late.
func (p *prometheus) neverPaused(t *testing.T, targets []string, since time.Time) {
	t.Helper()
	scrapes := map[string][]float64{}
	for _, s := range p.now(t, "up[10m]") {
		for _, v := range s.Values {
			if v.at >= unix(since) {
				scrapes[s.Metric["instance"]] = append(scrapes[s.Metric["instance"]], v.at)
			}
		}
	}
	for _, name := range targets {
		last := unix(since)
		for _, at := range append(scrapes[name], unix(time.Now())) {
			if at-last > 4*interval.Seconds() {
				t.Errorf("%s was not scraped between %.3f and %.3f", name, last, at)
			}
			last = at
		}
	}
}

// status returns how the exporter answers at a path.
func (e *exporter) status(t *testing.T, path string) int {
	t.Helper()
	resp, err := http.Get("http://" + e.at + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}
