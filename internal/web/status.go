package web

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed" // the page's parts
	"encoding/base64"
	"fmt"
	"html/template"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-kit/log/level"

	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/printable"
	"cloud_quota_exporter/internal/report"
)

// pageTimeout is how long the status page waits for the cloud: it shows what is known then, and what comes later when it is loaded again.
const pageTimeout = 3 * time.Second

var (
	//go:embed ui/status.tmpl
	statusText string
	//go:embed ui/status.css
	statusStyle string
	//go:embed ui/status.js
	statusScript string

	// Style and script stand in the page, so that it is one answer, and none of another version or kept too long.
	statusPage = template.Must(template.New("status").Funcs(template.FuncMap{
		"style":  style,
		"script": func() template.JS { return template.JS(statusScript) }, //nolint:gosec // part of the program
		"join":   strings.Join,
		"plural": plural,
		"number": func(n int) string { return printable.Grouped(float64(n)) },
		"text":   printable.Text,
	}).Parse(statusText))

	// Nothing but these two texts may style a page or run in it, whatever the cloud sends.
	pagePolicy = "default-src 'none'; style-src " + hashSource(statusStyle) + "; script-src " + hashSource(statusScript) +
		"; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

func style() template.CSS { return template.CSS(statusStyle) } //nolint:gosec // part of the program

// hashSource allows one text in a Content-Security-Policy, and no other.
func hashSource(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// status serves the page for people. It reads as a scrape does, and so costs the cloud no more calls.
func (h *handler) status(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), pageTimeout)
	defer cancel()
	filter, err := h.pageFilter(ctx, r)
	if err != nil {
		h.refuse(w, err)
		return
	}
	h.show(w, http.StatusOK, statusPage, h.page(ctx, filter))
}

