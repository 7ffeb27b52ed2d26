package main_test

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/democloud"
)

const (
	maxBinary   = 16_000_000 // bytes
	maxResident = 40_000_000 // bytes, with 100 projects

	maxResidentOfAll = 200_000_000 // bytes, with all services of 100 projects
)

// release builds the program like a release.
func release(b *testing.B) string {
	b.Helper()
	binary := filepath.Join(b.TempDir(), "cloud_quota_exporter")
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatal(string(out))
	}
	return binary
}

// number returns the first number in a text.
func number(b *testing.B, text, pattern string) float64 {
	b.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if found == nil {
		b.Fatalf("no %s in\n%s", pattern, text)
	}
	n, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// scaleConfig serves a simulated cloud on a port and returns a configuration with all its projects.
func scaleConfig(b testing.TB, cloud *cloudtest.Cloud) string {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(cloudsim.ServePlain(cloud, listener).Close)
	at := "http://" + listener.Addr().String()
	var text strings.Builder
	fmt.Fprintf(&text, "accounts:\n  - credentials: {static: {access_key: %s, secret_key: %s}}\n", democloud.AccessKey, democloud.SecretKey)
	fmt.Fprintf(&text, "    domain_id: %s\n    endpoints: {default: %[2]q, iam: %[2]q}\n    projects:\n", cloudsim.ID("demo"), at)
	for _, p := range cloud.Projects() {
		fmt.Fprintf(&text, "      - {id: %s, region: %s, name: %s}\n", p.ID, p.Region, p.Name)
	}
	return writeFile(b, text.String())
}

// useHosts changes a configuration of scaleConfig so that each service has its own host, because services can have the same path, and adds
// settings. The cloud serves the hosts as an HTTP proxy.
func useHosts(b *testing.B, config, settings string) {
	b.Helper()
	text, err := os.ReadFile(config)
	if err != nil {
		b.Fatal(err)
	}
	endpoint := regexp.MustCompile(`default: "(http://[^"]*)"`)
	b.Setenv("HTTP_PROXY", string(endpoint.FindSubmatch(text)[1]))
	b.Setenv("NO_PROXY", "")
	text = append(endpoint.ReplaceAll(text, []byte("default: 'http://{service}.{region}.test'")), settings...)
	if err := os.WriteFile(config, text, 0o600); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSize measures a release build with n projects: the size of the binary, the time from exec to ready and to the end of the first
// scrape, CPU for a scrape with gzip and for a fetch, memory after these scrapes, and the size of a page.
func BenchmarkSize(b *testing.B) {
	const all = "services: {defaults: {enabled: true, timeout: 1m}}\n" // account-level ones too
	sizes := []struct {
		projects int
		services string
		sources  int // of a project
		resident float64
	}{{10, "", 5, maxResident}, {100, "", 5, maxResident}, {1000, "", 5, math.Inf(1)}, {10_000, "", 5, math.Inf(1)}, {100, all, 44, maxResidentOfAll}}
	if testing.Short() {
		sizes = sizes[:1]
	}
	binary := release(b)
	size, err := os.Stat(binary)
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range sizes {
		projects := s.projects
		b.Run(fmt.Sprintf("projects=%d/services=%d", projects, s.sources), func(b *testing.B) {
			cloud := cloudtest.Scale(projects)
			if s.services != "" {
				cloud.Enlarge()
			}
			config := scaleConfig(b, cloud)
			if s.services != "" {
				useHosts(b, config, s.services)
			}
			scrapes := max(10, 10_000/projects) // CPU is reported in hundredths of a second
			for b.Loop() {
				start := time.Now()
				e := startServing(b, binary, "--config.file="+config)
				if page, err := e.get("/-/ready"); err != nil || !strings.HasPrefix(page, "200") {
					b.Fatal(page, err)
				}
				b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms-to-ready")
				begun := e.number(b, "process_cpu_seconds_total")
				page := scrape(b, e.url, "identity")
				b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms-to-first-scrape")
				read := e.number(b, "process_cpu_seconds_total")
				var zipped []byte
				for range scrapes {
					zipped = scrape(b, e.url, "gzip")
				}
				resident := e.number(b, "process_resident_memory_bytes")
				if n := bytes.Count(page, []byte("\ncloud_quota_up{")); n < s.sources*projects || size.Size() > maxBinary || resident > s.resident {
					b.Errorf("%d sources, a binary of %d bytes, %.0f bytes resident; want %d, and at most %d and %.0f", n, size.Size(), resident, s.sources*projects, maxBinary, s.resident)
				}
				b.ReportMetric(1e9*(read-begun)/float64(s.sources*projects), "cpu-ns/fetch")
				b.ReportMetric(1e9*(e.number(b, "process_cpu_seconds_total")-read)/float64(scrapes), "cpu-ns/scrape")
				b.ReportMetric(resident/1e6, "MB-resident")
				b.ReportMetric(float64(bytes.Count(page, []byte("\ncloud_quota_"))), "series")
				b.ReportMetric(float64(len(page))/1e6, "MB-page")
				b.ReportMetric(float64(len(zipped))/1e6, "MB-page-gzip")
				for _, load := range loads(e.url) {
					b.ReportMetric(e.peak(b, load.requests), "MB-peak-"+load.name)
				}
				e.stop()
			}
			b.ReportMetric(float64(size.Size())/1e6, "MB-binary")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// load is what several clients request at once.
type load struct {
	name     string
	requests []*http.Request
}

// loads are two Prometheus servers, two that select four of the five services, and five people who open the status page.
func loads(url string) []load {
	ask := func(path string, header ...string) *http.Request {
		r, err := http.NewRequest(http.MethodGet, url+path, http.NoBody)
		if err != nil {
			panic(err)
		}
		for pair := range slices.Chunk(header, 2) {
			r.Header.Set(pair[0], pair[1])
		}
		return r
	}
	pair := func(path string) []*http.Request {
		return []*http.Request{
			ask(path, "Accept", "application/openmetrics-text;version=1.0.0", "Accept-Encoding", "gzip"),
			ask(path, "Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", "Accept-Encoding", "gzip"),
		}
	}
	return []load{
		{"pair", pair("/metrics")},
		{"filtered-pair", pair("/metrics?collect[]=cts&collect[]=ces&collect[]=dcs&collect[]=dbss")},
		{"five-pages", []*http.Request{ask("/"), ask("/"), ask("/"), ask("/?filter=p0&quota_page=2"), ask("/?state=warning")}},
	}
}

// peak sends requests at once, several times, and returns the peak memory of the process in MB.
func (p *process) peak(b *testing.B, requests []*http.Request) float64 {
	b.Helper()
	proc := fmt.Sprintf("/proc/%d/", p.Process.Pid)
	if err := os.WriteFile(proc+"clear_refs", []byte("5"), 0); err != nil { // resets the peak
		b.Fatal(err)
	}
	var clients sync.WaitGroup
	for _, r := range requests {
		clients.Go(func() {
			for range 5 {
				resp, err := http.DefaultClient.Do(r.Clone(b.Context()))
				if err != nil {
					b.Error(err)
					return
				}
				if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
					b.Error(resp.Status, err)
				}
				resp.Body.Close()
			}
		})
	}
	clients.Wait()
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		b.Fatal(err)
	}
	return 1024 * number(b, string(status), `VmHWM:\s+(\d+) kB`) / 1e6
}

// number returns a metric of the process.
func (p *process) number(b *testing.B, metric string) float64 {
	b.Helper()
	page, err := p.get("/metrics?collect[]=exporter")
	if err != nil {
		b.Fatal(err)
	}
	return number(b, page, `(?m)^`+metric+` (\S+)$`)
}

// BenchmarkStampede sends a thousand concurrent scrapes to an exporter with an empty cache, whose cloud responds to each request in 50 milliseconds,
// and compares them with a single scrape of another exporter.
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
	b.ReportMetric(1, "fetches/source") // otherwise it has failed
}

// stampede starts an exporter, sends n concurrent scrapes, and returns the duration of each, sorted, and the peak memory of the exporter. It fails if
// a source was fetched more than once, which is two requests for DBSS.
func stampede(b *testing.B, binary string, scrapes, projects int) (took []time.Duration, peak float64) {
	b.Helper()
	cloud := cloudtest.Scale(projects)
	cloud.Inject(cloudtest.Fault{Latency: 50 * time.Millisecond})
	e := startServing(b, binary, "--config.file="+scaleConfig(b, cloud))
	defer e.stop()
	took = make([]time.Duration, scrapes)
	begin := make(chan struct{})
	var waiting sync.WaitGroup
	for i := range took {
		waiting.Go(func() {
			<-begin
			start := time.Now()
			scrape(b, e.url, "identity")
			took[i] = time.Since(start)
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

// scrape requests all metrics like a Prometheus, over its own connection, and returns the body without decompressing it.
func scrape(b *testing.B, url, encoding string) (body []byte) {
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url+"/metrics", http.NoBody)
	if err != nil {
		b.Error(err)
		return nil
	}
	r.Close = true
	r.Header.Set("Accept", "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8")
	r.Header.Set("Accept-Encoding", encoding)
	r.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "600")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Error(err)
		return nil
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		b.Error(resp.Status, err)
	}
	return body
}
