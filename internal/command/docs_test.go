package command_test

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/command"
	"cloud_quota_exporter/internal/printable"
	"cloud_quota_exporter/providers"
)

// documented is a row of docs/metrics.md: "type labels" by name, and an example.
var documented = regexp.MustCompile("(?m)^\\| `(cloud_quota_\\w+)` \\| (\\w+) \\| ([\\w, ]*)\\| [^|]+ \\| [^|]+ \\| `([^`]+)` \\| (?:stable|process) \\|$")

// TestMetricsAreDocumented compares docs/metrics.md with a page that contains every metric, in both directions.
func TestMetricsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	cloud, endpoints := simulated(t)
	cloud.Inject(cloudtest.Fault{Service: "taurusdb", Status: http.StatusInternalServerError})
	cloud.SetMachine(cloudtest.Machine{Account: "main"})
	r := serve(t, "", configuration(t, endpoints, write(t, "sk", secretKey), `
  - name: ecs # with keys that expire, and a project that is not its own
    credentials: {instance_metadata: {endpoint: `+regexp.MustCompile(`http://[0-9.:]+`).FindString(endpoints)+`}}
    endpoints: `+endpoints+`
    projects: [{id: "1", region: ap-southeast-3, name: other}]
`), nil)
	_, page, _ := strings.Cut(r.get(t, "/metrics"), "\n")

	inDocument := map[string]string{}
	for _, m := range documented.FindAllStringSubmatch(string(doc), -1) {
		name, kind, labels, example := m[1], m[2], m[3], m[4]
		inDocument[name] = kind + " " + strings.TrimSpace(labels)
		if !strings.Contains(page, "\n"+example) {
			t.Errorf("the example of %s is not on the page: %s", name, example)
		}
	}
	if n := strings.Count(string(doc), "\n| `cloud_quota_"); n != len(inDocument) {
		t.Errorf("%d of %d rows of the document are in the form that is compared", len(inDocument), n)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	onPage := map[string]string{}
	for name, family := range families {
		if !strings.HasPrefix(name, "cloud_quota_") {
			continue
		}
		labels := map[string]bool{}
		for _, m := range family.GetMetric() {
			for _, pair := range m.GetLabel() {
				labels[pair.GetName()] = true
			}
		}
		onPage[name] = fmt.Sprintf("%s %s", strings.ToLower(family.GetType().String()), strings.Join(slices.Sorted(maps.Keys(labels)), ", "))
	}
	for name := range onPage {
		if _, found := inDocument[name]; !found {
			t.Errorf("%s is not documented", name)
		}
	}
	for name, want := range inDocument {
		if got := onPage[name]; got != want {
			t.Errorf("%s: the page has %q, the document %q", name, got, want)
		}
	}
}

// TestPolicyIsDocumented: docs/credentials.md contains the output of policy without a configuration.
func TestPolicyIsDocumented(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	text, _ := policies(t, "", command.Policy{Type: "role"})
	stdout, _, _ := strings.Cut(text, "--- stderr\n")
	generated(t, "../../docs/credentials.md", "policy: default", "end of policy", "\n```json\n"+stdout+"```\n\n")
}

// TestRequestsAreDocumented: docs/scaling.md contains the requests per hour and project of each default service and of each other service, their
// sums, the result for many projects, how many projects the known limits allow, and the requests per account of account-level services.
func TestRequestsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/scaling.md")
	if err != nil {
		t.Fatal(err)
	}
	want, all, byDefault, others, ofAccounts := map[string]int{}, 0, 0, 0, 0
	ttls := map[string]time.Duration{}
	for _, s := range providers.All() {
		ttls[s.Name] = cmp.Or(s.CacheTTL, 5*time.Minute)
		requests := int(time.Hour / ttls[s.Name])
		if s.Options["list_instances"] {
			requests *= 2 // the list of instances is another request
		}
		if !s.Enabled && requests != 4 {
			t.Errorf("%s is fetched %d times per hour, want 4 as of all that are off by default", s.Name, requests)
		}
		switch {
		case s.API.Account:
			ofAccounts++
			continue
		case s.Enabled:
			want[s.Name], byDefault = requests, byDefault+requests
		default:
			others++
		}
		all += requests
	}
	want[fmt.Sprintf("each of the %d project-level services that are off by default", others)] = 4
	want["total of the five services that are enabled by default"] = byDefault
	want[fmt.Sprintf("total of all %d project-level services", len(ttls)-ofAccounts)] = all
	want[fmt.Sprintf("each of the %d account-level services (per account)", ofAccounts)] = 4
	got := map[string]int{}
	for _, row := range regexp.MustCompile(`(?m)^\| ([^|]+) \| (\d+)[^|]*\|$`).FindAllStringSubmatch(string(doc), -1) {
		for name := range strings.SplitSeq(row[1], ", ") {
			if name == strings.ToUpper(name) || ttls[strings.ToLower(name)] > 0 {
				name = strings.ToLower(name)
			}
			got[name], _ = strconv.Atoi(row[2])
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("docs/scaling.md has %v, want %v", got, want)
	}
	for _, projects := range []int{1, 10, 100, 1000} {
		per5Minutes := func(perHour int) string { return printable.Grouped(math.Round(float64(perHour*projects) / 12)) }
		row := fmt.Sprintf("| %s | %s | %s | %s |", printable.Grouped(float64(projects)), per5Minutes(byDefault), per5Minutes(all), printable.Grouped(float64(all*projects)))
		if !strings.Contains(string(doc), row) {
			t.Errorf("docs/scaling.md has no row %s", row)
		}
	}
	limits := regexp.MustCompile(`(?m)^\| (\w+) \| (\d+) requests in (\d) minutes? \| ([\d,]+) \|$`).FindAllStringSubmatch(string(doc), -1)
	for _, row := range limits {
		calls, _ := strconv.Atoi(row[2])
		minutes, _ := strconv.Atoi(row[3])
		ttl := ttls[strings.ToLower(row[1])]
		if want := printable.Grouped(math.Floor(float64(calls) * ttl.Minutes() / float64(minutes) / 1.1)); row[4] != want {
			t.Errorf("docs/scaling.md: %s allows for %s projects, want %s with a tenth more requests", row[1], row[4], want)
		}
	}
	if len(limits) != 4 {
		t.Errorf("%d limits, want those of CES, VPC, RDS and BMS", len(limits))
	}
}
