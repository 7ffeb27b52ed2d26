package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/democloud"
)

const (
	benchmarkProjects = 100
	maxBinary         = 16_000_000 // bytes
	maxResident       = 40_000_000 // bytes
)

// BenchmarkStart tells what a release build needs to begin: its size, the time from exec to ready and to the end of the first scrape of
// 100 projects, and the memory after ten scrapes.
func BenchmarkStart(b *testing.B) {
	binary := release(b)
	size, err := os.Stat(binary)
	if err != nil {
		b.Fatal(err)
	}
	config := scaleConfig(b, cloudtest.Scale(benchmarkProjects))
	var ready, scraped time.Duration
	var resident float64
	for b.Loop() {
		start := time.Now()
		e := startProgram(b, binary, config)
		fetch(b, e.url+"/-/ready")
		ready += time.Since(start)
		page := fetch(b, e.url+"/metrics")
		scraped += time.Since(start)
		if n := strings.Count(page, "\ncloud_quota_up{"); n != 5*benchmarkProjects {
			b.Fatalf("%d sources, want %d", n, 5*benchmarkProjects)
		}
		for range 9 {
			page = fetch(b, e.url+"/metrics")
		}
		resident = max(resident, number(b, page, `(?m)^process_resident_memory_bytes (\S+)$`))
		e.stop()
	}
	if size.Size() > maxBinary || resident > maxResident {
		b.Errorf("a binary of %d bytes, %.0f bytes resident; want at most %d and %d", size.Size(), resident, maxBinary, maxResident)
	}
	b.ReportMetric(float64(size.Size())/1e6, "MB-binary")
	b.ReportMetric(float64(ready.Milliseconds())/float64(b.N), "ms-to-ready")
	b.ReportMetric(float64(scraped.Milliseconds())/float64(b.N), "ms-to-first-scrape")
	b.ReportMetric(resident/1e6, "MB-resident")
}

// release builds the program as it is released.
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

// number finds one in a text.
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
	fmt.Fprintf(&text, "    endpoints: {default: %q}\n    projects:\n", at)
	for _, p := range cloud.Projects() {
		fmt.Fprintf(&text, "      - {id: %s, region: %s, name: %s}\n", p.ID, p.Region, p.Name)
	}
	return writeFile(b, text.String())
}

// exporter is a running program.
type exporter struct {
	*exec.Cmd

	url string
}

// startProgram runs a binary until it listens.
func startProgram(b *testing.B, binary, config string) exporter {
	b.Helper()
	e := exporter{Cmd: exec.CommandContext(b.Context(), binary, "--config.file="+config, "--web.listen-address=127.0.0.1:0")}
	stderr, err := e.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := e.Start(); err != nil {
		b.Fatal(err)
	}
	listening := regexp.MustCompile(`Listening on" address=(\S+)`)
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			e.url = "http://" + m[1]
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }()
	return e
}

func (e exporter) stop() {
	_ = e.Process.Kill()
	_ = e.Wait()
}

func fetch(b *testing.B, url string) string {
	b.Helper()
	resp, err := http.Get(url)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		b.Fatal(resp.Status, err)
	}
	return string(body)
}
