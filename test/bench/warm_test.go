package bench_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"cloud_quota_exporter/collector"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/providers"
	"cloud_quota_exporter/providers/providerstest"
)

// formats are the formats that Prometheus accepts.
var formats = []struct{ name, accept string }{
	{"text", "text/plain;version=1.0.0;escaping=allow-utf-8"},
	{"openmetrics", "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8"},
	{"protobuf", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"},
}

// set is what an exporter monitors.
type set struct {
	projects int
	services string // "five" default services, or "all" of the catalogue, including account-level ones
}

func (s set) String() string { return fmt.Sprintf("projects=%d/services=%s", s.projects, s.services) }

// sets are several numbers of projects with five services, and 100 projects with all services.
func sets(projects ...int) []set {
	var all []set
	for _, n := range sizes(projects...) {
		all = append(all, set{n, "five"})
	}
	if !testing.Short() {
		all = append(all, set{100, "all"})
	}
	return all
}

// BenchmarkWarmScrape measures a scrape with a fresh cache, relative to a plain client_golang handler that serves the same series from prebuilt
// constant metrics. The two are scraped alternately.
func BenchmarkWarmScrape(b *testing.B) {
	for _, set := range sets(1, 100, 1000, 10_000) {
		b.Run(set.String(), func(b *testing.B) {
			ours := warm(b, set)
			bare := bareHandler(b, ours.Fleet)
			if quotas(text(b, ours.url)) != quotas(text(b, bare)) {
				b.Fatal("the two pages differ")
			}
			for _, format := range formats {
				for _, encoding := range []string{"identity", "gzip"} {
					header := http.Header{"Accept": {format.accept}, "Accept-Encoding": {encoding}}
					b.Run(fmt.Sprintf("format=%s/encoding=%s", format.name, encoding), func(b *testing.B) {
						compare(b, ours.url, bare, "bare", header)
					})
				}
			}
		})
	}
}

// BenchmarkProbe measures a scrape of one project among many, relative to an exporter with only this project.
func BenchmarkProbe(b *testing.B) {
	alone := probe(warm(b, set{1, "five"}))
	for _, projects := range sizes(10, 100, 1000, 10_000) {
		b.Run(fmt.Sprintf("projects=%d", projects), func(b *testing.B) {
			compare(b, probe(warm(b, set{projects, "five"})), alone, "alone", http.Header{"Accept": {formats[0].accept}})
		})
	}
}

// BenchmarkFilteredScrape measures a scrape of some services or projects, relative to one of everything.
func BenchmarkFilteredScrape(b *testing.B) {
	for _, set := range sets(10, 100, 1000, 10_000) {
		b.Run(set.String(), func(b *testing.B) {
			e := warm(b, set)
			named := func(parameter string, names []string) string { return url.Values{parameter: names}.Encode() }
			for filter, query := range map[string]string{
				"all-services": named("collect[]", e.Services()), "all-but-one": named("collect[]", e.Services()[1:]), "one-service": named("collect[]", e.Services()[:1]),
				"half-the-projects": named("project[]", e.Projects()[:set.projects/2]),
			} {
				b.Run("filter="+filter, func(b *testing.B) {
					compare(b, e.url+"?"+query, e.url, "all", http.Header{"Accept": {formats[0].accept}})
				})
			}
		})
	}
}

// probe returns the URL of the last project of an exporter.
func probe(e *exporter) string {
	projects := e.Projects()
	return strings.TrimSuffix(e.url, "/metrics") + "/probe?target=" + projects[len(projects)-1]
}

// warm returns an exporter with a full cache, whose cloud is closed.
func warm(b *testing.B, what set) *exporter {
	b.Helper()
	s := simulate(b, what.projects, false)
	defer s.Close()
	known, enabled := providerstest.Five(), ""
	if what.services == "all" {
		known, enabled = providers.All(), "enabled: true, "
		s.Enlarge()
	}
	e := exportOf(b, s, known, "services: {defaults: {"+enabled+"cache_ttl: 24h, max_stale: 48h, timeout: 1m}, ces: {cache_ttl: 24h}}")
	wantAllRead(b, text(b, e.url), e.Count(fleet.Filter{}))
	return e
}

// constant are prebuilt metrics.
type constant []prometheus.Metric

func (c constant) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c constant) Collect(ch chan<- prometheus.Metric) {
	for _, m := range c {
		ch <- m
	}
}

