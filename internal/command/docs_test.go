package command_test

import (
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// documented is a row of docs/metrics.md: "type labels" by name, and an example.
var documented = regexp.MustCompile("(?m)^\\| `(cloud_quota_\\w+)` \\| (\\w+) \\| ([\\w, ]*)\\| [^|]+ \\| [^|]+ \\| `([^`]+)` \\| (?:stable|process) \\|$")

// TestMetricsAreDocumented compares docs/metrics.md with a page on which every metric is, both ways.
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
`))
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

// TestSecurityIsShown: each row of docs/security.md names tests, and all tests that it names exist.
func TestSecurityIsShown(t *testing.T) {
	doc, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	test := regexp.MustCompile(`\bTest[A-Z]\w*`)
	exist := map[string]bool{}
	err = filepath.WalkDir("../..", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := os.ReadFile(name)
		for _, m := range regexp.MustCompile(`(?m)^func (Test[A-Z]\w*)\(t `).FindAllStringSubmatch(string(text), -1) {
			exist[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range test.FindAllString(string(doc), -1) {
		if !exist[name] {
			t.Errorf("there is no %s", name)
		}
	}
	rows := regexp.MustCompile(`(?m)^\| .*\|$`).FindAllString(string(doc), -1)
	for _, row := range rows[1:] {
		if !test.MatchString(row) {
			t.Errorf("no test shows %s", row)
		}
	}
	if len(rows) < 15 {
		t.Errorf("only %d rows were found", len(rows))
	}
}
