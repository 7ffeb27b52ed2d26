package command

import (
	"context"
	"fmt"
	"strings"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/huaweicloud"
)

// checkOnline asks every service of every project once.
func checkOnline(ctx context.Context, t Terminal, c *config.Config) error {
	f, readings, err := readOnce(ctx, t, c, fleet.Filter{})
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintln(t.Out)
	writeMatrix(t, f.Services(), readings)
	writeProblems(t, f, readings)
	if err := countFailures(f, readings); err != nil {
		return err
	}
	return writeSuccess(t, readings)
}

// writeSuccess tells how many reads succeeded, where none failed. That nothing is offered anywhere is no success.
func writeSuccess(t Terminal, readings []*fleet.Reading) error {
	succeeded, rest := 0, ""
	for _, r := range readings {
		if !r.NotOffered {
			succeeded++
		}
	}
	if succeeded == 0 {
		return &ExitError{exitFailed, "no service is offered to any project: 404, or no such host; check cloud and endpoints"}
	}
	if n := len(readings) - succeeded; n > 0 {
		rest = fmt.Sprintf(" Not offered by the region (404, or no such host): %d.", n)
	}
	_, _ = fmt.Fprintf(t.Out, "\nAll %d reads succeeded.%s\n", succeeded, rest)
	return nil
}

// writeMatrix shows each project and what became of its services.
func writeMatrix(t Terminal, services []string, readings []*fleet.Reading) {
	out := table{}
	out.add(append(append([]string{"PROJECT", "ID"}, upper(services)...), "")...)
	for start := 0; start < len(readings); start += len(services) { // each project has every service, in their order
		project := readings[start].Project
		cells := []string{project.Label, project.ID}
		for _, r := range readings[start : start+len(services)] {
			cells = append(cells, outcome(r))
		}
		out.add(append(cells, "")...)
	}
	out.write(t.Out)
}

func upper(texts []string) []string {
	var all []string
	for _, text := range texts {
		all = append(all, strings.ToUpper(text))
	}
	return all
}

// outcome is a word for a cell: the number of quotas, or the reason of the failure.
func outcome(r *fleet.Reading) string {
	if r.NotOffered {
		return notOffered
	}
	if err := failure(r); err != nil {
		return huaweicloud.Reason(err)
	}
	return fmt.Sprintf("ok (%d)", len(r.Quotas))
}
