package e2e

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const shippedAlertmanager = deploy + "alertmanager/alertmanager.yml"

// routes are the receivers of alerts; <project> is one whose team gets the alerts on its quotas, and one that is nobody's.
var routes = []struct{ alert, prod, dev string }{
	{"CloudQuotaNearlyExhausted info project=<project> service=dcs resource_type=ram", "prod", "cloud_quota"},
	{"CloudQuotaNearlyExhausted warning project=<project> service=dcs resource_type=ram", "prod", "cloud_quota"},
	{"CloudQuotaNearlyExhausted critical project=<project> service=dcs resource_type=ram", "prod_critical", "cloud_quota_critical"},
	{"CloudQuotaExhausted critical project=<project> service=dcs resource_type=ram", "prod_critical", "cloud_quota_critical"},
	{"CloudQuotaExhaustionForecast warning project=<project> service=dcs resource_type=ram", "prod", "cloud_quota"},
	{"CloudQuotaLimitLowered warning project=<project> service=dcs resource_type=ram", "prod", "cloud_quota"},
	{"CloudQuotaReadFailing warning project=<project> service=dcs", "cloud_quota", "cloud_quota"},
	{"CloudQuotaStale warning project=<project> service=dcs", "cloud_quota", "cloud_quota"},
	{"CloudQuotaAccountDown warning account=<project>", "cloud_quota", "cloud_quota"},
	{"CloudQuotaProjectsMissing warning account=<project>", "cloud_quota", "cloud_quota"},
	{"CloudQuotaExporterDown critical job=cloud_quota instance=<project>", "cloud_quota_critical", "cloud_quota_critical"},
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
	for _, m := range regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(readFile(t, deploy+"prometheus/rules.yml"), -1) {
		shipped = append(shipped, m[1])
	}
	for _, r := range routes {
		routed = append(routed, labelled(r.alert)["alertname"])
	}
	for _, s := range silencing {
		silenced = append(silenced, labelled(s.alert)["alertname"])
	}
	slices.Sort(shipped)
	for table, names := range map[string][]string{"routes": routed, "silencing": append(silenced, "CloudQuotaExporterDown")} {
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
