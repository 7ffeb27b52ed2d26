package command

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/printable"
	"cloud_quota_exporter/providers"
)

// Services holds the flags of services.
type Services struct {
	Output string // "json"; otherwise a table
}

// Run shows the catalogue of services. With a configuration, it also shows the user's own APIs and which services are enabled. It
// sends no requests.
func (s Services) Run(ctx context.Context, t Terminal, configFile string) error {
	list := serviceList{known: providers.All()}
	if configFile != "" {
		c, err := config.Load(ctx, configFile, list.known, anywhere)
		if err != nil {
			return err
		}
		list = serviceList{c.Known, c.Services}
	}
	out := &Output{Writer: t.Out}
	t.Out = out
	if s.Output == "json" {
		if err := list.writeJSON(t.Out); err != nil {
			return err
		}
	} else {
		list.write(t)
	}
	if out.Err != nil {
		return fmt.Errorf("write the result: %w", out.Err)
	}
	return nil
}

// serviceList is the list to show.
type serviceList struct {
	known    []providers.Service
	settings map[string]config.Service // nil without a configuration
}

const servicesLegend = `
DEFAULT: enabled unless the configuration says otherwise. To enable a service: services: {ecs: {enabled: true}}
EVIDENCE: document is a page of the API reference; openapi is an OpenAPI definition
(role): name in role/policy authorization, if it differs from the name in identity policies or is the only known one
none: documented as needing no action
unverified: not described by a current page of the API reference or an OpenAPI definition; responses may differ
`

// write shows one line per service, or several if the terminal is too narrow.
func (l serviceList) write(t Terminal) {
	var wide, narrow table
	head := l.row("SERVICE", "LEVEL", "DEFAULT", "ENABLED")
	wide.add(append(slices.Clone(head), "EVIDENCE", "METHOD", "PATH", "HOST", "ACTION", "PRODUCT")...)
	narrow.add(append(slices.Clone(head), "EVIDENCE", "ACTION")...)
	requests := map[int][]string{} // below rows of narrow
	for _, s := range l.known {
		row := append(l.row(s.Name, s.API.Level(), yes(s.Enabled), yes(l.settings[s.Name].Enabled)), evidence(s))
		hosts, actions := strings.Join(s.API.Host.Names(), ", "), needs(s, s.Options)
		wide.add(append(slices.Clone(row), http.MethodGet, s.API.Path, hosts, strings.Join(actions, ", "), s.Product)...)
		for i, action := range actions {
			if i > 0 {
				row = make([]string, len(row))
			}
			narrow.add(append(slices.Clone(row), action)...)
		}
		requests[len(narrow)-1] = []string{printable.Text(fmt.Sprintf("%s: %s %s", s.Product, http.MethodGet, s.API.Path)), printable.Text("at " + hosts)}
	}
	if lines := wide.lines(); t.Width == 0 || !slices.ContainsFunc(lines, func(line string) bool { return printable.Width(line) > t.Width }) {
		_, _ = fmt.Fprintln(t.Out, strings.Join(trimmed(lines), "\n"))
	} else {
		indent := strings.Repeat(" ", narrow.width(0)+2)
		for i, line := range trimmed(narrow.lines()) {
			_, _ = fmt.Fprintln(t.Out, line)
			request := strings.Join(requests[i], " ")
			if request == "" {
				continue
			}
			if printable.Width(indent+request) > t.Width {
				request = strings.Join(requests[i], "\n"+indent)
			}
			_, _ = fmt.Fprintln(t.Out, t.paint(faint, indent+request))
		}
	}
	_, _ = fmt.Fprint(t.Out, servicesLegend)
}

// row returns the first cells of a row. The last one, ENABLED, needs a configuration.
func (l serviceList) row(cells ...string) []string {
	if l.settings == nil {
		return cells[:len(cells)-1]
	}
	return cells
}

