package web

import (
	"cmp"
	"slices"

	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/report"
)

// maxNamed is how many services with the same outcome are named. More are folded into their number.
const maxNamed = 8

// matrix has what became of the sources. A project names its services by what became of them, so that forty services need no more width than
// five.
type matrix struct {
	Projects   []matrixRow
	Nowhere    []string // services that none of the projects is offered
	NotOffered bool     // some service in some project
	Unverified []string // of the services
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

func newMatrix(readings []*fleet.Reading, unverified []string) matrix {
	var m matrix
	for _, level := range report.Matrices(readings) {
		m.add(level, unverified)
	}
	return m
}

// add adds the rows of a level.
func (m *matrix) add(all report.Matrix, unverified []string) {
	nowhere := all.NotOffered()
	m.Nowhere = append(m.Nowhere, nowhere...)
	marked := func(service string) string {
		if slices.Contains(unverified, service) {
			return service + " (unverified)"
		}
		return service
	}
	for _, service := range all.Services {
		if slices.Contains(unverified, service) {
			m.Unverified = append(m.Unverified, service)
		}
	}
	for _, p := range all.Projects {
		shown := matrixRow{Project: p.Project}
		for _, r := range p.Readings {
			m.NotOffered = m.NotOffered || r.NotOffered
			if !slices.Contains(nowhere, r.Service) {
				shown.add(report.OutcomeOf(r, r.State.Err), marked(r.Service))
			}
		}
		slices.SortStableFunc(shown.Outcomes, func(a, b outcome) int { return cmp.Compare(a.level, b.level) })
		m.Projects = append(m.Projects, shown)
	}
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
