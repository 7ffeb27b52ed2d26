package web

import (
	"cmp"
	"slices"

	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/report"
)

// maxCases of a problem are shown in full: with hundreds of projects, what they have in common says more, and the sources are all listed.
const maxCases = 50

// problem is what is wrong with several sources alike.
type problem struct {
	Reason, Where, Remedy, Class string

	First problemCase
	More  []problemCase
	Rest  int // cases beyond these
}

// problemCase is one source that has a problem.
type problemCase struct {
	Source string // empty where there is no doubt
	What   string
	Read   age  // of the last numbers
	Failed bool // the source, so that these numbers are all there is
	TooOld bool // to be shown
}

func newProblems(f facts) []problem {
	var all []problem
	failure := func(r *fleet.Reading) error { return r.State.Err } // that a source is not read yet is no problem
	for _, p := range report.Problems(f.accounts, f.readings, failure) {
		cause, others := p.Cause()
		shown := problem{Reason: p.Reason, Where: p.Where(), Remedy: p.Remedy, Class: warn, First: newCase(f, p, cause)}
		if p.Failed {
			shown.Class = alarm
		}
		for i, c := range others {
			if i+1 == maxCases {
				shown.Rest = len(p.Cases) - maxCases
				break
			}
			shown.More = append(shown.More, newCase(f, p, c))
		}
		all = append(all, shown)
	}
	slices.SortStableFunc(all, func(a, b problem) int { return cmp.Compare(a.Class, b.Class) }) // alarm, then warn
	return all
}

func newCase(f facts, p *report.Problem, c report.Case) problemCase {
	t := problemCase{What: c.What}
	if r := c.Reading; r != nil {
		t.Failed, t.TooOld, t.Read = p.Failed, r.TooOld, newAge(f.now, r.State.ReadAt)
		if len(p.Cases) > 1 { // else Where has told it
			t.Source = r.Service + " in " + r.Project.Label
		}
	}
	return t
}

// matrix shows every source: projects downwards, services across.
type matrix struct {
	Services   []string
	Projects   []projectRow
	NotOffered bool // some service in some project
}

type projectRow struct {
	fleet.Project

	Cells []cell
}

// cell is the state of one source.
type cell struct{ Text, Class string }

func newMatrix(readings []*fleet.Reading) matrix {
	sources := report.NewMatrix(readings)
	m := matrix{Services: sources.Services}
	for _, project := range sources.Projects {
		row := projectRow{Project: project.Project}
		for _, r := range project.Readings {
			o := report.OutcomeOf(r, r.State.Err)
			row.Cells = append(row.Cells, cell{o.Text, classes[o.Level]})
			m.NotOffered = m.NotOffered || r.NotOffered
		}
		m.Projects = append(m.Projects, row)
	}
	return m
}
