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

	mu     sync.Mutex
	killer map[string]string // by rule, the file that killed its last mutant
}

type testFile struct {
	path string // in the repository
	text string
	took time.Duration
}

// newRunner reads the tests of a repository.
func newRunner(promtool, root, dir string) (*runner, error) {
	r := &runner{promtool: promtool, dir: dir, killer: map[string]string{}}
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
		if out, err := r.run(filepath.Join(dir, r.files[i].path)); err != nil {
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
			for m := range queue {
				if errs[i] == nil {
					m.killed, errs[i] = r.kills(own, m)
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

// kills tells whether a test fails.
func (r *runner) kills(dir string, m *mutant) (bool, error) {
	if err := write(filepath.Join(dir, rulesFile), m.content); err != nil {
		return false, err
	}
	for _, f := range r.affected(m) {
		_, err := r.run(filepath.Join(dir, f.path))
		if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() == 1 {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.killer[m.rule] = f.path
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("%s: %w", m.id(), err)
		}
	}
	return false, nil
}

// affected are the files that name the rule or one that depends on it. What killed the last mutant of the rule comes first: it is the most
// likely to kill this one.
func (r *runner) affected(m *mutant) []testFile {
	r.mu.Lock()
	killer := r.killer[m.rule]
	r.mu.Unlock()
	var first, others []testFile
	for _, f := range r.files {
		switch {
		case f.path == killer:
			first = append(first, f)
		case slices.ContainsFunc(m.touched, func(name string) bool { return strings.Contains(f.text, name) }):
			others = append(others, f)
		}
	}
	return append(first, others...)
}

// run runs one file of tests. With less garbage collection than is usual, it takes two thirds of the time.
func (r *runner) run(file string) ([]byte, error) {
	c := exec.Command(r.promtool, "test", "rules", file)
	c.Env = append(os.Environ(), "GOGC=400")
	return c.CombinedOutput()
}

func write(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o600)
}
