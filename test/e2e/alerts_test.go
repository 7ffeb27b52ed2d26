package e2e

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// The alerts on the only quota of newClimbing that changes.
const (
	ram            = " project=" + named + " service=dcs resource_type=ram"
	nearlyWarning  = "CloudQuotaNearlyExhausted warning" + ram
	nearlyCritical = "CloudQuotaCritical critical" + ram
	exhausted      = "CloudQuotaExhausted critical" + ram
)

// newClimbing returns a cloud of one project, and a function that sets the used amount and the limit of the only quota on which alerts fire.
func newClimbing() (cloud *cloudtest.Cloud, set func(used, limit int64)) {
	const id = "7d3c1f0e5b9a48e2a6c4d8f01b2e3a59"
	cloud = cloudtest.New(cloudsim.Account{
		Name: "main", AccessKey: accessKey, SecretKey: secretKey,
		Projects: []cloudsim.Project{{ID: id, Name: named, Quotas: map[string][]cloudsim.Quota{
			"dcs": {{Type: "ram", Unit: "GB", Used: 400, Limit: 800, Min: 1, Max: 1600}},
		}}},
	})
	return cloud, func(used, limit int64) { cloud.SetQuota(id, "dcs", "ram", used, limit) }
}

const (
	// rapid makes nearly every scrape fetch.
	rapid = "{defaults: {cache_ttl: 1s}, ces: {cache_ttl: 1s}}"
	// wait is the group wait of alerts. It is at least as long as an alert can follow the one that inhibits it, on a slow machine.
	wait = 2 * time.Second
)

// TestClimbingQuota: notifications are sent once each for nearly exhausted, exhausted, and resolved.
func TestClimbingQuota(t *testing.T) {
	t.Parallel()
	cloud, set := newClimbing()
	a := startAlertmanager(t, wait)
	p := a.alerted(t, startExporter(t, cloud, rapid).at, 400*time.Millisecond)
	p.becomes(t, `count(quota:cloud_quota_utilization:ratio{resource_type="ram"})`, " 1")

	sent := []string{"cloud_quota: " + nearlyWarning + " firing"}
	set(680, 800)
	a.inbox.sends(t, sent...)
	a.has(t, nearlyWarning)

	sent = append(sent, "cloud_quota_critical: "+exhausted+" firing")
	set(800, 800)
	a.inbox.sends(t, sent...)
	a.has(t, exhausted, nearlyCritical+" < CloudQuotaExhausted", nearlyWarning+" < CloudQuotaExhausted")

	sent = append(sent, "cloud_quota_critical: "+exhausted+" resolved")
	set(800, 900) // also resolves the critical alert, which was never sent
	a.inbox.sends(t, sent...)
	a.has(t, nearlyWarning) // was sent

	sent = append(sent, "cloud_quota: "+nearlyWarning+" resolved")
	set(800, 1600)
	a.inbox.sends(t, sent...)
	a.has(t)

	isGolden(t, "nearly_exhausted.json", a.inbox.nth(t, 1, "webhook", "cloud_quota"))
	isGolden(t, "resolved.json", a.inbox.nth(t, 2, "webhook", "cloud_quota"))
	for _, kind := range []string{"chat", "mail"} {
		isGolden(t, "nearly_exhausted.txt", a.inbox.nth(t, 1, kind, "cloud_quota"))
		isGolden(t, "resolved.txt", a.inbox.nth(t, 2, kind, "cloud_quota"))
	}
}

