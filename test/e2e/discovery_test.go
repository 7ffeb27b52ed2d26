package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/democloud"
)

// numbersOfScaled is the number of values of each project of cloudtest.Scale.
const numbersOfScaled = 23

// TestTwoExportersShareProjects: one server scrapes each project from one of two exporters, which are independent of each other.
func TestTwoExportersShareProjects(t *testing.T) {
	t.Parallel()
	cloud := cloudtest.Scale(100)
	endpoints := serve(t, cloud)
	config := "scrape_configs:"
	var exporters []string
	for i := range 2 {
		e := startDiscovering(t, endpoints, "{}")
		exporters = append(exporters, fmt.Sprintf("%q", e.at))
		config += probing(fmt.Sprintf("half_%d", i), e.at, fmt.Sprintf(
			`{source_labels: [__meta_cloud_quota_project_id], action: hashmod, modulus: 2, target_label: __tmp_hash},
			{source_labels: [__tmp_hash], action: keep, regex: "%d"}`, i))
	}
	config += fmt.Sprintf("  - {job_name: exporters, scrape_interval: %s, scrape_timeout: %[1]s, params: {\"collect[]\": [exporter]}, static_configs: [{targets: [%s]}]}\n",
		interval, strings.Join(exporters, ", "))
	p := startPrometheus(t, config)

	var alarms, counts []string
	for i, label := range labels(cloud.Projects()) {
		alarms = append(alarms, fmt.Sprintf("cloud_quota_used{project=%q,resource_type=\"alarm\",service=\"ces\",target=%[1]q} %d", label, 100*(i%10)))
		counts = append(counts, fmt.Sprintf("{project=%q,target=%[1]q} %d", label, numbersOfScaled))
	}
	countsByTarget := "count by (project, target) (" + byTarget(numbersOfQuotas) + ")"
	p.becomes(t, countsByTarget, lines(counts))
	since := time.Now()
	p.becomes(t, "min(count_over_time(up[1m])) >= bool 4", " 1")
	p.is(t, byTarget(`up{job=~"half_.*"}`), ups(labels(cloud.Projects()), "1"))
	p.is(t, byTarget(`cloud_quota_used{service="ces"}`), lines(alarms))
	p.is(t, countsByTarget, lines(counts))
	p.is(t, "min(min_over_time(up[10m]))", " 1")
	p.is(t, `count(count by (job) (up{job=~"half_.*"}) > 25)`, " 2") // otherwise nothing is shared
	p.neverPaused(t, labels(cloud.Projects()), since)

	p.is(t, `min by (__name__) ({__name__=~"cloud_quota_account_.*"})`, // the two agree
		"cloud_quota_account_projects 100\ncloud_quota_account_projects_skipped 0\ncloud_quota_account_up 1")
	p.is(t, `max by (__name__) ({__name__=~"cloud_quota_account_.*"})`,
		"cloud_quota_account_projects 100\ncloud_quota_account_projects_skipped 0\ncloud_quota_account_up 1")
	askedOnce := map[string]int{"cts": 1, "ces": 1, "taurusdb": 1, "dcs": 1, "dbss": 2}
	for _, project := range cloud.Projects() {
		if asked := cloud.ProjectRequests(project.ID); !maps.Equal(asked, askedOnce) {
			t.Errorf("%s: requests %v, want %v", project.Name, asked, askedOnce)
		}
	}
	if n := cloud.Requests()["GET /v3/projects"]; n != 2 {
		t.Errorf("%d lists of projects, want one for each exporter", n)
	}
}

func TestRestartedExporterKeepsTargets(t *testing.T) {
	t.Parallel()
	cloud := cloudtest.Scale(20)
	all := labels(cloud.Projects())
	e := startDiscovering(t, serve(t, cloud), "{}")
	p := startPrometheus(t, "scrape_configs:"+probing("cloud_quota", e.at, ""))
	p.becomes(t, byTarget("up"), ups(all, "1"))
	p.becomes(t, "count("+numbersOfQuotas+")", fmt.Sprintf(" %d", numbersOfScaled*len(all)))
	since := time.Now()
	before := p.names(t, numbersOfQuotas)

	heal := cloud.Inject(cloudtest.Fault{Service: "iam", Status: http.StatusServiceUnavailable})
	e.terminate(t)
	p.keepsUntil(t, all, byTarget("up"), ups(all, "0"))
	e.run(t, e.at)
	for _, path := range []string{"/sd", "/probe?target=" + all[0]} {
		if code, _, err := get("http://" + e.at + path); code != http.StatusServiceUnavailable {
			t.Errorf("%s: status %d (%v) while no project is known, want 503", path, code, err)
		}
	}
	eventually(t, "every probe responds with 503", p.keeping(t, all, func(now []target) (string, bool) {
		return fmt.Sprint(now), !slices.ContainsFunc(now, func(a target) bool { return !strings.Contains(a.LastError, "503") })
	}))
	p.is(t, byTarget("up"), ups(all, "0"))

	heal()
	p.keepsUntil(t, all, byTarget("up"), ups(all, "1"))
	p.keepsUntil(t, all, "count("+numbersOfQuotas+")", fmt.Sprintf(" %d", numbersOfScaled*len(all)))
	if after := p.names(t, numbersOfQuotas); after != before {
		t.Errorf("series before and after: -after +before\n%s", difference(after, before))
	}
	p.is(t, changesOfNumbers, " 0")
	p.neverPaused(t, all, since)
	if code, _, err := get("http://" + e.at + "/sd"); code != http.StatusOK {
		t.Errorf("/sd: status %d (%v) at the end, want 200", code, err)
	}
}

