package command_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/providers"
)

// TestServicesAreDocumented compares the table of docs/services.md with the catalogue, or writes it.
func TestServicesAreDocumented(t *testing.T) {
	var table strings.Builder
	table.WriteString("\n| service | product | host | path | API document | IAM action | `cache_ttl` | enabled | options | muted types |\n" +
		"|---|---|---|---|---|---|---|---|---|---|\n")
	for _, s := range providers.All() {
		cells := []string{
			code(s.Name), s.Product, code(s.API.Host.Labels()...), code(s.API.Path), s.Title, actions(s.API.Action), ownTTL(s), yesOrNo(s.Enabled),
			code(options(s)...), code(s.Muted...),
		}
		for i, cell := range cells {
			cells[i] = strings.ReplaceAll(cell, "|", `\|`)
		}
		fmt.Fprintf(&table, "| %s |\n", strings.Join(cells, " | "))
	}
	table.WriteString("\n")
	generated(t, "../../docs/services.md", "services: the catalogue", "end of services", table.String())
}

// code formats words as code.
func code(words ...string) string {
	if len(words) == 0 {
		return ""
	}
	return "`" + strings.Join(words, "`, `") + "`"
}

func actions(a providers.Action) string {
	switch {
	case a.String() == "":
		return "not documented"
	case a.Role == "" || a.Role == a.Identity:
		return code(a.Identity)
	case a.Identity == "":
		return code(a.Role) + " (role)"
	default:
		return code(a.Identity) + ", " + code(a.Role) + " (role)"
	}
}

func ownTTL(s providers.Service) string {
	if s.CacheTTL == 0 {
		return ""
	}
	return code(config.Short(s.CacheTTL))
}

func yesOrNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func options(s providers.Service) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(s.Options)) {
		all = append(all, fmt.Sprintf("%s: %t", name, s.Options[name]))
	}
	return all
}

// TestPolicyIsDocumented: the policy of docs/credentials.md grants the actions of the services that are enabled by default, that of the list
// of audit instances and that of the list of projects.
func TestPolicyIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/credentials.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, s := range providers.All() {
		if action := s.API.Action.Identity; s.Enabled && action != "" {
			want = append(want, action)
		}
	}
	want = append(want, "dbss:auditInstance:list", "iam:projects:listProjects")
	_, block, _ := strings.Cut(string(doc), "```json\n")
	block, _, _ = strings.Cut(block, "```")
	var policy struct{ Statement []struct{ Action []string } }
	if err := json.Unmarshal([]byte(block), &policy); err != nil || len(policy.Statement) != 1 {
		t.Fatalf("got %v, %v", err, policy)
	}
	if got := policy.Statement[0].Action; !slices.Equal(got, want) {
		t.Errorf("the policy grants\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestRequestsAreDocumented: docs/scaling.md has the requests per hour and project of each service that is enabled by default, and their sum.
func TestRequestsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/scaling.md")
	if err != nil {
		t.Fatal(err)
	}
	want, sum := map[string]int{}, 0
	for _, s := range providers.All() {
		if !s.Enabled {
			continue
		}
		requests := int(time.Hour / cmp.Or(s.CacheTTL, 5*time.Minute))
		if s.Options["list_instances"] {
			requests *= 2 // the list of instances is another one
		}
		want[s.Name], sum = requests, sum+requests
	}
	want["total"] = sum
	got := map[string]int{}
	for _, row := range regexp.MustCompile(`(?m)^\| ([^|]+) \| (\d+)[^|]*\|$`).FindAllStringSubmatch(string(doc), -1) {
		for name := range strings.SplitSeq(row[1], ", ") {
			got[strings.ToLower(name)], _ = strconv.Atoi(row[2])
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("docs/scaling.md has %v, want %v", got, want)
	}
}
