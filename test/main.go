// Command test runs every check of the project, from a clean clone, with nothing but Go: go run ./test
//
// It is what continuous integration runs. The race detector needs a C compiler on most systems, the tests of the status page need Chromium
// and npm, and those of the dashboards npm; where these are missing, the tests run without them and that is said, except where the variable
// CI is set: there it is an error.
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
)

// covered are the packages of which tests must execute most statements.
const (
	covered = "./collector,./providers,./internal/command,./internal/config,./internal/config/strictyaml,./internal/credentials," +
		"./internal/fleet,./internal/huaweicloud,./internal/refresh,./internal/report,./internal/secret,./internal/web"

	minCoverage = 90.0 // percent
)

func main() {
	for _, step := range []struct {
		name string
		run  func() error
	}{
		{"modules are tidy", func() error { return run("mod", "tidy", "-diff") }},
		{"vet", func() error { return run("vet", "./...") }},
		{"lint", func() error { return run("tool", "-modfile=test/lint/go.mod", "golangci-lint", "run", "./...") }},
		{"tests", tests},
		{"fuzzing, a little", func() error { return run("run", "./test/fuzz", "2s") }},
		{"speed of the status page", func() error { return run("test", "-run=^$", "-bench=StatusPage", "-benchtime=5x", "./internal/web") }},
		{"network", network},
		{"status page in a browser", browser},
		{"rules", rules},
		{"container image", onDebian("the container image", "test/image", "buildah podman runc busybox", "buildah podman runc busybox-static")},
		{"systemd unit", onDebian("the systemd unit", "test/systemd", "systemd-nspawn systemctl systemd-analyze", "systemd systemd-container")},
		{"dashboards", dashboards},
		{"manifests for Kubernetes", func() error { return run("-C", "test/k8s", "test", "-count=1", "./...") }},
		{"end to end", endToEnd},
		{"benchmarks, in small", func() error {
			return run("test", "-run=^$", "-bench=.", "-benchtime=1x", "-short", ".", "./providers", "./test/bench")
		}},
	} {
		fmt.Printf("== %s\n", step.name)
		if err := step.run(); err != nil {
			fmt.Fprintf(os.Stderr, "test: %s: %v\n", step.name, err)
			os.Exit(1)
		}
	}
	fmt.Println("== all good")
}

// tests runs all tests, and sees to it that they reach enough of the code.
func tests() error {
	dir, err := os.MkdirTemp("", "cloud_quota_exporter-coverage-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	profile := filepath.Join(dir, "profile")
	args := []string{"test", "-coverpkg=" + covered, "-coverprofile=" + profile}
	race, err := raceDetector()
	if err != nil {
		return err
	}
	if err := run(append(append(args, race...), "./...")...); err != nil {
		return err
	}
	return checkCoverage(profile)
}

// network runs the tests with real trouble in the network.
func network() error {
	if err := run("-C", "test/network", "vet", "./..."); err != nil {
		return err
	}
	return run("-C", "test/network", "test", "-count=1", "./...")
}

// endToEnd runs the tests in front of a real Prometheus and a real Alertmanager, which are built for it: some minutes the first time.
func endToEnd() error {
	if err := run("-C", "test/e2e", "vet", "./..."); err != nil {
		return err
	}
	return run("-C", "test/e2e", "test", "-count=1", "-timeout=40m", "./...")
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
	if err := run("-C", "test/browser", "vet", "./..."); err != nil {
		return err
	}
	return run("-C", "test/browser", "test", "-count=1", "./...")
}

// raceDetector returns the flag for it, where it works.
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
