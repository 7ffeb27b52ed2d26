package web

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/report"
)

// maxProblems are shown at once, so that quotas are not far below: without a permission, each of forty services is a problem.
const maxProblems = 10

// maxCases of a problem are shown in addition to the one that explains it. With hundreds of projects, their common parts are more useful, and all sources
// are listed.
const maxCases = 9

// problem is what is wrong with several sources alike.
type problem struct {
	Reason, Where, Remedy, Class string

	First problemCase
	More  []problemCase
	Rest  int // cases beyond these
}

// problemCase is one source that has a problem.
type problemCase struct {
	Source string // empty if there is no doubt
	What   string
	Read   age  // of the last numbers
	Failed bool // the source, so that these numbers are all there is
	TooOld bool // to be shown
}

// problems are those of the page, and which they are of all. The first are shown at once, the others are Folded.
type problems struct {
	Span          span
	First, Folded []problem
}

func newProblems(now time.Time, wanted request, accounts []fleet.Account, readings []*fleet.Reading) problems {
	failure := func(r *fleet.Reading) error { return cmp.Or(r.State.Err, r.Waits()) } // that a source is not read yet is no problem otherwise
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
		if len(p.Cases) > 1 { // otherwise Where says it
			t.Source = r.Service + " in " + r.Project.Label
		}
	}
	return t
}

// age is a time in the past, for people and for programs; both are empty for one that never was.
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
