package web

import (
	_ "embed" // the page
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"cloud_quota_exporter/internal/printable"
)

const runbooksPath = "/runbooks"

var (
	//go:embed ui/runbook.tmpl
	runbookText string

	runbookPage = template.Must(template.New("runbook").Funcs(template.FuncMap{"style": style, "text": printable.Text}).Parse(runbookText))
)

// runbook is the page of an alert, or the list of all.
type runbook struct {
	Version, Alert, Unknown string
	Text                    template.HTML
	Alerts                  []string
}

// runbook serves the runbook of an alert, by its name or the name of its file, so that links have the same form as those to a repository. An unknown
// alert is a 404 with a list of the known ones.
func (h *handler) runbook(w http.ResponseWriter, r *http.Request) {
	page, code := runbook{Version: h.Version}, http.StatusOK
	alert := strings.TrimSuffix(r.PathValue("alert"), ".md")
	if text := h.runbooks[alert]; text != "" {
		page.Alert, page.Text = alert, text
	} else {
		page.Alerts = slices.Sorted(maps.Keys(h.runbooks))
		if page.Unknown = alert; alert != "" {
			code = http.StatusNotFound
		}
	}
	h.show(w, code, runbookPage, page)
}