// TestOutageSendsNothingAboutQuotas: if the cloud rejects all requests and the exporter restarts, quota alerts are neither resolved nor repeated.
func TestOutageSendsNothingAboutQuotas(t *testing.T) {
	t.Parallel()
	cloud, set := newClimbing()
	set(800, 800)
	a := startAlertmanager(t, wait)
	e := startExporter(t, cloud, rapid)
	p := a.alerted(t, e.at, time.Second)
	sent := []string{"cloud_quota_critical: " + exhausted + " firing"}
	a.inbox.sends(t, sent...)

	heal := cloud.Inject(cloudtest.Fault{Status: http.StatusServiceUnavailable})
	p.becomes(t, "count(cloud_quota_up == 0)", " 5")
	p.is(t, "count(cloud_quota_remaining{service=\"dcs\"} <= 0)", " 1")
	e.restart(t, p)
	p.becomes(t, "count(cloud_quota_up == 0)", " 5")
	p.is(t, "cloud_quota_remaining", "") // the values were in memory only
	heal()
	e.restart(t, p) // otherwise it would retry after 15 seconds
	p.becomes(t, "count(cloud_quota_up == 1)", " 5")
	p.becomes(t, "count(cloud_quota_remaining{service=\"dcs\"} <= 0)", " 1")
	a.inbox.sends(t, sent...)

	sent = append(sent, "cloud_quota_critical: "+exhausted+" resolved")
	set(800, 1600)
	a.inbox.sends(t, sent...)
}

// restart starts the exporter again at the same address, and waits until Prometheus has scraped it.
func (e *exporter) restart(t *testing.T, p *prometheus) {
	t.Helper()
	e.terminate(t)
	p.becomes(t, "up", "up 0")
	e.run(t, e.at)
	p.becomes(t, "up", "up 1")
}

// TestManyProjectsAreOneNotification: the list is truncated, but the count is not.
func TestManyProjectsAreOneNotification(t *testing.T) {
	t.Parallel()
	a := startAlertmanager(t, 5*time.Second) // 500 alerts take some time
	failing := func(project string, since time.Time) alert {
		return alert{labeled("CloudQuotaReadFailing warning service=dcs project=" + project), map[string]string{
			"summary":     "Fetching dcs of project " + project + " fails: timeout",
			"description": "No fetch has succeeded yet. See the exporter's log for the response.",
			"runbook_url": "https://runbooks.example.com/CloudQuotaReadFailing.html",
		}, since, time.Now().Add(time.Hour)}
	}
	var all []alert
	for i := range 500 {
		all = append(all, failing(fmt.Sprintf("p%03d", i), time.Now()))
	}
	a.post(t, all)
	isGolden(t, "many.txt", a.inbox.nth(t, 1, "chat", "cloud_quota"))
	if text := a.inbox.nth(t, 1, "webhook", "cloud_quota"); !strings.Contains(text, `"truncatedAlerts":400`) {
		t.Errorf("the webhook got %.1000s..., want 100 of 500 alerts", text)
	}

	for i := range all { // of two start times, Alertmanager uses the earlier
		all[i].StartsAt = time.Date(1999, time.December, 30, 18, 30, 0, 0, time.FixedZone("", -8*60*60))
	}
	a.post(t, append(all, failing("p999", time.Now()))) // the last by name
	isGolden(t, "many_and_one.txt", a.inbox.nth(t, 2, "chat", "cloud_quota"))

	for i := range all[:30] {
		all[i].EndsAt = time.Now()
	}
	a.post(t, all[:30])
	isGolden(t, "many_resolved.txt", a.inbox.nth(t, 3, "chat", "cloud_quota"))
	if n := len(a.inbox.all("chat", "cloud_quota")); n != 3 {
		t.Errorf("%d notifications, want 3", n)
	}
}

const shippedAlertmanager = deploy + "alertmanager/alertmanager.yml"

