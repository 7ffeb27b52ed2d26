package command

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/huaweicloud"
)

// checkOnline asks every service of every project once.
func checkOnline(ctx context.Context, t Terminal, c *config.Config) error {
	f, readings, err := readOnce(ctx, t, c, fleet.Filter{})
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintln(t.Out)
	writeMatrix(t, f.Services(), readings)
	failed := 0
	for _, r := range readings {
		if failure(r) != nil {
			failed++
		}
	}
	for _, p := range group(readings) {
		p.write(t)
	}
	if failed > 0 {
		return &ExitError{exitFailed, fmt.Sprintf("%d of %d reads failed", failed, len(readings))}
	}
	_, _ = fmt.Fprintf(t.Out, "\nAll %d reads succeeded.\n", len(readings))
	return nil
}

// writeMatrix shows each project and what became of its services.
func writeMatrix(t Terminal, services []string, readings []*fleet.Reading) {
	out := table{}
	out.add(append(append([]string{"PROJECT", "ID"}, upper(services)...), "")...)
	for start := 0; start < len(readings); start += len(services) { // each project has every service, in their order
		project := readings[start].Project
		cells := []string{project.Label, project.ID}
		for _, r := range readings[start : start+len(services)] {
			cells = append(cells, outcome(r))
		}
		out.add(append(cells, "")...)
	}
	out.write(t.Out)
}

func upper(texts []string) []string {
	var all []string
	for _, text := range texts {
		all = append(all, strings.ToUpper(text))
	}
	return all
}

// outcome is a word for a cell: the number of quotas, or the reason of the failure.
func outcome(r *fleet.Reading) string {
	if err := failure(r); err != nil {
		return huaweicloud.Reason(err)
	}
	return fmt.Sprintf("ok (%d)", len(r.Quotas))
}

// problem is a trouble and the sources that have it in common.
type problem struct {
	reason             string
	what, remedy       string // of the first source
	services, projects []string
}

// group puts together what is the same trouble: of one account, for the same reason, with the same remedy.
func group(readings []*fleet.Reading) []*problem {
	type kind struct{ account, reason, remedy string }
	known := map[kind]*problem{}
	var problems []*problem
	add := func(r *fleet.Reading, reason string, err error) {
		what, remedy := splitRemedy(err)
		k := kind{r.Account, reason, remedy}
		p := known[k]
		if p == nil {
			p = &problem{reason: reason, what: what, remedy: remedy}
			known[k] = p
			problems = append(problems, p)
		}
		p.services = appendNew(p.services, r.Service)
		p.projects = appendNew(p.projects, r.Project.Label)
	}
	for _, r := range readings {
		if err := failure(r); err != nil {
			add(r, huaweicloud.Reason(err), err)
			continue
		}
		if skipped := r.State.Value.Skipped; skipped.Count > 0 {
			add(r, "resources left out", fmt.Errorf("%v", skipped))
		}
		if err := r.State.Value.Incomplete; err != nil {
			add(r, "incomplete", err)
		}
		for _, err := range r.Refused {
			add(r, "stated limit not used", err)
		}
	}
	return problems
}

// splitRemedy cuts an error behind its last semicolon: by the custom of this program, what to do stands there.
func splitRemedy(err error) (what, remedy string) {
	text := err.Error()
	i := strings.LastIndex(text, "; ")
	if i < 0 {
		return text, ""
	}
	return text[:i], text[i+2:]
}

func appendNew(all []string, text string) []string {
	if slices.Contains(all, text) {
		return all
	}
	return append(all, text)
}

func (p *problem) write(t Terminal) {
	projects := p.projects[0]
	if more := len(p.projects) - 1; more > 0 {
		projects += fmt.Sprintf(" and %d more", more)
	}
	_, _ = fmt.Fprintf(t.Out, "\n%s %s in %s\n  %s\n", t.paint(red, p.reason+":"), strings.Join(p.services, ", "), projects,
		strings.ReplaceAll(p.what, "\n", "\n  "))
	if p.remedy != "" {
		_, _ = fmt.Fprintf(t.Out, "  %s\n", t.paint(yellow, "-> "+p.remedy))
	}
}
