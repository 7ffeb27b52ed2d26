package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

func TestEveryQuotaHasItsValues(t *testing.T) {
	t.Parallel()
	cloud := newCloud()
	p := startPrometheus(t, scraping(startExporter(t, cloud, "{}").at, time.Second))
	p.becomes(t, numbersOfQuotas, numbers())

	var units, projects []string
	for _, q := range quotas {
		unit := ""
		if q.unit != "" { // Prometheus treats an empty label as missing
			unit = fmt.Sprintf(",unit=%q", q.unit)
		}
		units = append(units, fmt.Sprintf("cloud_quota_info{project=%q,resource_type=%q,service=%q%s} 1", q.project, q.resourceType, q.service, unit))
	}
	p.is(t, "cloud_quota_info", lines(units))
	for _, project := range cloud.Projects() {
		projects = append(projects, fmt.Sprintf("cloud_quota_project_info{account=\"main\",project=%q,project_id=%q,region=%q} 1",
			project.Name, project.ID, project.Region))
	}
	p.is(t, "cloud_quota_project_info", lines(projects))
	p.is(t, `{__name__=~"cloud_quota_limit_(min|max)"}`, `cloud_quota_limit_max{project="ap-southeast-1_dev",resource_type="instance",service="dcs"} 50
cloud_quota_limit_max{project="ap-southeast-1_dev",resource_type="ram",service="dcs"} 800
cloud_quota_limit_max{project="ap-southeast-3",resource_type="instance",service="dcs"} 10
cloud_quota_limit_max{project="ap-southeast-3",resource_type="ram",service="dcs"} 800
cloud_quota_limit_min{project="ap-southeast-1_dev",resource_type="instance",service="dcs"} 1
cloud_quota_limit_min{project="ap-southeast-1_dev",resource_type="ram",service="dcs"} 1
cloud_quota_limit_min{project="ap-southeast-3",resource_type="instance",service="dcs"} 1
cloud_quota_limit_min{project="ap-southeast-3",resource_type="ram",service="dcs"} 1`)
	p.is(t, "cloud_quota_up", sources("cloud_quota_up", "1", "1"))
	p.is(t, "cloud_quota_last_failure_reason", "")
	p.is(t, "cloud_quota_resources_skipped", sources("cloud_quota_resources_skipped", "0", "0"))

	ratios := lines(metric("", quotas, func(q quota) string { return q.ratio }))
	p.is(t, "cloud_quota_used / cloud_quota_limit", ratios)
	p.is(t, "max by (service, project, resource_type) (cloud_quota_used / cloud_quota_limit)", ratios)
	p.is(t, "max by (service, project, resource_type) (cloud_quota_used / cloud_quota_limit) > 0.9",
		lines(metric("", quotas, func(q quota) string {
			if q.resourceType == "system_tracker" || q.project == named && (q.resourceType == "alarm" || q.service == "dcs" && q.resourceType == "instance") {
				return q.ratio
			}
			return ""
		})))
}

