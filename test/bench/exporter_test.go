// Package bench_test measures the exporter over real HTTP, with a simulated cloud. Because machines are noisy, most figures are ratios to something
// that is measured alternately in the same run. docs/performance.md explains them. With -short, the sizes are small.
package bench_test

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/fleet/fleettest"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/web"
	"cloud_quota_exporter/providers"
	"cloud_quota_exporter/providers/providerstest"
)

func TestMain(m *testing.M) {
	if err := os.Setenv("NO_PROXY", "*"); err != nil { // no proxy, because the simulated cloud is on this machine
		panic(err)
	}
	os.Exit(m.Run())
}

// simulation is a simulated cloud on a port.
type simulation struct {
	*cloudtest.Cloud
	*cloudsim.Server

	address  string
	accounts string // of the configuration
	caFile   string // empty: HTTP
}

// unencrypted uses HTTP instead of TLS, which takes most of the time of small requests.
const unencrypted = "    endpoints: {default: 'http://{service}.{region}.test', iam: 'http://iam.test'}\n"

// simulate serves a cloud with n projects over HTTPS or HTTP until Close.
func simulate(tb testing.TB, projects int, https bool) *simulation {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &simulation{Cloud: cloudtest.Scale(projects), address: listener.Addr().String()}
	reached := unencrypted + "    domain_id: " + cloudsim.ID("demo") + "\n"
	if https {
		server := cloudtest.Serve(s.Cloud, listener)
		s.Server = server.Server
		file := filepath.Join(tb.TempDir(), "ca.pem")
		if err := os.WriteFile(file, server.CA(), 0o600); err != nil {
			tb.Fatal(err)
		}
		s.caFile, reached = file, "    ca_file: "+file+"\n"
	} else {
		s.Server = cloudsim.ServePlain(s.Cloud, listener)
	}
	s.accounts = fleettest.AccountOf(s.Cloud, reached)
	return s
}

// leadTo resolves every host name to one address, so that each service has its own connections.
func leadTo(address string) huaweicloud.Dial {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
}

// exporter serves the quotas of a fleet on its own port.
type exporter struct {
	*fleet.Fleet
	url string
}

// export starts an exporter of a simulated cloud. services is the key services of the configuration.
func export(tb testing.TB, s *simulation, services string) *exporter {
	tb.Helper()
	return exportOf(tb, s, providerstest.Five(), services)
}

// exportOf is like export, with other services.
func exportOf(tb testing.TB, s *simulation, known []providers.Service, services string) *exporter {
	tb.Helper()
	c, err := config.Parse("bench.yml", []byte(s.accounts+services), known, os.Getenv)
	if err != nil {
		tb.Fatal(err)
	}
	f := fleet.New(fleet.Options{Dial: leadTo(s.address), UserAgent: "bench", Getenv: os.Getenv})
	f.Load(c)
	server := httptest.NewServer(handlerOf(tb, f, processMetrics()))
	tb.Cleanup(server.Close)
	return &exporter{f, server.URL + "/metrics"}
}

// handlerOf returns the HTTP handler of a fleet.
func handlerOf(tb testing.TB, f *fleet.Fleet, process *prometheus.Registry) http.Handler {
	tb.Helper()
	handler, err := web.NewHandler(web.Options{
		Fleet: f, Process: process, TelemetryPath: "/metrics", TimeoutOffset: 500 * time.Millisecond, Logger: log.NewNopLogger(),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return handler
}

func processMetrics() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

// client behaves like Prometheus: it keeps connections open and does not decompress bodies.
var client = &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16}}

// scrape requests a page with a Prometheus scrape timeout, writes it to w, and returns how long that took.
func scrape(tb testing.TB, url string, w io.Writer, header http.Header) time.Duration {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	maps.Copy(r.Header, header)
	r.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "600")
	start := time.Now()
	resp, err := client.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		tb.Fatal(resp.Status, err)
	}
	return time.Since(start)
}

// text returns a page in the text format.
func text(tb testing.TB, url string) string {
	tb.Helper()
	var page strings.Builder
	scrape(tb, url, &page, nil)
	return page.String()
}

// sizes are numbers of projects. With -short, only the small ones.
func sizes(all ...int) []int {
	if testing.Short() {
		return all[:2]
	}
	return all
}

// wantAllRead fails if sources are missing from a page, or if it shows a failure.
func wantAllRead(tb testing.TB, page string, sources int) {
	tb.Helper()
	_, failure, _ := strings.Cut(page, "\ncloud_quota_last_failure_reason{")
	if n := strings.Count(page, "\ncloud_quota_up{"); n != sources || failure != "" {
		tb.Fatalf("%d sources, want %d without a failure such as %.100s", n, sources, failure)
	}
}
