package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// runner evaluates rules for the tests like promtool, and records what the tests check. promtool decides whether this is correct: a mutant is killed
// if the tests see something else.
type runner struct {
	scenarios []*scenario // from the fastest to the slowest

	mu      sync.Mutex
	killers map[string][]*scenario              // by rule, the scenarios that killed a mutant of it, the last one first
	seen    map[string]func() ([]string, error) // what the tests see without a change, by rule and scenario
}

func newRunner(root string) (*runner, error) {
	r := &runner{killers: map[string][]*scenario{}, seen: map[string]func() ([]string, error){}}
	found, err := filepath.Glob(filepath.Join(root, testFiles))
	if err != nil || len(found) == 0 {
		return nil, fmt.Errorf("no %s found", filepath.Join(root, testFiles))
	}
	for _, file := range found {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var f struct {
			EvaluationInterval model.Duration `yaml:"evaluation_interval"`
			Tests              []*scenario
		}
		if err := yaml.Unmarshal(text, &f); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, s := range f.Tests {
			s.file, s.evaluation = filepath.Base(file), cmp.Or(time.Duration(f.EvaluationInterval), time.Minute)
			r.scenarios = append(r.scenarios, s)
		}
	}
	slices.SortStableFunc(r.scenarios, func(a, b *scenario) int { return int(a.cost() - b.cost()) })
	return r, nil
}

// test runs the tests with each mutant, one per processor at a time.
func (r *runner) test(mutants []*mutant) error {
	queue := make(chan *mutant)
	errs := make([]error, runtime.NumCPU())
	var workers sync.WaitGroup
	for i := range errs {
		workers.Go(func() {
			for m := range queue {
				if errs[i] != nil {
					continue
				}
				if m.killed, errs[i] = r.kills(m); !m.killed {
					fmt.Printf("survives: %s: %s\n", m.id(), survivors[m.id()])
				}
			}
		})
	}
	for _, m := range mutants {
		queue <- m
	}
	close(queue)
	workers.Wait()
	return errors.Join(errs...)
}

// kills reports whether a test detects the mutant.
func (r *runner) kills(m *mutant) (bool, error) {
	for _, s := range r.affected(m) {
		want, err := r.unchanged(m, s)
		if err != nil {
			return false, fmt.Errorf("%s of %s: %w", s.Name, s.file, err)
		}
		if got, err := s.see(m.content, m.touched, want); err != nil || !slices.Equal(got, want) { // errors come from rules
			r.mu.Lock()
			defer r.mu.Unlock()
			others := slices.DeleteFunc(slices.Clone(r.killers[m.rule]), func(other *scenario) bool { return other == s })
			r.killers[m.rule] = append([]*scenario{s}, others...)
			return true, nil
		}
	}
	return false, nil
}

// unchanged returns what the tests see without changes. A failed rule is an error.
func (r *runner) unchanged(m *mutant, s *scenario) ([]string, error) {
	key := m.rule + "\n" + s.file + "\n" + s.Name
	r.mu.Lock()
	seen, ok := r.seen[key]
	if !ok {
		seen = sync.OnceValues(func() ([]string, error) { return s.see(m.unchanged, m.touched, nil) })
		r.seen[key] = seen
	}
	r.mu.Unlock()
	return seen()
}

// affected returns the scenarios that check what a mutant affects. Those that killed mutants of the rule come first, because they are the most likely
// to kill this one.
func (r *runner) affected(m *mutant) []*scenario {
	r.mu.Lock()
	killers := r.killers[m.rule]
	r.mu.Unlock()
	others := slices.DeleteFunc(slices.Clone(r.scenarios), func(s *scenario) bool {
		return slices.Contains(killers, s) || !slices.ContainsFunc(s.checks(), func(c check) bool { return c.looksAt(m.touched) })
	})
	return slices.Concat(killers, others)
}
