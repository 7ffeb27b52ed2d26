package command

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"cloud_quota_exporter/internal/fleet"
)

// Query is what query is told by flags.
type Query struct {
	Services  []string // empty: all
	Projects  []string // empty: all
	SortUsage bool     // by how near the limit, instead of by project
	JSON      bool     // instead of a table
	FailAbove float64  // the used/limit ratio from which on a quota makes the exit code 2; 0: none does
}

const maxFailAbove = 10 // beyond it, somebody means percent

// row is one quota and the reading that it is of.
type row struct {
	*fleet.Reading
	fleet.Quota
}

// Run reads all quotas now and shows them. The error is an *ExitError with code 2 where a quota is at or above FailAbove, else with
// code 1 where a read failed. Quotas without a threshold are muted and don't count.
func (q Query) Run(ctx context.Context, t Terminal, configFile string) error {
	if !(q.FailAbove >= 0 && q.FailAbove <= maxFailAbove) {
		return fmt.Errorf("--fail-above is out of range; want a ratio of used to limit such as 0.9, at most %d", maxFailAbove)
	}
	c, err := loadConfig(ctx, configFile)
	if err != nil {
		return err
	}
	f, readings, err := readOnce(ctx, t, c, fleet.Filter{Services: q.Services, Projects: q.Projects})
	if err != nil {
		return err
	}
	rows := q.rows(readings)
	if q.JSON {
		err = writeJSON(t.Out, f, rows, readings)
	} else {
		q.writeTable(t, rows)
		writeProblems(Terminal{Out: t.Err, Colour: t.Colour && t.Live}, f, readings) // what the table lacks
	}
	if err != nil {
		return err
	}
	return q.verdict(f, rows, readings)
}

func (q Query) rows(readings []*fleet.Reading) []row {
	var rows []row
	for _, r := range readings {
		for _, quota := range r.Quotas {
			rows = append(rows, row{r, quota})
		}
	}
	if q.SortUsage {
		slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(b.nearness(), a.nearness()) })
	}
	return rows
}

// nearness is the used/limit ratio, and less than any where there is none.
func (r row) nearness() float64 {
	if ratio, known := r.Ratio(); known {
		return ratio
	}
	return math.Inf(-1)
}

func (q Query) verdict(f *fleet.Fleet, rows []row, readings []*fleet.Reading) error {
	above := 0
	for _, r := range rows {
		if q.FailAbove > 0 && len(r.Thresholds) > 0 && r.nearness() >= q.FailAbove {
			above++
		}
	}
	if above > 0 {
		return &ExitError{exitAbove, fmt.Sprintf("%d of %d quotas are at or above %g", above, len(rows), q.FailAbove)}
	}
	return countFailures(f, readings)
}

func (q Query) writeTable(t Terminal, rows []row) {
	out := table{right: map[int]bool{3: true, 4: true, 5: true}}
	out.add("PROJECT", "SERVICE", "RESOURCE", "USED", "LIMIT", "REMAINING", "UNIT", "")
	for _, r := range rows {
		out.add(r.Project.Label, r.Service, r.ResourceType, number(r.Used), number(r.Limit), number(r.Remaining), r.Unit, "")
	}
	const percent = len("100.0 % ")
	width := 20
	if t.Width > 0 {
		width = min(max(t.Width-out.width()-percent, 8), 40)
	}
	for i, r := range rows {
		out.rows[i+1][7] = r.bar(t, width)
	}
	out.rows[0][7] = "USED/LIMIT"
	out.write(t.Out)
}

// bar shows the ratio, in the colour of the thresholds that it has reached.
func (r row) bar(t Terminal, width int) string {
	ratio, known := r.Ratio()
	switch {
	case r.Limit != nil && math.IsInf(*r.Limit, 1):
		return t.paint(faint, "no limit")
	case !known:
		return ""
	}
	if math.IsInf(ratio, 1) {
		return t.paint(red, "in use, of a limit of 0")
	}
	colour := green
	if limits := slices.Sorted(maps.Values(r.Thresholds)); len(limits) == 0 {
		colour = faint
	} else if ratio >= limits[len(limits)-1] {
		colour = red
	} else if ratio >= limits[0] {
		colour = yellow
	}
	return t.paint(colour, fmt.Sprintf("%s %5.1f %%", t.bar(ratio, width), ratio*100))
}

// number writes an amount as a person does; "-" for what was not reported.
func number(n *float64) string {
	switch {
	case n == nil:
		return "-"
	case math.IsInf(*n, 1):
		return "none"
	default:
		return strconv.FormatFloat(*n, 'f', -1, 64)
	}
}