// bareHandler serves a fixed copy of a fleet's metrics and the process metrics, and returns the URL.
func bareHandler(b *testing.B, f *fleet.Fleet) string {
	b.Helper()
	var metrics constant
	for _, from := range []prometheus.Collector{
		collector.New(func() []*fleet.Reading { return f.Read(context.Background(), fleet.Filter{}) }),
		collector.NewAccounts(f.Accounts),
	} {
		sent := make(chan prometheus.Metric)
		go func() {
			defer close(sent)
			from.Collect(sent)
		}()
		for m := range sent {
			metrics = append(metrics, m)
		}
	}
	registry := processMetrics()
	registry.MustRegister(metrics)
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	b.Cleanup(server.Close)
	return server.URL
}

// quotas returns the lines of a page without the process metrics.
func quotas(page string) string {
	var lines strings.Builder
	for line := range strings.Lines(page) {
		if strings.Contains(line, "cloud_quota_") {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

// For one iteration, each side is scraped at least this often, and for at least this long.
const (
	turns   = 5
	turning = 300 * time.Millisecond
)

// compare scrapes two sides alternately. It compares the medians of the times, and the sums of the allocated bytes and of the CPU times. Other
// programs make the time longer, but hardly the CPU time, which is that of client and server.
func compare(b *testing.B, one, other, name string, header http.Header) {
	b.Helper()
	sides := []*side{{url: one}, {url: other}}
	for _, s := range sides {
		scrape(b, s.url, io.Discard, header) // created once
	}
	for b.Loop() {
		for begun, n := time.Now(), 0; n < turns || time.Since(begun) < turning; n++ {
			for _, s := range sides {
				s.measure(b, header)
			}
		}
	}
	ours, theirs := sides[0], sides[1]
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(ours.median()), "ns/scrape")
	b.ReportMetric(float64(ours.median())/float64(theirs.median()), "time/"+name)
	b.ReportMetric(float64(ours.cpu)/float64(theirs.cpu), "cpu/"+name)
	b.ReportMetric(float64(ours.bytes)/float64(len(ours.took)), "B/scrape")
	b.ReportMetric(float64(ours.bytes)/float64(theirs.bytes), "bytes/"+name)
}

// side is one of the two sides of a comparison.
type side struct {
	url   string
	took  []time.Duration
	bytes uint64
	cpu   time.Duration
}

// measure scrapes once, and records the duration and the allocated bytes.
func (s *side) measure(b *testing.B, header http.Header) {
	b.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	used := cpuTime()
	s.took = append(s.took, scrape(b, s.url, io.Discard, header))
	s.cpu += cpuTime() - used
	runtime.ReadMemStats(&after)
	s.bytes += after.TotalAlloc - before.TotalAlloc
}

func (s *side) median() time.Duration { return slices.Sorted(slices.Values(s.took))[len(s.took)/2] }

// BenchmarkMemory measures the heap of an exporter that has fetched all projects and served them on a page, without the simulated cloud. What each
// additional project adds shows whether it grows evenly.
func BenchmarkMemory(b *testing.B) {
	var before set
	var heapBefore uint64
	for _, set := range sets(1, 100, 1000, 10_000) {
		b.Run(set.String(), func(b *testing.B) {
			var heap uint64
			var series, sources int
			for b.Loop() {
				nothing := liveHeap()
				e := warm(b, set)
				series, sources = strings.Count(quotas(text(b, e.url)), "\ncloud_quota_"), e.Count(fleet.Filter{})
				heap = liveHeap() - nothing
				runtime.KeepAlive(e)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(heap)/1e6, "MB-heap")
			b.ReportMetric(float64(series), "series")
			b.ReportMetric(float64(heap)/float64(series), "B/series")
			b.ReportMetric(float64(heap)/float64(sources), "B/source")
			if added := set.projects - before.projects; before.projects > 0 && added > 0 {
				b.ReportMetric(float64(heap-heapBefore)/float64(added), "B/added-project")
			}
			before, heapBefore = set, heap
		})
	}
}

// liveHeap returns how many bytes of the heap are in use.
func liveHeap() uint64 {
	runtime.GC()
	runtime.GC() // finalized by the first one
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
