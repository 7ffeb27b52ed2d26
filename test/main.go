// Command test runs the checks of the project from a clean clone: go run ./test
//
// Without an argument it runs go vet and all tests, with the race detector if a C compiler is installed. It only needs Go. go run ./test all runs
// every check, like continuous integration. go run ./test mutation changes the rules for Prometheus in hundreds of ways and checks that their tests
// fail: run it after changes of the rules or their tests. The tests of the status page need Chromium and npm, those of the dashboards npm, and those
// of the documentation npm and a C compiler. If one of these is missing, the step is skipped with a message. If the variable CI is set, it fails
// instead.
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
	"time"
)

// covered are the packages whose statements the tests must cover.
const (
	covered = "./collector,./providers,./internal/command,./internal/config,./internal/config/strictyaml,./internal/credentials," +
		"./internal/fleet,./internal/huaweicloud,./internal/refresh,./internal/report,./internal/secret,./internal/web"

	minCoverage = 90.0 // percent
)

// step is one check.
type step struct {
	name string
	run  func() error
}

// quick are the checks that only need Go.
var quick = []step{{"vet and tests", tests}}

// others are all other checks.
var others = []step{
	{"modules are tidy", func() error { return run("mod", "tidy", "-diff") }},
	{"lint", func() error {
		return run("tool", "-modfile=test/lint/go.mod", "golangci-lint", "run", "--allow-parallel-runners", "./...")
	}},
	{"coverage", coverage},
	{"documentation", prose},
	{"fuzzing, a little", func() error { return run("run", "./test/fuzz", "2s") }},
	{"speed of the status page", func() error { return run("test", "-run=^$", "-bench=StatusPage", "-benchtime=5x", "./internal/web") }},
	{"network", func() error { return module("test/network") }},
	{"status page in a browser", browser},
	{"rules", rules},
	{"release", func() error { return module("test/released") }},
	{"container image", onDebian("the container image", "test/image", "buildah podman runc busybox", "buildah podman runc busybox-static")},
	{"systemd unit", onDebian("the systemd unit", "test/systemd", "systemd-nspawn systemctl systemd-analyze", "systemd systemd-container")},
	{"dashboards", dashboards},
	{"manifests and chart for Kubernetes", func() error { return module("test/k8s", "-timeout=40m") }}, // it builds a kube-apiserver and helm
	{"end to end", func() error { return module("test/e2e", "-timeout=40m") }},                         // it builds a Prometheus and an Alertmanager
	{"benchmarks, in small", func() error {
		return run("test", "-run=^$", "-bench=.", "-benchtime=1x", "-short", ".", "./providers", "./test/bench")
	}},
}

func main() {
	steps := quick
	switch {
	case len(os.Args) == 2 && os.Args[1] == "all":
		steps = append(steps, others...)
	case len(os.Args) == 2 && os.Args[1] == "mutation":
		steps = []step{{"mutation of the rules", mutation}}
	case len(os.Args) > 1:
		fmt.Fprintln(os.Stderr, "test: usage: go run ./test for vet and all tests, go run ./test all for every check, or go run ./test mutation for the mutation test")
		os.Exit(2)
	}
	for _, step := range steps {
		fmt.Printf("== %s\n", step.name)
		start := time.Now()
		if err := step.run(); err != nil {
			fmt.Fprintf(os.Stderr, "test: %s: %v\n", step.name, err)
			os.Exit(1)
		}
		fmt.Printf("== %s took %s\n", step.name, time.Since(start).Round(time.Second))
	}
	fmt.Println("== all checks succeeded")
}

// tests runs go vet and all tests together, so that nothing is vetted or compiled twice.
func tests() error {
	race, err := raceDetector()
	if err != nil {
		return err
	}
	return run(slices.Concat([]string{"test", "-vet=all"}, race, []string{"./..."})...)
}

// coverage checks that the tests cover enough of the code.
func coverage() error {
	dir, err := os.MkdirTemp("", "cloud_quota_exporter-coverage-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	profile := filepath.Join(dir, "profile")
	if err := run("test", "-coverpkg="+covered, "-coverprofile="+profile, "./..."); err != nil {
		return err
	}
	return checkCoverage(profile)
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

// raceDetector returns the flag of the race detector if it is available.
func raceDetector() ([]string, error) {
	cgo, err := output("env", "CGO_ENABLED")
	switch {
	case err != nil:
		return nil, err
	case cgo == "1":
		return []string{"-race"}, nil
	case os.Getenv("CI") != "":
		return nil, errors.New("the race detector needs a C compiler: install gcc")
	default:
		fmt.Println("SKIPPED: the race detector needs a C compiler, which is missing")
		return nil, nil
	}
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