// TestLabels scrapes the exporter with targets that have their own label service, as every ServiceMonitor gives it to them.
func TestLabels(t *testing.T) {
	t.Parallel()
	e := startExporter(t, newCloud(), "{}")
	p := startPrometheus(t, fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: no_label
    static_configs: [{targets: [%[1]q]}]
  - job_name: honored
    honor_labels: true
    static_configs: [{targets: [%[1]q], labels: {service: kube}}]
  - job_name: not_honored
    static_configs: [{targets: [%[1]q], labels: {service: kube}}]
  - job_name: dropped
    static_configs: [{targets: [%[1]q], labels: {service: kube}}]
    relabel_configs: [{action: labeldrop, regex: service}]
`, e.at))
	for job, services := range map[string]map[string]string{
		"no_label":    {"service": "dcs"},
		"honored":     {"service": "dcs"},
		"not_honored": {"service": "kube", "exported_service": "dcs"},
		"dropped":     {"service": "dcs"},
	} {
		want := map[string]string{
			"__name__": "cloud_quota_used", "job": job, "instance": e.at, "project": examples, "resource_type": "ram",
		}
		maps.Copy(want, services)
		eventually(t, job, func() (string, bool) {
			all, err := p.query(fmt.Sprintf(`cloud_quota_used{job=%q,project=%q,resource_type="ram"}`, job, examples))
			if err != nil || len(all) != 1 {
				return fmt.Sprint(all, err), false
			}
			return "got  " + write(all[0].Metric) + "\nwant " + write(want), maps.Equal(all[0].Metric, want)
		})
	}
}

// TestPromtoolReportsNothing runs promtool on a page with every metric, including those of a failure. startPrometheus runs it on every configuration.
func TestPromtoolReportsNothing(t *testing.T) {
	t.Parallel()
	cloud := newCloud()
	cloud.Inject(cloudtest.Fault{Service: "ces", Status: http.StatusInternalServerError})
	e := startExporter(t, cloud, "{}")
	status, page, err := get("http://" + e.at + "/metrics")
	if err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	for _, name := range []string{"used", "limit", "remaining", "last_failure_reason", "exporter_api_requests_total"} {
		if !strings.Contains(page, fmt.Sprintf("\ncloud_quota_%s{", name)) {
			t.Errorf("no cloud_quota_%s in\n%s", name, page)
		}
	}
	check := exec.CommandContext(t.Context(), promtoolBinary, "check", "metrics")
	check.Stdin = strings.NewReader(page)
	if out, err := check.CombinedOutput(); err != nil || len(out) != 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

func TestFailingServiceKeepsAllValues(t *testing.T) {
	t.Parallel()
	cloud := newCloud()
	e := startExporter(t, cloud, "{defaults: {cache_ttl: 1s}, ces: {cache_ttl: 1s}}")
	p := startPrometheus(t, scraping(e.at, 2*time.Second))
	p.becomes(t, numbersOfQuotas, numbers())
	p.is(t, "cloud_quota_up", sources("cloud_quota_up", "1", "1"))
	p.is(t, "cloud_quota_last_failure_reason", "")
	since := time.Now()

	heal := cloud.Inject(cloudtest.Fault{Service: "dcs", Status: http.StatusInternalServerError})
	p.becomes(t, "cloud_quota_up", sources("cloud_quota_up", "0", "1"))
	p.is(t, "max by (project, service, reason) (cloud_quota_last_failure_reason)",
		`{project="ap-southeast-1_dev",reason="server_error",service="dcs"} 1
{project="ap-southeast-3",reason="server_error",service="dcs"} 1`)
	p.is(t, numbersOfQuotas, numbers())

	heal()
	p.becomes(t, "cloud_quota_up", sources("cloud_quota_up", "1", "1"))
	p.is(t, "cloud_quota_last_failure_reason", "")
	p.is(t, numbersOfQuotas, numbers())
	p.is(t, "min_over_time(up[10m])", " 1")
	p.is(t, "changes(cloud_quota_up[10m])", sources("", "2", "0"))
	p.is(t, changesOfNumbers, " 0")
	p.complete(t, numbersOfQuotas, since)
}

// exported selects every series of the exporter, without those that Prometheus adds about a scrape.
const exported = `{job="cloud_quota",__name__!~"up|scrape_.*"}`

func TestRestartLosesNoSeries(t *testing.T) {
	t.Parallel()
	e := startExporter(t, newCloud(), "{defaults: {cache_ttl: 1s}, ces: {cache_ttl: 1s}}")
	p := startPrometheus(t, scraping(e.at, 2*time.Second))
	p.becomes(t, numbersOfQuotas, numbers())
	since := time.Now()
	p.becomes(t, "count(cloud_quota_fetches_total >= 3)", " 10")
	before := p.names(t, exported)

	e.terminate(t)
	p.becomes(t, "up", "up 0")
	p.is(t, exported, "") // the series of a target that is down end at once
	e.run(t, e.at)
	p.becomes(t, "up", "up 1")
	p.becomes(t, "count(cloud_quota_fetches_total >= 2)", " 10")

	if after := p.names(t, exported); after != before {
		t.Errorf("series before and after: -after +before\n%s", difference(after, before))
	}
	p.is(t, numbersOfQuotas, numbers())
	p.complete(t, exported, since)
	p.is(t, changesOfNumbers, " 0")
	p.is(t, "resets(cloud_quota_fetches_total[10m])", sources("", "1", "1"))
	p.is(t, "min_over_time(increase(cloud_quota_fetches_total[6s])[10m:1s]) < 0", "")
}

// names returns the current series, one per line.
func (p *prometheus) names(t *testing.T, selector string) string {
	t.Helper()
	var all []string
	for _, s := range p.now(t, selector) {
		all = append(all, write(s.Metric))
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// complete asserts that since a time each of these series was in every successful scrape of its target, and in no other. It checks the samples as
// scraped, because PromQL bridges gaps with the previous sample.
func (p *prometheus) complete(t *testing.T, selector string, since time.Time) {
	t.Helper()
	scrapes := map[string][]float64{} // by target
	sampled := map[string][]float64{}
	for _, s := range p.now(t, `{job="cloud_quota"}[10m]`) { // one query, so that no scrape comes between
		for _, v := range s.Values {
			switch target := s.Metric["instance"]; {
			case v.at < unix(since):
			case s.Metric["__name__"] != "up":
				sampled[write(s.Metric)] = append(sampled[write(s.Metric)], v.at)
			case v.value == "1":
				scrapes[target] = append(scrapes[target], v.at)
			}
		}
	}
	selected := p.now(t, selector)
	if len(selected) == 0 {
		t.Fatalf("no samples of %s", selector)
	}
	for _, s := range selected {
		name, want := write(s.Metric), scrapes[s.Metric["instance"]]
		if len(want) < 3 {
			t.Fatalf("only %d scrapes of %s succeeded", len(want), s.Metric["instance"])
		}
		if !slices.Equal(sampled[name], want) {
			t.Errorf("%s was scraped at %.3f, want %.3f", name, sampled[name], want)
		}
	}
}
