package web

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/report"
)

// The classes of what is shown, by which the style colours it.
const (
	alarm = "alarm" // at the highest threshold, or failing
	warn  = "warn"  // at some threshold
	good  = "good"
	muted = "muted" // not to draw attention
)

// classes are those of the levels.
var classes = map[report.Level]string{report.Critical: alarm, report.Warning: warn, report.Muted: muted}

// section is a group of quotas, worst first.
type section struct {
	Title string // empty for those that alerts are due on
	Rows  []row
}

// row is one quota.
type row struct {
	Class, State               string // State is the severity that is reached, or what else there is to know
	Project, Service, Resource string
	Bar                        *bar
	Note                       string // where there is no bar: why
	Used, Limit, Remaining     string
	Requestable                string // the highest limit that can be requested, where that is more
	Read                       age
	Failing                    bool // the source, since the numbers were read

	group int     // quotas whose ratio means something come first
	ratio float64 // the higher, the worse
}

// bar is a <meter> from 0 to 1. Low and High are the lowest and the highest threshold; empty for a muted quota.
type bar struct{ Value, Low, High, Percent string }

// newSections makes rows of all quotas. Those without a threshold are muted: the configuration says that they may well be full, and so
// they must not stand before what runs out first.
func newSections(f facts) []section {
	var due, silent []row
	for _, r := range f.readings {
		read := newAge(f.now, r.State.ReadAt)
		for _, q := range r.Quotas {
			shown := newRow(q)
			shown.Project, shown.Service, shown.Resource = r.Project.Label, r.Service, q.ResourceType
			shown.Read, shown.Failing = read, r.State.Err != nil
			if shown.Class == muted {
				silent = append(silent, shown)
			} else {
				due = append(due, shown)
			}
		}
	}
	var all []section
	for _, s := range []section{{"", due}, {"Muted: no alert is due on these", silent}} {
		if len(s.Rows) > 0 {
			slices.SortStableFunc(s.Rows, func(a, b row) int { return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(b.ratio, a.ratio)) })
			all = append(all, s)
		}
	}
	return all
}

// The groups of rows, in their order.
const (
	measured  = iota // used of a limit, or nothing left
	remaining        // only what remains is known: there is no telling how near the end is
	unlimited
	empty // 0 of 0, or nothing reported
)

func newRow(q fleet.Quota) row {
	shown := row{Used: amount(q.Used, q.Unit), Limit: amount(q.Limit, q.Unit), Remaining: amount(q.Remaining, q.Unit)}
	if q.Max != nil && q.Limit != nil && *q.Max > *q.Limit {
		shown.Requestable = amount(q.Max, q.Unit)
	}
	ratio, known := q.Ratio()
	switch {
	case q.Limit != nil && math.IsInf(*q.Limit, 1):
		shown.group, shown.Note = unlimited, "no limit"
	case math.IsInf(ratio, 1):
		shown.ratio, shown.Note = ratio, "in use, of a limit of 0"
	case known:
		shown.ratio, shown.Bar = ratio, newBar(ratio, q.Thresholds)
	case q.Limit == nil && q.Remaining != nil && *q.Remaining <= 0:
		shown.ratio, shown.Note, shown.State, shown.Class = 1, "limit not reported", "exhausted", alarm
	case q.Limit == nil && q.Remaining != nil:
		shown.group, shown.Note = remaining, "limit not reported"
	case q.Limit != nil && *q.Limit == 0:
		shown.group, shown.Note = empty, "limit 0, none in use"
	default:
		shown.group, shown.Note = empty, "not reported"
	}
	switch severity, level := report.Severity(q); {
	case level == report.Muted:
		shown.Class, shown.State = muted, muted
	case severity != "":
		shown.Class, shown.State = classes[level], severity
	}
	return shown
}

func newBar(ratio float64, thresholds map[string]float64) *bar {
	full := func(n float64) string { return fmt.Sprintf("%.3g", min(max(n, 0), 1)) }
	b := &bar{Value: full(ratio), Percent: fmt.Sprintf("%.1f %%", 100*ratio)}
	if limits := slices.Sorted(maps.Values(thresholds)); len(limits) > 0 {
		b.Low, b.High = full(limits[0]), full(limits[len(limits)-1])
	}
	return b
}
