package command

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/printable"
	"cloud_quota_exporter/internal/report"
)

// Query holds the flags of query.
type Query struct {
	Once

	Services  []string // all if empty
	Projects  []string // all if empty
	Sort      string   // "usage": by utilization; otherwise by project
	Output    string   // "json"; otherwise a table
	FailAbove float64  // used/limit ratio at or above which a quota causes exit code 2; 0: disabled
}

const maxFailAbove = 10 // a greater value is probably a percentage

// row is one quota and its reading.
type row struct {
	*fleet.Reading
	fleet.Quota

	near float64 // the used/limit ratio; lower than any ratio if unknown
}

// Run fetches all quotas and prints them, or the results so far when ctx ends or the command times out. It returns an *ExitError
// with code 2 if a quota is at or above FailAbove, otherwise with code 1 if a fetch failed or did not finish. Muted quotas (those
// without a threshold) are ignored.
func (q Query) Run(ctx context.Context, t Terminal, configFile string) error {
	if !(q.FailAbove >= 0 && q.FailAbove <= maxFailAbove) {
		return fmt.Errorf("--fail-above is out of range; set a ratio of used to limit such as 0.9, at most %d", maxFailAbove)
	}
	return q.run(ctx, t, configFile, func(ctx context.Context, t Terminal, c *config.Config) error {
		o, err := q.read(ctx, t, c, fleet.Filter{Services: q.Services, Projects: q.Projects})
		if err != nil {
			return err
		}
		rows := q.rows(o.readings)
		if q.Output != "json" {
			writeTable(t, rows)
			o.writeProblems(Terminal{Out: t.Err, Color: t.Color && t.Live}) // what the table does not show
		} else if err := o.writeJSON(t.Out, rows); err != nil {
			return err
		}
		return q.verdict(o, rows)
	})
}

func (q Query) rows(readings []*fleet.Reading) []row {
	var rows []row
	for _, r := range readings {
		for _, quota := range r.Quotas {
			near, known := quota.Ratio()
			if !known {
				near = math.Inf(-1)
			}
			rows = append(rows, row{r, quota, near})
		}
	}
	if q.Sort == "usage" {
		slices.SortStableFunc(rows, func(a, b row) int { // muted quotas last among equal ratios
			return cmp.Or(cmp.Compare(b.near, a.near), min(len(b.Thresholds), 1)-min(len(a.Thresholds), 1))
		})
	}
	return rows
}

func (q Query) verdict(o *outcome, rows []row) error {
	above := 0
	for _, r := range rows {
		if q.FailAbove > 0 && len(r.Thresholds) > 0 && r.near >= q.FailAbove {
			above++
		}
	}
	failed := o.verdict()
	switch text := fmt.Sprintf("%d of %d quotas are at or above %g", above, len(rows), q.FailAbove); {
	case above == 0:
		return failed
	case o.cut != nil: // there may be more
		return &ExitError{exitAbove, text + ", " + failed.Error()}
	default:
		return &ExitError{exitAbove, text}
	}
}

func writeTable(t Terminal, rows []row) {
	var out table
	out.add("PROJECT", "SERVICE", "RESOURCE", "USED", "LIMIT", "REMAINING", "UNIT", "")
	for _, r := range rows {
		out.add(r.Project.Label, r.Service, r.ResourceType, number(r.Used), number(r.Limit), number(r.Remaining), printable.Unit(r.Unit), "")
	}
	for _, column := range []int{3, 4, 5} {
		out.alignRight(column)
	}
	lines := out.lines()
	width := 20
	if t.Width > 0 {
		width = min(max(t.Width-printable.Width(lines[0])-percentWidth-1, 8), 40)
	}
	_, _ = fmt.Fprintln(t.Out, lines[0]+"USED/LIMIT")
	for i, r := range rows {
		_, _ = fmt.Fprintln(t.Out, strings.TrimRight(lines[i+1]+r.bar(t, width), " "))
	}
}

// colors are the colors of the levels.
var colors = map[report.Level]string{report.Critical: red, report.Warning: yellow, report.OK: green, report.Muted: faint}

const percentWidth = len("100.0 %")

