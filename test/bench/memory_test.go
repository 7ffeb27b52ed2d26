package bench_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// BenchmarkMemory is the heap of an exporter that has read all projects and has shown them on a page, without the simulated cloud. What each
// project beyond those of the size before adds shows whether it grows evenly.
func BenchmarkMemory(b *testing.B) {
	var projectsBefore int
	var heapBefore uint64
	for _, projects := range sizes(1, 100, 1000, 10_000) {
		b.Run(fmt.Sprintf("projects=%d", projects), func(b *testing.B) {
			var heap uint64
			var series int
			for b.Loop() {
				nothing := liveHeap()
				e := warm(b, projects)
				series = strings.Count(quotas(text(b, e.url)), "\ncloud_quota_")
				heap = liveHeap() - nothing
				runtime.KeepAlive(e)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(heap)/1e6, "MB-heap")
			b.ReportMetric(float64(heap)/float64(series), "B/series")
			b.ReportMetric(float64(heap)/float64(5*projects), "B/source")
			if added := projects - projectsBefore; projectsBefore > 0 && added > 0 {
				b.ReportMetric(float64(heap-heapBefore)/float64(added), "B/added-project")
			}
			projectsBefore, heapBefore = projects, heap
		})
	}
}

// liveHeap returns how many bytes of the heap are in use.
func liveHeap() uint64 {
	runtime.GC()
	runtime.GC() // what the first one has finalised
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
