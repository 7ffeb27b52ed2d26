package config_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/config"
)

// ruled returns the result of a configuration's rules for some quotas.
func ruled(t *testing.T, text string) string {
	t.Helper()
	c, err := config.Parse("c.yml", []byte(text), known, inRegion)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, quota := range []struct{ service, project, resourceType string }{
		{"cts", "prod", "system_tracker"}, {"cts", "prod", "data_tracker"}, {"dcs", "prod-1", "ram"}, {"dcs", "preprod", "ram"},
	} {
		line := quota.project + " " + quota.resourceType
		for _, l := range c.Limits {
			if l.Fits(quota.service, quota.project, quota.resourceType) {
				line += fmt.Sprintf(" limit %g", l.Limit)
				break
			}
		}
		for _, rule := range c.Thresholds {
			if rule.Fits(quota.service, quota.project, quota.resourceType) {
				for _, severity := range slices.Sorted(maps.Keys(rule.Ratios)) {
					line += fmt.Sprintf(" %s %g", severity, rule.Ratios[severity])
				}
				break
			}
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func TestRules(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"built in": {"", `prod system_tracker
prod data_tracker critical 0.95 warning 0.8
prod-1 ram critical 0.95 warning 0.8
preprod ram critical 0.95 warning 0.8`},
		"defaults": {"thresholds: {defaults: {page: 0.5}}", `prod system_tracker
prod data_tracker page 0.5
prod-1 ram page 0.5
preprod ram page 0.5`},
		"no defaults": {"thresholds: {defaults: {}}", `prod system_tracker
prod data_tracker
prod-1 ram
preprod ram`},
		"first match wins, the whole text must match, the user's own come first": {`thresholds:
  overrides:
    - {service: dcs, project: "prod.*", ratios: {warning: 0.7, critical: 1}}
    - {service: dcs, ratios: {}}
    - {service: "c|cts", resource_type: "system.*", ratios: {info: 1}}
limits:
  - {service: dcs, resource_type: ram, project: "prod.*", limit: 600}
  - {service: dcs, limit: 0}
`, `prod system_tracker info 1
prod data_tracker critical 0.95 warning 0.8
prod-1 ram limit 600 critical 1 warning 0.7
preprod ram limit 0`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ruled(t, tc.text); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func TestDiscovery(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"defaults": {
			"accounts: [{discovery: {}}]",
			"default '' 15m0s: ap-southeast-3 ap-southeast-3_dev ap-southeast-1 eu-de_sandbox",
		},
		"with several accounts": {
			"accounts: [{name: a, discovery: {}}, {name: b, discovery: {name_prefix: 'x:'}}, {name: c, discovery: {name_prefix: ''}}]",
			`a 'a/' 15m0s: ap-southeast-3 ap-southeast-3_dev ap-southeast-1 eu-de_sandbox
b 'x:' 15m0s: ap-southeast-3 ap-southeast-3_dev ap-southeast-1 eu-de_sandbox
c '' 15m0s: ap-southeast-3 ap-southeast-3_dev ap-southeast-1 eu-de_sandbox`,
		},
		"regions":        {"accounts: [{discovery: {regions: [ap-southeast-3, eu-de], refresh_interval: 1h}}]", "default '' 1h0m0s: ap-southeast-3 ap-southeast-3_dev eu-de_sandbox"},
		"expressions":    {"accounts: [{discovery: {include: 'ap-.*', exclude: '.*-1'}}]", "default '' 15m0s: ap-southeast-3 ap-southeast-3_dev"},
		"whole names":    {"accounts: [{discovery: {include: ap-southeast}}]", "default '' 15m0s:"},
		"no subprojects": {"accounts: [{discovery: {subprojects: false}}]", "default '' 15m0s: ap-southeast-3 ap-southeast-1"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := config.Parse("c.yml", []byte(tc.text), known, inRegion)
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			for _, a := range c.Accounts {
				line := fmt.Sprintf("%s '%s' %s:", a.Name, a.Discovery.NamePrefix, a.Discovery.RefreshInterval)
				for _, project := range []string{"ap-southeast-3", "ap-southeast-3_dev", "ap-southeast-1", "eu-de_sandbox"} {
					region, _, _ := strings.Cut(project, "_")
					if a.Discovery.Wants(project, region) {
						line += " " + project
					}
				}
				lines = append(lines, line)
			}
			if got := strings.Join(lines, "\n"); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}