// show writes a page for people.
func (h *handler) show(w http.ResponseWriter, code int, t *template.Template, page any) {
	var text bytes.Buffer
	if err := t.Execute(&text, page); err != nil {
		_ = level.Error(h.Logger).Log("msg", "a defect of this program, please report it: failed to write a page", "page", t.Name(), "err", err)
		http.Error(w, "failed to write the page, the log shows why; "+h.Routes.Prefix+h.TelemetryPath+" has the numbers", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", pagePolicy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(text.Bytes()) // who has gone needs no answer
}

// pageFilter reads the parameters project and service; an empty one, as a form sends it, asks for all.
func (h *handler) pageFilter(ctx context.Context, r *http.Request) (fleet.Filter, error) {
	query, err := parseQuery(r, "project", "service")
	if err != nil {
		return fleet.Filter{}, err
	}
	given := func(name string) []string {
		return slices.DeleteFunc(query[name], func(v string) bool { return v == "" })
	}
	filter := fleet.Filter{Services: given("service"), Projects: given("project")}
	if err := h.Fleet.CheckServices("service", filter.Services); err != nil {
		return fleet.Filter{}, err
	}
	return filter, h.checkProjects(ctx, "project", filter.Projects)
}

// page is the status page, ready to be written: its texts are what people read.
type page struct {
	Version, Metrics string // the latter is a relative link

	Now                time.Time
	PageTimeout        time.Duration
	Complete, Filtered bool
	Projects, Services []option
	Summary            []count
	Problems, Folded   []problem // the latter are those beyond maxProblems
	Quotas             []section
	MaxRows, AllQuotas int // AllQuotas is how many there are, if these are more than MaxRows; else 0
	Sources            matrix
	Accounts           []account
	LeavesOut          bool // some account a project
}

// option is a choice of the filter.
type option struct {
	Name     string
	Selected bool
}

// count is a number of the summary, and the part of the page that has more of it.
type count struct{ Text, Class, Target string }

// account is an account of the configuration.
type account struct {
	Name, State, Class string
	Projects           int
	Skipped            []string
}

// page reads what the page shows.
func (h *handler) page(ctx context.Context, filter fleet.Filter) page {
	readings, accounts := h.Fleet.Read(ctx, filter), h.Fleet.Accounts()
	projects, incomplete := h.Fleet.Known()
	unverified := h.Fleet.Unverified()
	now := time.Now()
	p := page{
		Version: h.Version, Metrics: strings.TrimPrefix(h.TelemetryPath, "/"),
		Now: now.UTC(), PageTimeout: pageTimeout, MaxRows: maxRows, Complete: len(incomplete) == 0, Filtered: !isAll(filter),
		Problems: newProblems(now, accounts, readings), Quotas: newSections(now, readings, unverified), Sources: newMatrix(readings, unverified),
	}
	for _, project := range projects {
		p.Projects = append(p.Projects, option{project.Label, slices.Contains(filter.Projects, project.Label)})
	}
	for _, service := range slices.Sorted(slices.Values(h.Fleet.Services())) {
		p.Services = append(p.Services, option{service, slices.Contains(filter.Services, service)})
	}
	for _, a := range accounts {
		shown := newAccount(a)
		p.Accounts = append(p.Accounts, shown)
		p.LeavesOut = p.LeavesOut || len(shown.Skipped) > 0
	}
	p.Summary = summary(readings, p.Quotas)
	first := min(maxProblems, len(p.Problems))
	p.Problems, p.Folded = p.Problems[:first], p.Problems[first:]
	p.Quotas, p.AllQuotas = firstRows(p.Quotas)
	return p
}

func newAccount(a fleet.Account) account {
	shown := account{Name: a.Name, State: "ok", Projects: a.Projects, Skipped: slices.Clone(a.Skipped)}
	if n := a.Unreadable.Count; n > 0 {
		shown.Skipped = append(shown.Skipped, fmt.Sprintf("%d that can't be read", n))
	}
	if a.Beyond > 0 {
		shown.Skipped = append(shown.Skipped, fmt.Sprintf("%d beyond max_projects", a.Beyond))
	}
	switch {
	case a.DiscoveryErr != nil:
		shown.State, shown.Class = "discovery fails", alarm
	case a.Empty != nil:
		shown.State, shown.Class = fleet.NoProjects, alarm
	case !a.Asked:
		shown.State, shown.Class = "not asked yet", muted
	case !a.Up:
		shown.State, shown.Class = "no keys", alarm
	}
	return shown
}

// summary is what a person sees first.
func summary(readings []*fleet.Reading, sections []section) []count {
	quotas := 0
	var worst []row // the first of each severity
	counts := map[string]int{}
	for _, s := range sections {
		quotas += len(s.Rows)
		for _, row := range s.Rows {
			if row.Class == alarm || row.Class == warn {
				if counts[row.State]++; counts[row.State] == 1 {
					worst = append(worst, row)
				}
			}
		}
	}
	var all []count
	for _, row := range worst {
		all = append(all, count{printable.Grouped(float64(counts[row.State])) + " " + row.State, row.Class, "quotas"})
	}
	if len(all) == 0 && quotas > 0 {
		all = append(all, count{"no quota at a threshold", good, "quotas"})
	}
	return append(all, sources(readings, quotas)...)
}

// sources counts what became of the sources.
func sources(readings []*fleet.Reading, quotas int) []count {
	offered, failing, unread := 0, 0, 0
	for _, r := range readings {
		if r.NotOffered {
			continue
		}
		offered++
		if r.State.Err != nil {
			failing++
		} else if r.State.ReadAt.IsZero() {
			unread++
		}
	}
	var all []count
	if failing > 0 {
		all = append(all, count{printable.Grouped(float64(failing)) + " of " + plural(offered, "source") + " failing", alarm, "problems"})
	}
	if unread > 0 {
		all = append(all, count{plural(unread, "source") + " not read yet", warn, "sources"})
	}
	if failing+unread == 0 && offered > 0 {
		all = append(all, count{plural(offered, "source") + " read", good, "sources"})
	}
	return append(all, count{plural(quotas, "quota"), "", "quotas"})
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return printable.Grouped(float64(n)) + " " + what
}

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
	Unverified                 bool // the service
	Bar                        *bar
	Note                       string // if there is no bar: why
	Used, Limit, Remaining     string
	Requestable                string // the highest limit that can be requested, if that is more
	Read                       age
	Failing                    bool // the source, since the numbers were read

	group int     // quotas whose ratio means something come first
	ratio float64 // the higher, the worse
}

// bar is a <meter> from 0 to 1. Low and High are the lowest and the highest threshold; empty for a muted quota.
type bar struct{ Value, Low, High, Percent string }

// newSections makes rows of all quotas. Those without a threshold are muted: the configuration says that they may well be full, and so
// they must not stand before what runs out first.
func newSections(now time.Time, readings []*fleet.Reading, unverified []string) []section {
	var due, silent []row
	for _, r := range readings {
		read, unverified := newAge(now, r.State.ReadAt), slices.Contains(unverified, r.Service)
		for _, q := range r.Quotas {
			shown := newRow(q)
			shown.Project, shown.Service, shown.Resource = r.Project.Label, r.Service, q.ResourceType
			shown.Unverified, shown.Read, shown.Failing = unverified, read, r.State.Err != nil
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

// maxRows is how many quotas the page shows: a browser is slow with more, and the worst come first.
const maxRows = 5000

// firstRows leaves out what is beyond maxRows. It returns how many rows there were; 0 if all are shown.
func firstRows(sections []section) (shown []section, all int) {
	for _, s := range sections {
		rest := max(maxRows-all, 0)
		all += len(s.Rows)
		if s.Rows = s.Rows[:min(rest, len(s.Rows))]; len(s.Rows) > 0 {
			shown = append(shown, s)
		}
	}
	if all <= maxRows {
		all = 0
	}
	return shown, all
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
		shown.group, shown.Note = unlimited, report.NoLimit
	case math.IsInf(ratio, 1):
		shown.ratio, shown.Note = ratio, report.LimitOfZero
	case known && !q.Measured():
		shown.ratio, shown.Note = ratio, "limit not reported"
	case known:
		shown.ratio, shown.Bar = ratio, newBar(ratio, q.Thresholds)
	case q.Limit == nil && q.Remaining != nil:
		shown.group, shown.Note = remaining, "limit not reported"
	case q.Limit != nil && q.Used == nil:
		shown.group, shown.Note = empty, "use not reported"
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
	b := &bar{Value: full(ratio), Percent: printable.Percent(ratio)}
	if limits := slices.Sorted(maps.Values(thresholds)); len(limits) > 0 {
		b.Low, b.High = full(limits[0]), full(limits[len(limits)-1])
	}
	return b
}

// maxProblems are shown at once, so that quotas are not far below: without a permission, each of forty services is a problem.
const maxProblems = 10

// maxCases of a problem are shown in full: with hundreds of projects, what they have in common says more, and the sources are all listed.
const maxCases = 50

// problem is what is wrong with several sources alike.
type problem struct {
	Reason, Where, Remedy, Class string

	First problemCase
	More  []problemCase
	Rest  int // cases beyond these
}

// problemCase is one source that has a problem.
type problemCase struct {
	Source string // empty if there is no doubt
	What   string
	Read   age  // of the last numbers
	Failed bool // the source, so that these numbers are all there is
	TooOld bool // to be shown
}

func newProblems(now time.Time, accounts []fleet.Account, readings []*fleet.Reading) []problem {
	var all []problem
	failure := func(r *fleet.Reading) error { return cmp.Or(r.State.Err, r.Waits()) } // that a source is not read yet is no problem otherwise
	for _, p := range report.Problems(accounts, readings, failure) {
		cause, others := p.Cause()
		shown := problem{Reason: p.Reason, Where: p.Where(), Remedy: p.Remedy, Class: warn, First: newCase(now, p, cause)}
		if p.Failed && p.Reason != fleet.NotAsked {
			shown.Class = alarm
		}
		for i, c := range others {
			if i+1 == maxCases {
				shown.Rest = len(p.Cases) - maxCases
				break
			}
			shown.More = append(shown.More, newCase(now, p, c))
		}
		all = append(all, shown)
	}
	slices.SortStableFunc(all, func(a, b problem) int { return cmp.Compare(a.Class, b.Class) }) // alarm, then warn
	return all
}

func newCase(now time.Time, p *report.Problem, c report.Case) problemCase {
	t := problemCase{What: c.What}
	if r := c.Reading; r != nil {
		t.Failed, t.TooOld, t.Read = p.Failed, r.TooOld, newAge(now, r.State.ReadAt)
		if len(p.Cases) > 1 { // otherwise Where says it
			t.Source = r.Service + " in " + r.Project.Label
		}
	}
	return t
}

// age is a time in the past, for people and for programs; both are empty for one that never was.
type age struct{ At, Text string }

func newAge(now, at time.Time) age {
	if at.IsZero() {
		return age{}
	}
	text := ""
	switch d := max(now.Sub(at), 0); {
	case d < time.Minute:
		text = fmt.Sprintf("%.0f s ago", d.Truncate(time.Second).Seconds())
	case d < time.Hour:
		text = fmt.Sprintf("%d min ago", d/time.Minute)
	case d < 48*time.Hour:
		text = fmt.Sprintf("%d h ago", d/time.Hour)
	default:
		text = fmt.Sprintf("%d days ago", d/(24*time.Hour))
	}
	return age{at.UTC().Format(time.RFC3339), text}
}

// amount writes a number of a quota with its unit, which stay on one line.
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
