package config_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/providers"
)

// TestEveryKeyIsDocumented compares docs/configuration.md with the keys that the errors of unknown keys list, level by level. A key
// that every service has is documented once, under the name <service>.
func TestEveryKeyIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	known := []string{"services.<service>.enabled"}
	isService := map[string]bool{}
	for _, s := range providers.All() {
		isService[s.Name] = true
		for option := range s.Options {
			known = append(known, "services."+s.Name+"."+option)
		}
	}
	for level, text := range map[string]string{
		"accounts[].":                               "accounts: [{zz: 1}]",
		"accounts[].credentials.":                   "accounts: [{credentials: {zz: 1}}]",
		"accounts[].credentials.static.":            "accounts: [{credentials: {static: {zz: 1}}}]",
		"accounts[].credentials.profile.":           "accounts: [{credentials: {profile: {zz: 1}}}]",
		"accounts[].credentials.instance_metadata.": "accounts: [{credentials: {instance_metadata: {zz: 1}}}]",
		"accounts[].credentials.oidc.":              "accounts: [{credentials: {oidc: {zz: 1}}}]",
		"accounts[].credentials.password.":          "accounts: [{credentials: {password: {zz: 1}}}]",
		"accounts[].credentials.assume_agency.":     "accounts: [{credentials: {assume_agency: {zz: 1}}}]",
		"accounts[].endpoints.":                     "accounts: [{endpoints: {zz: 1}}]",
		"accounts[].projects[].":                    "accounts: [{projects: [{zz: 1}]}]",
		"accounts[].discovery.":                     "accounts: [{discovery: {zz: 1}}]",
		"services.":                                 "services: {zz: 1}",
		"services.defaults.":                        "services: {defaults: {zz: 1}}",
		"limits[].":                                 "limits: [{zz: 1}]",
		"thresholds.":                               "thresholds: {zz: 1}",
		"thresholds.overrides[].":                   "thresholds: {overrides: [{zz: 1}]}",
	} {
		for _, key := range keysAt(t, text) {
			if isService[key] {
				key = "<service>"
			}
			known = append(known, level+key)
		}
	}
	var documented []string
	for _, row := range regexp.MustCompile(`(?m)^\| (`+"`"+`[^|]+) \|`).FindAllStringSubmatch(string(doc), -1) {
		for key := range strings.SplitSeq(row[1], ", ") {
			documented = append(documented, strings.Trim(key, "`"))
		}
	}
	for _, key := range known {
		if !slices.Contains(documented, key) {
			t.Errorf("%s is not documented", key)
		}
	}
	for _, key := range documented {
		if !slices.Contains(known, key) {
			t.Errorf("%s is documented, but not known", key)
		}
	}
	if got := strings.Join(keysAt(t, "services: {dbss: {zz: 1}}"), " "); got != "enabled cache_ttl timeout max_stale max_in_flight list_instances" {
		t.Errorf("keys of a service: %s", got)
	}
}

// keysAt returns the keys that are known where a text has the unknown key zz.
func keysAt(t *testing.T, text string) []string {
	t.Helper()
	_, err := config.Parse("c.yml", []byte(text), providers.All(), inRegion)
	m := regexp.MustCompile(`\.zz: unknown key; known here: (.*)`).FindStringSubmatch(err.Error())
	if m == nil {
		t.Fatalf("%s: %v", text, err)
	}
	return strings.Split(m[1], ", ")
}
