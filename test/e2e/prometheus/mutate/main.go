// Command mutate measures how many mistakes the tests of the alerts detect. It changes each threshold, operator, clause, label matcher, label,
// window, for, keep_firing_for, and severity of the rules once, and runs the tests with each of these mutants. It fails if a mutant survives that is
// not in the list of permitted survivors. The tests must succeed without changes: promtool checks that.
//
//	go -C test/e2e/prometheus run -tags remove_all_sd ./mutate
//
// It is in the module of Prometheus, because it uses its parser, engine, and storage.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	root := flag.String("root", "../../..", "root of the repository")
	rule := flag.String("rule", "", "only the rules that match this regular `expression`")
	flag.Parse()
	if err := run(*root, *rule); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(root, rule string) error {
	start := time.Now()
	isWanted, err := regexp.Compile(rule)
	if err != nil {
		return err
	}
	groups, err := readRules(filepath.Join(root, rulesFile))
	if err != nil {
		return err
	}
	mutants, err := mutantsOf(groups)
	if err != nil {
		return err
	}
	mutants = slices.DeleteFunc(mutants, func(m *mutant) bool { return !isWanted.MatchString(m.rule) })
	r, err := newRunner(root)
	if err != nil {
		return err
	}
	if err := r.test(mutants); err != nil {
		return err
	}
	fmt.Print(table(mutants))
	fmt.Printf("in %s\n", time.Since(start).Round(time.Second))
	if rule != "" {
		return checkSurvivors(mutants, isWanted)
	}
	return errors.Join(checkSurvivors(mutants, isWanted), checkDocument(filepath.Join(root, document), table(mutants)))
}

// table returns the result in Markdown.
func table(mutants []*mutant) string {
	var b strings.Builder
	b.WriteString("| rule | mutants | killed | survivors |\n|---|---|---|---|\n")
	var all tally
	for _, t := range tallies(mutants) {
		fmt.Fprintf(&b, "| `%s` | %d | %d | %d |\n", t.rule, t.mutants, t.killed, t.mutants-t.killed)
		all.mutants += t.mutants
		all.killed += t.killed
	}
	fmt.Fprintf(&b, "| all | %d | %d | %d |\n", all.mutants, all.killed, all.mutants-all.killed)
	return b.String()
}

type tally struct {
	rule            string
	mutants, killed int
}

// tallies counts the mutants of each rule, in the order of the rules.
func tallies(mutants []*mutant) []*tally {
	var all []*tally
	for _, m := range mutants {
		if len(all) == 0 || all[len(all)-1].rule != m.rule {
			all = append(all, &tally{rule: m.rule})
		}
		t := all[len(all)-1]
		t.mutants++
		if m.killed {
			t.killed++
		}
	}
	return all
}

// checkSurvivors compares the survivors with the permitted ones.
func checkSurvivors(mutants []*mutant, isWanted *regexp.Regexp) error {
	var errs []error
	left := map[string]bool{}
	for id := range survivors {
		if rule, _, _ := strings.Cut(id, ": "); isWanted.MatchString(rule) {
			left[id] = true
		}
	}
	for _, m := range mutants {
		if m.killed {
			continue
		}
		if survivors[m.id()] == "" {
			errs = append(errs, fmt.Errorf("no test detects %q: add one, or add the mutant with a reason to survivors.go", m.id()))
		}
		delete(left, m.id())
	}
	for id := range left {
		errs = append(errs, fmt.Errorf("%q does not survive: remove it from survivors.go", id))
	}
	return errors.Join(errs...)
}

// checkDocument returns an error if the document does not contain this table.
func checkDocument(file, table string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	heading, _, _ := strings.Cut(table, "\n")
	if !strings.Contains(string(text), table) || strings.Count(string(text), heading) != 1 {
		return fmt.Errorf("%s does not contain this table: replace the existing one\n%s", file, table)
	}
	return nil
}
