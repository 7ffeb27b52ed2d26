package e2e

import (
	"regexp"
	"testing"
)

// TestDocumentedShards scrapes two exporters with the configuration of docs/scaling.md. A server that starts while one of them is down still
// discovers all projects.
func TestDocumentedShards(t *testing.T) {
	t.Parallel()
	cloud := newCloud()
	one, two := startExporter(t, cloud, "{}"), startExporter(t, cloud, "{}")
	document := regexp.MustCompile("(?s)```yaml\n(scrape_configs:[^`]*hashmod[^`]*)```").FindStringSubmatch(readFile(t, "../../docs/scaling.md"))
	if document == nil {
		t.Fatal("docs/scaling.md has no configuration with hashmod")
	}
	config := "global: {scrape_interval: 1s, scrape_timeout: 1s}\nrule_files: [" + rulesEverySecond(t) + "]\n" +
		replace(t, document[1], "quota-exporter-0:10133", one.at, "quota-exporter-1:10133", two.at, "refresh_interval: 1m", "refresh_interval: 1s")
	p := startPrometheus(t, config)
	p.becomes(t, `sum(up{job="cloud_quota_exporter"})`, " 2")
	p.becomes(t, `sum(up{job="cloud_quota"})`, " 2")
	p.knowsWhatIsDue(t)
	if targets := p.targets(t); len(targets) != 4 {
		t.Errorf("targets %v, want one for each project and each exporter", targets)
	}
	one.terminate(t)
	restarted := startPrometheus(t, config)
	restarted.becomes(t, `count(up{job="cloud_quota"})`, " 2")
	restarted.becomes(t, `sum(up{job="cloud_quota_exporter"})`, " 1")
}
