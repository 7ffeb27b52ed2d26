// Package network tests the exporter's binary with real network faults: latency, jitter, low bandwidth, resets, connections that close late, and
// partitions. toxiproxy causes them, on real sockets and with TLS.
//
//	go -C test/network test -count=1 ./...
package network

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// exporterBinary is built by TestMain.
var exporterBinary string

func TestMain(m *testing.M) {
	code := 1
	zerolog.SetGlobalLevel(zerolog.Disabled) // toxiproxy logs requests
	dir, err := os.MkdirTemp("", "cloud_quota_exporter-network-")
	if err == nil {
		exporterBinary = filepath.Join(dir, "cloud_quota_exporter")
		var out []byte
		if out, err = exec.Command("go", "build", "-C", "../..", "-o", exporterBinary, ".").CombinedOutput(); err != nil {
			err = fmt.Errorf("building the exporter: %w\n%s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// link is a proxy between the exporter and the cloud, for one region.
type link struct {
	region string
	proxy  *toxiproxy.Proxy
}

// newLinks serves a cloud on a TLS port, and returns a proxy to it for each of its regions, and the CA file.
func newLinks(t *testing.T, cloud *cloudtest.Cloud) (links []link, caFile string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := cloudtest.Serve(cloud, listener)
	t.Cleanup(server.Close)
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, server.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	proxies := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	for _, p := range cloud.Projects() {
		proxy := toxiproxy.NewProxy(proxies, p.Region, "127.0.0.1:0", listener.Addr().String())
		if err := proxy.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(proxy.Stop)
		links = append(links, link{p.Region, proxy})
	}
	return links, caFile
}

// poison adds a toxic in one direction, upstream or downstream.
func (l link) poison(t *testing.T, stream, kind, attributes string) {
	t.Helper()
	toxic := fmt.Sprintf(`{"name":%q,"type":%q,"stream":%q,"attributes":{%s}}`, kind+stream, kind, stream, attributes)
	if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		t.Fatalf("%s: %v", toxic, err)
	}
}

// heal removes all toxics, and enables the link again.
func (l link) heal(t *testing.T) {
	t.Helper()
	l.proxy.Toxics.ResetToxics(context.WithoutCancel(t.Context()))
	if err := l.proxy.Start(); err != nil && !errors.Is(err, toxiproxy.ErrProxyAlreadyStarted) {
		t.Fatal(err)
	}
}

// start runs the exporter with all projects of a cloud, each through its link, and returns its address.
func start(t *testing.T, cloud *cloudtest.Cloud, links []link, caFile string) (url string) {
	t.Helper()
	var config strings.Builder
	fmt.Fprintf(&config, "accounts:\n  - credentials: {static: {access_key: AK, secret_key: SK}}\n    ca_file: %s\n    endpoints:\n      default:\n", caFile)
	for _, l := range links {
		fmt.Fprintf(&config, "        %s: https://%s\n", l.region, l.proxy.Listen)
	}
	config.WriteString("    projects:\n")
	for _, p := range cloud.Projects() {
		fmt.Fprintf(&config, "      - {id: %s, region: %s, name: %s}\n", p.ID, p.Region, p.Region)
	}
	config.WriteString("services: {defaults: {cache_ttl: 1s, timeout: 2s, max_in_flight: 32}, ces: {cache_ttl: 1s}}\n")
	file := filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), exporterBinary, "--config.file="+file, "--web.listen-address=127.0.0.1:0")
	c.Env = append(os.Environ(), "NO_PROXY=*")
	stderr, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	address := make(chan string, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			if m := regexp.MustCompile(`Listening on" address=(\S+)`).FindStringSubmatch(lines.Text()); m != nil {
				address <- "http://" + m[1]
			}
		}
	}()
	t.Cleanup(func() {
		<-ended // the context of the test has ended it
		_ = c.Wait()
	})
	select {
	case url = <-address:
	case <-ended:
		t.Fatal("the exporter ended before it was listening")
	}
	return url
}

// patience is the scrape timeout.
const patience = 5 * time.Second

