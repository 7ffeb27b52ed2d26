package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// rules checks what there is for Prometheus by its own tool: that it loads, that the tests of the alerts succeed, and that they notice
// when something is changed. promtool is built for it: some minutes the first time.
func rules() error {
	dir, err := os.MkdirTemp("", "cloud_quota_exporter-rules-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	const module, tags = "test/e2e/prometheus", "remove_all_sd" // as test/e2e builds it
	if err := run("-C", module, "build", "-tags", tags, "-o", dir, "github.com/prometheus/prometheus/cmd/promtool"); err != nil {
		return err
	}
	promtool := filepath.Join(dir, "promtool")
	return errors.Join(
		runTool(promtool, []string{"check", "config", "--lint=all", "--lint-fatal"}, "deploy/prometheus/scrape-*.yml"), // and the rules that they load
		runTool(promtool, []string{"test", "rules"}, "test/rules/*.yml"),
		run("-C", module, "vet", "-tags", tags, "./..."),
		run("-C", module, "test", "-tags", tags, "-count=1", "./..."),
		run("-C", module, "run", "-tags", tags, "./mutate"),
	)
}

// runTool runs a program with files, of which there must be some, and shows what it prints.
func runTool(program string, args []string, files string) error {
	found, err := filepath.Glob(files)
	if err != nil || len(found) == 0 {
		return fmt.Errorf("there are no %s", files)
	}
	c := exec.Command(program, append(args, found...)...) //nolint:gosec,noctx // as in run
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", filepath.Base(program), args[0], err)
	}
	return nil
}
