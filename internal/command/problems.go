package command

import (
	"fmt"
	"slices"
	"strings"

	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/huaweicloud"
)

// writeProblems tells what readings lack, why, and what to do.
func writeProblems(t Terminal, f *fleet.Fleet, readings []*fleet.Reading) {
	for _, a := range f.Accounts() {
		if err := a.DiscoveryErr; err != nil {
			what, remedy := splitRemedy(err)
			p := problem{huaweicloud.Reason(err), what, remedy, []string{"discovery of projects"}, []string{"account " + a.Name}}
			p.write(t)
		}
	}
	for _, p := range group(readings) {
		p.write(t)
	}
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
