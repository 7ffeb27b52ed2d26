package bench_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/democloud"
	"cloud_quota_exporter/internal/fleet/fleettest"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
	"cloud_quota_exporter/providers"
	"cloud_quota_exporter/providers/providerstest"
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
// then as many rounds of max_in_flight as each region needs, of two requests each for DBSS. It also compares the scrape with a bare client that sends
// the same requests in the same run, in turn, because the cloud and other programs use the same cores.
func BenchmarkColdScrape(b *testing.B) {
	for _, scheme := range []string{"http", "https"} {
		for _, projects := range sizes(1, 10, 100, 1000) {
			b.Run(fmt.Sprintf("scheme=%s/projects=%d", scheme, projects), func(b *testing.B) {
				s := simulate(b, projects, scheme == "https")
				defer s.Close()
				s.Inject(cloudtest.Fault{Latency: latency})
				coldScrapes(b, s, projects, idealOf(projects))
			})
		}
	}
}

// idealOf returns the minimum duration of a cold scrape of the projects.
func idealOf(projects int) time.Duration {
	perRegion := (projects + regions - 1) / regions
	rounds := (perRegion + slots - 1) / slots
	return time.Duration(rounds*longest+proving) * latency
}

// TestColdScrapeInRounds runs a cold scrape in simulated time, in which only the cloud takes time: it takes the minimum.
func TestColdScrapeInRounds(t *testing.T) {
	sizes := []int{10, 100}
	if showsFigures() {
		sizes = append(sizes, 1000)
	}
	for _, projects := range sizes {
		synctest.Test(t, func(t *testing.T) {
			cloud := cloudtest.Scale(projects)
			cloud.Inject(cloudtest.Fault{Latency: latency})
			w := fleettest.New(t, cloud, fleettest.AccountOf(cloud, "    ca_file: CA\n"))
			_, took := get(t, handlerOf(t, w.Fleet, prometheus.NewRegistry()))
			report(fmt.Sprintf("ColdScrapeInRounds/projects=%d", projects), float64(took), "ns/scrape", float64(took)/float64(idealOf(projects)), "time/ideal")
			if took != idealOf(projects) {
				t.Errorf("%d projects take %s, want %s", projects, took, idealOf(projects))
			}
		})
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
	var took, bare time.Duration
	for b.Loop() {
		bare += bareClient(b, s)
		var page strings.Builder
		e := export(b, s, "services: {defaults: {timeout: 1m}}")
		took += scrape(b, e.url, &page, nil)
		wantAllRead(b, page.String(), 5*projects)
		e.Load(new(config.Config)) // closes its connections
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(took.Nanoseconds())/float64(b.N), "ns/scrape")
	b.ReportMetric(float64(took)/float64(b.N)/float64(ideal), "time/ideal")
	b.ReportMetric(float64(took)/float64(bare), "time/bare")
}

// bareClient makes the calls of a cold scrape with the client alone: one that proves the key, and then so many at a time for each service and region.
func bareClient(b *testing.B, s *simulation) time.Duration {
	b.Helper()
	client := huaweicloud.NewHTTPClient(leadTo(s.address), s.caFile, slots)
	defer client.CloseIdleConnections()
	keys := &demoKeys{AccessKey: secret.New(democloud.AccessKey), SecretKey: secret.New(democloud.SecretKey)}
	fetch := func(service providers.Service, p cloudsim.Project) {
		host := service.API.Host
		c := &huaweicloud.Client{
			HTTP: client, Auth: keys, Service: service.Name, Scope: huaweicloud.Scope{ProjectID: p.ID, Region: p.Region},
			BaseURL: "http://" + host.Label(p.Region) + "." + p.Region + ".test", Events: func(string, string, time.Duration) {},
		}
		if s.caFile != "" {
			c.BaseURL = host.BaseURL(p.Region, "myhuaweicloud.com")
		}
		if _, err := service.Quotas(b.Context(), c, map[string]bool{"list_instances": true}); err != nil {
			b.Error(err)
		}
	}
	start := time.Now()
	fetch(providerstest.Five()[0], s.Projects()[0])
	var fetching sync.WaitGroup
	for _, service := range providerstest.Five() {
		inRegion := map[string]chan struct{}{}
		for _, p := range s.Projects() {
			if inRegion[p.Region] == nil {
				inRegion[p.Region] = make(chan struct{}, slots)
			}
			slot := inRegion[p.Region]
			fetching.Go(func() {
				slot <- struct{}{}
				fetch(service, p)
				<-slot
			})
		}
	}
	fetching.Wait()
	return time.Since(start)
}

// demoKeys are the keys of the simulated cloud.
type demoKeys huaweicloud.Keys

// Grant returns them.
func (k *demoKeys) Grant(context.Context, huaweicloud.Scope) (huaweicloud.Grant, error) {
	return (*huaweicloud.Keys)(k), nil
}

// Reject does nothing.
func (*demoKeys) Reject(huaweicloud.Grant) {}
