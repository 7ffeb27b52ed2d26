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

// The alerts on the one quota of newClimbing that moves.
const (
	ram            = " project=" + named + " service=dcs resource_type=ram"
	nearlyWarning  = "CloudQuotaNearlyExhausted warning" + ram
	nearlyCritical = "CloudQuotaCritical critical" + ram
	exhausted      = "CloudQuotaExhausted critical" + ram
)

// newClimbing returns a cloud of one project, and what sets the used amount and the limit of the only quota of which alerts can be due.
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
	// rapid asks the cloud at nearly every scrape.
	rapid = "{defaults: {cache_ttl: 1s}, ces: {cache_ttl: 1s}}"
	// wait is how long groups of alerts wait: at least as long as an alert may come after one that silences it, on a slow machine.
	wait = 2 * time.Second
)

// TestClimbingQuota is told of as nearly exhausted, as exhausted and as over, each once.
func TestClimbingQuota(t *testing.T) {
	t.Parallel()
	cloud, set := newClimbing()
	a := startAlertmanager(t, wait)
	p := a.alerted(t, startExporter(t, cloud, rapid).at, 400*time.Millisecond)
	p.becomes(t, `count(quota:cloud_quota_utilization:ratio{resource_type="ram"})`, " 1")

	told := []string{"cloud_quota: " + nearlyWarning + " firing"}
	set(680, 800)
	a.inbox.tells(t, told...)
	a.has(t, nearlyWarning)

	told = append(told, "cloud_quota_critical: "+exhausted+" firing")
	set(800, 800)
	a.inbox.tells(t, told...)
	a.has(t, exhausted, nearlyCritical+" < CloudQuotaExhausted", nearlyWarning+" < CloudQuotaExhausted")

	told = append(told, "cloud_quota_critical: "+exhausted+" resolved")
	set(800, 900) // which ends the critical one too, of which nothing was told
	a.inbox.tells(t, told...)
	a.has(t, nearlyWarning) // of which was told

	told = append(told, "cloud_quota: "+nearlyWarning+" resolved")
	set(800, 1600)
	a.inbox.tells(t, told...)
	a.has(t)

	isGolden(t, "nearly_exhausted.json", a.inbox.nth(t, 1, "webhook", "cloud_quota"))
	isGolden(t, "resolved.json", a.inbox.nth(t, 2, "webhook", "cloud_quota"))
	for _, kind := range []string{"chat", "mail"} {
		isGolden(t, "nearly_exhausted.txt", a.inbox.nth(t, 1, kind, "cloud_quota"))
		isGolden(t, "resolved.txt", a.inbox.nth(t, 2, kind, "cloud_quota"))
	}
}

// TestOutageTellsNothingOfQuotas: neither an end nor a repetition, although the cloud refuses everything and the exporter is restarted.
func TestOutageTellsNothingOfQuotas(t *testing.T) {
	t.Parallel()
	cloud, set := newClimbing()
	set(800, 800)
	a := startAlertmanager(t, wait)
	e := startExporter(t, cloud, rapid)
	p := a.alerted(t, e.at, time.Second)
	told := []string{"cloud_quota_critical: " + exhausted + " firing"}
	a.inbox.tells(t, told...)

	heal := cloud.Inject(cloudtest.Fault{Status: http.StatusServiceUnavailable})
	p.becomes(t, "count(cloud_quota_up == 0)", " 5")
	p.is(t, "count(cloud_quota_remaining{service=\"dcs\"} <= 0)", " 1")
	e.restart(t, p)
	p.becomes(t, "count(cloud_quota_up == 0)", " 5")
	p.is(t, "cloud_quota_remaining", "") // the numbers were in memory, and can't be had again
	heal()
	e.restart(t, p) // it would try again after 15 seconds
	p.becomes(t, "count(cloud_quota_up == 1)", " 5")
	p.becomes(t, "count(cloud_quota_remaining{service=\"dcs\"} <= 0)", " 1")
	a.inbox.tells(t, told...)

	told = append(told, "cloud_quota_critical: "+exhausted+" resolved")
	set(800, 1600)
	a.inbox.tells(t, told...)
}

// restart starts the exporter anew where it was, and waits until Prometheus has seen that.
func (e *exporter) restart(t *testing.T, p *prometheus) {
	t.Helper()
	e.terminate(t)
	p.becomes(t, "up", "up 0")
	e.run(t, e.at)
	p.becomes(t, "up", "up 1")
}

