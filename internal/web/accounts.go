package web

import (
	"fmt"
	"slices"

	"cloud_quota_exporter/internal/fleet"
)

// accounts are the accounts on the page, and their position in the whole list.
type accounts struct {
	Span      span
	Rows      []account
	LeavesOut bool // a project was skipped in one of them
}

// account is an account of the configuration.
type account struct {
	Name, State, Class string
	Projects           int
	Skipped            []string // skipped projects
}

// newAccounts returns the accounts, those that fail first.
func newAccounts(wanted request, known []fleet.Account) accounts {
	list := accounts{Span: wanted.span(listOfAccounts, len(known), "accounts")}
	var failing, others []account
	for _, a := range known {
		shown := newAccount(a)
		list.LeavesOut = list.LeavesOut || len(shown.Skipped) > 0
		if shown.Class == alarm {
			failing = append(failing, shown)
		} else {
			others = append(others, shown)
		}
	}
	list.Rows = entries(list.Span, slices.Concat(failing, others))
	return list
}

func newAccount(a fleet.Account) account {
	shown := account{Name: a.Name, State: "ok", Projects: a.Projects}
	if len(a.Skipped) > 0 {
		shown.Skipped = append(shown.Skipped, fleet.SomeOf(a.Skipped))
	}
	if n := a.Unreadable.Count; n > 0 {
		shown.Skipped = append(shown.Skipped, fmt.Sprintf("%d invalid", n))
	}
	if a.Beyond > 0 {
		shown.Skipped = append(shown.Skipped, fmt.Sprintf("%d beyond max_projects", a.Beyond))
	}
	switch {
	case a.DiscoveryErr != nil:
		shown.State, shown.Class = "discovery fails", alarm
	case a.Empty != nil:
		shown.State, shown.Class = fleet.NoProjects, alarm
	case !a.Asked:
		shown.State, shown.Class = "not fetched yet", muted
	case !a.Up:
		shown.State, shown.Class = "no credentials", alarm
	}
	return shown
}
