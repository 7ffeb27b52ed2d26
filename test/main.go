// Command test runs the checks of the project from a clean clone: go run ./test
//
// Without an argument it runs go vet and all tests, with the race detector if there is a C compiler. It needs nothing but Go. go run ./test all
// runs every check, as continuous integration does. go run ./test mutation changes the rules for Prometheus in hundreds of ways and checks that
// their tests notice: run it after changes of either. The tests of the status page need Chromium and npm, those of the dashboards npm, and those
// of the documentation npm and a C compiler. If these are missing, it says so and runs the rest. If the variable CI is set, that is an error.
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

// covered are the packages of which tests must execute most statements.
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

// quick are the checks that need nothing but Go.
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
		fmt.Fprintln(os.Stderr, "test: want no argument for vet and all tests, all for every check, or mutation for what takes too long for that")
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
	fmt.Println("== all good")
}

// tests runs go vet and all tests at once, so that nothing is vetted or compiled twice.
func tests() error {
	race, err := raceDetector()
	if err != nil {
		return err
	}
	return run(slices.Concat([]string{"test", "-vet=all"}, race, []string{"./..."})...)
}

// coverage checks that the tests reach enough of the code.
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

// module runs the tests of a module of its own.
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
			return errors.New("the tests of the status page need a browser and the rules of accessibility: install chromium and npm")
		}
		fmt.Println("WITHOUT THE STATUS PAGE IN A BROWSER: it needs chromium and npm, of which one is missing")
		return nil
	}
	return module("test/browser")
}

// raceDetector returns the flag for it, if it works.
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
		fmt.Println("WITHOUT THE RACE DETECTOR: it needs a C compiler, and there is none")
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

// run runs a command of Go, and shows what it prints.
func run(args ...string) error {
	c := exec.Command("go", args...) //nolint:gosec,noctx // the commands stand above; Ctrl-C reaches them as it reaches this process
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// output runs a command of Go, and returns what it prints.
func output(args ...string) (string, error) {
	out, err := exec.Command("go", args...).Output() //nolint:gosec,noctx // as above
	if err != nil {
		return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}
