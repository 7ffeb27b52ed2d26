package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed" // the page's parts
	"encoding/base64"
	"html/template"
	"net/http"
	"slices"
	"time"

	"github.com/go-kit/log/level"

	"cloud_quota_exporter/internal/fleet"
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
		"style":  func() template.CSS { return template.CSS(statusStyle) }, //nolint:gosec // part of the program
		"script": func() template.JS { return template.JS(statusScript) },  //nolint:gosec // part of the program
	}).Parse(statusText))

	// Nothing but these two texts may style the page or run in it, whatever the cloud tells.
	statusPolicy = "default-src 'none'; style-src " + hashSource(statusStyle) + "; script-src " + hashSource(statusScript) +
		"; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

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
	page := h.page(ctx, filter)
	var text bytes.Buffer
	if err := statusPage.Execute(&text, page); err != nil {
		_ = level.Error(h.Logger).Log("msg", "a defect of this program, please report it: the status page can't be written", "err", err)
		http.Error(w, "the status page can't be written, the log tells why; "+h.TelemetryPath+" has the same numbers", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", statusPolicy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
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
	if err := fleet.CheckNames("service", filter.Services, h.Fleet.Services()); err != nil {
		return fleet.Filter{}, err
	}
	return filter, h.checkProjects(ctx, "project", filter.Projects)
}

// page reads what the page shows.
func (h *handler) page(ctx context.Context, filter fleet.Filter) page {
	f := facts{filter: filter, readings: h.Fleet.Read(ctx, filter), accounts: h.Fleet.Accounts(), services: h.Fleet.Services()}
	projects, incomplete := h.Fleet.Known()
	f.projects, f.complete = projects, len(incomplete) == 0
	f.now = time.Now()
	p := newPage(f)
	p.Version, p.TelemetryPath = h.Version, h.TelemetryPath
	return p
}
