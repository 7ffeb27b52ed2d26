package command

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/common/version"

	"cloud_quota_exporter/internal/fleet"
)

// processMetrics are the exporter's own metrics.
type processMetrics struct {
	registry      *prometheus.Registry
	requests      *prometheus.CounterVec
	duration      *prometheus.HistogramVec
	reloaded      prometheus.Gauge
	reloadSuccess prometheus.Gauge
}

// newProcessMetrics makes the metrics. dropped returns the number of dropped log lines.
func newProcessMetrics(dropped func() uint64) *processMetrics {
	p := &processMetrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cloud_quota_exporter_api_requests_total",
			Help: `HTTP requests sent to the cloud by service ("iam" for IAM) and status code ("error" if there was no response).`,
		}, []string{"service", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "cloud_quota_exporter_api_request_duration_seconds",
			Help:    "Duration of HTTP requests sent to the cloud, until the end of the response.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"service"}),
		reloaded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "cloud_quota_exporter_config_last_reload_successful",
			Help: "1 if the last configuration load succeeded, 0 if it failed and the previous configuration is still active.",
		}),
		reloadSuccess: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "cloud_quota_exporter_config_last_reload_success_timestamp_seconds",
			Help: "Unix timestamp of the last successful configuration load.",
		}),
	}
	p.registry.MustRegister(
		p.requests, p.duration, p.reloaded, p.reloadSuccess,
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "cloud_quota_exporter_log_lines_dropped_total",
			Help: "Log lines that were dropped because stderr was not read fast enough or could not be written to.",
		}, func() float64 { return float64(dropped()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "cloud_quota_exporter_abandoned_fetches",
			Help: "Fetches that have exceeded their timeout but not returned. At most 1 per service and project. At 100, new fetches fail immediately.",
		}, func() float64 { return float64(fleet.AbandonedFetches()) }),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.WrapCollectorWith(prometheus.Labels{"build_date": version.BuildDate}, versioncollector.NewCollector("cloud_quota_exporter")),
	)
	return p
}

// requested counts a request to the cloud. It implements the fleet's Events.
func (p *processMetrics) requested(service, code string, took time.Duration) {
	p.requests.WithLabelValues(service, code).Inc()
	p.duration.WithLabelValues(service).Observe(took.Seconds())
}

// loaded records the result of loading a configuration.
func (p *processMetrics) loaded(succeeded bool) {
	if !succeeded {
		p.reloaded.Set(0)
		return
	}
	p.reloaded.Set(1)
	p.reloadSuccess.SetToCurrentTime()
}
