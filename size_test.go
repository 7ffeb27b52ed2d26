package main_test

import (
	"bytes"
	"fmt"
	"testing"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// BenchmarkSize tells what a running exporter of so many projects takes: CPU for a scrape with gzip and for reading a source, memory after
// these scrapes, and how large a page is.
func BenchmarkSize(b *testing.B) {
	sizes := []int{10, 100, 1000, 10_000}
	if testing.Short() {
		sizes = sizes[:1]
	}
	binary := release(b)
	for _, projects := range sizes {
		b.Run(fmt.Sprintf("projects=%d", projects), func(b *testing.B) {
			cloud := cloudtest.Scale(projects)
			config := scaleConfig(b, cloud)
			scrapes := max(10, 10_000/projects) // CPU is told in hundredths of a second
			for b.Loop() {
				e := startProgram(b, binary, config)
				begun := e.number(b, "process_cpu_seconds_total")
				page := e.page(b, "identity")
				read := e.number(b, "process_cpu_seconds_total")
				var zipped []byte
				for range scrapes {
					zipped = e.page(b, "gzip")
				}
				b.ReportMetric(1e9*(read-begun)/float64(5*projects), "cpu-ns/fetch")
				b.ReportMetric(1e9*(e.number(b, "process_cpu_seconds_total")-read)/float64(scrapes), "cpu-ns/scrape")
				b.ReportMetric(e.number(b, "process_resident_memory_bytes")/1e6, "MB-resident")
				b.ReportMetric(float64(bytes.Count(page, []byte("\ncloud_quota_"))), "series")
				b.ReportMetric(float64(len(page))/1e6, "MB-page")
				b.ReportMetric(float64(len(zipped))/1e6, "MB-page-gzip")
				e.stop()
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// page returns all metrics.
func (e exporter) page(b *testing.B, encoding string) []byte {
	b.Helper()
	page, err := scrape(b, e.url+"/metrics", encoding)
	if err != nil {
		b.Fatal(err)
	}
	return page
}

// number returns a metric of the process.
func (e exporter) number(b *testing.B, metric string) float64 {
	b.Helper()
	return number(b, fetch(b, e.url+"/metrics?collect[]=exporter"), `(?m)^`+metric+` (\S+)$`)
}
