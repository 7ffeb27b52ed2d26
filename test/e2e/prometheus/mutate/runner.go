package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// runner runs tests of rules by promtool.
type runner struct {
	promtool string
	dir      string     // of its own
	files    []testFile // from the fastest to the slowest

	mu      sync.Mutex
	killers map[string][]string // by rule, the files that killed a mutant of it, the last one first
}

type testFile struct {
	path string // in the repository
	text string
	took time.Duration
}

// newRunner reads the tests of a repository.
func newRunner(promtool, root, dir string) (*runner, error) {
	r := &runner{promtool: promtool, dir: dir, killers: map[string][]string{}}
	found, err := filepath.Glob(filepath.Join(root, testFiles))
	if err != nil || len(found) == 0 {
		return nil, fmt.Errorf("there are no %s", filepath.Join(root, testFiles))
	}
	for _, file := range found {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		path, err := filepath.Rel(root, file)
		if err != nil {
			return nil, err
		}
		r.files = append(r.files, testFile{path: path, text: string(text)})
	}
	return r, nil
}

// baseline runs the tests against the rules as they are, written as the mutants are: they must succeed, else a mutant that is killed would
// mean nothing. It learns how long they take.
func (r *runner) baseline(rules []byte) error {
	dir := filepath.Join(r.dir, "baseline")
	if err := errors.Join(r.prepare(dir), write(filepath.Join(dir, rulesFile), rules)); err != nil {
		return err
	}
	for i := range r.files {
		start := time.Now()
		if out, err := r.run(dir, r.files[i].path); err != nil {
			return fmt.Errorf("%s: %w\n%s", r.files[i].path, err, out)
		}
		r.files[i].took = time.Since(start)
	}
	slices.SortFunc(r.files, func(a, b testFile) int { return cmp.Compare(a.took, b.took) })
	return nil
}

// test runs the tests against each mutant, as many at a time as there are processors.
func (r *runner) test(mutants []*mutant) error {
	queue := make(chan *mutant)
	errs := make([]error, runtime.NumCPU())
	var workers sync.WaitGroup
	for i := range errs {
		workers.Go(func() {
			own := filepath.Join(r.dir, fmt.Sprint(i))
			errs[i] = r.prepare(own)
			before := map[string]string{}
			for m := range queue {
				if errs[i] == nil {
					m.killed, errs[i] = r.kills(own, before, m)
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

// prepare makes a directory in which the tests find the rules as they do in the repository.
func (r *runner) prepare(dir string) error {
	for _, f := range r.files {
		if err := write(filepath.Join(dir, f.path), []byte(f.text)); err != nil {
			return err
		}
	}
	return nil
}

// kills returns whether a test notices. A part of the rules fails some tests: a mutant is killed if it fails them in another way than the
// same rules without the change. before has how these fail.
func (r *runner) kills(dir string, before map[string]string, m *mutant) (bool, error) {
	for _, f := range r.affected(m) {
		key := m.rule + " " + f.path
		if _, ok := before[key]; !ok {
			out, err := r.runWith(dir, m.unchanged, f.path)
			if err != nil {
				return false, err
			}
			before[key] = out
		}
		out, err := r.runWith(dir, m.content, f.path)
		if err != nil {
			return false, fmt.Errorf("%s: %w", m.id(), err)
		}
		if out != before[key] {
			r.mu.Lock()
			defer r.mu.Unlock()
			others := slices.DeleteFunc(slices.Clone(r.killers[m.rule]), func(path string) bool { return path == f.path })
			r.killers[m.rule] = append([]string{f.path}, others...)
			return true, nil
		}
	}
	return false, nil
}

// affected are the files that name the rule or one that depends on it. What killed mutants of the rule comes first: it is the most likely to
// kill this one.
func (r *runner) affected(m *mutant) []testFile {
	r.mu.Lock()
	killers := r.killers[m.rule]
	r.mu.Unlock()
	files := slices.DeleteFunc(slices.Clone(r.files), func(f testFile) bool {
		return !slices.ContainsFunc(slices.Concat(m.touched, []string{"ALERTS{alertstate"}), func(name string) bool { return strings.Contains(f.text, name) })
	})
	rank := func(f testFile) int {
		if i := slices.Index(killers, f.path); i >= 0 {
			return i
		}
		return len(killers)
	}
	slices.SortStableFunc(files, func(a, b testFile) int { return cmp.Compare(rank(a), rank(b)) })
	return files
}

// runWith runs one file of tests with these rules, and returns what promtool prints.
func (r *runner) runWith(dir string, rules []byte, file string) (string, error) {
	if err := write(filepath.Join(dir, rulesFile), rules); err != nil {
		return "", err
	}
	out, err := r.run(dir, file)
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() == 1 {
		err = nil // tests fail
	}
	return string(out), err
}

// run runs one file of tests. With less garbage collection than is usual, it takes two thirds of the time.
func (r *runner) run(dir, file string) ([]byte, error) {
	c := exec.Command(r.promtool, "test", "rules", file)
	c.Dir, c.Env = dir, append(os.Environ(), "GOGC=400")
	return c.CombinedOutput()
}

func write(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o600)
}
