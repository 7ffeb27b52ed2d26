package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"testing"
)

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
