package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"cloud_quota_exporter/internal/fleet"
)

const (
	probePath = "/probe"

	// exporterMetrics is the value of collect[] for the exporter's own metrics.
	exporterMetrics = "exporter"

	timeoutHeader  = "X-Prometheus-Scrape-Timeout-Seconds"
	defaultTimeout = 10 * time.Second // Prometheus's default, for clients without the header
	longestTimeout = 10 * time.Minute
)

// metrics serves the metrics: those of all sources and of the exporter, unless collect[] and project[] select fewer.
func (h *handler) metrics(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), h.timeout(r))
	defer cancel()
	selected, err := h.selection(ctx, r)
	if err != nil {
		h.refuse(w, err)
		return
	}
	h.scrape(ctx, w, r, selected)
}

// scrape fetches what is selected, and responds in time with the values known by then.
func (h *handler) scrape(ctx context.Context, w http.ResponseWriter, r *http.Request, selected selection) {
	var all gatherers
	if selected.noQuotas {
		h.Fleet.Ask(ctx)
	} else {
		all = append(all, prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return h.families(ctx, selected.Filter), nil }))
	}
	if selected.exporter { // after the scrape, so that its requests are counted
		all = append(all, h.Process)
	}
	promhttp.HandlerFor(all, promhttp.HandlerOpts{
		ErrorLog:          complaints{h.Logger, r},
		ErrorHandling:     promhttp.ContinueOnError, // one invalid metric must not empty the page
		EnableOpenMetrics: true,
	}).ServeHTTP(w, r)
}

// families returns the metrics that a filter selects. A filter that selects everything is no filter.
func (h *handler) families(ctx context.Context, filter fleet.Filter) []*dto.MetricFamily {
	readings := h.Fleet.Read(ctx, filter)
	if isAll(filter) || len(readings) == h.Fleet.Count(fleet.Filter{}) {
		return h.finished.Families(readings)
	}
	return h.finished.Part(readings, h.Fleet.Projects())
}

func isAll(filter fleet.Filter) bool { return len(filter.Services) == 0 && len(filter.Projects) == 0 }

// complaints logs the errors of promhttp. For a client that has disconnected, promhttp reports each family of metrics, which would fill the log.
type complaints struct {
	logger  log.Logger
	request *http.Request
}

// Println is called by promhttp.
func (c complaints) Println(v ...any) {
	logger := level.Error(c.logger)
	if c.request.Context().Err() != nil {
		logger = level.Debug(c.logger)
	}
	_ = logger.Log("msg", strings.TrimSpace(fmt.Sprintln(v...)))
}

// gatherers are called one after the other. They have no family in common, and each is valid by itself. prometheus.Gatherers would check every metric
// again, which takes longer than everything else.
type gatherers []prometheus.Gatherer

// Gather returns the families of all gatherers, sorted by name. An error means that some metrics are missing.
func (g gatherers) Gather() ([]*dto.MetricFamily, error) {
	var families []*dto.MetricFamily
	var all error
	for _, gatherer := range g {
		more, err := gatherer.Gather()
		families = append(families, more...)
		all = errors.Join(all, err)
	}
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return families, all
}

// timeout is the time limit of the scrape: the timeout of Prometheus, minus the offset for writing and sending the response.
func (h *handler) timeout(r *http.Request) time.Duration {
	timeout := defaultTimeout
	if seconds, err := strconv.ParseFloat(r.Header.Get(timeoutHeader), 64); err == nil && seconds > 0 {
		timeout = time.Duration(min(seconds, longestTimeout.Seconds()) * float64(time.Second))
	}
	return max(timeout-h.TimeoutOffset, timeout/2) // an offset beyond the timeout would leave no time at all
}

// selection is what a request selects.
type selection struct {
	fleet.Filter

	noQuotas bool // only the exporter's own metrics
	exporter bool // the exporter's own metrics, too
}

func (h *handler) selection(ctx context.Context, r *http.Request) (selection, error) {
	query, err := parseQuery(r, "collect[]", "project[]")
	if err != nil {
		return selection{}, err
	}
	collect, projects := query["collect[]"], query["project[]"]
	if err := h.Fleet.CheckServices("collect[]", collect, exporterMetrics); err != nil {
		return selection{}, err
	}
	if err := h.checkProjects(ctx, "project[]", projects); err != nil {
		return selection{}, err
	}
	services := slices.DeleteFunc(slices.Clone(collect), func(name string) bool { return name == exporterMetrics })
	return selection{
		Filter:   fleet.Filter{Services: services, Projects: projects},
		noQuotas: len(collect) > 0 && len(services) == 0,
		exporter: len(collect) == 0 || len(services) < len(collect),
	}, nil
}

// incompleteError means that a project is not known yet. It lists the accounts whose projects are not.
type incompleteError []string

