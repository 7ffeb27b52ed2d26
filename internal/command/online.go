package command

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/fleet"
)

// online asks every service of every project once.
func (check Check) online(ctx context.Context, t Terminal, c *config.Config) error {
	o, err := check.read(ctx, t, c, fleet.Filter{})
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintln(t.Out)
	o.writeMatrix(t)
	o.writeProblems(t)
	if err := o.verdict(); err != nil {
		return err
	}
	return writeSuccess(t, o.readings)
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
func (o *outcome) writeMatrix(t Terminal) {
	out := table{}
	out.add(append(append([]string{"PROJECT", "ID"}, upper(o.services)...), "")...)
	for project := range slices.Chunk(o.readings, max(len(o.services), 1)) { // each has every service, in their order
		cells := []string{project[0].Project.Label, project[0].Project.ID}
		for _, r := range project {
			cells = append(cells, o.word(r))
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

// word stands for a reading in a cell: the number of quotas, or the reason of the failure.
func (o *outcome) word(r *fleet.Reading) string {
	if r.NotOffered {
		return fleet.NotOffered
	}
	if err := o.failure(r); err != nil {
		return fleet.Reason(err)
	}
	return fmt.Sprintf("ok (%d)", len(r.Quotas))
}
