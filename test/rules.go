package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// The module of Prometheus, and the tags with which test/e2e builds it.
const (
	prometheusModule = "test/e2e/prometheus"
	prometheusTags   = "remove_all_sd"
)

// rules checks the files for Prometheus with promtool: they load, and the tests of the alerts succeed. It also prints the cost of an evaluation.
// Building promtool takes some minutes the first time.
func rules() error {
	dir, err := os.MkdirTemp("", "cloud_quota_exporter-rules-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := run("-C", prometheusModule, "build", "-tags", prometheusTags, "-o", dir, "github.com/prometheus/prometheus/cmd/promtool"); err != nil {
		return err
	}
	promtool := filepath.Join(dir, "promtool")
	return errors.Join(
		runTool(promtool, []string{"check", "config", "--lint=all", "--lint-fatal"}, "deploy/prometheus/scrape-*.yml"), // and the rules that they load
		runTool(promtool, []string{"test", "rules"}, "test/rules/*.yml"),
		run("-C", prometheusModule, "vet", "-tags", prometheusTags, "./..."),
		run("-C", prometheusModule, "test", "-tags", prometheusTags, "-count=1", "-short", "-bench=.", "-benchtime=3x", "./..."),
	)
}

// mutation checks that the tests of the alerts detect changes of the rules.
func mutation() error {
	return run("-C", prometheusModule, "run", "-tags", prometheusTags, "./mutate")
}

// runTool runs a program with files, at least one, and shows its output.
func runTool(program string, args []string, files string) error {
	found, err := filepath.Glob(files)
	if err != nil || len(found) == 0 {
		return fmt.Errorf("no %s found", files)
	}
	c := exec.Command(program, append(args, found...)...) //nolint:gosec,noctx // as in run
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", filepath.Base(program), args[0], err)
	}
	return nil
}
