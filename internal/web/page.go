package web

import (
	"slices"
	"time"

	"cloud_quota_exporter/internal/fleet"
)

// facts are all that the status page is made of.
type facts struct {
	now      time.Time
	filter   fleet.Filter
	services []string
	projects []fleet.Project
	complete bool // whether these are all projects
	readings []*fleet.Reading
	accounts []fleet.Account
}

// page is the status page, ready to be written: its texts are what people read.
type page struct {
	Version, TelemetryPath string

	Now                time.Time
	PageTimeout        time.Duration
	Complete, Filtered bool
	Projects, Services []option
	Summary            []count
	Problems           []problem
	Quotas             []section
	Matrix             matrix
	Accounts           []account
	LeavesOut          bool // some account a project
}

// option is a choice of the filter.
type option struct {
	Name     string
	Selected bool
}

// count is a number of the summary, and the part of the page that has more of it.
type count struct{ Text, Class, Target string }

// account is an account of the configuration.
type account struct {
	Name, State, Class string
	Projects           int
	Skipped            []string
}

// newPage makes the page of facts.
func newPage(f facts) page {
	p := page{
		Now: f.now.UTC(), PageTimeout: pageTimeout, Complete: f.complete,
		Filtered: len(f.filter.Services)+len(f.filter.Projects) > 0,
		Problems: newProblems(f), Quotas: newSections(f), Matrix: newMatrix(f.readings),
	}
	for _, project := range f.projects {
		p.Projects = append(p.Projects, option{project.Label, slices.Contains(f.filter.Projects, project.Label)})
	}
	for _, service := range f.services {
		p.Services = append(p.Services, option{service, slices.Contains(f.filter.Services, service)})
	}
	for _, a := range f.accounts {
		p.Accounts = append(p.Accounts, newAccount(a))
		p.LeavesOut = p.LeavesOut || len(a.Skipped) > 0
	}
	p.Summary = summary(f, p.Quotas)
	return p
}

func newAccount(a fleet.Account) account {
	shown := account{Name: a.Name, State: "ok", Projects: a.Projects, Skipped: a.Skipped}
	switch {
	case a.DiscoveryErr != nil:
		shown.State, shown.Class = "discovery fails", alarm
	case a.Empty != nil:
		shown.State, shown.Class = fleet.NoProjects, alarm
	case !a.Asked:
		shown.State, shown.Class = "not asked yet", muted
	case !a.Up:
		shown.State, shown.Class = "no keys", alarm
	}
	return shown
}

// summary is what a person sees first.
func summary(f facts, sections []section) []count {
	quotas := 0
	var worst []row // the first of each severity
	counts := map[string]int{}
	for _, s := range sections {
		quotas += len(s.Rows)
		for _, row := range s.Rows {
			if row.Class == alarm || row.Class == warn {
				if counts[row.State]++; counts[row.State] == 1 {
					worst = append(worst, row)
				}
			}
		}
	}
	var all []count
	for _, row := range worst {
		all = append(all, count{number(float64(counts[row.State])) + " " + row.State, row.Class, "quotas"})
	}
	if len(all) == 0 && quotas > 0 {
		all = append(all, count{"no quota at a threshold", good, "quotas"})
	}
	return append(all, sources(f, quotas)...)
}

// sources tells what became of the sources.
func sources(f facts, quotas int) []count {
	offered, failing, unread := 0, 0, 0
	for _, r := range f.readings {
		if r.NotOffered {
			continue
		}
		offered++
		if r.State.Err != nil {
			failing++
		} else if r.State.Fetches == 0 {
			unread++
		}
	}
	var all []count
	if failing > 0 {
		all = append(all, count{number(float64(failing)) + " of " + plural(offered, "source") + " failing", alarm, "problems"})
	}
	if unread > 0 {
		all = append(all, count{plural(unread, "source") + " not read yet", warn, "sources"})
	}
	if failing+unread == 0 && offered > 0 {
		all = append(all, count{plural(offered, "source") + " read", good, "sources"})
	}
	return append(all, count{plural(quotas, "quota"), "", "quotas"})
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return number(float64(n)) + " " + what
}
