package command

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/printable"
)

// writeIdle lists sections of services, rules, and discovery filters that have no effect. whyIdle explains why a rule has none after
// the earlier ones; empty if it may have one.
func writeIdle(t Terminal, c *config.Config, filters map[string][]string, whyIdle func(earlier []config.Match, rule config.Match) string) {
	write := func(what, why string) {
		_, _ = fmt.Fprintf(t.Out, "%s %s: %s\n", t.paint(yellow, "no effect:"), what, why)
	}
	for _, section := range c.Idle {
		write(section, "the service is disabled; set enabled to true")
	}
	var limits, thresholds []config.Match
	for _, l := range c.Limits {
		limits = append(limits, l.Match)
	}
	for _, rule := range c.Thresholds {
		if rule.At != "" { // others are built-in defaults, after those of the file
			thresholds = append(thresholds, rule.Match)
		}
	}
	for _, rules := range [][]config.Match{limits, thresholds} {
		for i, rule := range rules {
			if why := whyIdle(rules[:i], rule); why != "" {
				write(rule.At, why)
			}
		}
	}
	for _, account := range slices.Sorted(maps.Keys(filters)) {
		for _, filter := range filters[account] {
			write("discovery of account "+account+", "+filter, "no project matches")
		}
	}
}

// writeIdleOffline lists rules and filters that cannot match anything, as far as that is known without the cloud.
func writeIdleOffline(t Terminal, c *config.Config, services, projects []string) {
	filters, allKnown := map[string][]string{}, true
	for _, a := range c.Accounts {
		if a.Discovery == nil {
			continue
		}
		allKnown = false
		if !a.Discovery.Subprojects && len(a.Discovery.Regions) > 0 { // otherwise other names are possible
			filters[a.Name] = a.Discovery.Idle(a.Discovery.Regions)
		}
	}
	writeIdle(t, c, filters, func(_ []config.Match, rule config.Match) string { return whyNever(rule, services, projects, allKnown) })
}

// whyNever explains why a rule cannot match any quota; empty if it may.
func whyNever(m config.Match, services, projects []string, allKnown bool) string {
	fits := func(r *regexp.Regexp, names []string) bool {
		return r == nil || slices.ContainsFunc(names, r.MatchString)
	}
	switch {
	case !fits(m.Service, services):
		return "every service that it matches is disabled"
	case allKnown && !fits(m.Project, projects):
		return "no project matches"
	default:
		return ""
	}
}

// writeIdle lists rules that match none of the fetched quotas, and those whose quotas are all matched by earlier rules. It omits a
// rule that may match something that was not fetched.
func (o *outcome) writeIdle(t Terminal, c *config.Config) {
	complete := !slices.ContainsFunc(o.accounts, func(a fleet.Account) bool { return a.DiscoveryErr != nil })
	var projects []string
	for _, r := range o.readings {
		projects = append(projects, r.Project.Label)
	}
	writeIdle(t, c, o.idle, func(earlier []config.Match, rule config.Match) string {
		why := whyNever(rule, o.services, projects, complete)
		switch matches, first, unsure := o.count(earlier, rule); {
		case why != "" || !complete || first || unsure:
			return why
		case matches:
			return "earlier rules match all of its quotas"
		default:
			return "no quota matches"
		}
	})
}

// count returns whether a rule matches a quota, whether it is the first rule to match one, and whether it may match something that
// was not fetched.
func (o *outcome) count(earlier []config.Match, rule config.Match) (matches, first, unsure bool) {
	for _, r := range o.readings {
		fits := func(m config.Match, resourceType string) bool {
			return m.Fits(r.Service, r.Project.Label, resourceType)
		}
		anyType := rule
		anyType.ResourceType = nil
		unsure = unsure || fits(anyType, "") && (o.failures[r] != nil || r.State.Value.Skipped.Count > 0)
		for _, q := range r.Quotas {
			if fits(rule, q.ResourceType) {
				matches = true
				first = first || !slices.ContainsFunc(earlier, func(m config.Match) bool { return fits(m, q.ResourceType) })
			}
		}
	}
	return matches, first, unsure
}

// writeLeftOut shows which discovered projects are skipped.
func (o *outcome) writeLeftOut(t Terminal) {
	for _, a := range o.accounts {
		say := func(n int, why string) {
			if n > 0 {
				_, _ = fmt.Fprintf(t.Out, "%s %d projects of account %s: %s\n", t.paint(yellow, "skipped: "), n, a.Name, why)
			}
		}
		say(len(a.Skipped), "another project has the same label; set name_prefix")
		say(a.Beyond, "more than discovery.max_projects")
		if n := a.Unreadable.Count; n > 0 {
			say(n, "invalid entry in IAM's list: "+printable.Text(a.Unreadable.Reasons[0].Error()))
		}
	}
}