// routes are the expected receivers of alerts. <project> is replaced by one whose team gets the alerts on its quotas, and by one without such a team.
var routes = []struct{ alert, prod, dev string }{
	{"CloudQuotaNearlyExhausted info project=<project> service=dcs resource_type=ram", "prod", "cloud_quota"},
	{"CloudQuotaNearlyExhausted warning project=<project> service=dcs resource_type=ram", "prod", "cloud_quota"},
	{"CloudQuotaCritical critical project=<project> service=dcs resource_type=ram", "prod_critical", "cloud_quota_critical"},
	{"CloudQuotaExhausted critical project=<project> service=dcs resource_type=ram", "prod_critical", "cloud_quota_critical"},
	{"CloudQuotaExhaustionForecast warning project=<project> service=dcs resource_type=ram", "prod", "cloud_quota"},
	{"CloudQuotaLimitLowered warning project=<project> service=dcs resource_type=ram", "prod", "cloud_quota"},
	{"CloudQuotaReadFailing warning project=<project> service=dcs", "cloud_quota", "cloud_quota"},
	{"CloudQuotaStale warning project=<project> service=dcs", "cloud_quota", "cloud_quota"},
	{"CloudQuotaAccountDown warning account=<project>", "cloud_quota", "cloud_quota"},
	{"CloudQuotaProjectsMissing warning account=<project>", "cloud_quota", "cloud_quota"},
	{"CloudQuotaGone warning project=<project> service=dcs resource_type=ram", "prod", "cloud_quota"},
	{"CloudQuotaLeftOut warning project=<project> service=dcs", "cloud_quota", "cloud_quota"},
	{"CloudQuotaLeftOut warning account=<project>", "cloud_quota", "cloud_quota"},
	{"CloudQuotaProjectsCollide warning project=<project>", "cloud_quota", "cloud_quota"},
	{"CloudQuotaBlind critical job=<project>", "cloud_quota_critical", "cloud_quota_critical"},
	{"CloudQuotaExporterDown warning job=cloud_quota instance=<project>", "cloud_quota", "cloud_quota"},
	{"CloudQuotaConfigReloadFailed warning instance=<project>", "cloud_quota", "cloud_quota"},
	{"CloudQuotaLabelsRenamed warning job=<project>", "cloud_quota", "cloud_quota"},
	{"SomethingElse critical project=<project> resource_type=ram", "others", "others"},
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	for _, r := range routes {
		for project, want := range map[string]string{"prod_eu": r.prod, "dev_prod": r.dev} {
			args := []string{"config", "routes", "test", "--config.file=" + shippedAlertmanager}
			for label, value := range labeled(strings.ReplaceAll(r.alert, "<project>", project)) {
				args = append(args, label+"="+value)
			}
			if got := amtool(t, args...); got != want {
				t.Errorf("%s: %s goes to %q, want %q", r.alert, project, got, want)
			}
		}
	}
}

// TestEveryAlertIsRouted compares the names in the tables with those of the rules, so that no configuration by name is about an alert that does not
// exist.
func TestEveryAlertIsRouted(t *testing.T) {
	t.Parallel()
	var shipped, routed, inhibited []string
	for _, m := range regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(readFile(t, shippedRules), -1) {
		shipped = append(shipped, m[1])
	}
	for _, r := range routes {
		routed = append(routed, labeled(r.alert)["alertname"])
	}
	for _, s := range inhibitions {
		inhibited = append(inhibited, labeled(s.alert)["alertname"])
	}
	slices.Sort(shipped)
	for table, names := range map[string][]string{"routes": routed, "inhibitions": inhibited} {
		names = slices.DeleteFunc(names, func(name string) bool { return name == "SomethingElse" })
		slices.Sort(names)
		if names = slices.Compact(names); !slices.Equal(names, shipped) {
			t.Errorf("%s has %v, the rules have %v", table, names, shipped)
		}
	}
}

// TestShippedAlertmanagerConfiguration runs amtool on the shipped configuration. startAlertmanager also loads it with the comments enabled.
func TestShippedAlertmanagerConfiguration(t *testing.T) {
	t.Parallel()
	if out := amtool(t, "check-config", shippedAlertmanager); !strings.Contains(out, " 1 templates") {
		t.Errorf("amtool does not find the template: %s", out)
	}
}

