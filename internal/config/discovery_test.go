package config_test

import (
	"fmt"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/config"
)

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
