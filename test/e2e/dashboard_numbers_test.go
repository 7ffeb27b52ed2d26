package e2e

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// checkStates asserts what the panels of quotas say of the project in which everything happens, and that this agrees with the alerts.
func (p *prometheus) checkStates(t *testing.T, quotas dashboard) {
	t.Helper()
	values := p.choose(t, quotas, map[string]string{"project": watched})
	ask := func(panel, refID string) string { return substitute(t, quotas.expr(t, panel, refID), values) }
	which := func(expr string) string { return fmt.Sprintf("group by (service, resource_type) (%s)", expr) }
	// 3 is exhausted, 2 critical, 1 warning, 0 good, -1 muted.
	p.becomes(t, "max by (service, resource_type) ("+ask("Quotas with a limit", "A")+")", lines([]string{
		`{resource_type="data_tracker",service="cts"} 1`, `{resource_type="system_tracker",service="cts"} -1`, `{resource_type="alarm",service="ces"} 0`,
		`{resource_type="instance",service="dcs"} 3`, `{resource_type="ram",service="dcs"} 0`, `{resource_type="audit_instance",service="dbss"} 0`,
	}))
	p.becomes(t, which(ask("Nearest to their limits", "A")), `{resource_type="instance",service="dcs"} 1`)
	p.becomes(t, which(ask("Nearest to their limits", "B")), `{resource_type="data_tracker",service="cts"} 1`)
	p.becomes(t, which(ask("Nearest to their limits", "C")), lines([]string{
		`{resource_type="alarm",service="ces"} 1`, `{resource_type="ram",service="dcs"} 1`, `{resource_type="audit_instance",service="dbss"} 1`,
	}))
	for panel, alerts := range map[string]string{
		"Exhausted": `ALERTS{alertname="CloudQuotaExhausted"}`,
		"Critical":  `ALERTS{alertname="CloudQuotaNearlyExhausted",severity="critical"}`,
		"Warning":   `ALERTS{alertname="CloudQuotaNearlyExhausted",severity="warning"} unless ignoring (severity) ALERTS{severity="critical"}`,
	} {
		p.becomes(t, fmt.Sprintf("%s == count(%s)", ask(panel, "A"), alerts), " 1")
	}
	p.becomes(t, ask("Changed within the time range", "A"), `{project="prod.1",resource_type="ram",service="dcs"} 32`)
	p.becomes(t, ask("Changed within the time range", "B"), `{project="prod.1",resource_type="ram",service="dcs"} 64`)
}

// checkTables asserts that each quota is in one of the two tables, the one with bars or the one without, and in every query of that:
// Grafana's merge takes many seconds for thousands of rows where one of the answers has none.
func (p *prometheus) checkTables(t *testing.T, quotas dashboard) {
	t.Helper()
	values := p.choose(t, quotas, nil)
	rows := func(panel, refID string) string {
		return fmt.Sprintf("group by (service, project, resource_type) (%s)", substitute(t, quotas.expr(t, panel, refID), values))
	}
	with, without := rows("Quotas with a limit", "B"), rows("Quotas without a limit to compare with", "C")
	p.becomes(t, fmt.Sprintf("count(%s)", with), " 13")
	p.becomes(t, without, lines([]string{
		`{project="prod.1",resource_type="instance",service="taurusdb"} 1`,
		`{project="prod.1",resource_type="cpu",service="dbss"} 1`, `{project="prod.1",resource_type="ram",service="dbss"} 1`,
		`{project="eu-de",resource_type="cpu",service="dbss"} 1`, `{project="eu-de",resource_type="ram",service="dbss"} 1`,
	}))
	for title, all := range map[string]string{"Quotas with a limit": with, "Quotas without a limit to compare with": without} {
		for _, q := range quotas.panel(t, title).Targets {
			p.becomes(t, fmt.Sprintf("(%[1]s unless %[2]s) or (%[2]s unless %[1]s)", rows(title, q.RefID), all), "")
		}
	}
}

// TestDashboardKeepsExportersThatAreDown: what can't be scraped has no series, and is what people look for.
func TestDashboardKeepsExportersThatAreDown(t *testing.T) {
	t.Parallel()
	e := startExporter(t, newCloud(), "{}")
	p := startPrometheus(t, scraping(e.at, time.Second))
	table := readDashboards(t)[slices.IndexFunc(readDashboards(t), func(d dashboard) bool { return d.file == "exporter.json" })]
	isScraped := substitute(t, table.expr(t, "Exporters", "E"), map[string]string{"instance": ".+", "__range": "10m"})
	p.becomes(t, isScraped, " 1")
	e.terminate(t)
	p.becomes(t, isScraped, " 0")
}

