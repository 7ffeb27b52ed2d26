// Package report says what a person needs to know of readings: how severe the state of a quota is, what became of each source, and what is
// wrong and what to do. The status page and the commands both show it.
package report

import (
	"maps"
	"math"
	"slices"

	"cloud_quota_exporter/internal/fleet"
)

// Level is how much attention something needs.
type Level int

// The levels, the most urgent one first.
const (
	Critical Level = iota // the highest threshold is reached, or nothing is read
	Warning               // some threshold is reached, or something is missing
	OK
	Muted // no attention is due
)

// Severity returns the name of the severest threshold that a quota has reached; empty if it has reached none. Its level is Critical for the
// highest threshold of the quota. A quota without thresholds is Muted.
func Severity(q fleet.Quota) (string, Level) {
	if len(q.Thresholds) == 0 {
		return "", Muted
	}
	ratio, known := q.Ratio()
	severity, reached, highest := "", math.Inf(-1), math.Inf(-1)
	for _, name := range slices.Sorted(maps.Keys(q.Thresholds)) {
		at := q.Thresholds[name]
		highest = max(highest, at)
		if known && ratio >= at && at > reached {
			severity, reached = name, at
		}
	}
	switch {
	case severity == "":
		return "", OK
	case reached == highest:
		return severity, Critical
	default:
		return severity, Warning
	}
}

// Outcome is what became of a source.
type Outcome struct {
	Text  string // the reason of the failure, if it failed
	Level Level
}

// OutcomeOf returns what became of a source. failure is why nothing was read of it; nil if something was, or will be.
func OutcomeOf(r *fleet.Reading, failure error) Outcome {
	value := r.State.Value
	switch {
	case r.NotOffered:
		return Outcome{fleet.NotOffered, Muted}
	case failure != nil:
		return Outcome{fleet.Reason(failure), Critical}
	case r.State.Fetches == 0:
		return Outcome{"not read yet", Warning}
	case value.Skipped.Count > 0 || value.Incomplete != nil || len(r.Refused) > 0:
		return Outcome{"incomplete", Warning}
	default:
		return Outcome{"ok", OK}
	}
}

// Matrix has the readings of all sources: projects downwards, services across.
type Matrix struct {
	Services []string
	Projects []Row
}

// Row has the readings of a project, in the order of the services.
type Row struct {
	fleet.Project

	Readings []*fleet.Reading
}

// NewMatrix makes rows of readings, which are sorted by project and have every service of each project in the same order.
func NewMatrix(readings []*fleet.Reading) Matrix {
	var m Matrix
	for i, r := range readings {
		if i == 0 || r.Project.Label != readings[i-1].Project.Label {
			m.Projects = append(m.Projects, Row{Project: r.Project})
		}
		if len(m.Projects) == 1 {
			m.Services = append(m.Services, r.Service)
		}
		last := &m.Projects[len(m.Projects)-1]
		last.Readings = append(last.Readings, r)
	}
	return m
}
