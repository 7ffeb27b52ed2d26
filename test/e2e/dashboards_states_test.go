package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// scrapedNothing is what the first tile shows if the only exporter is down.
const scrapedNothing = "scraped nothing, down 1"

// TestDashboardsInEachState checks what the dashboards show for the demo, for an exporter whose fetches all fail, and after each has stopped.
func TestDashboardsInEachState(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]struct {
		start func(t *testing.T) *process
		shown map[string]string // by panel
	}{
		"running": {
			start: func(t *testing.T) *process {
				return startProcess(t, exporterBinary, "demo", "--web.listen-address=127.0.0.1:0")
			},
			shown: map[string]string{
				"Exporters": "scraped 1, down 0", "Failing accounts": "0", "Rejected configurations": "0", "Skipped resources": "0",
				"Highest utilization": "10 rows", "Highest utilization by service and project": "3 rows", "Quotas without a known limit": "some rows",
				"Limits that changed": "No limit changed, or nothing is scraped", "Versions and configurations": "1 rows", "Accounts": "1 rows",
				"Skipped resources by service": "No resource is skipped, or nothing is scraped",
			},
		},
		"failing": {
			start: startFailing,
			shown: map[string]string{
				"Exporters": "scraped 1, down 0", "Failing fetches": "10", "Exhausted": "unknown", "Critical": "unknown", "Warning": "unknown",
				"Full within 7 days": "unknown", "Quotas": "unknown", "Highest utilization": "No quota with a limit is known, or nothing is scraped",
				"Highest utilization by service and project": "No quota with a limit is known, or nothing is scraped",
				"Quotas without a known limit":               "Every quota has a limit, nothing is known, or nothing is scraped",
				"Failing now":                                "10 rows", "Oldest values": "Nothing was fetched, or nothing is scraped",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := state.start(t)
			p := startPrometheus(t, fmt.Sprintf("rule_files: [%q]\n", rulesEverySecond(t))+scraping(e.address(t), time.Second))
			boards := readDashboards(t)
			for _, d := range boards {
				for title, want := range state.shown {
					p.shows(t, d, title, want)
				}
			}
			if got := len(p.within(t, "up", time.Millisecond)); got != 0 { // as docs/dashboards.md explains for slow scrapes
				t.Errorf("lookback_delta has no effect: %d samples of the last millisecond", got)
			}
			e.terminate(t)
			for _, d := range boards {
				p.shows(t, d, "Exporters", scrapedNothing)
				p.shows(t, d, "Versions and configurations", "1 rows") // of an exporter that is down
				p.claimsNothing(t, d)
			}
			p.becomes(t, `count(ALERTS{alertname="CloudQuotaBlind"})`, " 1")
			for _, d := range boards {
				p.shows(t, d, d.alerts(t).Title, "some rows")
			}
		})
	}
}

// startFailing runs an exporter whose fetches all fail, from the start.
func startFailing(t *testing.T) *process {
	cloud := newCloud()
	cloud.Inject(cloudtest.Fault{Status: http.StatusInternalServerError, Body: cloudsim.ErrorBody("cts", http.StatusInternalServerError, "no")})
	return startExporter(t, cloud, "{}").process
}

// alerts returns the table of alerts, which must be on the first screen, directly below the tiles.
func (d dashboard) alerts(t *testing.T) panel {
	t.Helper()
	i := slices.IndexFunc(d.Panels, func(p panel) bool { return p.Type == "table" && strings.HasPrefix(p.Title, "Alerts") })
	if d.Panels[1].Title != "Exporters" || d.Panels[1].GridPos.X != 0 || d.Panels[i].GridPos.Y != d.Panels[1].GridPos.Y+d.Panels[1].GridPos.H {
		t.Errorf("%s starts with %s, and its alerts are at %+v", d.file, d.Panels[1].Title, d.Panels[i].GridPos)
	}
	return d.Panels[i]
}

