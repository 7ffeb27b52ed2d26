package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
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
	Annotations struct{ List []annotation }
}

// panel is one of a dashboard, or the title of a row of them.
type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Targets                  []panelQuery
	Transformations          []transformation
	FieldConfig              struct {
		Defaults  fieldConfig
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

type transformation struct {
	ID      string
	Options struct {
		ExcludeByName map[string]bool
		RenameByName  map[string]string
		IndexByName   map[string]int
	}
}

type fieldConfig struct {
	Unit     string
	Mappings []mapping
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

type annotation struct {
	Name   string
	Target panelQuery
}

type variable struct {
	Name, Type string
	Multi      bool
	IncludeAll bool
	Query      any // a text; that of Prometheus is an object
	Current    struct{ Value any }
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
		if err := json.Unmarshal([]byte(content(t, file)), &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, d)
	}
	return all
}

func content(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// eachPanel runs a test for each panel that is no row.
func eachPanel(t *testing.T, test func(t *testing.T, p panel)) {
	t.Helper()
	for _, d := range readDashboards(t) {
		for _, p := range d.Panels {
			if p.Type != "row" {
				t.Run(d.file+"/"+p.Title, func(t *testing.T) { test(t, p) })
			}
		}
	}
}

func TestDashboardsCanBeTold(t *testing.T) {
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
	}
	for _, d := range readDashboards(t) {
		for _, link := range regexp.MustCompile(`"/d/([^?"]*)`).FindAllStringSubmatch(content(t, filepath.Join(dashboards, d.file)), -1) {
			if !uids[link[1]] {
				t.Errorf("%s: a link to %q, which there isn't", d.file, link[1])
			}
		}
	}
}

func TestPanelsLieSideBySide(t *testing.T) {
	t.Parallel()
	for _, d := range readDashboards(t) {
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
}

func TestPanelsExplainThemselves(t *testing.T) {
	t.Parallel()
	recorded := regexp.MustCompile(`[a-z]+:cloud_quota_|ALERTS`)
	eachPanel(t, func(t *testing.T, p panel) {
		if p.Title == "" || len(p.Description) < 20 {
			t.Errorf("description %q", p.Description)
		}
		if p.FieldConfig.Defaults.Unit == "" {
			t.Error("no unit")
		}
		needs := false
		for _, q := range p.Targets {
			needs = needs || recorded.MatchString(q.Expr)
		}
		if says := regexp.MustCompile(`[Nn]eeds the recording rules \(deploy/prometheus/rules\.yml\)`).MatchString(p.Description); says != needs {
			t.Errorf("needs the recording rules: %t, says so: %t", needs, says)
		}
	})
}

func TestDashboardsLeadToRunbooks(t *testing.T) {
	t.Parallel()
	for _, d := range readDashboards(t) {
		links := regexp.MustCompile(`\$\{runbooks\}/(\w+)\.md`).FindAllStringSubmatch(content(t, filepath.Join(dashboards, d.file)), -1)
		if len(links) == 0 {
			t.Errorf("%s leads to no runbook", d.file)
		}
		for _, link := range links {
			if _, err := os.Stat("../../docs/runbooks/" + link[1] + ".md"); err != nil {
				t.Errorf("%s: %v", d.file, err)
			}
		}
	}
}
