package bench_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/config"
)

const (
	latency     = 50 * time.Millisecond // of the simulated cloud
	slowLatency = time.Second
	slots       = 8 // max_in_flight by default, in each region
	regions     = 2 // of the simulated cloud
	longest     = 2 // API requests of a DBSS fetch, the service with the most requests
	proving     = 1 // request that proves the key, while the others wait
)

// BenchmarkColdScrape measures the first scrape, with an empty cache, relative to the minimum. The minimum is one request that proves the key, and
// then as many rounds of max_in_flight as each region needs, of two requests each for DBSS.
func BenchmarkColdScrape(b *testing.B) {
	for _, scheme := range []string{"http", "https"} {
		for _, projects := range sizes(1, 10, 100, 1000) {
			b.Run(fmt.Sprintf("scheme=%s/projects=%d", scheme, projects), func(b *testing.B) {
				s := simulate(b, projects, scheme == "https")
				defer s.Close()
				s.Inject(cloudtest.Fault{Latency: latency})
				perRegion := (projects + regions - 1) / regions
				rounds := (perRegion + slots - 1) / slots
				coldScrapes(b, s, projects, time.Duration(rounds*longest+proving)*latency)
			})
		}
	}
}

// BenchmarkColdScrapeTail makes one request in a hundred take a second. The minimum is the time of all DBSS requests, evenly distributed over its
// slots, after the request that proves the key.
func BenchmarkColdScrapeTail(b *testing.B) {
	for _, projects := range sizes(10, 100, 1000) {
		b.Run(fmt.Sprintf("projects=%d", projects), func(b *testing.B) {
			s := simulate(b, projects, false)
			defer s.Close()
			s.Inject(cloudtest.Fault{Latency: slowLatency, When: func(n int) bool { return n%100 == 50 }})
			s.Inject(cloudtest.Fault{Latency: latency})
			mean := (99*latency + slowLatency) / 100
			coldScrapes(b, s, projects, latency+mean*time.Duration(projects*longest)/(slots*regions))
		})
	}
}

// coldScrapes scrapes exporters with an empty cache.
func coldScrapes(b *testing.B, s *simulation, projects int, ideal time.Duration) {
	b.Helper()
	var took time.Duration
	for b.Loop() {
		var page strings.Builder
		e := export(b, s, "services: {defaults: {timeout: 1m}}")
		took += scrape(b, e.url, &page, nil)
		wantAllRead(b, page.String(), 5*projects)
		e.Load(new(config.Config)) // closes its connections
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(took.Nanoseconds())/float64(b.N), "ns/scrape")
	b.ReportMetric(float64(took)/float64(b.N)/float64(ideal), "time/ideal")
}
