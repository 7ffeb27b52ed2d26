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

// asked is for how long before now the dashboards are asked.
const asked = 10 * time.Minute

// noAnswer are queries that have no answer in the cloud of startWatched, by panel and refId, and why.
var noAnswer = map[string]string{}

// TestDashboardsOverPrometheus asks a real Prometheus what the dashboards ask it.
func TestDashboardsOverPrometheus(t *testing.T) {
	t.Parallel()
	p := startWatched(t)
	for _, d := range readDashboards(t) {
		t.Run(d.file+"/all", func(t *testing.T) { p.answersAll(t, d, nil) })
		t.Run(d.file+"/one", func(t *testing.T) {
			p.answersAll(t, d, map[string]string{"account": "main", "region": "ap-southeast-3", "project": watched, "instance": p.oneExporter(t)})
		})
		t.Run(d.file+"/chain", func(t *testing.T) { p.checkChain(t, d) })
		t.Run(d.file+"/names", func(t *testing.T) { p.checkNames(t, d) })
		if d.file == "quotas.json" {
			t.Run("states", func(t *testing.T) { p.checkStates(t, d) })
			t.Run("tables", func(t *testing.T) { p.checkTables(t, d) })
		}
	}
}

// answersAll asserts that every query of every panel, variable and annotation has an answer, with these values chosen.
func (p *prometheus) answersAll(t *testing.T, d dashboard, chosen map[string]string) {
	t.Helper()
	values := p.choose(t, d, chosen)
	for _, panel := range d.Panels {
		if panel.Type == "row" {
			continue
		}
		t.Run(panel.Title, func(t *testing.T) {
			answers := p.answers(t, panel, values)
			if len(chosen) == 0 { // only then there is every column
				checkColumns(t, panel, answers)
			}
		})
	}
	for _, a := range d.Annotations.List {
		if a.Target.Expr != "" {
			t.Run("annotation "+a.Name, func(t *testing.T) { checkLabels(t, p.answer(t, a.Target, values)) })
		}
	}
}

// oneExporter returns where the exporter is scraped that was restarted.
func (p *prometheus) oneExporter(t *testing.T) string {
	t.Helper()
	return p.now(t, `up{job="two"}`)[0].Metric["instance"]
}

// answers returns the answer to each query of a panel, which must be one that the panel is made for.
func (p *prometheus) answers(t *testing.T, panel panel, values map[string]string) map[string][]series {
	t.Helper()
	answers := map[string][]series{}
	for _, q := range panel.Targets {
		if noAnswer[panel.Title+"/"+q.RefID] != "" {
			continue
		}
		answer := p.answer(t, q, values)
		answers[q.RefID] = answer
		checkLabels(t, answer)
		isInfinite := func(s series) bool { return s.Value.value == "+Inf" }
		if slices.ContainsFunc(answer, isInfinite) && !panel.putsInWords(t, q.RefID) {
			t.Errorf("query %s has +Inf in its answer, which the panel doesn't put in words", q.RefID)
		}
	}
	return answers
}

// choose returns the text that Grafana puts in the place of each variable: of those that are chosen by their value, and of others by all
// that there is. What is chosen must be to be had.
func (p *prometheus) choose(t *testing.T, d dashboard, chosen map[string]string) map[string]string {
	t.Helper()
	values := map[string]string{"__range": seconds10m, "__interval": "1s", "__rate_interval": "1m"}
	for _, v := range d.Templating.List {
		switch v.Type {
		case "datasource": // stands in no expression
		case "query":
			var options []string
			eventually(t, "options of "+v.Name, func() (string, bool) {
				options = p.options(t, v, values)
				return "none", len(options) > 0
			})
			if one, ok := chosen[v.Name]; ok {
				if !slices.Contains(options, one) {
					t.Fatalf("%s: there is no %s among %q", v.Name, one, options)
				}
				options = []string{one}
			}
			values[v.Name] = alternatives(options)
		default:
			values[v.Name] = v.Current.Value.(string)
		}
	}
	return values
}

