package web

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/report"
)

// maxProblems are shown at once, so that the quotas are not far below. For example, without permissions, each of forty services is a problem.
const maxProblems = 10

// maxCases of a problem are shown in addition to the first. With hundreds of projects, their common parts are more useful, and Sources lists all of
// them.
const maxCases = 9

// problem is a failure that several sources have in common.
type problem struct {
	Reason, Where, Remedy, Class string

	First problemCase
	More  []problemCase
	Rest  int // number of further cases
}

// problemCase is one source that has a problem.
type problemCase struct {
	Source string // empty if the problem has only one source
	What   string
	Read   age  // of the last values
	Failed bool // the source fails, so no newer values follow
	TooOld bool // older than max_stale
}

// problems are the problems on the page, and their position in the whole list. The first are shown at once, the others are Folded.
type problems struct {
	Span          span
	First, Folded []problem
}

func newProblems(now time.Time, wanted request, accounts []fleet.Account, readings []*fleet.Reading) problems {
	failure := func(r *fleet.Reading) error { return cmp.Or(r.State.Err, r.Waits()) } // otherwise, a source that is not fetched yet is not a problem
	found := report.Problems(accounts, readings, failure)
	slices.SortStableFunc(found, func(a, b *report.Problem) int { return cmp.Compare(problemClass(a), problemClass(b)) }) // alarm, then warn
	p := problems{Span: wanted.span(listOfProblems, len(found), "problems")}
	for i, f := range entries(p.Span, found) {
		if shown := newProblem(now, f); i < maxProblems {
			p.First = append(p.First, shown)
		} else {
			p.Folded = append(p.Folded, shown)
		}
	}
	return p
}

func problemClass(p *report.Problem) string {
	if p.Failed && p.Reason != fleet.NotAsked {
		return alarm
	}
	return warn
}

func newProblem(now time.Time, p *report.Problem) problem {
	cause, others := p.Cause()
	shown := problem{Reason: p.Reason, Where: p.Where(), Remedy: p.Remedy, Class: problemClass(p), First: newCase(now, p, cause)}
	shown.Rest = max(len(others)-maxCases, 0)
	for _, c := range others[:len(others)-shown.Rest] {
		shown.More = append(shown.More, newCase(now, p, c))
	}
	return shown
}

func newCase(now time.Time, p *report.Problem, c report.Case) problemCase {
	t := problemCase{What: c.What()}
	if r := c.Reading; r != nil {
		t.Failed, t.TooOld, t.Read = p.Failed, r.TooOld, newAge(now, r.State.ReadAt)
		if len(p.Cases) > 1 { // otherwise Where contains it
			t.Source = r.Service + " in " + r.Project.Label
		}
	}
	return t
}

// age is a time in the past, for people and for programs. Both are empty if there is none.
type age struct{ At, Text string }

func newAge(now, at time.Time) age {
	if at.IsZero() {
		return age{}
	}
	text := ""
	switch d := max(now.Sub(at), 0); {
	case d < time.Minute:
		text = fmt.Sprintf("%.0f s ago", d.Truncate(time.Second).Seconds())
	case d < time.Hour:
		text = fmt.Sprintf("%d min ago", d/time.Minute)
	case d < 48*time.Hour:
		text = fmt.Sprintf("%d h ago", d/time.Hour)
	default:
		text = fmt.Sprintf("%d days ago", d/(24*time.Hour))
	}
	return age{at.UTC().Format(time.RFC3339), text}
}