// amtool runs amtool, which must succeed, and returns its output.
func amtool(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), amtoolBinary, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", filepath.Base(amtoolBinary), args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// inhibitions are alerts that fire at once, and the alertname of the alert that inhibits each.
var inhibitions = []struct{ alert, by string }{
	{"CloudQuotaExhausted critical project=prod service=dcs resource_type=ram", ""},
	{"CloudQuotaCritical critical project=prod service=dcs resource_type=ram", "CloudQuotaExhausted"},
	{"CloudQuotaNearlyExhausted warning project=prod service=dcs resource_type=ram", "CloudQuotaExhausted"},
	{"CloudQuotaExhaustionForecast warning project=prod service=dcs resource_type=ram", "CloudQuotaExhausted"},
	{"CloudQuotaLimitLowered warning project=prod service=dcs resource_type=ram", ""}, // this might be why it is exhausted

	{"CloudQuotaCritical critical project=prod service=ces resource_type=alarm", ""},
	{"CloudQuotaNearlyExhausted warning project=prod service=ces resource_type=alarm", "CloudQuotaCritical"},
	{"CloudQuotaNearlyExhausted info project=prod service=ces resource_type=alarm", "CloudQuotaCritical"},
	{"CloudQuotaExhaustionForecast warning project=prod service=ces resource_type=alarm", "CloudQuotaCritical"},

	// Each differs from one above in one label.
	{"CloudQuotaNearlyExhausted warning project=dev service=dcs resource_type=ram", ""},
	{"CloudQuotaNearlyExhausted warning project=prod service=dbss resource_type=ram", ""},
	{"CloudQuotaNearlyExhausted warning project=prod service=dcs resource_type=instance", ""},
	{"CloudQuotaExhaustionForecast warning project=prod service=dcs resource_type=instance", ""},
	{"CloudQuotaNearlyExhausted warning project=dev service=ces resource_type=alarm", ""},
	{"CloudQuotaNearlyExhausted warning project=staging service=ces resource_type=alarm", ""},

	{"CloudQuotaReadFailing warning project=prod service=ces", ""},
	{"CloudQuotaStale warning project=prod service=ces", "CloudQuotaReadFailing"},
	{"CloudQuotaStale warning project=prod service=cts", ""},
	{"CloudQuotaStale warning project=dev service=ces", ""},
	{"CloudQuotaAccountDown warning account=main", ""},
	{"CloudQuotaProjectsMissing warning account=main", ""},
	{"CloudQuotaConfigReloadFailed warning job=cloud_quota instance=one:10133", ""},
	{"CloudQuotaLabelsRenamed warning job=cloud_quota", ""},
	{"CloudQuotaGone warning project=prod service=dcs resource_type=ram", ""},
	{"CloudQuotaLeftOut warning project=prod service=dcs", ""},
	{"CloudQuotaProjectsCollide warning project=prod", ""},
	{"CloudQuotaBlind critical job=cloud_quota", ""},
	{"CloudQuotaExporterDown warning job=cloud_quota instance=two:10133", ""},
	{"SomethingElse critical project=dev service=dcs resource_type=ram", ""},
}

func TestInhibitions(t *testing.T) {
	t.Parallel()
	startAlertmanager(t, time.Second).inhibits(t, "")
}

// kubePrometheus are the inhibitions that kube-prometheus, kube-prometheus-stack and OpenShift configure.
const kubePrometheus = `
inhibit_rules:
  - source_matchers: ['severity = critical']
    target_matchers: ['severity =~ warning|info']
    equal: [namespace, alertname]
  - source_matchers: ['severity = warning']
    target_matchers: ['severity = info']
    equal: [namespace, alertname]
  - source_matchers: ['alertname = InfoInhibitor']
    target_matchers: ['severity = info']
    equal: [namespace]
`

// TestInhibitionsOfKubePrometheus inhibit nothing more. Severities that share an alertname are the exception, which docs/alerts.md explains.
func TestInhibitionsOfKubePrometheus(t *testing.T) {
	t.Parallel()
	startAlertmanager(t, time.Second, `\ninhibit_rules:\n`, kubePrometheus).inhibits(t, "info")
}

// inhibits posts all alerts except those of one severity, and waits until each is inhibited by the expected alerts.
func (a *alertmanager) inhibits(t *testing.T, without string) {
	t.Helper()
	var fired []alert
	var want []string
	for _, s := range inhibitions {
		labels := labeled(s.alert)
		if labels["severity"] == without {
			continue
		}
		fired = append(fired, alert{Labels: labels, StartsAt: time.Now(), EndsAt: time.Now().Add(time.Hour)})
		want = append(want, strings.TrimSuffix(s.alert+" < "+s.by, " < "))
	}
	a.post(t, fired)
	a.has(t, want...)
}