func trimmed(lines []string) []string {
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return lines
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// evidence names the kind of document that describes the API of a service.
func evidence(s providers.Service) string {
	if s.IsVerified() {
		return s.Evidence
	}
	return "unverified: " + s.Evidence
}

// needs returns the IAM actions that a service needs with the given options, as far as they are documented.
func needs(s providers.Service, options map[string]bool) []string {
	names := s.API.Action.Names()
	switch {
	case len(names) == 0 && s.IsOwn():
		names = []string{"not configured: api.action"}
	case len(names) == 0:
		names = []string{"not documented: " + s.Role()}
	}
	for _, option := range slices.Sorted(maps.Keys(s.OptionActions)) {
		if options[option] {
			names = append(names, s.OptionActions[option].Names()...)
		}
	}
	return names
}

// catalogueJSON is the output of services with --output json. Its keys are stable.
type catalogueJSON struct {
	Services []serviceJSON `json:"services"`
}

// serviceJSON is a service. An unknown or unset number, list, or boolean is null; an unknown or unset text is empty.
type serviceJSON struct {
	Name          string                `json:"name"`
	Product       string                `json:"product"`
	Title         string                `json:"title"`
	Level         string                `json:"level"`
	Default       bool                  `json:"default"` // whether it is enabled unless the configuration says otherwise
	Enabled       *bool                 `json:"enabled"` // by the configuration; null without one
	Method        string                `json:"method"`
	Path          string                `json:"path"`
	Host          map[string]string     `json:"host"` // by region, and "default"
	Actions       actionJSON            `json:"actions"`
	OptionActions map[string]actionJSON `json:"option_actions"` // actions that options need in addition
	Evidence      string                `json:"evidence"`
	Verified      bool                  `json:"verified"`
	ResourceTypes []string              `json:"resource_types"` // null if the API names them
	Units         []unitJSON            `json:"units"`          // that the API does not report
	NoLimit       *float64              `json:"no_limit"`
	Unknown       *float64              `json:"unknown"`
	Inferred      string                `json:"inferred"`
	Skip          string                `json:"skip"` // pattern of types that are skipped
	Notes         string                `json:"notes"`
	Overlap       string                `json:"overlap"`
	Muted         []string              `json:"muted"`
	CacheTTL      string                `json:"cache_ttl"` // default of the service; empty if that of services.defaults applies
	Options       map[string]bool       `json:"options"`   // with their defaults
}

type actionJSON struct {
	Identity string `json:"identity"`
	Role     string `json:"role"`
}

// unitJSON is the unit of the types that match a pattern.
type unitJSON struct {
	Types string `json:"types"`
	Unit  string `json:"unit"`
}

func (l serviceList) writeJSON(w io.Writer) error {
	var c catalogueJSON
	for _, s := range l.known {
		j := newServiceJSON(s)
		if settings, ok := l.settings[s.Name]; ok {
			j.Enabled = &settings.Enabled
		}
		c.Services = append(c.Services, j)
	}
	return encode(w, c)
}

func newServiceJSON(s providers.Service) serviceJSON {
	a := s.API
	j := serviceJSON{
		Name: s.Name, Product: s.Product, Title: s.Title, Level: a.Level(), Default: s.Enabled,
		Method: http.MethodGet, Path: a.Path, Host: a.Host.Regions(),
		Actions: actionJSON(a.Action), OptionActions: map[string]actionJSON{}, Evidence: s.Evidence, Verified: s.IsVerified(),
		ResourceTypes: a.ResourceTypes(), Units: []unitJSON{}, NoLimit: a.NoLimit, Unknown: a.Unknown,
		Inferred: s.Inferred, Notes: s.Notes, Overlap: s.Overlap, Muted: append([]string{}, s.Muted...), Options: map[string]bool{},
	}
	maps.Copy(j.Options, s.Options)
	for option, action := range s.OptionActions {
		j.OptionActions[option] = actionJSON(action)
	}
	for _, p := range a.Pairs {
		if p.Unit != "" {
			j.Units = append(j.Units, unitJSON{regexp.QuoteMeta(p.Type), p.Unit})
		}
	}
	for _, u := range a.Units {
		j.Units = append(j.Units, unitJSON{expression(u.Types), u.Unit})
	}
	if a.Skip != nil {
		j.Skip = expression(a.Skip)
	}
	if s.CacheTTL > 0 {
		j.CacheTTL = config.Short(s.CacheTTL)
	}
	return j
}

// encode writes indented JSON.
func encode(w io.Writer, answer any) error {
	e := json.NewEncoder(printable.Writer{Writer: w})
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(answer); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}