// scrape returns the metrics, and asserts that they arrive in time.
func scrape(t *testing.T, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "5")
	began := time.Now()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if took := time.Since(began); err != nil || resp.StatusCode != http.StatusOK || took > patience {
		t.Fatalf("the page arrived with %s after %s: %v", resp.Status, took, err)
	}
	return string(page)
}

var services = []string{"ces", "cts", "dbss", "dcs", "taurusdb"}

// fault is a fault of the link of a region, and the expected failure reasons of its services; none means success.
type fault struct {
	region  string
	poison  func(t *testing.T, l link)
	reasons map[string]string
}

func toxic(stream, kind, attributes string) func(*testing.T, link) {
	return func(t *testing.T, l link) { l.poison(t, stream, kind, attributes) }
}

func all(reason string) map[string]string {
	reasons := map[string]string{}
	for _, service := range services {
		reasons[service] = reason
	}
	return reasons
}

var faults = []fault{
	{"net-clear", func(*testing.T, link) {}, nil},
	{"net-latency-jitter", toxic("downstream", "latency", `"latency":150,"jitter":100`), nil},
	{"net-latency-long", toxic("downstream", "latency", `"latency":5000`), all("timeout")},
	{"net-bandwidth", toxic("downstream", "bandwidth", `"rate":4`), map[string]string{"cts": "timeout"}}, // its response is long
	{"net-sliced", toxic("downstream", "slicer", `"average_size":64,"size_variation":32,"delay":1000`), nil},
	{"net-slow-close", toxic("downstream", "slow_close", `"delay":3000`), nil},
	{"net-reset", toxic("upstream", "reset_peer", `"timeout":0`), all("network")},
	{"net-reset-late", toxic("downstream", "reset_peer", `"timeout":300`), all("network")},
	{"net-cut", toxic("downstream", "limit_data", `"bytes":1500`), all("network")}, // soon in the middle of a response
	{"net-partition", func(t *testing.T, l link) {
		l.poison(t, "upstream", "timeout", `"timeout":0`)
		l.poison(t, "downstream", "timeout", `"timeout":0`)
	}, all("timeout")},
	{"net-refused", func(_ *testing.T, l link) { l.proxy.Stop() }, all("network")},
}

// newCloud has a project in each region. The CTS response of one is so long that it takes much time with low bandwidth.
func newCloud() *cloudtest.Cloud {
	var projects []cloudsim.Project
	for i, region := range faults {
		p := cloudsim.Project{ID: fmt.Sprintf("%032x", i+1), Name: region.region, AuditInstances: 2}
		if region.region == "net-bandwidth" {
			var trackers []cloudsim.Quota
			for n := range 190 {
				trackers = append(trackers, cloudsim.Quota{Type: fmt.Sprintf("tracker_with_a_long_name_%d", n), Used: 1, Limit: 10})
			}
			p.Quotas = map[string][]cloudsim.Quota{"cts": trackers}
		}
		projects = append(projects, p)
	}
	return cloudtest.New(cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: projects})
}

// TestNetworkFaults causes all faults at once, each on the link of one region.
func TestNetworkFaults(t *testing.T) {
	t.Parallel()
	cloud := newCloud()
	links, caFile := newLinks(t, cloud)
	url := start(t, cloud, links, caFile)
	readable := map[string]string{}
	want := map[string]string{}
	for _, region := range faults {
		for _, service := range services {
			readable[region.region+" "+service] = ""
			want[region.region+" "+service] = region.reasons[service]
		}
	}
	eventually(t, url, "all fetches succeed", 20*time.Second, readable)
	good := scrape(t, url)
	numbersOf(t, good)

	for i, region := range faults {
		region.poison(t, links[i])
	}
	eventually(t, url, "the expected fetches fail", 20*time.Second, want)
	since := time.Now()
	for time.Since(since) < 3*time.Second { // it stays like that
		page := scrape(t, url)
		if got := states(page); !same(got, want) {
			t.Errorf("got\n%s", difference(got, want))
		}
		if before, now := numbersOf(t, good), numbersOf(t, page); !slices.Equal(before, now) {
			t.Errorf("%d series of values, %d before", len(now), len(before))
		}
		<-time.After(500 * time.Millisecond)
	}

	for _, l := range links {
		l.heal(t)
	}
	eventually(t, url, "all fetches succeed again", 40*time.Second, readable)
	if before, now := numbersOf(t, good), numbersOf(t, scrape(t, url)); !slices.Equal(before, now) {
		t.Errorf("%d series of values, %d before", len(now), len(before))
	}
	// Canceled requests leave nothing behind, as soon as their timeouts have passed.
	settles(t, url, "process_open_fds", value(t, good, "process_open_fds")+10)
	settles(t, url, "go_goroutines", value(t, good, "go_goroutines")+20)
}

