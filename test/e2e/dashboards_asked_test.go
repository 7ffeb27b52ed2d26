package e2e

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// asked is how long ago the queries of the dashboards are evaluated.
const asked = 10 * time.Minute

// TestDashboardsOverPrometheus sends the queries of the dashboards to a real Prometheus.
func TestDashboardsOverPrometheus(t *testing.T) {
	t.Parallel()
	p := startWatched(t)
	for _, d := range readDashboards(t) {
		t.Run(d.file+"/all", func(t *testing.T) { p.answersAll(t, d, nil) })
		t.Run(d.file+"/one", func(t *testing.T) {
			p.answersAll(t, d, map[string]string{"account": "main", "region": "ap-southeast-3", "project": watched, "instance": p.now(t, `up{job="two"}`)[0].Metric["instance"]})
		})
		t.Run(d.file+"/chain", func(t *testing.T) { p.checkChain(t, d) })
		t.Run(d.file+"/names", func(t *testing.T) { p.checkNames(t, d) })
		if d.file == "quotas.json" {
			t.Run("states", func(t *testing.T) { p.checkStates(t, d) })
			t.Run("tables", func(t *testing.T) { p.checkTables(t, d) })
		}
	}
}

// answersAll asserts that every query of every panel, variable, and annotation returns data, with these values selected.
func (p *prometheus) answersAll(t *testing.T, d dashboard, chosen map[string]string) {
	t.Helper()
	values := p.choose(t, d, chosen)
	for _, panel := range d.all() {
		t.Run(panel.Title, func(t *testing.T) {
			answers := p.answers(t, panel, values)
			if len(chosen) == 0 { // otherwise some columns do not exist
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

// answers returns the result of each query of a panel, which must be one that the panel supports.
func (p *prometheus) answers(t *testing.T, panel panel, values map[string]string) map[string][]series {
	t.Helper()
	answers := map[string][]series{}
	for _, q := range panel.Targets {
		answer := p.answer(t, q, values)
		answers[q.RefID] = answer
		checkLabels(t, answer)
		isInfinite := func(s series) bool { return s.Value.value == "+Inf" }
		if slices.ContainsFunc(answer, isInfinite) && !panel.putsInWords(t, q.RefID) {
			t.Errorf("query %s returns +Inf, for which the panel has no text", q.RefID)
		}
	}
	return answers
}

// choose returns the text that Grafana substitutes for each variable: the selected values, or all values for the other variables. Selected values
// must be among the options.
func (p *prometheus) choose(t *testing.T, d dashboard, chosen map[string]string) map[string]string {
	t.Helper()
	values := intervals()
	for _, v := range d.Templating.List {
		switch v.Type {
		case "datasource": // is in no expression
		case "query":
			var options []string
			eventually(t, "options of "+v.Name, func() (string, bool) {
				options = p.options(t, v, values)
				return "none", len(options) > 0
			})
			values[v.Name] = cmp.Or(v.AllValue, alternatives(options))
			if one, ok := chosen[v.Name]; ok {
				if !slices.Contains(options, one) {
					t.Fatalf("%s: there is no %s among %q", v.Name, one, options)
				}
				values[v.Name] = alternatives([]string{one})
			}
		default:
			values[v.Name] = v.Current.Value.(string)
		}
	}
	return values
}

// intervals are the variables that Grafana derives from the time range. The interval in milliseconds is longer, because the first scrape after the
// start of an exporter can take seconds.
func intervals() map[string]string {
	return map[string]string{"__range": "600s", "__interval": "1s", "__interval_ms": "60000", "__rate_interval": "1m"}
}

// ask returns the type of a variable's query, label_values or query_result, and its expression; for label_values, also the label.
func (v variable) ask(t *testing.T) (kind, expr, label string) {
	t.Helper()
	m := variableQuery.FindStringSubmatch(v.Query.(map[string]any)["query"].(string))
	if m == nil || (m[1] == "label_values") != (m[3] != "") {
		t.Fatalf("the variable %s has an unknown query: %v", v.Name, v.Query)
	}
	return m[1], m[2], m[3]
}

var variableQuery = regexp.MustCompile(`^(label_values|query_result)\((.+?)(?:, (\w+))?\)$`)

// options returns the values of a variable.
func (p *prometheus) options(t *testing.T, v variable, values map[string]string) []string {
	t.Helper()
	if !v.Multi || !v.IncludeAll {
		t.Fatalf("the variable %s has no option All", v.Name)
	}
	kind, expr, label := v.ask(t)
	expr = substitute(t, expr, values)
	var options []string
	if kind == "query_result" {
		// Grafana applies the regular expression to each series and its value, as {project="prod"} 0.9.
		re := regexp.MustCompile(strings.Trim(v.Regex, "/"))
		for _, s := range p.now(t, expr) {
			if m := re.FindStringSubmatch(write(s.Metric) + " " + s.Value.value); m != nil {
				options = append(options, m[1])
			}
		}
		slices.Sort(options)
		return slices.Compact(options)
	}
	now := time.Now()
	err := p.get("/api/v1/label/"+label+"/values", url.Values{"match[]": {expr}, "start": {seconds(now.Add(-asked))}, "end": {seconds(now)}}, &options)
	if err != nil {
		t.Fatalf("the variable %s: %v", v.Name, err)
	}
	return options
}

var inExpression = regexp.MustCompile(`\$(?:\{(\w+)\}|(\w+))`)

// alternatives writes values as Grafana does for Prometheus: as a regular expression in a string.
func alternatives(values []string) string {
	var escaped []string
	for _, v := range values {
		escaped = append(escaped, strings.ReplaceAll(regexp.QuoteMeta(v), `\`, `\\`))
	}
	if len(escaped) == 1 {
		return escaped[0]
	}
	return "(" + strings.Join(escaped, "|") + ")"
}

// substitute replaces variables by their values. All must be known.
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

// answer repeats a query until its result contains a number, and returns the result.
func (p *prometheus) answer(t *testing.T, q panelQuery, values map[string]string) []series {
	t.Helper()
	if q.Instant && q.Range {
		t.Errorf("%s is queried twice", q.RefID)
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

// hasNumber reports whether a series has a sample that is a number.
func hasNumber(s series) bool {
	return slices.ContainsFunc(append(s.Values, s.Value), func(v sample) bool { return v.value != "" && v.value != "NaN" })
}

// ours are the labels of the exporter and the alerts, and the label that distinguishes exporters.
var ours = []string{
	"__name__", "account", "alertname", "alertstate", "code", "goversion", "instance", "job", "project", "reason", "region", "resource_type", "revision",
	"service", "severity", "unit", "version",
}

// checkLabels asserts that a result has no label that scrapes have added.
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

// watched is the label of the project of startWatched in which everything happens. A dot has a meaning in regular expressions.
const watched = "prod.1"

// forecast records the series of the shipped rules for a quota that grows, after days.
const forecast = `
groups:
  - name: forecast
    interval: 1s
    rules: [{record: 'quota:cloud_quota_days_to_full:forecast', expr: 'quota:cloud_quota_remaining:min{resource_type=~"alarm|cpu"} * 0 + 3'}]
`

// startWatched runs a Prometheus with the shipped rules and two exporters of the same accounts, each scraped with its own labels. The cloud has
// everything that the dashboards show: quotas in all states, without a limit, with only the remaining amount, that grow, or with a changed limit;
// skipped resources; a service that throttles; an unusable account, and one whose tokens expire; a skipped project. One of the exporters was
// restarted, and rejected a configuration.
func startWatched(t *testing.T) *prometheus {
	t.Helper()
	const busy, idle = "0250cb8a80c24c0b9f20f557cb159aad", "7d3c1f0e5b9a48e2a6c4d8f01b2e3a59"
	grows := func(elapsed time.Duration) int64 { return 100 + int64(elapsed.Seconds()) }
	cloud := cloudtest.New(
		cloudsim.Account{Name: "main", Projects: []cloudsim.Project{
			{ID: busy, Name: "ap-southeast-3", AuditInstances: 2, Quotas: map[string][]cloudsim.Quota{
				"ces":      {{Type: "alarm", Limit: 100000, Move: grows}},
				"taurusdb": {{Type: "instance", Limit: -1, Move: grows}},
				"dcs":      {{Type: "instance", Used: 11, Limit: 10, Min: 1, Max: 50}, {Type: "ram", Unit: "GB", Used: 8, Limit: 64, Min: 1, Max: 800}},
			}},
			{ID: idle, Name: "ap-southeast-1"},
			{ID: "5bd2d60ff638ccd9a8a28114eab086e7", Name: "eu-de"},
		}},
		cloudsim.Account{Name: "other", AccessKey: accessKey, SecretKey: secretKey},
	)
	cloud.SetIdentities("main", cloudtest.Identities{Users: []cloudtest.User{{Name: "reader", Password: "sesame"}}})
	cloud.Inject(cloudtest.Fault{Service: "cts", ProjectID: busy, Status: http.StatusOK, Body: []byte(`{"resources": [
		{"type": "data_tracker", "used": 85, "quota": 100}, {"used": 1, "quota": 1}, {"type": "system_tracker", "used": 1, "quota": 1}]}`)})
	endpoints := serve(t, cloud)
	config := fmt.Sprintf(`
accounts:
  - name: main
    credentials: {password: {domain_name: main, user_name: reader, password: sesame}}
    endpoints: %[1]s
    projects: [{id: %[2]s, region: ap-southeast-3, name: %[3]s}, {id: %[4]s, region: ap-southeast-1, name: eu-de}]
    discovery: {name_prefix: ""}
  - name: other
    credentials: {static: {access_key: %[5]s, secret_key: wrong}}
    endpoints: %[1]s
    discovery: {}
services: {defaults: {cache_ttl: 1s}, ces: {cache_ttl: 1s}}
`, endpoints, busy, watched, idle, accessKey)
	one, two := configured(t, config), configured(t, config)

	p := startPrometheus(t, fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_timeout: 1s}
rule_files: [%s, %s]
scrape_configs:
  - job_name: one
    static_configs: [{targets: [%q], labels: {cluster: east, namespace: monitoring, pod: exporter-0}}]
  - job_name: two
    static_configs: [{targets: [%q], labels: {cluster: west}}]
`, rulesEverySecond(t), save(t, filepath.Join(t.TempDir(), "forecast.yml"), forecast), one.at, two.at))
	p.becomes(t, `count(cloud_quota_remaining{service="dbss"})`, " 12")

	cloud.Inject(cloudtest.Fault{Service: "dbss", ProjectID: busy, Status: http.StatusTooManyRequests, Body: cloudsim.ErrorBody("dbss", http.StatusTooManyRequests, "slow down")})
	cloud.SetQuota(busy, "dcs", "ram", 8, 32)
	two.terminate(t)
	two.run(t, two.at)
	if err := errors.Join(os.WriteFile(two.config, []byte("nonsense"), 0o600), two.cmd.Process.Signal(syscall.SIGHUP)); err != nil {
		t.Fatal(err)
	}
	p.becomes(t, `group by (alertname) (ALERTS{alertname=~"CloudQuota(AccountDown|ConfigReloadFailed|ReadFailing)"})`,
		`{alertname="CloudQuotaAccountDown"} 1
{alertname="CloudQuotaConfigReloadFailed"} 1
{alertname="CloudQuotaReadFailing"} 1`)
	return p
}

// checkStates asserts what the quota panels show for the project in which everything happens, and that this agrees with the alerts.
func (p *prometheus) checkStates(t *testing.T, quotas dashboard) {
	t.Helper()
	values := p.choose(t, quotas, map[string]string{"project": watched})
	ask := func(panel, refID string) string { return substitute(t, quotas.expr(t, panel, refID), values) }
	// 3 is exhausted, 2 critical, 1 warning, 0 good, -1 muted.
	p.becomes(t, "max by (service, resource_type) ("+ask("Quotas with a limit", "A")+")", lines([]string{
		`{resource_type="data_tracker",service="cts"} 1`, `{resource_type="system_tracker",service="cts"} -1`, `{resource_type="alarm",service="ces"} 0`,
		`{resource_type="instance",service="dcs"} 3`, `{resource_type="ram",service="dcs"} 0`, `{resource_type="audit_instance",service="dbss"} 0`,
	}))
	p.becomes(t, "max by (service, resource_type) ("+ask("Highest utilization", "A")+")", lines([]string{
		`{resource_type="data_tracker",service="cts"} 1`, `{resource_type="alarm",service="ces"} 0`,
		`{resource_type="instance",service="dcs"} 3`, `{resource_type="ram",service="dcs"} 0`, `{resource_type="audit_instance",service="dbss"} 0`,
	}))
	p.becomes(t, ask("Highest utilization", "C")+" >= 0", `{project="prod.1",resource_type="alarm",service="ces"} 3`)
	const matrix = "Highest utilization by service and project"
	p.becomes(t, ask(matrix, "A")+" > 0.8", `{project="prod.1",service="all services"} 1.1
{project="prod.1",service="cts"} 0.85
{project="prod.1",service="dcs"} 1.1`)
	for panel, alerts := range map[string]string{
		"Exhausted": `ALERTS{alertname="CloudQuotaExhausted"}`,
		"Critical":  `ALERTS{alertname="CloudQuotaCritical"}`,
		"Warning":   `ALERTS{alertname="CloudQuotaNearlyExhausted"} unless on (service, project, resource_type) ALERTS{alertname="CloudQuotaCritical"}`,
	} {
		p.becomes(t, fmt.Sprintf("%s == count(group by (service, project, resource_type) (%s))", ask(panel, "A"), alerts), " 1")
	}
	p.becomes(t, ask("Limits that changed", "A"), `{project="prod.1",resource_type="ram",service="dcs"} 32`)
	p.becomes(t, ask("Limits that changed", "B"), `{project="prod.1",resource_type="ram",service="dcs"} 64`)
}

// checkTables asserts that each quota is in one of the two tables, with or without a bar, and in every query of that table. Grafana's merge takes
// many seconds for thousands of rows that one of the results lacks.
func (p *prometheus) checkTables(t *testing.T, quotas dashboard) {
	t.Helper()
	values := p.choose(t, quotas, nil)
	rows := func(panel, refID string) string {
		return fmt.Sprintf("group by (service, project, resource_type) (%s)", substitute(t, quotas.expr(t, panel, refID), values))
	}
	with, without := rows("Quotas with a limit", "B"), rows("Quotas without a known limit", "C")
	p.becomes(t, fmt.Sprintf("count(%s)", with), " 13")
	p.becomes(t, without, lines([]string{
		`{project="prod.1",resource_type="instance",service="taurusdb"} 1`,
		`{project="prod.1",resource_type="cpu",service="dbss"} 1`, `{project="prod.1",resource_type="ram",service="dbss"} 1`,
		`{project="eu-de",resource_type="cpu",service="dbss"} 1`, `{project="eu-de",resource_type="ram",service="dbss"} 1`,
	}))
	for title, all := range map[string]string{"Quotas with a limit": with, "Quotas without a known limit": without} {
		for _, q := range quotas.panel(t, title).Targets {
			p.becomes(t, fmt.Sprintf("(%[1]s unless %[2]s) or (%[2]s unless %[1]s)", rows(title, q.RefID), all), "")
		}
	}
}

// checkChain asserts that each filter narrows those after it.
func (p *prometheus) checkChain(t *testing.T, d dashboard) {
	t.Helper()
	for _, c := range []struct {
		chosen map[string]string
		name   string
		want   string
	}{
		{nil, "region", "ap-southeast-1 ap-southeast-3"},
		{nil, "project", "eu-de prod.1"},
		{map[string]string{"region": "ap-southeast-1"}, "project", "eu-de"},
		{map[string]string{"account": "main", "region": "ap-southeast-3"}, "project", "prod.1"},
		{map[string]string{"project": watched}, "service", "ces cts dbss dcs taurusdb"},
	} {
		i := slices.IndexFunc(d.Templating.List, func(v variable) bool { return v.Name == c.name })
		v := d.Templating.List[i]
		if got := strings.Join(p.options(t, v, p.choose(t, d, c.chosen)), " "); got != c.want {
			t.Errorf("%s: %s offers %s with %v, want %s", d.file, c.name, got, c.chosen, c.want)
		}
		if all := map[string]string{"region": ".*", "service": ".*"}[c.name]; v.AllValue != all { // accounts have no region; sixty services make long queries
			t.Errorf("%s: all of %s is %q, want %q", d.file, c.name, v.AllValue, all)
		}
	}
}

// checkNames asserts that a dashboard queries only documented metrics, and selects targets only with a variable.
func (p *prometheus) checkNames(t *testing.T, d dashboard) {
	t.Helper()
	known := map[string]bool{
		"ALERTS": true, "scrape_duration_seconds": true, "up": true, // Prometheus's own
		"go_goroutines": true, "process_cpu_seconds_total": true, "process_resident_memory_bytes": true, "process_start_time_seconds": true, // of the client library, mentioned in docs/metrics.md
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (\\w+)").FindAllStringSubmatch(readFile(t, "../../docs/metrics.md"), -1) {
		known[m[1]] = true
		if m[2] == "histogram" {
			known[m[1]+"_bucket"] = true
		}
	}
	for _, m := range regexp.MustCompile(`(?m)- record: (\S+)`).FindAllStringSubmatch(readFile(t, shippedRules), -1) {
		known[m[1]] = true
	}
	values := p.choose(t, d, nil)
	for _, expr := range d.exprs(t) {
		for _, name := range p.metricsIn(t, substitute(t, expr, values)) {
			if !known[name] {
				t.Errorf("%s: %s is not documented, in %s", d.file, name, expr)
			}
		}
		if m := regexp.MustCompile(`\b(job|instance)\s*[!=]~?\s*"[^"$]+"`).FindString(expr); m != "" && !strings.Contains(readFile(t, shippedRules), m) {
			t.Errorf("%s: selects %s, in %s", d.file, m, expr)
		}
	}
}

// metricsIn returns the names of the metrics in an expression, parsed by Prometheus.
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
		t.Errorf("no metric in %s", expr)
	}
	return names
}

// selected returns the names of the metrics that a selector selects: one, or those of name=~"start(end|end)".
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

// panel returns the panel with a title.
func (d dashboard) panel(t *testing.T, title string) panel {
	t.Helper()
	all := d.all()
	i := slices.IndexFunc(all, func(p panel) bool { return p.Title == title })
	if i < 0 {
		t.Fatalf("%s has no panel %s", d.file, title)
	}
	return all[i]
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
			_, expr, _ := v.ask(t)
			all = append(all, expr)
		}
	}
	for _, p := range d.all() {
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
