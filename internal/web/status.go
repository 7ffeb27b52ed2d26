package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed" // the parts of the page
	"encoding/base64"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-kit/log/level"

	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/printable"
	"cloud_quota_exporter/internal/report"
)

// pageTimeout is how long the status page waits for the cloud. It shows the values known by then. Later ones are shown when it is reloaded.
const pageTimeout = 3 * time.Second

var (
	//go:embed ui/status.tmpl
	statusText string
	//go:embed ui/status.css
	statusStyle string
	//go:embed ui/status.js
	statusScript string

	// Style and script are part of the page, so that one response contains everything, in the same version, and nothing is cached.
	statusPage = template.Must(template.New("status").Funcs(template.FuncMap{
		"style":  style,
		"script": func() template.JS { return template.JS(statusScript) }, //nolint:gosec // embedded
		"named":  named,
		"plural": plural,
		"number": func(n int) string { return printable.Grouped(float64(n)) },
		"text":   printable.Text,
	}).Parse(statusText))

	// Only these two texts may style a page or run in it, whatever the cloud sends.
	pagePolicy = "default-src 'none'; style-src " + hashSource(statusStyle) + "; script-src " + hashSource(statusScript) +
		"; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

func style() template.CSS { return template.CSS(statusStyle) } //nolint:gosec // embedded

// hashSource allows one text in a Content-Security-Policy.
func hashSource(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// status serves the status page. It fetches like a scrape, so it causes no more API requests.
func (h *handler) status(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), pageTimeout)
	defer cancel()
	wanted, err := h.pageRequest(ctx, r)
	if err != nil {
		h.refuse(w, err)
		return
	}
	h.show(w, http.StatusOK, statusPage, h.page(ctx, wanted))
}

// show writes a page for people.
func (h *handler) show(w http.ResponseWriter, code int, t *template.Template, page any) {
	var text bytes.Buffer
	if err := t.Execute(&text, page); err != nil {
		_ = level.Error(h.Logger).Log("msg", "Failed to write a page; please report this bug", "page", t.Name(), "err", err)
		http.Error(w, "failed to write the page; the log shows why, and "+h.Routes.Prefix+h.TelemetryPath+" has the values", http.StatusInternalServerError)
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
	_, _ = w.Write(text.Bytes()) // the client has disconnected
}

// page is the data of the status page. Its texts are ready to be shown.
type page struct {
	Version, Metrics string // To is a relative link

	Now                time.Time
	PageTimeout        time.Duration
	Complete, Filtered bool
	Words              string
	Choices            []choice
	Summary            []count
	Problems           problems
	Quotas             quotas
	Sources            matrix
	Accounts           accounts
}

// quotas are the quotas on the page, and their position among those that match the filter.
type quotas struct {
	Span     span
	All      int // whether they match or not
	Sections []section
}

// maxOptions is how many values a filter lists. If there are more, the user types the value.
const maxOptions = 200

// choice is a filter with several values.
type choice struct {
	Label, Name, Value string
	All                int
	Options            []option // none if there are more than maxOptions
}

// option is a value of a filter.
type option struct {
	Name     string
	Selected bool
}

// newChoice returns the filter of a parameter.
func (r request) newChoice(label, name string, values []string) choice {
	c := choice{Label: label, Name: name, Value: r.query.Get(name), All: len(values)}
	if len(values) <= maxOptions {
		for _, value := range values {
			c.Options = append(c.Options, option{value, slices.Contains(r.query[name], value)})
		}
	}
	return c
}

// page fetches the data of the page.
func (h *handler) page(ctx context.Context, wanted request) page {
	readings, known := h.Fleet.Read(ctx, wanted.Filter), h.Fleet.Accounts()
	_, incomplete := h.Fleet.Known()
	unverified := h.Fleet.Unverified()
	now := time.Now()
	all := rank(readings)
	fitting := all
	if wanted.state != "" || len(wanted.words) > 0 {
		fitting = slices.DeleteFunc(slices.Clone(all), func(q ranked) bool { return !wanted.fits(q, unverified) })
	}
	shown := wanted.span(listOfQuotas, len(fitting), "quotas")
	return page{
		Version: h.Version, Metrics: strings.TrimPrefix(h.TelemetryPath, "/"),
		Now: now.UTC(), PageTimeout: pageTimeout, Complete: len(incomplete) == 0, Filtered: wanted.isFiltered(),
		Words: wanted.query.Get("filter"),
		Choices: []choice{
			wanted.newChoice("Project", "project", h.Fleet.Projects()),
			wanted.newChoice("Service", "service", slices.Sorted(slices.Values(h.Fleet.Services()))),
			wanted.newChoice("State", "state", wanted.states(all)),
		},
		Summary:  append(wanted.urgent(all), sources(readings, len(all))...),
		Problems: newProblems(now, wanted, known, readings),
		Quotas:   quotas{shown, len(all), newSections(now, entries(shown, fitting), unverified)},
		Sources:  newMatrix(wanted, readings, unverified),
		Accounts: newAccounts(wanted, known),
	}
}

// count is a number in the summary, with a link to details.
type count struct{ Text, Class, To string }

// maxCounts is the maximum number of severities in the summary.
const maxCounts = 20

// urgent counts the quotas at a threshold by severity, the highest first.
func (r request) urgent(quotas []ranked) []count {
	var worst []ranked // the first of each severity
	counts := map[string]int{}
	for _, q := range quotas {
		if q.level < report.OK {
			if counts[q.state]++; counts[q.state] == 1 {
				worst = append(worst, q)
			}
		}
	}
	var all []count
	for _, q := range worst[:min(len(worst), maxCounts)] {
		all = append(all, count{printable.Grouped(float64(counts[q.state])) + " " + q.state, classes[q.level], r.only("state", q.state) + "#quotas"})
	}
	if len(all) == 0 && len(quotas) > 0 {
		all = append(all, count{"no quota at a threshold", good, "#quotas"})
	}
	return all
}

// states returns the states of the quotas, the worst first, and the requested one.
func (r request) states(quotas []ranked) []string {
	var states []string
	add := func(state string) {
		if state != "" && !slices.Contains(states, state) {
			states = append(states, state)
		}
	}
	for _, q := range quotas {
		add(q.state)
	}
	add(r.state)
	return states
}

// sources counts the outcomes of the sources.
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
		all = append(all, count{printable.Grouped(float64(failing)) + " of " + plural(offered, "source") + " failing", alarm, "#problems"})
	}
	if unread > 0 {
		all = append(all, count{plural(unread, "source") + " not fetched yet", warn, "#sources"})
	}
	if failing+unread == 0 && offered > 0 {
		all = append(all, count{plural(offered, "source") + " fetched", good, "#sources"})
	}
	return append(all, count{plural(quotas, "quota"), "", "#quotas"})
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return printable.Grouped(float64(n)) + " " + what
}

// CSS classes, which select colors.
const (
	alarm = "alarm" // at the highest threshold, or failing
	warn  = "warn"  // at some threshold
	good  = "good"
	muted = "muted" // muted
)

// classes are those of the levels.
var classes = map[report.Level]string{report.Critical: alarm, report.Warning: warn, report.Muted: muted}