// checkChain asserts that each filter narrows those after it.
func (p *prometheus) checkChain(t *testing.T, d dashboard) {
	t.Helper()
	for _, c := range []struct {
		chosen map[string]string
		name   string
		want   string
	}{
		{nil, "region", "(ap-southeast-1|ap-southeast-3)"},
		{nil, "project", `(eu-de|prod\\.1)`},
		{map[string]string{"region": "ap-southeast-1"}, "project", "eu-de"},
		{map[string]string{"account": "main", "region": "ap-southeast-3"}, "project", `prod\\.1`},
		{map[string]string{"project": watched}, "service", "(ces|cts|dbss|dcs|taurusdb)"},
	} {
		if got := p.choose(t, d, c.chosen)[c.name]; got != c.want {
			t.Errorf("%s: %s is %s with %v, want %s", d.file, c.name, got, c.chosen, c.want)
		}
	}
}

// checkNames asserts that a dashboard asks for no metric that isn't documented, and for no target but by a variable.
func (p *prometheus) checkNames(t *testing.T, d dashboard) {
	t.Helper()
	known := map[string]bool{
		"ALERTS": true, "scrape_duration_seconds": true, "up": true, // Prometheus's own
		"go_goroutines": true, "process_cpu_seconds_total": true, "process_resident_memory_bytes": true, "process_start_time_seconds": true, // of the client, which docs/metrics.md mentions
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (\\w+)").FindAllStringSubmatch(content(t, "../../docs/metrics.md"), -1) {
		known[m[1]] = true
		if m[2] == "histogram" {
			known[m[1]+"_bucket"] = true
		}
	}
	for _, m := range regexp.MustCompile(`(?m)- record: (\S+)`).FindAllStringSubmatch(read(t, "rules.yml"), -1) {
		known[m[1]] = true
	}
	values := p.choose(t, d, nil)
	for _, expr := range d.exprs(t) {
		for _, name := range p.metricsIn(t, substitute(t, expr, values)) {
			if !known[name] {
				t.Errorf("%s: %s is not documented, in %s", d.file, name, expr)
			}
		}
		if m := regexp.MustCompile(`\b(job|instance)\s*[!=]~?\s*"[^"$]+"`).FindString(expr); m != "" {
			t.Errorf("%s: selects %s, in %s", d.file, m, expr)
		}
	}
}

// metricsIn returns the names of the metrics in an expression, as Prometheus understands it.
func (p *prometheus) metricsIn(t *testing.T, expr string) []string {
	t.Helper()
	var tree any
	if err := p.get("/api/v1/parse_query", url.Values{"query": {expr}}, &tree); err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	var names []string
	var walk func(any)
	walk = func(node any) {
		switch node := node.(type) {
		case []any:
			for _, part := range node {
				walk(part)
			}
		case map[string]any:
			if strings.HasSuffix(fmt.Sprint(node["type"]), "Selector") {
				names = append(names, selected(node)...)
			}
			for _, part := range node {
				walk(part)
			}
		}
	}
	walk(tree)
	if len(names) == 0 {
		t.Errorf("no metric is in %s", expr)
	}
	return names
}

// selected returns the names of the metrics that a selector selects: one, or those of name=~"begin(end|end)".
func selected(selector map[string]any) []string {
	if name := selector["name"].(string); name != "" {
		return []string{name}
	}
	var names []string
	for _, m := range selector["matchers"].([]any) {
		matcher := m.(map[string]any)
		begin, ends, _ := strings.Cut(matcher["value"].(string), "(")
		for end := range strings.SplitSeq(strings.TrimSuffix(ends, ")"), "|") {
			if matcher["name"] == "__name__" {
				names = append(names, begin+end)
			}
		}
	}
	return names
}

// panel returns the panel of that title.
func (d dashboard) panel(t *testing.T, title string) panel {
	t.Helper()
	i := slices.IndexFunc(d.Panels, func(p panel) bool { return p.Title == title })
	if i < 0 {
		t.Fatalf("%s has no panel %s", d.file, title)
	}
	return d.Panels[i]
}

// expr returns an expression of a panel.
func (d dashboard) expr(t *testing.T, title, refID string) string {
	t.Helper()
	for _, q := range d.panel(t, title).Targets {
		if q.RefID == refID {
			return q.Expr
		}
	}
	t.Fatalf("%s has no query %s", title, refID)
	return ""
}

// exprs returns all expressions of panels, annotations and variables.
func (d dashboard) exprs(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, v := range d.Templating.List {
		if v.Type == "query" {
			all = append(all, v.ask(t)[1])
		}
	}
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			all = append(all, q.Expr)
		}
	}
	for _, a := range d.Annotations.List {
		if a.Target.Expr != "" {
			all = append(all, a.Target.Expr)
		}
	}
	return all
}