const seconds10m = "600s"

// ask returns of a variable that asks Prometheus the series and, of these, the label.
func (v variable) ask(t *testing.T) []string {
	t.Helper()
	m := labelValues.FindStringSubmatch(v.Query.(map[string]any)["query"].(string))
	if m == nil {
		t.Fatalf("the variable %s asks for no values of a label: %v", v.Name, v.Query)
	}
	return m
}

var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// options asks for the values of a variable.
func (p *prometheus) options(t *testing.T, v variable, values map[string]string) []string {
	t.Helper()
	if !v.Multi || !v.IncludeAll {
		t.Fatalf("the variable %s doesn't offer all", v.Name)
	}
	m, now := v.ask(t), time.Now()
	var options []string
	err := p.get("/api/v1/label/"+m[2]+"/values",
		url.Values{"match[]": {substitute(t, m[1], values)}, "start": {seconds(now.Add(-asked))}, "end": {seconds(now)}}, &options)
	if err != nil {
		t.Fatalf("the variable %s: %v", v.Name, err)
	}
	return options
}

var (
	inExpression = regexp.MustCompile(`\$(?:\{(\w+)\}|(\w+))`)
	specialInRE  = regexp.MustCompile(`[\\^$*+?.()|[\]{}]`)
)

// alternatives writes values as Grafana does for Prometheus: an expression that matches them, within a string.
func alternatives(values []string) string {
	var escaped []string
	for _, v := range values {
		escaped = append(escaped, specialInRE.ReplaceAllString(v, `\\$0`))
	}
	if len(escaped) == 1 {
		return escaped[0]
	}
	return "(" + strings.Join(escaped, "|") + ")"
}

// substitute puts values in the places of variables, all of which must be known.
func substitute(t *testing.T, expr string, values map[string]string) string {
	t.Helper()
	return inExpression.ReplaceAllStringFunc(expr, func(name string) string {
		value, known := values[strings.Trim(name, "${}")]
		if !known {
			t.Fatalf("there is no variable %s, in %s", name, expr)
		}
		return value
	})
}

// answer asks a query until it has an answer with a number in it, and returns that.
func (p *prometheus) answer(t *testing.T, q panelQuery, values map[string]string) []series {
	t.Helper()
	if q.Instant && q.Range {
		t.Errorf("%s is asked twice", q.RefID)
	}
	expr := substitute(t, q.Expr, values)
	var answer result
	eventually(t, expr, func() (string, bool) {
		now := time.Now()
		path, query := "/api/v1/query", url.Values{"query": {expr}, "time": {seconds(now)}}
		if !q.Instant {
			path, query = "/api/v1/query_range", url.Values{"query": {expr}, "start": {seconds(now.Add(-asked))}, "end": {seconds(now)}, "step": {"1"}}
		}
		if err := p.get(path, query, &answer); err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
		return fmt.Sprint(answer), slices.ContainsFunc(answer.Result, hasNumber)
	})
	return answer.Result
}

// hasNumber tells whether a series has a sample that is a number.
func hasNumber(s series) bool {
	return slices.ContainsFunc(append(s.Values, s.Value), func(v sample) bool { return v.value != "" && v.value != "NaN" })
}

// ours are the labels that the exporter and the alerts have, and the one by which exporters are told apart.
var ours = []string{
	"__name__", "account", "alertname", "alertstate", "code", "goversion", "instance", "project", "reason", "region", "resource_type", "revision",
	"service", "severity", "unit", "version",
}

// checkLabels asserts that no label that scrapes have added is left in an answer.
func checkLabels(t *testing.T, answer []series) {
	t.Helper()
	for _, s := range answer {
		for label := range s.Metric {
			if !slices.Contains(ours, label) {
				t.Errorf("the label %s, which a scrape added, is left in %s", label, write(s.Metric))
			}
		}
	}
}
