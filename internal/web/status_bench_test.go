package web_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet"
)

// maxRatio is the maximum time of a page, relative to the same values as JSON. A page reads all of them, and writes few.
const maxRatio = 3

// BenchmarkStatusPage compares pages with the same values as JSON, so that slow machines make no difference.
func BenchmarkStatusPage(b *testing.B) {
	sizes := []int{100, 3334, 10_000} // of nine quotas each
	if testing.Short() {
		sizes = sizes[:2]
	}
	for _, projects := range sizes {
		for _, sources := range []string{"read", "failing"} {
			b.Run(fmt.Sprintf("projects=%d/sources=%s", projects, sources), func(b *testing.B) {
				cloud := cloudtest.Scale(projects)
				if sources == "failing" {
					cloud.Inject(cloudtest.Fault{Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"3600"}}})
				}
				s := newSite(b, cloud, strings.Replace(scaleConfig(cloud), "    ca_file: CA\n", "    endpoints: {default: 'http://{service}.{region}.test'}\n", 1)+
					"services: {defaults: {cache_ttl: 1h, timeout: 5m, max_in_flight: 64}, ces: {cache_ttl: 1h}}")
				s.Scrape(b, 10*time.Minute)
				for name, query := range map[string]string{
					"first": "", "later": "?quota_page=3&project_page=2", "filtered": "?filter=p0042+ram",
					"words": "?filter=" + strings.Repeat("p+", 1900),
				} {
					b.Run("page="+name, func(b *testing.B) { s.comparePage(b, "/"+query) })
				}
			})
		}
	}
}

func (s *site) comparePage(b *testing.B, path string) {
	b.Helper()
	readings := s.Read(b.Context(), fleet.Filter{})
	var page, plain, processor time.Duration
	var size int
	for b.Loop() {
		start, begun := time.Now(), processorTime(b)
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, http.NoBody))
		page, processor = page+time.Since(start), processor+processorTime(b)-begun
		size = w.Body.Len()
		start = time.Now()
		encode(b, readings)
		plain += time.Since(start)
	}
	ratio := float64(page) / float64(plain)
	if len(readings) > 1000 && ratio > maxRatio {
		b.Errorf("the page takes %.1f times as long as JSON, want at most %d", ratio, maxRatio)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(page.Milliseconds())/float64(b.N), "ms/page")
	b.ReportMetric(float64(processor.Milliseconds())/float64(b.N), "cpu-ms/page")
	b.ReportMetric(ratio, "x-JSON")
	b.ReportMetric(float64(size), "bytes/page")
}

// processorTime is the CPU time of this process so far.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// encode writes readings as JSON: the outcome of each, and its quotas.
func encode(b *testing.B, readings []*fleet.Reading) {
	b.Helper()
	var all [][]any
	for _, r := range readings {
		all = append(all, []any{r.Account, r.Project, r.Service, r.Reason(), fmt.Sprint(r.State.Err)})
		for _, q := range r.Quotas {
			limit := q.Limit
			if limit != nil && math.IsInf(*limit, 0) {
				limit = nil
			}
			all = append(all, []any{r.Account, r.Project.Label, r.Service, q.ResourceType, q.Unit, q.Used, limit, q.Remaining, q.Thresholds, r.State.ReadAt})
		}
	}
	if _, err := json.Marshal(all); err != nil {
		b.Fatal(err)
	}
}
