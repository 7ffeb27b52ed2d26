package web

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/printable"
	"cloud_quota_exporter/internal/report"
)

// section is a group of quotas, highest utilization first.
type section struct {
	Title string // empty for quotas on which alerts fire
	Rows  []row
}

// row is one quota.
type row struct {
	Class, State               string // State is the highest severity that is reached, or another state
	Project, Service, Resource string
	Unverified                 bool // the service
	Bar                        *bar
	Note                       string // the reason if there is no bar
	Used, Limit, Remaining     string
	Requestable                string // the highest limit that can be requested, if it is higher
	Read                       age
	Failing                    bool // the source, since the values were fetched
}

// bar is a <meter> from 0 to 1. Low and High are the lowest and the highest threshold; empty for a muted quota.
type bar struct{ Value, Low, High, Percent string }

// ranked is a quota with its sort keys.
type ranked struct {
	*fleet.Quota

	source *fleet.Reading
	state  string  // the severity that is reached, or muted
	ratio  float64 // higher is worse
	group  int     // quotas with a meaningful ratio come first
	level  report.Level
	at     int // index in the readings
}

// rank returns all quotas, highest utilization first. Those without a threshold are muted. The configuration allows them to be full, so they come
// after the others.
func rank(readings []*fleet.Reading) []ranked {
	n := 0
	for _, r := range readings {
		n += len(r.Quotas)
	}
	all := make([]ranked, 0, n)
	for _, r := range readings {
		for i := range r.Quotas {
			q := ranked{Quota: &r.Quotas[i], source: r, at: len(all)}
			q.group, q.ratio, _ = place(r.Quotas[i])
			if q.state, q.level = report.Severity(r.Quotas[i]); q.level == report.Muted {
				q.state = muted
			}
			all = append(all, q)
		}
	}
	slices.SortFunc(all, func(a, b ranked) int {
		isMuted := func(q ranked) int { return max(int(q.level), int(report.OK)) }
		return cmp.Or(isMuted(a)-isMuted(b), a.group-b.group, cmp.Compare(b.ratio, a.ratio), a.at-b.at)
	})
	return all
}

// fits reports whether a quota has the requested state, and contains all words.
func (r request) fits(q ranked, unverified []string) bool {
	if r.state != "" && q.state != r.state {
		return false
	}
	fields := []string{q.source.Project.Label, q.source.Service, q.ResourceType, q.state}
	if len(r.words) > 0 && slices.Contains(unverified, q.source.Service) {
		fields = append(fields, "unverified")
	}
	text := strings.ToLower(printable.Text(strings.Join(fields, " "))) // a word has no space, so it is in one field
	return !slices.ContainsFunc(r.words, func(word string) bool { return !strings.Contains(text, word) })
}

// newSections makes rows of ranked quotas.
func newSections(now time.Time, quotas []ranked, unverified []string) []section {
	var all []section
	for _, q := range quotas {
		title := ""
		if q.level == report.Muted {
			title = "Muted: no alerts fire for these"
		}
		if n := len(all); n == 0 || all[n-1].Title != title {
			all = append(all, section{Title: title})
		}
		last := &all[len(all)-1]
		last.Rows = append(last.Rows, newRow(now, q, slices.Contains(unverified, q.source.Service)))
	}
	return all
}

// The groups of rows, in their order.
const (
	measured  = iota // used of a limit, or nothing left
	remaining        // only the remaining amount is known, so there is no ratio
	unlimited
	empty // 0 of 0, or nothing reported
)

func newRow(now time.Time, q ranked, unverified bool) row {
	r := q.source
	shown := row{
		Class: classes[q.level], State: q.state, Project: r.Project.Label, Service: r.Service, Resource: q.ResourceType, Unverified: unverified,
		Used: amount(q.Used, q.Unit), Limit: amount(q.Limit, q.Unit), Remaining: amount(q.Remaining, q.Unit),
		Read: newAge(now, r.State.ReadAt), Failing: r.State.Err != nil,
	}
	if q.Max != nil && q.Limit != nil && *q.Max > *q.Limit {
		shown.Requestable = amount(q.Max, q.Unit)
	}
	if _, _, shown.Note = place(*q.Quota); shown.Note == "" {
		shown.Bar = newBar(q.ratio, q.Thresholds)
	}
	return shown
}

// place returns the group of a quota and its ratio in it, and the text in place of a bar; empty if there is a bar.
func place(q fleet.Quota) (group int, ratio float64, note string) {
	ratio, known := q.Ratio()
	switch {
	case q.Limit != nil && math.IsInf(*q.Limit, 1):
		return unlimited, 0, report.NoLimit
	case math.IsInf(ratio, 1):
		return measured, ratio, report.LimitOfZero
	case known && !q.Measured():
		return measured, ratio, "limit not reported"
	case known:
		return measured, ratio, ""
	case q.Limit == nil && q.Remaining != nil:
		return remaining, 0, "limit not reported"
	case q.Limit != nil && q.Used == nil:
		return empty, 0, "usage not reported"
	case q.Limit != nil && *q.Limit == 0:
		return empty, 0, "limit 0, none in use"
	default:
		return empty, 0, "not reported"
	}
}

func newBar(ratio float64, thresholds map[string]float64) *bar {
	full := func(n float64) string { return fmt.Sprintf("%.3g", min(max(n, 0), 1)) }
	b := &bar{Value: full(ratio), Percent: printable.Percent(ratio)}
	if limits := slices.Sorted(maps.Values(thresholds)); len(limits) > 0 {
		b.Low, b.High = full(limits[0]), full(limits[len(limits)-1])
	}
	return b
}

// amount formats a value with its unit, which stay on one line.
func amount(n *float64, unit string) string {
	switch unit = printable.Unit(unit); {
	case n == nil:
		return "unknown"
	case math.IsInf(*n, 1):
		return "unlimited"
	case unit == "":
		return printable.Grouped(*n)
	default:
		return printable.Grouped(*n) + "\u00a0" + printable.Text(unit)
	}
}
