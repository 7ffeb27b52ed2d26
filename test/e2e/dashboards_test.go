package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// dashboards is the directory of the shipped dashboards.
const dashboards = "../../deploy/grafana/dashboards"

// dashboard is the part of a shipped dashboard that the tests check.
type dashboard struct {
	file string

	ID            *int
	UID           string
	Tags          []string
	SchemaVersion int
	Requires      []requirement `json:"__requires"`
	Inputs        []any         `json:"__inputs"`
	Panels        []panel
	Templating    struct{ List []variable }
	Annotations   struct {
		List []struct {
			Name   string
			Target panelQuery
		}
	}
}

// requirement is an input or plugin that an import by upload needs.
type requirement struct{ Type, ID string }

// panel is a panel, or the title of a row.
type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Repeat                   string
	Panels                   []panel // of a collapsed row
	Targets                  []panelQuery
	Transformations          []struct {
		ID      string
		Options struct {
			ExcludeByName map[string]bool
			RenameByName  map[string]string
			IndexByName   map[string]int

			ColumnField, RowField string // of a matrix
		}
	}
	FieldConfig struct {
		Defaults struct {
			Unit, NoValue string
			Mappings      []mapping
			Links         []dataLink
		}
		Overrides []override
	}
	Options struct {
		SortBy []struct{ DisplayName string }
	}
}

type panelQuery struct {
	RefID, Expr, Format, LegendFormat, Interval string
	Instant, Range                              bool
}

type dataLink struct{ Title, URL string }

type mapping struct {
	Type    string
	Options map[string]any
}

type override struct {
	Matcher    struct{ ID, Options string }
	Properties []struct {
		ID    string
		Value json.RawMessage
	}
}

type variable struct {
	Name, Type, Regex string
	Multi, IncludeAll bool
	AllValue          string // of all; empty: the existing values
	Query             any    // text; for Prometheus it is an object
	Current           struct{ Value any }
}

// readDashboards returns the shipped dashboards.
func readDashboards(t *testing.T) []dashboard {
	t.Helper()
	files, err := filepath.Glob(dashboards + "/*.json")
	if err != nil || len(files) != 2 {
		t.Fatalf("%d dashboards (%v), want 2", len(files), err)
	}
	var all []dashboard
	for _, file := range files {
		d := dashboard{file: filepath.Base(file)}
		if err := json.Unmarshal([]byte(readFile(t, file)), &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, d)
	}
	return all
}

// all returns the panels, including those in collapsed rows.
func (d dashboard) all() []panel {
	var all []panel
	for _, p := range d.Panels {
		if all = append(all, p.Panels...); p.Type != "row" {
			all = append(all, p)
		}
	}
	return all
}

func TestShippedDashboards(t *testing.T) {
	t.Parallel()
	uids := map[string]bool{}
	for _, d := range readDashboards(t) {
		if d.ID != nil {
			t.Errorf("%s has an id, which is specific to one Grafana", d.file)
		}
		if d.UID == "" || uids[d.UID] {
			t.Errorf("%s: uid %q is missing or duplicate", d.file, d.UID)
		}
		uids[d.UID] = true
		if len(d.Tags) != 1 || d.Tags[0] != "cloud_quota_exporter" {
			t.Errorf("%s: tags %q, which link the dashboards to each other", d.file, d.Tags)
		}
		checkPlaces(t, d)
		checkRequirements(t, d)
		for _, p := range d.all() {
			checkExplained(t, d.file, p)
			checkFirst(t, d.file, p)
			checkEmpty(t, d.file, p)
			checkRows(t, d.file, p)
		}
	}
	for _, d := range readDashboards(t) {
		text := readFile(t, filepath.Join(dashboards, d.file))
		for _, link := range regexp.MustCompile(`"/d/([^?"]*)`).FindAllStringSubmatch(text, -1) {
			if !uids[link[1]] {
				t.Errorf("%s: link to %q, which is not a shipped dashboard", d.file, link[1])
			}
		}
		runbooks := regexp.MustCompile(`\$\{runbooks\}/(\w+)\.md`).FindAllStringSubmatch(text, -1)
		if len(runbooks) == 0 {
			t.Errorf("%s links to no runbook", d.file)
		}
		for _, link := range runbooks {
			if _, err := os.Stat("../../docs/runbooks/" + link[1] + ".md"); err != nil {
				t.Errorf("%s: %v", d.file, err)
			}
		}
	}
}

// checkPlaces asserts that panels do not overlap, also within collapsed rows, and that their ids are unique.
func checkPlaces(t *testing.T, d dashboard) {
	t.Helper()
	checkSideBySide(t, d.file, d.Panels)
	ids := map[int]bool{}
	for _, p := range d.Panels {
		checkSideBySide(t, d.file, p.Panels)
		for _, p := range append(p.Panels, p) {
			if ids[p.ID] {
				t.Errorf("%s: %s has a duplicate id", d.file, p.Title)
			}
			ids[p.ID] = true
		}
	}
}

