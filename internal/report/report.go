// Package report evaluates readings for people: the severity of quotas, the results of sources, and problems with remedies. The
// status page and the commands show it.
package report

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/huaweicloud"
)

// Level is the urgency of something.
type Level int

// The levels, most urgent first.
const (
	Critical Level = iota // the highest threshold is reached, or a fetch failed
	Warning               // a threshold is reached, or something is missing
	OK
	Muted // needs no attention
)

// Exhausted is the severity of the alert CloudQuotaExhausted, regardless of the thresholds.
const Exhausted = "exhausted"

// Severity returns the name of the highest threshold that a quota has reached; empty if none. Its level is Critical for the highest
// threshold of the quota. A quota with nothing remaining is Exhausted and Critical if its ratio is not measured. A quota without
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
	for name, at := range q.Thresholds {
		highest = max(highest, at)
		if known && ratio >= at && (at > reached || at == reached && name < severity) {
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

// Texts that replace the ratio of a quota.
const (
	NoLimit     = "no limit"
	LimitOfZero = "in use with a limit of 0"
)

// Outcome is the result of a source.
type Outcome struct {
	Text  string // the reason of the failure, if it failed
	Level Level
}

// OutcomeOf returns the result of a source. failure is why no values were fetched; nil if they were, or will be.
func OutcomeOf(r *fleet.Reading, failure error) Outcome {
	value := r.State.Value
	switch {
	case r.NotOffered:
		return Outcome{fleet.NotOffered, Muted}
	case failure != nil:
		return Outcome{fleet.Reason(failure), Critical}
	case r.State.ReadAt.IsZero():
		return Outcome{"not fetched yet", Warning}
	case value.Skipped.Count > 0 || value.Incomplete != nil || len(r.Refused) > 0:
		return Outcome{"incomplete", Warning}
	default:
		return Outcome{"ok", OK}
	}
}

// Matrix has the readings of all sources of a level, with projects (or accounts) as rows and services as columns.
type Matrix struct {
	Services []string
	Projects []Row
}

// Row has the readings of a project, in the order of the services.
type Row struct {
	fleet.Project

	Readings []*fleet.Reading
}

// Matrices makes matrices of readings, which are sorted by project and have the same services in the same order for each project:
// one for projects and one for accounts, if there are any.
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

// NotOffered returns the services that are not offered to any project.
func (m Matrix) NotOffered() []string {
	var missing []string
	for i, service := range m.Services {
		if !slices.ContainsFunc(m.Projects, func(p Row) bool { return !p.Readings[i].NotOffered }) {
			missing = append(missing, service)
		}
	}
	return missing
}

// Problem is a problem that sources of one account have in common, with the same reason and remedy.
type Problem struct {
	Account string
	Reason  string // that of fleet.Reason, or a short text if the fetch did not fail
	Failed  bool   // the fetch failed; otherwise something is missing in its result
	Remedy  string // what to do; empty if the error has no remedy
	Cases   []Case // at least one

	cause int  // index of the case that explains the others
	sent  bool // that case is a request that was sent: the rejection of a key explains why other requests were not
}

// Cause returns the case that explains the problem best, and the others.
func (p *Problem) Cause() (cause Case, others []Case) {
	return p.Cases[p.cause], slices.Delete(slices.Clone(p.Cases), p.cause, p.cause+1)
}

// Case is one source with a problem.
type Case struct {
	Reading *fleet.Reading // nil: the discovery of the account's projects

	err error
}

// What returns what was tried and the response.
func (c Case) What() string { return huaweicloud.What(c.err) }

// Problems returns the problems of readings: discoveries first, then in the order of the readings. failure returns why no values
// were fetched from a source; nil if they were, or will be.
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

// maxServices is the number of services that are listed for a problem.
const maxServices = 8

// Where summarizes the sources with the problem: its first services, and the first of its projects.
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
	if len(services) > maxServices+1 { // one more is shorter than a count
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

// problems groups equal problems.
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
		add("resources skipped", fmt.Errorf("%v", skipped))
	}
	if err := r.State.Value.Incomplete; err != nil {
		add("incomplete", err)
	}
	for _, err := range r.Refused {
		add("configured limit ignored", err)
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
	known.Cases = append(known.Cases, Case{r, err})
}
