package command_test

import (
	"net/http"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/democloud"
)

const idleRules = `services: {dbss: {enabled: false}, ecs: {cache_ttl: 1h}, evs: {enabled: false, cache_ttl: 1h}}
limits:
  - {service: dcs, resource_type: memory, limit: 600}
  - {service: dcs, resource_type: ram, limit: 600}
  - {service: dcs, resource_type: ram, project: ".*_p0001", limit: 700}
  - {project: prod, limit: 600}
  - {service: dbss, limit: 5}
thresholds:
  overrides:
    - {service: ces, resource_type: alarms, ratios: {warning: 0.5}}
    - {service: taurusdb, ratios: {}}
    - {service: cts, resource_type: system_tracker, ratios: {}}
    - {resource_type: nothing, ratios: {}}
`

// idle returns the lines of a transcript about settings without effect.
func idle(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if what, ok := strings.CutPrefix(line, "no effect: "); ok {
			lines = append(lines, what)
		}
	}
	return strings.Join(lines, "")
}

// TestRulesWithoutEffect: check-config lists limits and overrides that match nothing, and settings of disabled services, both
// offline and online.
func TestRulesWithoutEffect(t *testing.T) {
	inBubble(t, cloudtest.Scale(3), idleRules, func(t *testing.T, n *network) {
		const off = "services.ecs (line 9): the service is disabled; set enabled to true\n"
		const noProject, disabled = "limits[3] (line 14): no project matches\n", "limits[4] (line 15): every service that it matches is disabled\n"
		offline := check(t, n.config, false)
		if got := idle(offline); got != off+noProject+disabled || !strings.HasSuffix(offline, "--- exit code 0\n") {
			t.Errorf("offline\n%s", offline)
		}
		online, _ := n.check(t.Context(), 0)
		const want = off + "limits[0] (line 11): no quota matches\nlimits[2] (line 13): earlier rules match all of its quotas\n" + noProject + disabled +
			"thresholds.overrides[0] (line 18): no quota matches\nthresholds.overrides[3] (line 21): no quota matches\n"
		if got := idle(online); got != want || !strings.HasSuffix(online, "--- exit code 0\n") {
			t.Errorf("online\n%s\nwant\n%s", online, want)
		}
		n.Inject(cloudtest.Fault{Service: "dcs", Status: http.StatusInternalServerError})
		online, _ = n.check(t.Context(), 0)
		const sure = off + noProject + disabled + "thresholds.overrides[0] (line 18): no quota matches\n"
		if got := idle(online); got != sure {
			t.Errorf("of the fetched quotas\n%s\nwant\n%s", online, sure)
		}
	})
}

// discovers runs a test with an account of these projects. configure applies the rest of the configuration.
func discovers(t *testing.T, projects []cloudsim.Project, test func(t *testing.T, n *network, configure func(rest string))) {
	t.Helper()
	cloud := cloudtest.New(cloudsim.Account{Name: "demo", AccessKey: democloud.AccessKey, SecretKey: democloud.SecretKey, Projects: projects})
	inBubble(t, cloud, "", func(t *testing.T, n *network) {
		test(t, n, func(rest string) {
			n.config = write(t, "config.yml", "accounts:\n  - name: main\n    credentials: {static: {access_key: "+democloud.AccessKey+", secret_key: "+
				democloud.SecretKey+"}}\n    endpoints: "+strings.ReplaceAll(hosts, "iam.{region}", "iam")+"\n"+rest)
		})
	})
}

// TestFiltersWithoutEffect does the same for discovery filters.
func TestFiltersWithoutEffect(t *testing.T) {
	projects := []cloudsim.Project{{ID: "a", Name: "eu-de"}, {ID: "b", Name: "eu-de_sandbox"}, {ID: "c", Name: "ap-southeast-3_test"}}
	discovers(t, projects, func(t *testing.T, n *network, configure func(string)) {
		for discovery, want := range map[string]string{
			`{regions: [eu-de, eu-nl], exclude: ".*_test"}`: "discovery of account main, regions: eu-nl: no project matches\n" +
				"discovery of account main, exclude: no project matches\n",
			`{include: prod, exclude: prod_test}`:                      "discovery of account main, include: no project matches\n",
			`{regions: [eu-de], include: ".*e", exclude: ".*sandbox"}`: "discovery of account main, exclude: no project matches\n",
			`{exclude: ".*sandbox"}`:                                   "",
		} {
			configure("    discovery: " + discovery + "\n")
			if online, _ := n.check(t.Context(), 0); idle(online) != want {
				t.Errorf("%s\n%s\nwant\n%s", discovery, online, want)
			}
		}
		configure("    discovery: {regions: [eu-de], subprojects: false, include: eu-nl}\nlimits: [{project: x, limit: 1}]\n")
		offline := check(t, n.config, false)
		if got := idle(offline); got != "discovery of account main, include: no project matches\n" {
			t.Errorf("offline\n%s", offline)
		}
	})
}

// TestSkipped: check-config shows how many projects are skipped and why, and no raw text from IAM.
func TestSkipped(t *testing.T) {
	projects := []cloudsim.Project{{ID: "a", Name: "eu-de"}, {ID: "b", Name: "eu-de_b"}, {ID: "c", Name: "eu-de_c"}, {ID: "no id", Name: "eu-de_d\u3164\u202e"}}
	discovers(t, projects, func(t *testing.T, n *network, configure func(string)) {
		configure("    projects: [{id: d, region: eu-de, name: eu-de_c}]\n    discovery: {max_projects: 2}\n")
		online, _ := n.check(t.Context(), 0)
		contains(t, online, "skipped:  1 projects of account main: invalid entry in IAM's list: ", `eu-de_d\u3164\u202e`,
			"skipped:  1 projects of account main: more than discovery.max_projects")
	})
}
