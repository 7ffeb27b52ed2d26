package command_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/command"
)

// exporterOf is the exporter with a simulated cloud, over connections in memory.
type exporterOf struct {
	handler http.Handler
	log     *output
	files   *strings.Replacer                // of CA and DIR
	refuses atomic.Pointer[http.HandlerFunc] // responds in place of the proxy
}

const proxyAddress = "proxy.example:3128"

// newExporterOf returns an exporter with a configuration, in which CA and DIR are replaced by files.
func newExporterOf(t *testing.T, cloud *cloudtest.Cloud, yaml, dir string) *exporterOf {
	t.Helper()
	pipe, plain := cloudsim.NewPipe(), cloudsim.NewPipe()
	server := cloudtest.Serve(cloud, pipe)
	t.Cleanup(server.Close)
	t.Cleanup(cloudsim.ServePlain(cloud, plain).Close)
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, server.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	e := &exporterOf{log: newOutput(), files: strings.NewReplacer("CA", caFile, "DIR", dir)}
	proxy := cloudsim.NewPipe()
	t.Cleanup(cloudsim.ServePlain(e.proxyTo(pipe), proxy).Close)
	l := level.NewFilter(log.NewLogfmtLogger(log.NewSyncWriter(e.log)), level.AllowInfo())
	var err error
	e.handler, err = command.NewHandler(l, strings.NewReplacer("CA,", caFile+",", "DIR", dir).Replace(yaml), cloud.Dialer(
		func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == proxyAddress {
				return proxy.Dial(ctx, network, address)
			}
			if strings.HasSuffix(address, ":80") { // services of the machine itself are requested without TLS
				return plain.Dial(ctx, network, address)
			}
			return pipe.Dial(ctx, network, address)
		}))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// proxyTo is a proxy that opens tunnels to servers.
func (e *exporterOf) proxyTo(servers *cloudsim.Pipe) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if refuses := e.refuses.Load(); refuses != nil {
			(*refuses)(w, r)
			return
		}
		server, err := servers.Dial(r.Context(), "tcp", r.Host)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		client, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		_, _ = client.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n")) // otherwise, the client has gone away
		go func() {
			_, _ = io.Copy(client, server)
			_ = client.Close()
		}()
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}
}

// spoil changes files until heal is called.
func (e *exporterOf) spoil(t *testing.T, files map[string]string) (heal func()) {
	t.Helper()
	whole := map[string][]byte{}
	for name, contents := range files {
		name = e.files.Replace(name)
		before, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		whole[name] = before
		switch contents {
		case missing:
			err = os.Remove(name)
		case half:
			err = os.WriteFile(name, before[:len(before)/2], 0o600)
		default:
			err = os.WriteFile(name, []byte(contents), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		for name, before := range whole {
			if err := os.WriteFile(name, before, 0o600); err != nil {
				t.Error(err)
			}
		}
	}
}

// scraped is a page of metrics: the values that the cloud determines, by series.
type scraped struct {
	text   string
	series map[string]string
	took   time.Duration
	since  time.Time // cached values have expired
}

// scrape scrapes like Prometheus, and asserts that the page arrives in time.
func (e *exporterOf) scrape(t *testing.T, since time.Time) scraped {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody)
	r.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "10")
	w := httptest.NewRecorder()
	p := scraped{series: map[string]string{}, since: since}
	began := time.Now()
	e.handler.ServeHTTP(w, r)
	p.took = time.Since(began)
	p.text = w.Body.String()
	if w.Code != http.StatusOK || p.took > 9500*time.Millisecond {
		t.Errorf("the page arrived with status %d after %s", w.Code, p.took)
	}
	for line := range strings.Lines(p.text) {
		if at := strings.LastIndexByte(line, ' '); strings.HasPrefix(line, "cloud_quota_") && !strings.HasPrefix(line, "cloud_quota_exporter_") {
			p.series[line[:at]] = strings.TrimSpace(line[at:])
		}
	}
	return p
}

// value returns a series in a form that can be compared with another page. Values that must change are checked here.
func (p scraped) value(series string) string {
	value := p.series[series]
	switch {
	case strings.HasPrefix(series, "cloud_quota_fetches_total{"):
		return "counted"
	case strings.HasPrefix(series, "cloud_quota_last_success_timestamp_seconds{"):
		if seconds, err := strconv.ParseFloat(value, 64); err == nil && seconds >= float64(p.since.UnixMilli())/1000 {
			return "lately"
		}
	}
	return value
}

// differences returns how two pages differ in the series that match.
func differences(before, after scraped, matters func(series string) bool) []string {
	var all []string
	for series := range before.series {
		if now := after.value(series); matters(series) && now != before.value(series) {
			all = append(all, fmt.Sprintf("%s is %q, was %q", series, now, before.value(series)))
		}
	}
	for series := range after.series {
		if _, was := before.series[series]; !was && matters(series) {
			all = append(all, fmt.Sprintf("%s is %q, and was not there", series, after.series[series]))
		}
	}
	slices.Sort(all)
	return all
}

// isNumber reports whether a series is a value of a quota.
func isNumber(series string) bool { return strings.Contains(series, `resource_type="`) }

// label returns the value of a label.
func label(series, name string) string {
	_, rest, _ := strings.Cut(series, name+`="`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// types returns the number of resource types of the series.
func (p scraped) types(matters func(series string) bool) int {
	all := map[string]bool{}
	for series := range p.series {
		if isNumber(series) && matters(series) {
			all[label(series, "service")+label(series, "resource_type")] = true
		}
	}
	return len(all)
}