// TestPartitionFromTheStart: an exporter that cannot reach the cloud when it starts is ready and responds. It fetches as soon as it can.
func TestPartitionFromTheStart(t *testing.T) {
	t.Parallel()
	cloud := newCloud()
	links, caFile := newLinks(t, cloud)
	apart, together := map[string]string{}, map[string]string{}
	for i, l := range links {
		l.poison(t, "upstream", "timeout", `"timeout":0`)
		for _, service := range services {
			apart[faults[i].region+" "+service] = "timeout"
			together[faults[i].region+" "+service] = ""
		}
	}
	url := start(t, cloud, links, caFile)
	eventually(t, url, "no fetch succeeds", 20*time.Second, apart)
	if strings.Contains(scrape(t, url), "cloud_quota_used{") {
		t.Error("values exist although nothing was fetched")
	}
	for _, l := range links {
		l.heal(t)
	}
	eventually(t, url, "all fetches succeed", 40*time.Second, together)
	numbersOf(t, scrape(t, url))
}

var state = regexp.MustCompile(`(?m)^cloud_quota_(?:up{project="([^"]+)",service="(\w+)"} 1|last_failure_reason{project="([^"]+)",reason="(\w+)",service="(\w+)"} 1)$`)

// states returns the failure reason of each source, or "" if it was fetched.
func states(page string) map[string]string {
	all := map[string]string{}
	for _, m := range state.FindAllStringSubmatch(page, -1) {
		all[m[1]+m[3]+" "+m[2]+m[5]] = m[4]
	}
	return all
}

// numbersOf returns the series of all quotas, with their values.
func numbersOf(t *testing.T, page string) []string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^cloud_quota_(?:used|limit|remaining){.*$`).FindAllString(page, -1)
	if len(found) < 23*len(faults) { // as many as the documented examples have for each
		t.Fatalf("%d numbers:\n%s", len(found), page)
	}
	return found
}

// value returns the value of a series without labels.
func value(t *testing.T, page, name string) float64 {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no %s", name)
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// eventually scrapes until all sources are as wanted.
func eventually(t *testing.T, url, what string, limit time.Duration, want map[string]string) {
	t.Helper()
	since := time.Now()
	var got map[string]string
	for time.Since(since) < limit {
		if got = states(scrape(t, url)); same(got, want) {
			t.Logf("%s after %s", what, time.Since(since).Round(time.Second/10))
			return
		}
		<-time.After(300 * time.Millisecond)
	}
	t.Fatalf("%s: not within %s:\n%s", what, limit, difference(got, want))
}

// settles scrapes until a value has decreased.
func settles(t *testing.T, url, name string, most float64) {
	t.Helper()
	since := time.Now()
	for {
		got := value(t, scrape(t, url), name)
		if got <= most {
			return
		}
		if time.Since(since) > 20*time.Second {
			t.Fatalf("%s is %g, want %g at most", name, got, most)
		}
		<-time.After(time.Second)
	}
}

func same(got, want map[string]string) bool { return difference(got, want) == "" }

// difference has a line for each source that is not as wanted.
func difference(got, want map[string]string) string {
	var lines []string
	for source, reason := range want {
		if is, there := got[source]; !there || is != reason {
			lines = append(lines, fmt.Sprintf("%s: %q (known: %t), want %q", source, is, there, reason))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