func TestProjectsComeAndGo(t *testing.T) {
	t.Parallel()
	// The server itself updates its targets only every five seconds.
	const refresh, scrapes = time.Minute, 5*time.Second + 5*interval
	cloud := cloudtest.Scale(10)
	before := cloud.Projects()
	stays, gone := labels(before[1:]), before[0]
	e := startDiscovering(t, serve(t, cloud), "{refresh_interval: 1m}")
	p := startPrometheus(t, "scrape_configs:"+probing("cloud_quota", e.at, ""))
	p.becomes(t, byTarget("up"), ups(labels(before), "1"))
	p.becomes(t, "count("+numbersOfQuotas+")", fmt.Sprintf(" %d", numbersOfScaled*len(before)))
	since := time.Now()

	added := cloudsim.Project{ID: "0ne0fa11", Name: "ap-southeast-1_added"} // all responses are the documented examples
	cloud.AddProject("demo", added)
	cloud.RemoveProject(gone.ID)
	now := append(slices.Clone(stays), added.Name)
	within(t, refresh+scrapes, "scrapes", p.keeping(t, stays, func([]target) (string, bool) {
		got, want := text(p.now(t, byTarget("up"))), ups(now, "1")
		return "-got +want\n" + difference(got, want), got == want
	}))
	p.keepsUntil(t, now, "count("+numbersOfQuotas+")", fmt.Sprintf(" %d", numbersOfScaled*len(stays)+strings.Count(numbers(), strconv.Quote(examples))))
	p.keepsUntil(t, now, fmt.Sprintf("count(count_over_time(up{instance!=%q}[1m]) >= 3)", gone.Name), fmt.Sprintf(" %d", len(now)))

	p.is(t, fmt.Sprintf("{instance=%q}", gone.Name), "")
	p.is(t, byTarget("up"), ups(now, "1"))
	p.is(t, fmt.Sprintf("min(min_over_time(up{instance!=%q}[10m]))", gone.Name), " 1")
	p.neverPaused(t, stays, since)
	p.complete(t, fmt.Sprintf(`{__name__=~"cloud_quota_.*",instance!=%q}`, added.Name), since)
	if n := cloud.Requests()["GET /v3/projects"]; n != 2 {
		t.Errorf("%d lists of projects, want 2", n)
	}
}

// interval is the scrape interval of probing.
const interval = 2 * time.Second

// startDiscovering runs the exporter with the account of cloudtest.Scale, whose projects it must discover in IAM. discovery is that key of the
// configuration, endpoints is the result of serve.
func startDiscovering(t *testing.T, endpoints, discovery string) *exporter {
	t.Helper()
	return configured(t, fmt.Sprintf(`
accounts:
  - name: demo
    credentials: {static: {access_key: %s, secret_key: %s}}
    endpoints: %s
    discovery: %s
`, democloud.AccessKey, democloud.SecretKey, endpoints, discovery))
}

// probing configures a job that probes each project of an exporter's list. relabel may drop some.
func probing(job, address, relabel string) string {
	return fmt.Sprintf(`
  - job_name: %s
    scrape_interval: %[2]s
    scrape_timeout: %[2]s
    http_sd_configs: [{url: "http://%[3]s/sd", refresh_interval: 1s}]
    relabel_configs: [%[4]s]
`, job, interval, address, relabel)
}

// labels returns the labels of the projects that one account has in the cloud.
func labels(projects []cloudsim.Project) []string {
	var all []string
	for _, p := range projects {
		all = append(all, p.Name)
	}
	return all
}

// byTarget copies the label instance, which text omits, to target.
func byTarget(expr string) string {
	return fmt.Sprintf(`label_replace(%s, "target", "$1", "instance", "(.*)")`, expr)
}

// ups is the value of byTarget("up") if exactly these targets have this value.
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

// targets returns the current targets of Prometheus.
func (p *prometheus) targets(t *testing.T) []target {
	t.Helper()
	var data struct{ ActiveTargets []target }
	if err := p.get("/api/v1/targets", nil, &data); err != nil {
		t.Fatal(err)
	}
	return data.ActiveTargets
}

// keeping is like look, and also asserts each time that Prometheus has these targets.
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

// keepsUntil waits until an expression has this value, as becomes does, and asserts that Prometheus never loses these targets.
func (p *prometheus) keepsUntil(t *testing.T, kept []string, expr, want string) {
	t.Helper()
	eventually(t, expr, p.keeping(t, kept, func([]target) (string, bool) {
		got := text(p.now(t, expr))
		return "-got +want\n" + difference(got, want), got == want
	}))
}

// neverPaused asserts that each of these targets was scraped continuously since a time, with or without success. On a busy machine, one or two
// scrapes can be late.
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
