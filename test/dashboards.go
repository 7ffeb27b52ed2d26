package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// dashboards checks the shipped dashboards against Grafana's own types, which come from npm. What they ask is tested end to end.
func dashboards() error {
	if _, err := exec.LookPath("npm"); err != nil {
		if os.Getenv("CI") != "" {
			return errors.New("the types of Grafana's dashboards come from npm: install it")
		}
		fmt.Println("WITHOUT GRAFANA'S TYPES OF DASHBOARDS: they come from npm, which is missing")
		return nil
	}
	for _, args := range [][]string{{"ci", "--ignore-scripts", "--no-audit", "--no-fund"}, {"test"}} {
		c := exec.Command("npm", args...) //nolint:gosec,noctx // as in run
		c.Dir, c.Stdout, c.Stderr = "test/dashboards", os.Stdout, os.Stderr
		if err := c.Run(); err != nil {
			return fmt.Errorf("npm %s: %w", args[0], err)
		}
	}
	return nil
}
