package config_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/config"
)

// ruled tells what the rules of a text say about some quotas.
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
		"first match wins, the whole text must fit, the user's own come first": {`thresholds:
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
