package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// Paths in the repository.
const (
	rulesFile = "deploy/prometheus/rules.yml"
	testFiles = "test/rules/*.yml"
	document  = "docs/alerts.md"
)

var promQL = parser.NewParser(parser.Options{})

// mutant is a rule with one change, with the rules that depend on it, and with those that all of these use. Other rules cannot affect the tests.
type mutant struct {
	rule      string
	change    string // what is changed, unique in the rule
	content   *rulefmt.RuleGroups
	unchanged *rulefmt.RuleGroups
	touched   []string // the rule, and those that depend on it
	killed    bool
}

func (m *mutant) id() string { return m.rule + ": " + m.change }

func readRules(file string) (*rulefmt.RuleGroups, error) {
	groups, errs := rulefmt.ParseFile(file, false, model.UTF8Validation, promQL, slog.New(slog.DiscardHandler))
	return groups, errors.Join(errs...)
}

// mutantsOf returns every change of every rule, in their order.
func mutantsOf(groups *rulefmt.RuleGroups) ([]*mutant, error) {
	var all []*mutant
	for g := range groups.Groups {
		for i := range groups.Groups[g].Rules {
			rule := &groups.Groups[g].Rules[i]
			changes, err := changesOf(*rule)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", nameOf(*rule), err)
			}
			original, touched := *rule, dependents(groups, nameOf(*rule))
			needed := used(groups, touched)
			unchanged := only(groups, needed)
			seen := map[string]int{}
			for _, c := range changes {
				*rule = c.rule
				content := only(groups, needed)
				*rule = original
				if seen[c.what]++; seen[c.what] > 1 {
					c.what = fmt.Sprintf("%s (%d)", c.what, seen[c.what])
				}
				all = append(all, &mutant{rule: nameOf(original), change: c.what, content: content, unchanged: unchanged, touched: touched})
			}
		}
	}
	return all, nil
}

// only returns the groups with these rules.
func only(groups *rulefmt.RuleGroups, names []string) *rulefmt.RuleGroups {
	kept := &rulefmt.RuleGroups{}
	for _, g := range groups.Groups {
		g.Rules = slices.DeleteFunc(slices.Clone(g.Rules), func(r rulefmt.Rule) bool { return !slices.Contains(names, nameOf(r)) })
		if len(g.Rules) > 0 {
			kept.Groups = append(kept.Groups, g)
		}
	}
	return kept
}

func nameOf(r rulefmt.Rule) string { return r.Record + r.Alert } // one of them is empty

// dependents returns a rule and, recursively, those that use its recorded series, also in annotations.
func dependents(groups *rulefmt.RuleGroups, name string) []string {
	return closure(groups, []string{name}, func(r rulefmt.Rule, of string) bool { return uses(r, of) })
}

// used returns rules and, recursively, those whose recorded series they use.
func used(groups *rulefmt.RuleGroups, names []string) []string {
	byName := map[string]rulefmt.Rule{}
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			byName[nameOf(r)] = r
		}
	}
	return closure(groups, names, func(r rulefmt.Rule, by string) bool { return r.Record != "" && uses(byName[by], r.Record) })
}

// closure adds the rules that belong to one of the names, until no more are added.
func closure(groups *rulefmt.RuleGroups, names []string, belongs func(r rulefmt.Rule, name string) bool) []string {
	names = slices.Clone(names)
	for i := 0; i < len(names); i++ {
		for _, g := range groups.Groups {
			for _, r := range g.Rules {
				if name := nameOf(r); !slices.Contains(names, name) && belongs(r, names[i]) {
					names = append(names, name)
				}
			}
		}
	}
	return names
}

func uses(r rulefmt.Rule, record string) bool {
	return strings.Contains(r.Expr+strings.Join(slices.Collect(maps.Values(r.Annotations)), ""), record)
}

// change is a mutated rule.
type change struct {
	what string
	rule rulefmt.Rule
}

func changesOf(rule rulefmt.Rule) ([]change, error) {
	var all []change
	exprs, err := exprChanges(rule.Expr)
	if err != nil {
		return nil, err
	}
	for _, e := range exprs {
		c := change{e.what, rule}
		c.rule.Expr = e.expr
		all = append(all, c)
	}
	for _, factor := range []float64{0.5, 2} {
		if rule.For > 0 {
			c := change{rule: rule}
			c.rule.For = scaled(rule.For, factor)
			c.what = fmt.Sprintf("for %s -> %s", rule.For, c.rule.For)
			all = append(all, c)
		}
		if rule.KeepFiringFor > 0 {
			c := change{rule: rule}
			c.rule.KeepFiringFor = scaled(rule.KeepFiringFor, factor)
			c.what = fmt.Sprintf("keep_firing_for %s -> %s", rule.KeepFiringFor, c.rule.KeepFiringFor)
			all = append(all, c)
		}
	}
	if severity := rule.Labels["severity"]; severity != "" {
		c := change{"severity " + severity + " -> other", rule}
		c.rule.Labels = map[string]string{"severity": "other"}
		all = append(all, c)
	}
	return all, nil
}

func scaled(d model.Duration, factor float64) model.Duration {
	return model.Duration(time.Duration(float64(d) * factor).Round(time.Second))
}
