// Command test runs the checks of the project from a clean clone: go run ./test
//
// Without an argument it runs go vet and all tests, and then the tests with the race detector if a C compiler is installed. It only needs Go.
// go run ./test all runs every check, like continuous integration, two at a time. The name of a step runs only that step: go run ./test lint.
// go run ./test mutation changes the rules for Prometheus in hundreds of ways and checks that their tests fail: run it after changes of the rules or
// their tests, because it is not part of all. The tests of the status page need Chromium and npm, those of the dashboards npm, and those of the
// documentation npm and a C compiler. If one of these is missing, the step is skipped with a message. If the variable CI is set, it fails instead.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// covered are the packages whose statements the tests must cover.
const (
	covered     = "./collector,./internal/...,./providers"
	minCoverage = 90.0 // percent
)

// step is one check.
type step struct {
	name string
	run  func() error
}

// steps are all checks. The first needs only Go, the second also a C compiler, and the last takes too long for every run. Steps that build much come
// early, because others run beside them.
var steps = []step{
	{"tests", tests},
	{"race", race},
	{"tidy", func() error { return run("mod", "tidy", "-diff") }},
	{"lint", func() error {
		return run("tool", "-modfile=test/lint/go.mod", "golangci-lint", "run", "--allow-parallel-runners", "./...")
	}},
	{"kubernetes", func() error { return module("test/k8s", "-timeout=40m") }}, // it builds a kube-apiserver and helm
	{"e2e", func() error { return module("test/e2e", "-timeout=40m") }},        // it builds a Prometheus and an Alertmanager
	{"documentation", prose},
	{"fuzz", func() error { return run("run", "./test/fuzz", "500x") }},
	{"network", func() error { return module("test/network") }},
	{"browser", browser},
	{"release", func() error { return module("test/released") }},
	{"image", onDebian("the container image", "test/image", "buildah podman runc busybox", "buildah podman runc busybox-static")},
	{"systemd", onDebian("the systemd unit", "test/systemd", "systemd-nspawn systemctl systemd-analyze", "systemd systemd-container")},
	{"dashboards", dashboards},
	{"rules", rules},
	{"benchmarks", func() error {
		return run("test", "-run=^$", "-bench=.", "-benchtime=1x", "-short", ".", "./internal/web", "./providers", "./test/bench")
	}},
	{"mutation", mutation},
}

func main() {
	if err := runSteps(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "test: %v\n", err)
		os.Exit(1)
	}
}

// runSteps runs the steps with these names one after the other, or all of them.
func runSteps(names []string) error {
	if slices.Equal(names, []string{"all"}) {
		return runAll()
	}
	if len(names) == 0 {
		names = []string{"tests", "race"}
	}
	for _, name := range names {
		i := slices.IndexFunc(steps, func(s step) bool { return s.name == name })
		if i < 0 {
			return fmt.Errorf("unknown step %q; known: all%s", name, knownSteps())
		}
		if err := steps[i].run(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func knownSteps() (all string) {
	for _, s := range steps {
		all += ", " + s.name
	}
	return all
}

// runAll runs the first step, and then two others at a time, because many of them wait.
func runAll() error {
	last := len(steps) - 1
	if err := show(steps[0].name); err != nil {
		return err
	}
	slots := make(chan struct{}, 2)
	errs := make(chan error, last)
	var running sync.WaitGroup
	for _, s := range steps[1:last] {
		slots <- struct{}{}
		if len(errs) > 0 {
			break
		}
		running.Go(func() {
			if err := show(s.name); err != nil {
				errs <- err
			}
			<-slots
		})
	}
	running.Wait()
	if len(errs) > 0 {
		return <-errs
	}
	fmt.Println("== all checks succeeded")
	return nil
}

// show runs a step in a separate process, and prints its output when it ends.
func show(name string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	start := time.Now()
	out, err := exec.Command(self, name).CombinedOutput() //nolint:gosec,noctx // Ctrl-C reaches it as it reaches this process
	result := "took"
	if err != nil {
		result = "FAILED after"
	}
	fmt.Printf("== %s\n%s== %s %s %s\n", name, out, name, result, time.Since(start).Round(time.Second))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// tests runs go vet and all tests, and checks that they cover enough of the code.
func tests() error {
	dir, err := os.MkdirTemp("", "cloud_quota_exporter-coverage-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	profile := filepath.Join(dir, "profile")
	if err := run("test", "-vet=all", "-coverpkg="+covered, "-coverprofile="+profile, "./..."); err != nil {
		return err
	}
	return checkCoverage(profile)
}

// race runs the tests of the code with the race detector, which slows them down five to ten times. Tests that try many inputs one after the other
// use fewer of them, because of -short.
func race() error {
	cgo, err := output("env", "CGO_ENABLED")
	switch {
	case err != nil:
		return err
	case cgo == "1":
		return run("test", "-vet=off", "-race", "-short", ".", "./collector", "./internal/...", "./providers")
	case os.Getenv("CI") != "":
		return errors.New("the race detector needs a C compiler: install gcc")
	default:
		fmt.Println("SKIPPED: the race detector needs a C compiler, which is missing")
		return nil
	}
}

// module runs the tests of a nested module.
func module(dir string, flags ...string) error {
	if err := run("-C", dir, "vet", "./..."); err != nil {
		return err
	}
	return run(slices.Concat([]string{"-C", dir, "test", "-count=1"}, flags, []string{"./..."})...)
}

// browser runs the tests of the status page in a real browser.
func browser() error {
	isMissing := func(programs ...string) bool {
		return !slices.ContainsFunc(programs, func(program string) bool { _, err := exec.LookPath(program); return err == nil })
	}
	if isMissing("chromium", "chromium-browser", "google-chrome") || isMissing("npm") {
		if os.Getenv("CI") != "" {
			return errors.New("the tests of the status page need a browser and the accessibility rules: install chromium and npm")
		}
		fmt.Println("SKIPPED: the tests of the status page in a browser need chromium and npm, and one of them is missing")
		return nil
	}
	return module("test/browser")
}

func checkCoverage(profile string) error {
	functions, err := output("tool", "cover", "-func="+profile)
	if err != nil {
		return err
	}
	fields := strings.Fields(functions)
	total := fields[len(fields)-1] // the last line is the total, its last word the percentage
	percent, err := strconv.ParseFloat(strings.TrimSuffix(total, "%"), 64)
	if err != nil {
		return fmt.Errorf("coverage: %w", err)
	}
	fmt.Printf("coverage of %s: %s\n", covered, total)
	if percent < minCoverage {
		return fmt.Errorf("coverage is %s, want at least %.0f%%", total, minCoverage)
	}
	return nil
}

// run runs a Go command, and shows its output.
func run(args ...string) error {
	c := exec.Command("go", args...) //nolint:gosec,noctx // the commands are constants above; Ctrl-C reaches them as it reaches this process
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// output runs a Go command, and returns its output.
func output(args ...string) (string, error) {
	out, err := exec.Command("go", args...).Output() //nolint:gosec,noctx // as above
	if err != nil {
		return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}
