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
)

// dashboards is the directory of what users of Grafana get.
const dashboards = "../../deploy/grafana/dashboards"

// dashboard is what the tests look at in a shipped dashboard.
type dashboard struct {
	file string

	ID          *int
	UID         string
	Tags        []string
	Panels      []panel
	Templating  struct{ List []variable }
	Annotations struct {
		List []struct {
			Name   string
			Target panelQuery
		}
	}
}

// panel is one of a dashboard, or the title of a row of them.
type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Targets                  []panelQuery
	Transformations          []struct {
		ID      string
		Options struct {
			ExcludeByName map[string]bool
			RenameByName  map[string]string
			IndexByName   map[string]int
		}
	}
	FieldConfig struct {
		Defaults struct {
			Unit     string
			Mappings []mapping
		}
		Overrides []override
	}
	Options struct {
		SortBy []struct{ DisplayName string }
	}
}

type panelQuery struct {
	RefID, Expr, Format, LegendFormat string
	Instant, Range                    bool
}

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
	Name, Type        string
	Multi, IncludeAll bool
	AllValue          string // of all; empty: the values that there are
	Query             any    // a text; that of Prometheus is an object
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

func TestShippedDashboards(t *testing.T) {
	t.Parallel()
	uids := map[string]bool{}
	for _, d := range readDashboards(t) {
		if d.ID != nil {
			t.Errorf("%s has an id, which is that of one Grafana", d.file)
		}
		if d.UID == "" || uids[d.UID] {
			t.Errorf("%s: uid %q is missing or taken", d.file, d.UID)
		}
		uids[d.UID] = true
		if len(d.Tags) != 1 || d.Tags[0] != "cloud_quota_exporter" {
			t.Errorf("%s: tags %q, by which they find each other", d.file, d.Tags)
		}
		checkPlaces(t, d)
		for _, p := range d.Panels {
			if p.Type != "row" {
				checkExplained(t, d.file, p)
				checkFirst(t, d.file, p)
			}
		}
	}
	for _, d := range readDashboards(t) {
		text := readFile(t, filepath.Join(dashboards, d.file))
		for _, link := range regexp.MustCompile(`"/d/([^?"]*)`).FindAllStringSubmatch(text, -1) {
			if !uids[link[1]] {
				t.Errorf("%s: a link to %q, which is none of them", d.file, link[1])
			}
		}
		runbooks := regexp.MustCompile(`\$\{runbooks\}/(\w+)\.md`).FindAllStringSubmatch(text, -1)
		if len(runbooks) == 0 {
			t.Errorf("%s leads to no runbook", d.file)
		}
		for _, link := range runbooks {
			if _, err := os.Stat("../../docs/runbooks/" + link[1] + ".md"); err != nil {
				t.Errorf("%s: %v", d.file, err)
			}
		}
	}
}

// checkPlaces asserts that panels lie side by side.
func checkPlaces(t *testing.T, d dashboard) {
	t.Helper()
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("%s: %s has an id that is taken", d.file, p.Title)
		}
		ids[p.ID] = true
		at := p.GridPos
		if at.X < 0 || at.Y < 0 || at.W < 1 || at.H < 1 || at.X+at.W > 24 {
			t.Errorf("%s: %s lies outside of the 24 columns: %+v", d.file, p.Title, at)
		}
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				if other, overlaps := taken[[2]int{x, y}]; overlaps {
					t.Fatalf("%s: %s overlaps %s", d.file, p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

var (
	recorded       = regexp.MustCompile(`[a-z]+:cloud_quota_|ALERTS`)
	needsRecording = regexp.MustCompile(`[Nn]eeds the recording rules \(deploy/prometheus/rules\.yml\)`)
)

// checkExplained asserts that a panel explains itself.
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
		t.Errorf("%s: %s needs the recording rules: %t, says so: %t", file, p.Title, needs, says)
	}
}

// few are panels that show nothing but exceptions of services or quotas, so that they need no ranking.
var few = []string{"Throttling by service", "Their course"}

// checkFirst asserts that a graph with a line or bar for each service shows as many as are chosen: nobody can tell forty lines apart.
func checkFirst(t *testing.T, file string, p panel) {
	t.Helper()
	for _, q := range p.Targets {
		if strings.Contains(q.LegendFormat, "{{service}}") && !slices.Contains(few, p.Title) && !strings.Contains(q.Expr, "$top") {
			t.Errorf("%s: %s shows every service, in %s", file, p.Title, q.Expr)
		}
	}
}

// checkColumns asserts that what a panel says of its columns or lines, by their names, is about some that there are. Answers are those to
// its queries, by refId.
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
			t.Errorf("nothing is %s %q; there are %q", o.Matcher.ID, o.Matcher.Options, names)
		}
	}
	for _, s := range p.Options.SortBy {
		if !slices.Contains(names, s.DisplayName) {
			t.Errorf("sorted by %q; there are %q", s.DisplayName, names)
		}
	}
}

// lines returns the names that the queries give.
func (p panel) lines() []string {
	names := []string{"threshold: critical"} // of those of a legend with variables, the one that is spoken of
	for _, q := range p.Targets {
		names = append(names, q.LegendFormat)
	}
	return names
}

// columns returns the titles of a table's columns: Grafana makes a field of the time, of each label and of each query's value; merge
// puts those of the same name together, organize leaves out and names.
func (p panel) columns(t *testing.T, answers map[string][]series) []string {
	t.Helper()
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
			t.Errorf("query %s is not of a table", q.RefID)
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
			t.Errorf("the field %q has no title or no place", field)
		}
		titles = append(titles, title)
	}
	slices.Sort(titles)
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

// infinity is how Grafana calls +Inf where it looks for a text.
const infinity = "Infinity"

// putsInWords tells whether the values of a query have a text for +Inf.
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
