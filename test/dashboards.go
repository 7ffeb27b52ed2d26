package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// dashboards checks the shipped dashboards against Grafana's own types, which come from npm. test/e2e tests their queries.
func dashboards() error {
	if _, err := exec.LookPath("npm"); err != nil {
		if os.Getenv("CI") != "" {
			return errors.New("the types of Grafana's dashboards need npm: install it")
		}
		fmt.Println("SKIPPED: the types of Grafana's dashboards need npm, which is missing")
		return nil
	}
	for _, args := range [][]string{{"ci", "--ignore-scripts", "--no-audit", "--no-fund"}, {"test"}} {
		if err := npm("test/dashboards", args...); err != nil {
			return err
		}
	}
	return nil
}
