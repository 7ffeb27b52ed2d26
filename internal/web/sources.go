package web

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/report"
)

const (
	maxNamed  = 8  // services with the same outcome are named; more are folded into their number
	maxFolded = 64 // of those are named: as many as the catalogue has
)

// named lists services.
func named(services []string) string {
	text := strings.Join(services[:min(len(services), maxFolded)], ", ")
	if more := len(services) - maxFolded; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// matrix has what became of the sources. A project names its services by what became of them, so that forty services need no more width than
// five.
type matrix struct {
	Span       span
	Projects   []matrixRow // those of the page
	Nowhere    []string    // services that none of the projects is offered
	NotOffered bool        // some service in some project
	Unverified []string    // of the services
}

// matrixRow is what became of the services of a project, the worst first.
type matrixRow struct {
	fleet.Project

	Outcomes []outcome
}

// outcome is what became of services alike.
type outcome struct {
	Text, Class string
	Services    []string
	Folded      bool

	level report.Level
}

// newMatrix has the projects first in which something fails.
func newMatrix(wanted request, readings []*fleet.Reading, unverified []string) matrix {
	var m matrix
	var all []ranking
	for _, level := range report.Matrices(readings) {
		all = append(all, m.rank(level, unverified)...)
	}
	slices.SortStableFunc(all, func(a, b ranking) int { return cmp.Compare(a.worst, b.worst) })
	m.Span = wanted.span(listOfSources, len(all), "sources")
	for _, p := range entries(m.Span, all) {
		m.Projects = append(m.Projects, p.show(m.Nowhere, unverified))
	}
	return m
}

// ranking is a project, and the worst that became of its services.
type ranking struct {
	*report.Row
	worst report.Level
}

// rank returns the projects of a level.
func (m *matrix) rank(all report.Matrix, unverified []string) (projects []ranking) {
	m.Nowhere = append(m.Nowhere, all.NotOffered()...)
	for _, service := range all.Services {
		if slices.Contains(unverified, service) {
			m.Unverified = append(m.Unverified, service)
		}
	}
	for i := range all.Projects {
		p := ranking{&all.Projects[i], report.Muted}
		for _, r := range p.Readings {
			m.NotOffered = m.NotOffered || r.NotOffered
			p.worst = min(p.worst, report.OutcomeOf(r, r.State.Err).Level)
		}
		projects = append(projects, p)
	}
	return projects
}

// show names the services of the project, but for those that are not offered anywhere.
func (p ranking) show(nowhere, unverified []string) matrixRow {
	shown := matrixRow{Project: p.Project}
	for _, r := range p.Readings {
		if slices.Contains(nowhere, r.Service) {
			continue
		}
		name := r.Service
		if slices.Contains(unverified, name) {
			name += " (unverified)"
		}
		shown.add(report.OutcomeOf(r, r.State.Err), name)
	}
	slices.SortStableFunc(shown.Outcomes, func(a, b outcome) int { return cmp.Compare(a.level, b.level) })
	return shown
}

// add names a service among those with the same outcome. What is not offered is always folded: nothing is to be done about it.
func (r *matrixRow) add(o report.Outcome, service string) {
	i := slices.IndexFunc(r.Outcomes, func(known outcome) bool { return known.Text == o.Text })
	if i < 0 {
		i = len(r.Outcomes)
		r.Outcomes = append(r.Outcomes, outcome{Text: o.Text, Class: classes[o.Level], Folded: o.Text == fleet.NotOffered, level: o.Level})
	}
	same := &r.Outcomes[i]
	same.Services = append(same.Services, service)
	same.Folded = same.Folded || len(same.Services) > maxNamed
}
