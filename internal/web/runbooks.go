package web

import (
	_ "embed" // the page
	"html/template"
	"maps"
	"net/http"
	"regexp"
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

// runbook is the page of an alert, or the list of all. Text is Markdown, which is shown as it is, apart from its links.
type runbook struct {
	Version, Alert, Unknown string
	Text                    []piece
	Alerts                  []string
}

// piece is a part of a text. Link is empty, or where it leads.
type piece struct{ Text, Link string }

// link is one in Markdown, or a word that may be the name of an alert.
var link = regexp.MustCompile(`\[([^\][]+)\]\(([^()\s]+)\)|\b[A-Z]\w+`)

// pieces finds the links to other runbooks and to the web. Those to other documents of the repository, which the exporter does not serve, stay text.
func (h *handler) pieces(alert string) (all []piece) {
	_, text, _ := strings.Cut(h.runbooks[alert], "\n\n") // the title is the page's
	shown := 0
	for _, m := range link.FindAllStringSubmatchIndex(text, -1) {
		p := piece{Text: text[m[0]:m[1]]}
		to := p.Text
		if m[2] >= 0 {
			p.Text, to = text[m[2]:m[3]], text[m[4]:m[5]]
		}
		name := strings.TrimSuffix(to, ".md")
		switch {
		case h.runbooks[name] != "" && name != alert:
			p.Link = name
		case strings.HasPrefix(to, "https://"):
			p.Link = to
		default:
			continue
		}
		all, shown = append(all, piece{Text: text[shown:m[0]]}, p), m[1]
	}
	return append(all, piece{Text: text[shown:]})
}

// runbook serves the runbook of an alert, by its name or the name of its file, so that links have the same form as those to a repository. An alert that is
// not known is a 404 with those that are.
func (h *handler) runbook(w http.ResponseWriter, r *http.Request) {
	page, code := runbook{Version: h.Version, Alert: strings.TrimSuffix(r.PathValue("alert"), ".md")}, http.StatusOK
	if h.runbooks[page.Alert] == "" {
		page.Unknown, page.Alert, page.Alerts = page.Alert, "", slices.Sorted(maps.Keys(h.runbooks))
		if page.Unknown != "" {
			code = http.StatusNotFound
		}
	} else {
		page.Text = h.pieces(page.Alert)
	}
	h.show(w, code, runbookPage, page)
}