// Error names the accounts, and where to find the reason.
func (e incompleteError) Error() string {
	return fmt.Sprintf("some projects are not known yet: the first discovery has not succeeded for %s; "+
		"see the status page or the log for the reason, and try again later", fleet.SomeOf(e))
}

// checkProjects returns an error for an unknown project. It is an incompleteError while it might still be discovered.
func (h *handler) checkProjects(ctx context.Context, what string, asked []string) error {
	if _, is := unknown(asked, h.Fleet.Projects()); !is {
		return nil
	}
	h.Fleet.Discover(ctx)
	known := h.Fleet.Projects()
	name, is := unknown(asked, known)
	if !is {
		return nil
	}
	if _, incomplete := h.Fleet.Known(); len(incomplete) > 0 {
		return incompleteError(incomplete)
	}
	return fleet.CheckNames(what, []string{name}, closest(name, known))
}

// unknown returns the first requested name that is not known. The known names are sorted.
func unknown(asked, known []string) (name string, is bool) {
	for _, name := range asked {
		if _, isKnown := slices.BinarySearch(known, name); !isKnown {
			return name, true
		}
	}
	return "", false
}

// closest returns the names, those that contain an unknown one first, because an error shows ten.
func closest(part string, known []string) []string {
	part = strings.ToLower(part)
	contains := func(name string) bool { return strings.Contains(strings.ToLower(name), part) }
	isOther := func(name string) bool { return !contains(name) }
	return append(slices.DeleteFunc(slices.Clone(known), isOther), slices.DeleteFunc(slices.Clone(known), contains)...)
}

// refuse responds with an error.
func (h *handler) refuse(w http.ResponseWriter, err error) {
	code := http.StatusBadRequest
	if _, ok := errors.AsType[incompleteError](err); ok {
		code = http.StatusServiceUnavailable
	}
	http.Error(w, err.Error(), code)
}

// parseQuery returns the parameters of a request, and rejects invalid and unknown ones.
func parseQuery(r *http.Request, known ...string) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("cannot parse the query: %w", err)
	}
	return query, fleet.CheckNames("parameter", slices.Sorted(maps.Keys(query)), known)
}

// probe serves the quota metrics of the project in the parameter target, for a separate scrape.
func (h *handler) probe(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), h.timeout(r))
	defer cancel()
	query, err := parseQuery(r, "target")
	targets := query["target"]
	if err == nil && len(targets) != 1 {
		targets = []string{""} // not a project; the error lists the projects
	}
	if err == nil {
		err = h.checkProjects(ctx, "target", targets)
	}
	if err != nil {
		h.refuse(w, err)
		return
	}
	h.scrape(ctx, w, r, selection{Filter: fleet.Filter{Projects: targets}})
}

// targetGroup is an entry of Prometheus's HTTP service discovery.
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// address is a host name or an IP address, and perhaps a port.
var address = regexp.MustCompile(`^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)

// isAddress reports whether host can be scraped: its port, if any, must be valid.
func isAddress(host string) bool {
	parts := address.FindStringSubmatch(host)
	if parts == nil {
		return false
	}
	port, err := strconv.ParseUint(cmp.Or(parts[2], ":80")[1:], 10, 16)
	return err == nil && port > 0
}

// discovery lists each project as a target with its own probe, at the external URL or otherwise at the address of the request. Until all projects are
// known, it responds with an error, because Prometheus would drop the targets that a short list lacks.
func (h *handler) discovery(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), h.timeout(r))
	defer cancel()
	host := cmp.Or(h.Routes.host, r.Host)
	if !isAddress(host) {
		h.refuse(w, errors.New("the Host header is not an address that can be scraped; use a host and a port"))
		return
	}
	h.Fleet.Discover(ctx)
	projects, incomplete := h.Fleet.Known()
	if len(incomplete) > 0 {
		h.refuse(w, incompleteError(incomplete))
		return
	}
	groups := []targetGroup{}
	for _, p := range projects {
		labels := map[string]string{
			"__metrics_path__":              h.Routes.path + probePath,
			"__param_target":                p.Label,
			"instance":                      p.Label,
			"__meta_cloud_quota_project":    p.Label,
			"__meta_cloud_quota_project_id": p.ID,
			"__meta_cloud_quota_region":     p.Region,
			"__meta_cloud_quota_account":    p.Account,
		}
		if h.Routes.scheme == "https" || h.Routes.host == "" && r.TLS != nil { // http is Prometheus's default
			labels["__scheme__"] = "https"
		}
		groups = append(groups, targetGroup{[]string{host}, labels})
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")               // it contains the client's name of this host, so it must not be cached for others
	if err := json.NewEncoder(w).Encode(groups); err != nil { // the client has disconnected
		_ = level.Debug(h.Logger).Log("msg", "Failed to write the service discovery response", "err", err)
	}
}
