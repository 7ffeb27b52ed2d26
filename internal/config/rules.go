package config

import (
	"fmt"
	"regexp"
	"slices"

	"cloud_quota_exporter/internal/config/strictyaml"
	"cloud_quota_exporter/providers"
)

// Match selects the quotas of a rule by anchored regular expressions, nil for any.
type Match struct {
	Service, Project, ResourceType *regexp.Regexp

	At string // location of the rule in the file; empty if it is built in
}

// Fits reports whether the rule matches a quota.
func (m Match) Fits(service, project, resourceType string) bool {
	fits := func(r *regexp.Regexp, text string) bool { return r == nil || r.MatchString(text) }
	return fits(m.Service, service) && fits(m.Project, project) && fits(m.ResourceType, resourceType)
}

// Limit sets or replaces a limit. The first match is used.
type Limit struct {
	Match

	Limit float64 // in the unit of the API; at least 0
}

// Threshold sets the used/limit ratios at which alerts should fire, by severity; none mutes the quota. The first match is used.
type Threshold struct {
	Match

	Ratios map[string]float64 // above 0 and up to 1
}

// muted returns the rules of enabled services for muted types. They come after the user's rules.
func (c *Config) muted(known []providers.Service) []Threshold {
	// In the format of strictyaml.Pattern: check-config shows it without the anchors.
	only := func(text string) *regexp.Regexp { return regexp.MustCompile("^(?:" + regexp.QuoteMeta(text) + ")$") }
	var rules []Threshold
	for _, s := range known {
		if !c.Services[s.Name].Enabled {
			continue
		}
		for _, resourceType := range s.Muted {
			rules = append(rules, Threshold{Match: Match{Service: only(s.Name), ResourceType: only(resourceType)}})
		}
	}
	return rules
}

func readLimits(n strictyaml.Node, services []string) []Limit {
	var limits []Limit
	for _, item := range n.List() {
		f, ok := item.Fields("service", "project", "resource_type", "limit")
		if !ok {
			continue
		}
		match := readMatch(item, f, services)
		limit, _ := f.Need("limit", "set the limit, in the unit of the API, for example limit: 600").
			Decimal(0, maxLimit, "a number from 0 to 1e15, in the unit of the API")
		limits = append(limits, Limit{match, limit})
	}
	return limits
}

const maxLimit = 1e15 // beyond it, floating point numbers skip integers

// readThresholds returns the rules in order of precedence: the user's, those of services for muted types, and the defaults.
func readThresholds(n strictyaml.Node, services []string, muted []Threshold) []Threshold {
	f, _ := n.Fields("defaults", "overrides")
	defaults := Threshold{Ratios: map[string]float64{"warning": 0.8, "critical": 0.95}}
	if d := f.Get("defaults"); d.Stated() {
		defaults.Ratios = readRatios(d)
	}
	var rules []Threshold
	for _, item := range f.Get("overrides").List() {
		if o, ok := item.Fields("service", "project", "resource_type", "ratios"); ok {
			match := readMatch(item, o, services)
			ratios := o.Need("ratios", "set the ratios by severity, for example ratios: {warning: 0.7}, or ratios: {} for no alert")
			rules = append(rules, Threshold{match, readRatios(ratios)})
		}
	}
	return slices.Concat(rules, muted, []Threshold{defaults})
}

var severityForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

func readRatios(n strictyaml.Node) map[string]float64 {
	entries, _ := n.Entries(severityForm.MatchString)
	ratios := map[string]float64{}
	for _, e := range entries {
		if !severityForm.MatchString(e.Key) {
			e.Fail("an invalid severity (not shown because it may be a secret); expected lower-case letters, digits, and _, such as warning")
			continue
		}
		ratios[e.Key], _ = e.Decimal(leastRatio, 1, "a ratio of used to limit, above 0 and up to 1, such as 0.8")
	}
	return ratios
}

const leastRatio = 1e-9

// readMatch reads the three expressions of the rule at a node.
func readMatch(at strictyaml.Node, f strictyaml.Fields, services []string) Match {
	m := Match{
		Service: readExpression(f.Get("service")), Project: readExpression(f.Get("project")), ResourceType: readExpression(f.Get("resource_type")),
		At: fmt.Sprintf("%s (line %d)", at.Path(), at.Line()),
	}
	if m.Service != nil && !slices.ContainsFunc(services, m.Service.MatchString) {
		n := f.Get("service")
		text, _ := n.Text()
		n.Fail("matches none of the services: %s", strictyaml.NamesNear(services, text))
	}
	return m
}

func readExpression(n strictyaml.Node) *regexp.Regexp {
	text, ok := n.Text()
	if !ok {
		return nil
	}
	r, err := strictyaml.Pattern(text)
	if err != nil {
		n.Fail("not a regular expression; expected one that matches the whole text, such as prod.*")
	}
	return r
}