// bar draws the ratio with so many columns, in the color of its level. It is full from 1 on.
func (r row) bar(t Terminal, width int) string {
	ratio, known := r.Ratio()
	severity, level := report.Severity(r.Quota)
	switch {
	case isInfinite(r.Limit):
		return t.paint(faint, report.NoLimit)
	case !known:
		return ""
	case isInfinite(&ratio):
		return t.paint(colors[level], report.LimitOfZero)
	case !r.Measured():
		return t.paint(colors[level], cmp.Or(severity, report.Exhausted)+", limit not reported")
	}
	full, empty := "█", "░"
	if t.Width == 0 {
		full, empty = "#", "-"
	}
	n := int(min(max(ratio, 0), 1)*float64(width) + 0.5)
	bar := strings.Repeat(full, n) + strings.Repeat(empty, width-n)
	return t.paint(colors[level], fmt.Sprintf("%s %*s", bar, percentWidth, printable.Percent(ratio)))
}

// number formats an amount for people; "-" if it was not reported.
func number(n *float64) string {
	switch {
	case n == nil:
		return "-"
	case isInfinite(n):
		return "none"
	default:
		return printable.Number(*n)
	}
}

func isInfinite(n *float64) bool { return n != nil && math.IsInf(*n, 0) }

// answer is the output of query with --output json. Its keys are stable.
type answer struct {
	Quotas   []quotaJSON   `json:"quotas"`
	Failures []failureJSON `json:"failures"`
}

// quotaJSON is a quota. Unknown numbers are null. Without a limit, limit is null and unlimited is true. The ratio is null if the
// limit is 0.
type quotaJSON struct {
	Account      string             `json:"account"`
	Project      string             `json:"project"`
	ProjectID    string             `json:"project_id"`
	Region       string             `json:"region"`
	Service      string             `json:"service"`
	ResourceType string             `json:"resource_type"`
	Unit         string             `json:"unit"`
	Used         *float64           `json:"used"`
	Limit        *float64           `json:"limit"`
	Unlimited    bool               `json:"unlimited"`
	Remaining    *float64           `json:"remaining"`
	Ratio        *float64           `json:"ratio"`
	LimitMin     *float64           `json:"limit_min"`
	LimitMax     *float64           `json:"limit_max"`
	Thresholds   map[string]float64 `json:"thresholds"`
	ReadAt       time.Time          `json:"read_at"`
}

// failureJSON is a failed fetch. For the discovery of an account's projects, the service is "iam" and the project is empty. Reason
// is that of cloud_quota_last_failure_reason, or fleet.NoProjects, or fleet.NotAsked or fleet.Unfinished if the command ended first.
// Error is the full text, which ends with the remedy; Remedy repeats it so that scripts need not parse it.
type failureJSON struct {
	Account string `json:"account"`
	Project string `json:"project"`
	Service string `json:"service"`
	Reason  string `json:"reason"`
	Error   string `json:"error"`
	Remedy  string `json:"remedy"`
}

func (o *outcome) writeJSON(w io.Writer, rows []row) error {
	a := answer{Quotas: []quotaJSON{}, Failures: []failureJSON{}}
	for _, r := range rows {
		a.Quotas = append(a.Quotas, r.json())
	}
	fail := func(account, project, service, reason string, err error) {
		a.Failures = append(a.Failures, failureJSON{account, project, service, reason, err.Error(), huaweicloud.Remedy(err)})
	}
	for _, r := range o.readings {
		if err := o.failures[r]; err != nil {
			fail(r.Account, r.Project.Label, r.Service, fleet.Reason(err), err)
		}
	}
	for _, account := range o.accounts {
		if err := account.DiscoveryErr; err != nil {
			fail(account.Name, "", "iam", fleet.Reason(err), err)
		}
		if err := account.Empty; err != nil {
			fail(account.Name, "", "iam", fleet.NoProjects, err)
		}
	}
	return encode(w, a)
}

func (r row) json() quotaJSON {
	finite := func(n *float64) *float64 {
		if isInfinite(n) {
			return nil
		}
		return n
	}
	q := quotaJSON{
		Account: r.Account, Project: r.Project.Label, ProjectID: r.Project.ID, Region: r.Project.Region,
		Service: r.Service, ResourceType: r.ResourceType, Unit: r.Unit,
		Used: r.Used, Limit: finite(r.Limit), Unlimited: isInfinite(r.Limit), Remaining: finite(r.Remaining),
		LimitMin: r.Min, LimitMax: r.Max, Thresholds: map[string]float64{}, ReadAt: r.State.ReadAt.UTC().Truncate(time.Second),
	}
	maps.Copy(q.Thresholds, r.Thresholds)
	if ratio, known := r.Ratio(); known {
		q.Ratio = finite(&ratio)
	}
	return q
}
