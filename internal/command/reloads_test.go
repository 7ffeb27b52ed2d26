package command_test

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

const reloads = 200

// TestManyReloadsUnderLoad reloads while four servers scrape: no series is lost, nothing is asked more often than without, and nothing
// stays behind.
func TestManyReloadsUnderLoad(t *testing.T) {
	cloud := cloudtest.Scale(20)
	cloud.SetMachine(cloudtest.Machine{Account: "demo"})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cloudsim.ServePlain(cloud, listener).Close)
	file := filepath.Join(t.TempDir(), "config.yml")
	configure := func(i int) {
		at := "http://" + listener.Addr().String()
		if err := os.WriteFile(file, fmt.Appendf(nil, `accounts:
  - name: demo
    credentials: {instance_metadata: {endpoint: %[1]q}}
    endpoints: {default: %[1]q, iam: %[1]q}
    discovery: {}
services: {defaults: {cache_ttl: %[2]dm, max_in_flight: %[3]d}}
`, at, 30+i%2, 8+i%3), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure(0)
	r, _ := reloading(t, file, true)
	want := series(r.get(t, "/metrics"))
	requests, goroutines, heap := cloud.Requests(), runtime.NumGoroutine(), heapInUse()

	stop := make(chan struct{})
	var scrapes sync.WaitGroup
	for range 4 {
		scrapes.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if got := series(r.get(t, "/metrics")); got != want {
					t.Errorf("a page has %d series, want %d", got, want)
					return
				}
			}
		})
	}
	for i := range reloads {
		configure(i + 1)
		contains(t, r.post(t, "/-/reload"), "200\n")
	}
	close(stop)
	scrapes.Wait()
	if now := cloud.Requests(); !maps.Equal(now, requests) {
		t.Errorf("requests %v, want %v", now, requests)
	}
	r.client.CloseIdleConnections()
	for deadline := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > goroutines+5 && time.Now().Before(deadline); {
		runtime.Gosched()
	}
	if now := runtime.NumGoroutine(); now > goroutines+5 {
		t.Errorf("%d goroutines, %d before the reloads", now, goroutines)
	}
	if now := heapInUse(); now > heap+8<<20 { // a configuration that stayed behind each time would be some 40 KiB
		t.Errorf("%d bytes of heap, %d before the reloads", now, heap)
	}
}

// series counts the exporter's own series on a page, but those of requests.
func series(page string) int {
	return strings.Count(page, "\ncloud_quota_") - strings.Count(page, "\ncloud_quota_exporter_api_")
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
