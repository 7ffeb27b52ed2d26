package command_test

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/providers"
	bodies "cloud_quota_exporter/providers/examples"
)

// TestServicesAreDocumented compares the table and the sections of docs/services.md with the catalogue, or updates them.
func TestServicesAreDocumented(t *testing.T) {
	var table, sections strings.Builder
	more := 0
	table.WriteString("\n| Service | Product | Level | Enabled by default | IAM action | Evidence |\n|---|---|---|---|---|---|\n")
	sections.WriteString("\n")
	for _, s := range providers.All() {
		enabled := "yes"
		if !s.Enabled {
			enabled = "no"
			more++
		}
		fmt.Fprintf(&table, "| [`%s`](#%[1]s) | %s | %s | %s | %s | %s |\n", s.Name, s.Product, s.API.Level(), enabled, documentedActions(s), documentedEvidence(s))
		fmt.Fprintf(&sections, "### %s\n\n%s, enabled by default: %s.\n\n", s.Name, s.Product, enabled)
		for _, f := range factsOf(t, s) {
			if f.text != "" {
				fmt.Fprintf(&sections, "- **%s**: %s\n", f.name, f.text)
			}
		}
		sections.WriteString("\n")
	}
	table.WriteString("\n")
	generated(t, "../../docs/services.md", "services: overview", "end of overview", table.String())
	generated(t, "../../docs/services.md", "services: one by one", "end of services", sections.String())
	checkNumber(t, more)
}

// TestSitesAreDocumented: docs/services.md contains the endpoints of the services whose host depends on the site, for the China site first.
func TestSitesAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/services.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(doc), "### Which site\n")
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := regexp.MustCompile("(?s)```yaml\nendpoints:\n(.*?)```").FindAllStringSubmatch(section, -1)
	if len(blocks) != 2 {
		t.Fatalf("%d blocks, want 2", len(blocks))
	}
	for i, region := range []string{"cn-north-4", "ap-southeast-3"} {
		var want string
		for _, s := range providers.All() {
			depends := s.API.Host.BaseURL("cn-north-4", "") != s.API.Host.BaseURL("ap-southeast-3", "")
			if s.API.Account && s.Name != "iam" && depends || s.Name == "iec" && i == 0 { // IAM is regional, and IEC is on the China site only
				want += fmt.Sprintf("  %s: %s\n", s.Name, s.API.Host.BaseURL(region, ""))
			}
		}
		if got := regexp.MustCompile(" +#.*").ReplaceAllString(blocks[i][1], ""); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", region, got, want)
		}
	}
}

