// Package rules_test compares the rules for Prometheus with their documents. promtool tests the rules themselves, with the files in this directory.
package rules_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

const (
	root      = "../../"
	rulesFile = root + "deploy/prometheus/rules.yml"
	runbooks  = "docs/runbooks/"
)

type rule struct {
	Record, Alert, Expr, For string
	Labels, Annotations      map[string]string
}

func rules(t *testing.T) []rule {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string
			Rules []rule
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, rulesFile)), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Groups) != 2 || file.Groups[1].Name != "cloud_quota_history" {
		t.Fatalf("%d groups of rules, want one for all that use each other's series, because the order of evaluation is only fixed within a group, and one for history", len(file.Groups))
	}
	for _, r := range file.Groups[1].Rules {
		if r.Alert != "" {
			t.Errorf("the alert %s is in the group that is evaluated every few hours", r.Alert)
		}
	}
	return append(file.Groups[0].Rules, file.Groups[1].Rules...)
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestEveryAlertHasARunbook and a row in the overview, and no others exist.
func TestEveryAlertHasARunbook(t *testing.T) {
	files, err := filepath.Glob(root + runbooks + "*.md")
	if err != nil {
		t.Fatal(err)
	}
	var pages, alerts []string
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".md")
		pages = append(pages, name)
		if title, _, _ := strings.Cut(read(t, file), "\n"); title != "# "+name {
			t.Errorf("the title of %s is %q", file, title)
		}
	}
	overview := read(t, root+"docs/alerts.md")
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		alerts = append(alerts, r.Alert)
		if want := runbooks + r.Alert + ".md"; r.Annotations["runbook_url"] != want {
			t.Errorf("the runbook of %s is %q, want %q", r.Alert, r.Annotations["runbook_url"], want)
		}
		for _, name := range []string{"summary", "description"} {
			if r.Annotations[name] == "" {
				t.Errorf("%s has no %s", r.Alert, name)
			}
		}
		severity := r.Labels["severity"]
		if severity == "" {
			severity = "the threshold's"
		}
		row := regexp.MustCompile(`(?m)^\| \[` + r.Alert + `\]\(runbooks/` + r.Alert + `\.md\) \| .* \| ` + r.For + ` \| ` + severity + ` \|$`)
		if !row.MatchString(overview) {
			t.Errorf("docs/alerts.md has no row of %s with %s and %s", r.Alert, r.For, severity)
		}
	}
	slices.Sort(alerts)
	if !slices.Equal(pages, alerts) {
		t.Errorf("runbooks %v, alerts %v", pages, alerts)
	}
}

// name matches a metric or a recorded series.
var name = regexp.MustCompile(`\b(?:\w+:)?cloud_quota_\w+(?::\w+)?`)

// notMetrics look like metrics in these documents, but are not.
var notMetrics = map[string]string{
	"cloud_quota_exporter": "the program, its directories and its repository",
	"cloud_quota_history":  "a group of rules",
}

// TestEveryMetricIsDocumented checks each word that looks like a metric in rules, scrape configurations, and runbooks.
func TestEveryMetricIsDocumented(t *testing.T) {
	known := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(cloud_quota_\\w+)` \\|").FindAllStringSubmatch(read(t, root+"docs/metrics.md"), -1) {
		known[m[1]] = true
	}
	overview := read(t, root+"docs/alerts.md")
	for _, r := range rules(t) {
		if r.Record == "" {
			continue
		}
		known[r.Record] = true
		if !strings.Contains(overview, "\n| `"+r.Record+"` |") {
			t.Errorf("docs/alerts.md has no row of %s", r.Record)
		}
	}
	files := []string{rulesFile, root + "docs/alerts.md"}
	found, err := filepath.Glob(root + runbooks + "*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, found...) {
		for _, word := range name.FindAllString(read(t, file), -1) {
			if !known[word] && notMetrics[word] == "" {
				t.Errorf("%s: %s is not documented", file, word)
			}
		}
	}
	if len(known) < 20 {
		t.Errorf("the only known ones are %v", slices.Sorted(maps.Keys(known)))
	}
}

// TestScrapesOfProjectsAreComplete checks each scrape configuration that is shipped or documented. If projects are targets, the exporters also need a
// scrape. Otherwise CloudQuotaExporterDown or CloudQuotaBlind fires, or alerts on accounts never fire.
func TestScrapesOfProjectsAreComplete(t *testing.T) {
	var texts []string
	for _, pattern := range []string{"README.md", "docs/*.md", "docs/runbooks/*.md", "deploy/prometheus/scrape-*.yml"} {
		files, err := filepath.Glob(root + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if text := read(t, file); filepath.Ext(file) == ".yml" {
				texts = append(texts, text)
			} else {
				for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(text, -1) {
					texts = append(texts, block[1])
				}
			}
		}
	}
	checked := 0
	for _, text := range texts {
		if !strings.Contains(text, "/sd\"") {
			continue
		}
		var file struct {
			Jobs []struct {
				Params map[string][]string
				Lists  []struct{ URL string }       `yaml:"http_sd_configs"`
				Static []struct{ Targets []string } `yaml:"static_configs"`
			} `yaml:"scrape_configs"`
		}
		if err := yaml.Unmarshal([]byte(text), &file); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		var exporters, scraped []string
		for _, job := range file.Jobs {
			for _, list := range job.Lists {
				exporters = append(exporters, strings.TrimSuffix(strings.TrimPrefix(list.URL, "http://"), "/sd"))
			}
			for _, static := range job.Static {
				if slices.Equal(job.Params["collect[]"], []string{"exporter"}) {
					scraped = append(scraped, static.Targets...)
				}
			}
		}
		if checked++; len(exporters) == 0 || !slices.Equal(scraped, exporters) {
			t.Errorf("projects of %q, own metrics of %q in\n%s", exporters, scraped, text)
		}
	}
	if checked < 3 {
		t.Errorf("%d configurations, want those of docs/scaling.md and scrape-projects.yml", checked)
	}
}
