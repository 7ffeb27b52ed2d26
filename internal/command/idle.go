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

// writeIdle names a rule or filter that has no effect.
func writeIdle(t Terminal, what, why string) {
	_, _ = fmt.Fprintf(t.Out, "%s %s: %s\n", t.paint(yellow, "no effect:"), what, why)
}

func writeIdleFilters(t Terminal, idle map[string][]string) {
	for _, account := range slices.Sorted(maps.Keys(idle)) {
		for _, filter := range idle[account] {
			writeIdle(t, "discovery of account "+account+", "+filter, "no project matches")
		}
	}
}

// rulesOf returns which quotas the rules of the file are about.
func rulesOf(c *config.Config) (limits, thresholds []config.Match) {
	for _, l := range c.Limits {
		limits = append(limits, l.Match)
	}
	for _, rule := range c.Thresholds {
		thresholds = append(thresholds, rule.Match)
	}
	return limits, thresholds
}

// writeIdleOffline names rules and filters of which it is known without the cloud that they match nothing.
func writeIdleOffline(t Terminal, c *config.Config, services, projects []string) {
	filters, allKnown := map[string][]string{}, true
	for _, a := range c.Accounts {
		if a.Discovery == nil {
			continue
		}
		allKnown = false
		if !a.Discovery.Subprojects && len(a.Discovery.Regions) > 0 { // then there are no other names
			filters[a.Name] = a.Discovery.Idle(a.Discovery.Regions)
		}
	}
	limits, thresholds := rulesOf(c)
	for _, m := range slices.Concat(limits, thresholds) {
		if why := whyIdle(m, services, projects, allKnown); why != "" && m.At != "" {
			writeIdle(t, m.At, why)
		}
	}
	writeIdleFilters(t, filters)
}

// whyIdle returns why a rule matches nothing, whatever the quotas are; empty if it may match something.
func whyIdle(m config.Match, services, projects []string, allKnown bool) string {
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

// writeIdle names rules that match none of the quotas that were read, and those of which earlier rules take all quotas. A rule that may be about
// something that could not be read is left out.
func (o *outcome) writeIdle(t Terminal, c *config.Config) {
	complete := !slices.ContainsFunc(o.accounts, func(a fleet.Account) bool { return a.DiscoveryErr != nil })
	var projects []string
	for _, r := range o.readings {
		projects = append(projects, r.Project.Label)
	}
	limits, thresholds := rulesOf(c)
	for _, rules := range [][]config.Match{limits, thresholds} {
		for i, rule := range rules {
			why := whyIdle(rule, o.services, projects, complete)
			if matches, first, unsure := o.count(rules[:i], rule); why == "" && complete && !first && !unsure {
				why = "no quota matches"
				if matches {
					why = "earlier rules match all of its quotas"
				}
			}
			if why != "" && rule.At != "" {
				writeIdle(t, rule.At, why)
			}
		}
	}
	writeIdleFilters(t, o.idle)
}

// count returns whether a rule matches a quota, whether it is the first rule that matches one, and whether it may match what was not read.
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

// writeLeftOut shows which discovered projects are left out.
func (o *outcome) writeLeftOut(t Terminal) {
	for _, a := range o.accounts {
		say := func(n int, why string) {
			if n > 0 {
				_, _ = fmt.Fprintf(t.Out, "%s %d projects of account %s: %s\n", t.paint(yellow, "left out:"), n, a.Name, why)
			}
		}
		say(len(a.Skipped), "another project has the label; set name_prefix")
		say(a.Beyond, "more than discovery.max_projects")
		if n := a.Unreadable.Count; n > 0 {
			say(n, "IAM's entry can't be read: "+printable.Text(a.Unreadable.Reasons[0].Error()))
		}
	}
}
