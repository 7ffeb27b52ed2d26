// Package report says what a person needs to know of readings: how severe the state of a quota is, what became of each source, and what is
// wrong and what to do. The status page and the commands both show it.
package report

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/huaweicloud"
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

// Exhausted is what is as urgent as the alert CloudQuotaExhausted, whatever the thresholds.
const Exhausted = "exhausted"

// Severity returns the name of the severest threshold that a quota has reached; empty if it has reached none. Its level is Critical for the
// highest threshold of the quota. A quota of which nothing remains is Exhausted and Critical if its ratio is not measured. A quota without
// thresholds is Muted.
func Severity(q fleet.Quota) (string, Level) {
	if len(q.Thresholds) == 0 {
		return "", Muted
	}
	ratio, known := q.Ratio()
	if known && !q.Measured() {
		return Exhausted, Critical
	}
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

// What is shown of a quota in place of a ratio.
const (
	NoLimit     = "no limit"
	LimitOfZero = "in use, of a limit of 0"
)

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
	case r.State.ReadAt.IsZero():
		return Outcome{"not read yet", Warning}
	case value.Skipped.Count > 0 || value.Incomplete != nil || len(r.Refused) > 0:
		return Outcome{"incomplete", Warning}
	default:
		return Outcome{"ok", OK}
	}
}

// Matrix has the readings of all sources of a level: projects, or accounts in their place, downwards, services across.
type Matrix struct {
	Services []string
	Projects []Row
}

// Row has the readings of a project, in the order of the services.
type Row struct {
	fleet.Project

	Readings []*fleet.Reading
}

// Matrices makes rows of readings, which are sorted by project and have every service of each project in the same order: those of projects and those of
// accounts, as far as there are any.
func Matrices(readings []*fleet.Reading) []Matrix {
	var all []Matrix
	for _, ofAccounts := range []bool{false, true} {
		isOther := func(r *fleet.Reading) bool { return r.Project.IsAccount != ofAccounts }
		if m := newMatrix(slices.DeleteFunc(slices.Clone(readings), isOther)); len(m.Projects) > 0 {
			all = append(all, m)
		}
	}
	return all
}

func newMatrix(readings []*fleet.Reading) Matrix {
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

// NotOffered returns the services that no project is offered.
func (m Matrix) NotOffered() []string {
	var missing []string
	for i, service := range m.Services {
		if !slices.ContainsFunc(m.Projects, func(p Row) bool { return !p.Readings[i].NotOffered }) {
			missing = append(missing, service)
		}
	}
	return missing
}

// Problem is what is wrong with several sources alike: of one account, for the same reason, with the same remedy.
type Problem struct {
	Account string
	Reason  string // that of fleet.Reason, or in a few words if the fetch did not fail
	Failed  bool   // nothing could be read; else something is missing in what was
	Remedy  string // what to do; empty if the error has none
	Cases   []Case // at least one

	cause int  // of the cases, the one that explains the others
	sent  bool // it is of a request that was sent: the refusal of a key explains why others were not
}

// Cause returns the case that explains best, and the others.
func (p *Problem) Cause() (cause Case, others []Case) {
	return p.Cases[p.cause], slices.Delete(slices.Clone(p.Cases), p.cause, p.cause+1)
}

// Case is one source that has a problem.
type Case struct {
	Reading *fleet.Reading // nil: the discovery of the account's projects
	What    string         // what was tried and what came back
}

// Problems returns what is wrong with readings: discoveries first, then in the order of the readings. failure says why nothing was read of a
// source; nil if something was, or will be.
func Problems(accounts []fleet.Account, readings []*fleet.Reading, failure func(*fleet.Reading) error) []*Problem {
	all := problems{known: map[kind]*Problem{}}
	for _, a := range accounts {
		if a.DiscoveryErr != nil {
			all.add(Problem{Account: a.Name, Reason: fleet.Reason(a.DiscoveryErr), Failed: true}, nil, a.DiscoveryErr)
		}
		if a.Empty != nil {
			all.add(Problem{Account: a.Name, Reason: fleet.NoProjects, Failed: true}, nil, a.Empty)
		}
	}
	for _, r := range readings {
		all.read(r, failure(r))
	}
	return all.list
}

// maxServices of a problem are named.
const maxServices = 8

// Where returns in a few words what has the problem: its first services, and the first of its projects.
func (p *Problem) Where() string {
	var services, projects []string
	for _, c := range p.Cases {
		if c.Reading == nil {
			return "discovery of projects in account " + p.Account
		}
		if !slices.Contains(services, c.Reading.Service) {
			services = append(services, c.Reading.Service)
		}
		if label := c.Reading.Project.Label; len(projects) == 0 || projects[len(projects)-1] != label { // they are sorted
			projects = append(projects, label)
		}
	}
	named := services
	if len(services) > maxServices+1 { // one more is shorter than to count it
		named = services[:maxServices]
	}
	where := strings.Join(named, ", ")
	if more := len(services) - len(named); more > 0 {
		where += fmt.Sprintf(" and %d more services", more)
	}
	where += " in " + projects[0]
	if more := len(projects) - 1; more > 0 {
		where += fmt.Sprintf(" and %d more", more)
	}
	return where
}

// problems groups what is wrong alike.
type problems struct {
	list  []*Problem
	known map[kind]*Problem
}

type kind struct {
	account, reason, remedy string
	discovery               bool
}

func (p *problems) read(r *fleet.Reading, err error) {
	switch {
	case r.NotOffered:
		return
	case err != nil:
		p.add(Problem{Account: r.Account, Reason: fleet.Reason(err), Failed: true}, r, err)
		return
	}
	add := func(reason string, err error) { p.add(Problem{Account: r.Account, Reason: reason}, r, err) }
	if skipped := r.State.Value.Skipped; skipped.Count > 0 {
		add("resources left out", fmt.Errorf("%v", skipped))
	}
	if err := r.State.Value.Incomplete; err != nil {
		add("incomplete", err)
	}
	for _, err := range r.Refused {
		add("stated limit not used", err)
	}
}

func (p *problems) add(found Problem, r *fleet.Reading, err error) {
	remedy := huaweicloud.Remedy(err)
	k := kind{found.Account, found.Reason, remedy, r == nil}
	known := p.known[k]
	if known == nil {
		found.Remedy = remedy
		known = &found
		p.known[k] = known
		p.list = append(p.list, known)
	}
	if _, notSent := errors.AsType[*huaweicloud.RefusedError](err); !notSent && !known.sent {
		known.cause, known.sent = len(known.Cases), true
	}
	known.Cases = append(known.Cases, Case{r, huaweicloud.What(err)})
}
