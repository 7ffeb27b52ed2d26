package main_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// BenchmarkStampede has a thousand scrapes come at once to an exporter that knows nothing yet, of which the cloud answers each call in 50
// milliseconds, and compares them with a scrape that comes alone to another.
func BenchmarkStampede(b *testing.B) {
	scrapes, projects := 1000, 100
	if testing.Short() {
		scrapes, projects = 100, 10
	}
	binary := release(b)
	var p50, p99, alone time.Duration
	var peak, peakAlone float64
	for b.Loop() {
		one, memory := stampede(b, binary, 1, projects)
		alone, peakAlone = alone+one[0], max(peakAlone, memory)
		all, memory := stampede(b, binary, scrapes, projects)
		p50, p99, peak = p50+all[len(all)/2], p99+all[len(all)*99/100], max(peak, memory)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(p50.Nanoseconds())/float64(b.N), "p50-ns")
	b.ReportMetric(float64(p99.Nanoseconds())/float64(b.N), "p99-ns")
	b.ReportMetric(float64(p99)/float64(alone), "p99/alone")
	b.ReportMetric(peak/1e6, "MB-peak")
	b.ReportMetric(peakAlone/1e6, "MB-peak-alone")
	b.ReportMetric(1, "fetches/source") // else it has failed
}

// stampede starts an exporter, scrapes it so often at once, and returns how long each scrape took, sorted, and the most memory that the
// exporter had. It fails if a source was asked for more than one fetch, which are two calls for DBSS.
func stampede(b *testing.B, binary string, scrapes, projects int) (took []time.Duration, peak float64) {
	b.Helper()
	cloud := cloudtest.Scale(projects)
	cloud.Inject(cloudtest.Fault{Latency: 50 * time.Millisecond})
	e := startProgram(b, binary, scaleConfig(b, cloud))
	defer e.stop()
	took = make([]time.Duration, scrapes)
	begin := make(chan struct{})
	var waiting sync.WaitGroup
	for i := range took {
		waiting.Go(func() {
			<-begin
			took[i] = scrapeOnce(b, e.url+"/metrics")
		})
	}
	close(begin)
	waiting.Wait()
	for _, project := range cloud.Projects() {
		if got := fmt.Sprint(cloud.ProjectRequests(project.ID)); got != "map[ces:1 cts:1 dbss:2 dcs:1 taurusdb:1]" {
			b.Errorf("%s: requests %s, want one fetch of each source", project.Name, got)
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", e.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	slices.Sort(took)
	return took, 1024 * number(b, string(status), `VmHWM:\s+(\d+) kB`)
}

// scrapeOnce scrapes over a connection of its own, and tells how long that took.
func scrapeOnce(b *testing.B, url string) time.Duration {
	start := time.Now()
	if _, err := scrape(b, url, "identity"); err != nil {
		b.Error(err)
	}
	return time.Since(start)
}

// scrape asks as a Prometheus does, over a connection of its own, and returns the body as it came.
func scrape(b *testing.B, url, encoding string) ([]byte, error) {
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Close = true
	r.Header.Set("Accept", "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8")
	r.Header.Set("Accept-Encoding", encoding)
	r.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "600")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(resp.Status)
	}
	return body, err
}