// checkNumber compares or updates the number of additional services in the README.
func checkNumber(t *testing.T, more int) {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	number := regexp.MustCompile(`\[\d+ more services\]`)
	want := number.ReplaceAllString(string(readme), fmt.Sprintf("[%d more services]", more))
	switch {
	case *update:
		if err := os.WriteFile("../../README.md", []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	case want != string(readme) || !number.MatchString(want):
		t.Errorf("README.md does not mention %d more services", more)
	}
}

// fact is a line about a service. It is omitted if it has no text.
type fact struct{ name, text string }

func factsOf(t *testing.T, s providers.Service) []fact {
	t.Helper()
	types, units := documentedTypes(t, s)
	skip, ttl := "", ""
	if s.API.Skip != nil {
		skip = "Types that match " + code(unanchored(s.API.Skip.String()))
	}
	if s.CacheTTL > 0 {
		ttl = code(config.Short(s.CacheTTL))
	}
	var options []string
	for _, name := range slices.Sorted(maps.Keys(s.Options)) {
		options = append(options, code(fmt.Sprintf("%s: %t", name, s.Options[name])))
	}
	needs := ""
	if s.API.Account {
		needs = "The [account ID](#account-level-services)"
	}
	return []fact{
		{"API", fmt.Sprintf("%s, *%s* (%s)", code("GET "+s.API.Path), s.Title, documentedEvidence(s))},
		{"Host", documentedHosts(s.API.Host)},
		{"Needs", needs},
		{"IAM action", documentedActions(s)},
		{"Resource types", types},
		{"Units", units},
		{"No limit", sentinel(s.API.NoLimit, s.Inferred)},
		{"Not reported", sentinel(s.API.Unknown, s.Inferred)},
		{"Skipped types", skip},
		{"Muted types", code(s.Muted...)},
		{"Default of `cache_ttl`", ttl},
		{"Options", strings.Join(options, ", ")},
		{"Overlap", s.Overlap},
		{"Notes", s.Notes},
	}
}

// code formats words as code.
func code(words ...string) string {
	if len(words) == 0 {
		return ""
	}
	return "`" + strings.Join(words, "`, `") + "`"
}

func unanchored(pattern string) string {
	return strings.TrimSuffix(strings.TrimPrefix(pattern, "^(?:"), ")$")
}

func documentedEvidence(s providers.Service) string {
	if s.IsVerified() {
		return s.Evidence
	}
	return s.Evidence + ", **unverified**"
}

func documentedActions(s providers.Service) string {
	var parts []string
	for _, name := range s.API.Action.Names() {
		name, role, _ := strings.Cut(name, " ")
		if name != providers.NoAction {
			name = code(name)
		}
		parts = append(parts, strings.TrimSpace(name+" "+role))
	}
	if parts == nil {
		parts = append(parts, "not documented")
	}
	for _, option := range slices.Sorted(maps.Keys(s.OptionActions)) {
		parts = append(parts, fmt.Sprintf("%s for %s", code(s.OptionActions[option].Identity), code(option)))
	}
	return strings.Join(parts, ", ")
}

// documentedHosts has the regions of each host.
func documentedHosts(h providers.Host) string {
	usual := h.Names()[0]
	regions := map[string][]string{}
	for region, host := range h.Regions() {
		regions[host] = append(regions[host], region)
	}
	parts := []string{code(usual)}
	for _, host := range h.Names()[1:] {
		parts = append(parts, code(host)+" in "+strings.Join(slices.Sorted(slices.Values(regions[host])), ", "))
	}
	return strings.Join(parts, "; ")
}

func sentinel(number *float64, inferred string) string {
	if number == nil {
		return ""
	}
	text := code(strconv.FormatFloat(*number, 'g', -1, 64))
	if inferred != "" {
		text += " (inferred). " + inferred
	}
	return text
}

// documentedTypes returns the resource types and their units: from the description, or otherwise from the documented example.
func documentedTypes(t *testing.T, s providers.Service) (types, units string) {
	t.Helper()
	byUnit := map[string][]string{}
	for _, p := range s.API.Pairs {
		byUnit[p.Unit] = append(byUnit[p.Unit], code(p.Type))
	}
	for _, u := range s.API.Units {
		byUnit[u.Unit] = append(byUnit[u.Unit], "types that match "+code(unanchored(u.Types.String())))
	}
	names := s.API.ResourceTypes()
	types = code(names...)
	if example := bodies.Of(s.Name); names == nil && example != nil {
		result, err := s.API.Decode(&huaweicloud.Answer{Body: example})
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		for _, q := range result.Quotas {
			names = append(names, q.ResourceType)
			if len(s.API.Units) == 0 {
				byUnit[q.Unit] = append(byUnit[q.Unit], code(q.ResourceType))
			}
		}
		types = code(names...) + " (in the documented example)"
	}
	delete(byUnit, "")
	var parts []string
	for _, unit := range slices.Sorted(maps.Keys(byUnit)) {
		parts = append(parts, fmt.Sprintf("%s for %s", code(unit), strings.Join(byUnit[unit], ", ")))
	}
	return cmp.Or(types, "As the API reports them"), strings.Join(parts, "; ")
}