// TestManyProjectsAreOneNotification, in which the list is cut and the count is not.
func TestManyProjectsAreOneNotification(t *testing.T) {
	t.Parallel()
	a := startAlertmanager(t, 5*time.Second) // 500 alerts take their time
	failing := func(project string, since time.Time) alert {
		return alert{labelled("CloudQuotaReadFailing warning service=dcs project=" + project), map[string]string{
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

	for i := range all { // of two times, Alertmanager believes the earlier
		all[i].StartsAt = time.Date(1999, time.December, 30, 18, 30, 0, 0, time.FixedZone("", -8*60*60))
	}
	a.post(t, append(all, failing("p999", time.Now()))) // the last by its name
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

// routes are the receivers of alerts; <project> is one whose team gets the alerts on its quotas, and one that is nobody's.
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
			for label, value := range labelled(strings.ReplaceAll(r.alert, "<project>", project)) {
				args = append(args, label+"="+value)
			}
			if got := amtool(t, args...); got != want {
				t.Errorf("%s: of %s goes to %q, want %q", r.alert, project, got, want)
			}
		}
	}
}

// TestEveryAlertIsRouted, and there is none in the tables that the rules don't have: what Alertmanager's configuration does by name would
// be about nothing.
func TestEveryAlertIsRouted(t *testing.T) {
	t.Parallel()
	var shipped, routed, silenced []string
	for _, m := range regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(readFile(t, shippedRules), -1) {
		shipped = append(shipped, m[1])
	}
	for _, r := range routes {
		routed = append(routed, labelled(r.alert)["alertname"])
	}
	for _, s := range silencing {
		silenced = append(silenced, labelled(s.alert)["alertname"])
	}
	slices.Sort(shipped)
	for table, names := range map[string][]string{"routes": routed, "silencing": silenced} {
		names = slices.DeleteFunc(names, func(name string) bool { return name == "SomethingElse" })
		slices.Sort(names)
		if names = slices.Compact(names); !slices.Equal(names, shipped) {
			t.Errorf("%s has %v, the rules have %v", table, names, shipped)
		}
	}
}

// TestShippedAlertmanagerConfiguration has amtool check what is shipped. startAlertmanager has Alertmanager load it with the comments too.
func TestShippedAlertmanagerConfiguration(t *testing.T) {
	t.Parallel()
	if out := amtool(t, "check-config", shippedAlertmanager); !strings.Contains(out, " 1 templates") {
		t.Errorf("it does not find the template: %s", out)
	}
}

// amtool runs it, and returns what it prints. It must succeed.
func amtool(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), amtoolBinary, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", filepath.Base(amtoolBinary), args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// silencing has alerts that fire at once, and the alertname of what silences each.
var silencing = []struct{ alert, by string }{
	{"CloudQuotaExhausted critical project=prod service=dcs resource_type=ram", ""},
	{"CloudQuotaCritical critical project=prod service=dcs resource_type=ram", "CloudQuotaExhausted"},
	{"CloudQuotaNearlyExhausted warning project=prod service=dcs resource_type=ram", "CloudQuotaExhausted"},
	{"CloudQuotaExhaustionForecast warning project=prod service=dcs resource_type=ram", "CloudQuotaExhausted"},
	{"CloudQuotaLimitLowered warning project=prod service=dcs resource_type=ram", ""}, // perhaps why it is exhausted

	{"CloudQuotaCritical critical project=prod service=ces resource_type=alarm", ""},
	{"CloudQuotaNearlyExhausted warning project=prod service=ces resource_type=alarm", "CloudQuotaCritical"},
	{"CloudQuotaNearlyExhausted info project=prod service=ces resource_type=alarm", "CloudQuotaCritical"},
	{"CloudQuotaExhaustionForecast warning project=prod service=ces resource_type=alarm", "CloudQuotaCritical"},

	// Each is like one above in all but one label.
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

func TestWhatSilencesWhat(t *testing.T) {
	t.Parallel()
	startAlertmanager(t, time.Second).silences(t, "")
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

// TestInhibitionsOfKubePrometheus silence nothing more. Severities that share an alertname are the exception, which docs/alerts.md explains.
func TestInhibitionsOfKubePrometheus(t *testing.T) {
	t.Parallel()
	startAlertmanager(t, time.Second, `\ninhibit_rules:\n`, kubePrometheus).silences(t, "info")
}

// silences posts all alerts except those of one severity, and waits until each is inhibited by the alerts that are expected to.
func (a *alertmanager) silences(t *testing.T, without string) {
	t.Helper()
	var fired []alert
	var want []string
	for _, s := range silencing {
		labels := labelled(s.alert)
		if labels["severity"] == without {
			continue
		}
		fired = append(fired, alert{Labels: labels, StartsAt: time.Now(), EndsAt: time.Now().Add(time.Hour)})
		want = append(want, strings.TrimSuffix(s.alert+" < "+s.by, " < "))
	}
	a.post(t, fired)
	a.has(t, want...)
}