// shows waits until a panel shows a text, if the dashboard has the panel.
func (p *prometheus) shows(t *testing.T, d dashboard, title, want string) {
	t.Helper()
	i := slices.IndexFunc(d.all(), func(p panel) bool { return p.Title == title })
	if i < 0 {
		return
	}
	eventually(t, d.file+": "+title, func() (string, bool) {
		got := p.shown(t, d, d.all()[i])
		return got, got == want || want == "some rows" && strings.HasSuffix(got, " rows")
	})
}

// claimsNothing asserts that only the first tile can look healthy. An empty panel must explain that possibly nothing is scraped, and no tile shows 0.
func (p *prometheus) claimsNothing(t *testing.T, d dashboard) {
	t.Helper()
	for _, panel := range d.all() {
		got := p.shown(t, d, panel)
		isBlind := got == "unknown" || got == "No data" || strings.Contains(got, "nothing is scraped") || strings.Contains(got, "nothing is evaluated")
		if rows := strings.HasSuffix(got, " rows"); panel.Title != "Exporters" && !isBlind && (!rows || strings.Contains(strings.Join(panel.exprs(), ""), "cloud_quota_up")) {
			t.Errorf("%s: %s shows %q while nothing is scraped", d.file, panel.Title, got)
		}
	}
}

// shown writes what Grafana shows in a panel at the last moment: the texts of a tile, the number of rows, or the text of an empty panel.
func (p *prometheus) shown(t *testing.T, d dashboard, panel panel) string {
	t.Helper()
	values := p.everything(t, d)
	var answers []string
	var rows []map[string]string
	shared := map[string]int{} // how many series have a label; Grafana merges those that agree in the labels that all have
	for _, q := range panel.Targets {
		for _, s := range p.now(t, substitute(t, q.Expr, values)) {
			answers = append(answers, panel.text(t, q, s.Value.value))
			if m := panel.Transformations; len(m) > 0 && m[0].ID == "groupingToMatrix" {
				delete(s.Metric, m[0].Options.ColumnField)
			}
			rows = append(rows, s.Metric)
			for label := range s.Metric {
				shared[label]++
			}
		}
	}
	merged := map[string]bool{}
	for _, row := range rows {
		maps.DeleteFunc(row, func(label, _ string) bool { return len(panel.Targets) > 1 && shared[label] < len(rows) })
		merged[write(row)] = true
	}
	switch {
	case len(answers) == 0 && panel.FieldConfig.Defaults.NoValue == "":
		return "No data" // Grafana's own words
	case len(answers) == 0:
		return panel.FieldConfig.Defaults.NoValue
	case panel.Type == "stat":
		return strings.Join(answers, ", ")
	default:
		return fmt.Sprintf("%d rows", len(merged))
	}
}

// text is a value of a tile after its mapping, with the name of the query in front if there are several.
func (p panel) text(t *testing.T, q panelQuery, value string) string {
	t.Helper()
	if len(p.Targets) == 1 {
		return value
	}
	for _, o := range p.FieldConfig.Overrides {
		if o.Matcher.Options != q.LegendFormat {
			continue
		}
		for _, m := range o.mappings(t) {
			if mapped, ok := m.Options[value].(map[string]any); ok {
				value = fmt.Sprint(mapped["text"])
			}
		}
	}
	return q.LegendFormat + " " + value
}

func (p panel) exprs() []string {
	var all []string
	for _, q := range p.Targets {
		all = append(all, q.Expr)
	}
	return all
}

// everything is like choose with all values of the past and the present, even if there are none.
func (p *prometheus) everything(t *testing.T, d dashboard) map[string]string {
	t.Helper()
	values := intervals()
	for _, v := range d.Templating.List {
		switch {
		case v.Type == "query" && v.AllValue == "":
			values[v.Name] = alternatives(p.options(t, v, values))
		case v.Type == "query":
			values[v.Name] = v.AllValue
		case v.Type != "datasource":
			values[v.Name] = v.Current.Value.(string)
		}
	}
	return values
}

// within is like query, with samples that are not older.
func (p *prometheus) within(t *testing.T, expr string, lookback time.Duration) []series {
	t.Helper()
	var data result
	if err := p.get("/api/v1/query", url.Values{"query": {expr}, "lookback_delta": {lookback.String()}}, &data); err != nil {
		t.Fatal(err)
	}
	return data.Result
}
