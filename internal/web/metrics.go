package web

import (
	"context"
	"fmt"
	stdlog "log"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"cloud_quota_exporter/collector"
	"cloud_quota_exporter/internal/fleet"
)

const (
	// exporterMetrics is the value of collect[] for the process's own metrics.
	exporterMetrics = "exporter"

	timeoutHeader  = "X-Prometheus-Scrape-Timeout-Seconds"
	defaultTimeout = 10 * time.Second // Prometheus's own, for who sends no header
	longestTimeout = time.Hour
)

// metricsHandler serves the metrics, those of all sources and of the process unless collect[] and project[] ask for less.
type metricsHandler struct{ Options }

func (h metricsHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	selected, err := h.selection(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.timeout(r))
	defer cancel()
	scrape := prometheus.NewRegistry()
	scrape.MustRegister(collector.New(func() []*fleet.Reading { return h.Fleet.Read(ctx, selected.wants) }))
	gatherers := prometheus.Gatherers{scrape}
	if selected.exporter { // after the scrape, so that the requests it made are counted
		gatherers = append(gatherers, h.Process)
	}
	promhttp.HandlerFor(gatherers, promhttp.HandlerOpts{
		ErrorLog:          stdlog.New(log.NewStdlibAdapter(level.Error(h.Logger)), "", 0),
		ErrorHandling:     promhttp.ContinueOnError, // one bad metric must not empty the page
		EnableOpenMetrics: true,
	}).ServeHTTP(w, r)
}

// timeout is how long the scrape may take: what Prometheus waits, less the offset in which the answer is written and travels.
func (h metricsHandler) timeout(r *http.Request) time.Duration {
	timeout := defaultTimeout
	if seconds, err := strconv.ParseFloat(r.Header.Get(timeoutHeader), 64); err == nil && seconds > 0 {
		timeout = time.Duration(min(seconds, longestTimeout.Seconds()) * float64(time.Second))
	}
	return max(timeout-h.TimeoutOffset, timeout/2) // an offset beyond the timeout would leave no time at all
}

// selection is what a request wants to see; an empty list means all.
type selection struct {
	services, projects []string
	exporter           bool
}

func (s selection) wants(service, project string) bool {
	return (len(s.services) == 0 || slices.Contains(s.services, service)) &&
		(len(s.projects) == 0 || slices.Contains(s.projects, project))
}

func (h metricsHandler) selection(r *http.Request) (selection, error) {
	query := r.URL.Query()
	collect, projects := query["collect[]"], query["project[]"]
	if err := check("collect[]", collect, append(h.Fleet.Services(), exporterMetrics)); err != nil {
		return selection{}, err
	}
	if err := check("project[]", projects, h.Fleet.Projects()); err != nil {
		return selection{}, err
	}
	return selection{
		services: collect, // "exporter" among them is no service and wants none
		projects: projects,
		exporter: len(collect) == 0 || slices.Contains(collect, exporterMetrics),
	}, nil
}

// check refuses values that are not known, so that no request can make up a page that looks right and is empty.
func check(parameter string, values, known []string) error {
	for _, v := range values {
		if !slices.Contains(known, v) {
			return fmt.Errorf("%s=%q is not known; known are: %s", parameter, v, strings.Join(known, ", "))
		}
	}
	return nil
}
