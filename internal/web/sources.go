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
	maxNamed  = 8  // services with the same outcome are named up to this number; more are folded
	maxFolded = 64 // number of folded names: as many as the catalogue has
)

// named lists services.
func named(services []string) string {
	text := strings.Join(services[:min(len(services), maxFolded)], ", ")
	if more := len(services) - maxFolded; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// matrix shows the outcomes of the sources. A project lists its services by outcome, so that forty services need no more width than five.
type matrix struct {
	Span       span
	Projects   []matrixRow // those on the page
	Nowhere    []string    // services that are not offered to any of the projects
	NotOffered bool        // to some project
	Unverified []string    // of the services
}

// matrixRow is a project with the outcomes of its services, failures first.
type matrixRow struct {
	fleet.Project

	Outcomes []outcome
}

// outcome is an outcome that services have in common.
type outcome struct {
	Text, Class string
	Services    []string
	Folded      bool

	level report.Level
}

// newMatrix returns the projects, those with failures first.
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

// ranking is a project, and its worst outcome.
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

// show lists the services of the project, except those that are not offered anywhere.
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

// add adds a service to those with the same outcome. Services that are not offered are always folded, because no action is needed.
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
