// Package network puts real trouble between the exporter's binary and a simulated cloud: latency, jitter, little bandwidth, resets,
// connections that close late, partitions. The trouble is toxiproxy's, on real sockets and with TLS.
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
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// exporterBinary is built by TestMain.
var exporterBinary string

func TestMain(m *testing.M) {
	code := 1
	zerolog.SetGlobalLevel(zerolog.Disabled) // toxiproxy traces what it does
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

// link is what leads from the exporter to the cloud, in one region.
type link struct {
	region string
	proxy  *toxiproxy.Proxy
}

// newLinks serves a cloud on a port, by TLS, and returns a proxy to it for each of its regions, and the file of its authority.
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

// poison puts a toxic on what flows in one direction, upstream or downstream.
func (l link) poison(t *testing.T, stream, kind, attributes string) {
	t.Helper()
	toxic := fmt.Sprintf(`{"name":%q,"type":%q,"stream":%q,"attributes":{%s}}`, kind+stream, kind, stream, attributes)
	if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		t.Fatalf("%s: %v", toxic, err)
	}
}

// heal takes all toxics off, and opens the link again.
func (l link) heal(t *testing.T) {
	t.Helper()
	l.proxy.Toxics.ResetToxics(context.WithoutCancel(t.Context()))
	if err := l.proxy.Start(); err != nil && !errors.Is(err, toxiproxy.ErrProxyAlreadyStarted) {
		t.Fatal(err)
	}
}

// start runs the exporter with all projects of a cloud, each by its link, and returns its address.
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
		t.Fatal("the exporter ended before it listened")
	}
	return url
}

// patience is how long Prometheus would wait for a page.
const patience = 5 * time.Second

// scrape returns the metrics, and asserts that they come in time.
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
		t.Fatalf("the page came with %s after %s: %v", resp.Status, took, err)
	}
	return string(page)
}
