package bench_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"cloud_quota_exporter/internal/fleet/fleettest"
	"cloud_quota_exporter/internal/web"
)

// pageOf returns what serves the pages of a world, for what is measured in simulated time.
func pageOf(t *testing.T, w *fleettest.World) http.Handler {
	t.Helper()
	handler, err := web.NewHandler(web.Options{
		Fleet: w.Fleet, Process: prometheus.NewRegistry(), TelemetryPath: "/metrics", TimeoutOffset: 500 * time.Millisecond, Logger: log.NewNopLogger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// get scrapes as a Prometheus with the usual timeout of 10 seconds, and returns the page and how long it took.
func get(t *testing.T, handler http.Handler) (string, time.Duration) {
	t.Helper()
	start := time.Now()
	page := httptest.NewRecorder()
	handler.ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	if page.Code != http.StatusOK {
		t.Fatal(page.Code, page.Body)
	}
	return page.Body.String(), time.Since(start)
}

// report prints figures as a benchmark does: values and units in turn. Go shows them where benchmarks run, or by -v.
func report(name string, figures ...any) {
	line := "Benchmark" + name + " \t1"
	for pair := range slices.Chunk(figures, 2) {
		line += fmt.Sprintf("\t%.4g %s", pair...)
	}
	fmt.Println(line)
}
