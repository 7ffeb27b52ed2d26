// Package web serves HTTP: metrics, service discovery, a status page for people, runbooks, health, and reload.
package web

import (
	"cmp"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"cloud_quota_exporter/collector"
	"cloud_quota_exporter/docs"
	"cloud_quota_exporter/internal/fleet"
)

// Options configure the pages.
type Options struct {
	Fleet         *fleet.Fleet
	Process       *prometheus.Registry // the exporter's own metrics; those of the accounts are added
	Routes        Routes
	TelemetryPath string        // below the prefix of the routes
	Reload        func() error  // reloads the configuration; nil: POST /-/reload is forbidden
	NoReload      string        // why it is forbidden; empty: the flag is not set
	TimeoutOffset time.Duration // how much earlier than the timeout of Prometheus a scrape responds
	Version       string
	Logger        log.Logger
}

// handler serves the pages.
type handler struct {
	Options

	finished collector.Page           // made from the last readings
	runbooks map[string]template.HTML // by alert
}

// telemetryPath matches valid values of --web.telemetry-path.
var telemetryPath = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)

// NewHandler returns the handler of all pages. It returns an error for an invalid path, or for metrics that are already registered.
func NewHandler(o Options) (http.Handler, error) {
	if !telemetryPath.MatchString(o.TelemetryPath) || path.Clean(o.TelemetryPath) != o.TelemetryPath || strings.HasPrefix(o.TelemetryPath, "/-/") ||
		o.TelemetryPath == probePath || o.TelemetryPath == "/sd" ||
		o.TelemetryPath == runbooksPath || path.Dir(o.TelemetryPath) == runbooksPath {
		return nil, fmt.Errorf("invalid --web.telemetry-path=%q; expected an unused path such as /metrics, without . and .., and not below /-/", o.TelemetryPath)
	}
	if err := o.Process.Register(collector.NewAccounts(o.Fleet.Accounts)); err != nil {
		return nil, fmt.Errorf("metrics of the accounts: %w", err)
	}
	runbooks, err := docs.Runbooks()
	if err != nil {
		return nil, err
	}
	h := &handler{Options: o, runbooks: runbooks}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", h.status)
	mux.HandleFunc("GET "+o.TelemetryPath, h.metrics)
	mux.HandleFunc("GET "+probePath, h.probe)
	mux.HandleFunc("GET /sd", h.discovery)
	mux.HandleFunc("GET "+runbooksPath, redirect(o.Routes.path+runbooksPath+"/"))
	mux.HandleFunc("GET "+runbooksPath+"/{$}", h.runbook)
	mux.HandleFunc("GET "+runbooksPath+"/{alert}", h.runbook)
	mux.HandleFunc("GET /-/healthy", says("cloud_quota_exporter is healthy."))
	// The handler exists once the configuration is loaded. It does not depend on the cloud, because restarting this process would not help.
	mux.HandleFunc("GET /-/ready", says("cloud_quota_exporter is ready."))
	mux.HandleFunc("POST /-/reload", h.reload)
	return h.bounded(o.Routes.mount(mux)), nil
}

// sendTimeout is how long a client may take to receive a response.
const sendTimeout = 30 * time.Second

// bounded limits the time of every request, for clients that read slowly.
func (h *handler) bounded(pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Not every writer supports deadlines, for example those of tests. The server's does.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(h.timeout(r) + sendTimeout))
		pages.ServeHTTP(w, r)
	})
}

// reload reloads the configuration. An invalid one is rejected with all its errors, and the previous one stays active.
func (h *handler) reload(w http.ResponseWriter, _ *http.Request) {
	if h.Reload == nil {
		const off = "reloading by HTTP is disabled; set --web.enable-lifecycle, or send SIGHUP"
		http.Error(w, cmp.Or(h.NoReload, off), http.StatusForbidden)
		return
	}
	if err := h.Reload(); err != nil {
		http.Error(w, "the previous configuration is still active:\n"+err.Error(), http.StatusInternalServerError)
		return
	}
	says("Configuration loaded.")(w, nil)
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = fmt.Fprintln(w, text) // the client has disconnected
	}
}