func checkSideBySide(t *testing.T, file string, panels []panel) {
	t.Helper()
	taken := map[[2]int]string{}
	for _, p := range panels {
		at := p.GridPos
		if at.X < 0 || at.Y < 0 || at.W < 1 || at.H < 1 || at.X+at.W > 24 {
			t.Errorf("%s: %s is outside of the 24 columns: %+v", file, p.Title, at)
		}
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				if other, overlaps := taken[[2]int{x, y}]; overlaps {
					t.Fatalf("%s: %s overlaps %s", file, p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

// checkRequirements asserts that a dashboard lists its requirements, and that provisioning or import needs no input: the data source is a variable.
func checkRequirements(t *testing.T, d dashboard) {
	t.Helper()
	want := map[requirement]bool{{"grafana", "grafana"}: true, {"datasource", "prometheus"}: true}
	for _, p := range d.all() {
		want[requirement{"panel", p.Type}] = true
	}
	got := map[requirement]bool{}
	for _, r := range d.Requires {
		got[r] = true
	}
	if !maps.Equal(got, want) || d.SchemaVersion != 42 || len(d.Inputs) > 0 {
		t.Errorf("%s requires %v with schema %d and inputs %v, want %v", d.file, got, d.SchemaVersion, d.Inputs, want)
	}
	if d.Templating.List[0].Type != "datasource" {
		t.Errorf("%s: its first variable is not a data source", d.file)
	}
}

// checkEmpty asserts that the text of an empty panel is correct if nothing is scraped, and that rates have enough samples.
func checkEmpty(t *testing.T, file string, p panel) {
	t.Helper()
	fits := regexp.MustCompile(`^$|^unknown$|nothing is (scraped|evaluated)`)
	if text := p.FieldConfig.Defaults.NoValue; !fits.MatchString(text) {
		t.Errorf("%s: %s shows %q if nothing is scraped", file, p.Title, text)
	}
	for _, q := range p.Targets {
		// Grafana's $__rate_interval is four times the interval of the query.
		if interval, err := time.ParseDuration(q.Interval); strings.Contains(q.Expr, "$__rate_interval") && (err != nil || interval < 5*time.Minute) {
			t.Errorf("%s: %s computes rates with the interval %q", file, p.Title, q.Interval)
		}
	}
}

// checkRows asserts that every panel with projects links to both dashboards of the project.
func checkRows(t *testing.T, file string, p panel) {
	t.Helper()
	var links []dataLink
	field := "__field.labels.project"
	switch {
	case p.Type == "table":
		field = "__data.fields.Project"
		if !slices.Contains(slices.Collect(maps.Values(p.Transformations[len(p.Transformations)-1].Options.RenameByName)), "Project") {
			return
		}
		for _, o := range p.FieldConfig.Overrides {
			for _, property := range o.Properties {
				if o.Matcher.Options == "Project" && property.ID == "links" {
					if err := json.Unmarshal(property.Value, &links); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	case slices.ContainsFunc(p.Targets, func(q panelQuery) bool { return strings.Contains(q.LegendFormat, "{{project}}") }):
		links = p.FieldConfig.Defaults.Links
	default:
		return
	}
	for _, uid := range []string{"cloud-quota-quotas", "cloud-quota-exporter"} {
		start := "/d/" + uid + "?var-project=${" + field + ":percentencode}&var-account=$__all&"
		if !slices.ContainsFunc(links, func(l dataLink) bool {
			return strings.HasPrefix(l.URL, start) && strings.Contains(l.URL, "${datasource:queryparam}")
		}) {
			t.Errorf("%s: %s does not link its projects to %s: %v", file, p.Title, uid, links)
		}
	}
}

var (
	recorded       = regexp.MustCompile(`[a-z]+:cloud_quota_|ALERTS`)
	needsRecording = regexp.MustCompile(`[Nn]eeds the recording rules \(deploy/prometheus/rules\.yml\)`)
)

// checkExplained asserts that a panel has a description.
func checkExplained(t *testing.T, file string, p panel) {
	t.Helper()
	if p.Title == "" || len(p.Description) < 20 {
		t.Errorf("%s: %s has the description %q", file, p.Title, p.Description)
	}
	if p.FieldConfig.Defaults.Unit == "" {
		t.Errorf("%s: %s has no unit", file, p.Title)
	}
	needs := slices.ContainsFunc(p.Targets, func(q panelQuery) bool { return recorded.MatchString(q.Expr) })
	if says := needsRecording.MatchString(p.Description); says != needs {
		t.Errorf("%s: %s needs the recording rules: %t, its description mentions them: %t", file, p.Title, needs, says)
	}
}

// few are panels that only show exceptions of services or quotas, so they need no ranking.
var few = []string{"Throttling by service", "Changed limits over time"}

// checkFirst asserts that a graph with a line or bar for each service shows the selected number of them. No one can distinguish forty lines.
func checkFirst(t *testing.T, file string, p panel) {
	t.Helper()
	for _, q := range p.Targets {
		if strings.Contains(q.LegendFormat, "{{service}}") && !slices.Contains(few, p.Title) && !strings.Contains(q.Expr, "$top") {
			t.Errorf("%s: %s shows every service, in %s", file, p.Title, q.Expr)
		}
	}
}

// checkColumns asserts that the settings of a panel refer to columns or lines that exist. Answers are the results of its queries, by refId.
func checkColumns(t *testing.T, p panel, answers map[string][]series) {
	t.Helper()
	names := p.lines()
	if p.Type == "table" {
		names = p.columns(t, answers)
	}
	for _, o := range p.FieldConfig.Overrides {
		var found bool
		switch o.Matcher.ID {
		case "byName":
			found = slices.Contains(names, o.Matcher.Options)
		case "byRegexp":
			found = slices.ContainsFunc(names, o.expression(t).MatchString)
		case "byFrameRefID":
			found = answers[o.Matcher.Options] != nil
		case "byType":
			found = o.Matcher.Options == "string"
		}
		if !found {
			t.Errorf("%s %q matches nothing; there are %q", o.Matcher.ID, o.Matcher.Options, names)
		}
	}
	for _, s := range p.Options.SortBy {
		if !slices.Contains(names, s.DisplayName) {
			t.Errorf("sorted by %q; there are %q", s.DisplayName, names)
		}
	}
}

// lines returns the names of the series of the queries.
func (p panel) lines() []string {
	names := []string{"threshold: critical"} // of those of a legend with variables, the one in question
	for _, q := range p.Targets {
		names = append(names, q.LegendFormat)
	}
	return names
}

// columns returns the titles of a table's columns. Grafana creates a field for the time, each label, and the value of each query; merge joins those
// with the same name, and organize hides and renames them.
func (p panel) columns(t *testing.T, answers map[string][]series) []string {
	t.Helper()
	if m := p.Transformations[0]; m.ID == "groupingToMatrix" {
		return p.matrix(answers["A"], m.Options.RowField, m.Options.ColumnField)
	}
	fields := map[string]bool{"Time": true}
	for refID, answer := range answers {
		fields[p.valueOf(refID)] = true
		for _, s := range answer {
			for label := range s.Metric {
				fields[label] = true
			}
		}
	}
	if merged := len(p.Transformations) == 2 && p.Transformations[0].ID == "merge"; merged != (len(p.Targets) > 1) {
		t.Errorf("merges: %t, for %d queries", merged, len(p.Targets))
	}
	organize := p.Transformations[len(p.Transformations)-1].Options
	for _, q := range p.Targets {
		if q.Format != "table" || !q.Instant {
			t.Errorf("query %s is not in table format", q.RefID)
		}
	}
	for named := range maps.Keys(organize.RenameByName) {
		if !fields[named] {
			t.Errorf("renames %q; there are %q", named, slices.Sorted(maps.Keys(fields)))
		}
	}
	var titles []string
	for field := range fields {
		if organize.ExcludeByName[field] {
			continue
		}
		title, named := organize.RenameByName[field]
		if _, placed := organize.IndexByName[field]; !named || !placed {
			t.Errorf("the field %q has no title or no position", field)
		}
		titles = append(titles, title)
	}
	slices.Sort(titles)
	return titles
}

// matrix returns the titles of the columns of a matrix: the first contains the names of the rows, and its name consists of both labels.
func (p panel) matrix(answer []series, row, column string) []string {
	titles := []string{p.Transformations[1].Options.RenameByName[row+`\`+column]}
	for _, s := range answer {
		titles = append(titles, s.Metric[column])
	}
	return titles
}

// valueOf returns the name of the field with the values of a query.
func (p panel) valueOf(refID string) string {
	if len(p.Targets) == 1 {
		return "Value"
	}
	return "Value #" + refID
}

func (o override) expression(t *testing.T) *regexp.Regexp {
	t.Helper()
	re, err := regexp.Compile(regexp.MustCompile(`^/(.*)/$`).ReplaceAllString(o.Matcher.Options, "$1"))
	if err != nil {
		t.Fatal(err)
	}
	return re
}

// infinity is Grafana's name of +Inf in value mappings.
const infinity = "Infinity"

// putsInWords reports whether the values of a query have a text for +Inf.
func (p panel) putsInWords(t *testing.T, refID string) bool {
	t.Helper()
	mappings := p.FieldConfig.Defaults.Mappings
	if p.Type == "table" {
		title := p.Transformations[len(p.Transformations)-1].Options.RenameByName[p.valueOf(refID)]
		for _, o := range p.FieldConfig.Overrides {
			if o.Matcher.ID == "byName" && o.Matcher.Options == title || o.Matcher.ID == "byRegexp" && o.expression(t).MatchString(title) {
				mappings = append(mappings, o.mappings(t)...)
			}
		}
	}
	return slices.ContainsFunc(mappings, func(m mapping) bool { return m.Type == "value" && m.Options[infinity] != nil })
}

func (o override) mappings(t *testing.T) []mapping {
	t.Helper()
	var all []mapping
	for _, property := range o.Properties {
		if property.ID == "mappings" {
			if err := json.Unmarshal(property.Value, &all); err != nil {
				t.Fatal(fmt.Errorf("%s: %w", o.Matcher.Options, err))
			}
		}
	}
	return all
}
