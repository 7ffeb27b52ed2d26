package command_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/command"
	"cloud_quota_exporter/internal/fleet/fleettest"
	"cloud_quota_exporter/internal/web"
)

// site serves the documented examples like serve, in a bubble.
func site(t *testing.T) (network *cloudsim.Pipe, logged *output) {
	t.Helper()
	world := fleettest.New(t, fleettest.Documents(), fleettest.DocumentsConfig+"services: {dcs: {timeout: 1m}}\n")
	world.Cloud.Inject(cloudtest.Fault{Service: "dcs", Hang: true}) // a scrape takes its full timeout
	logged = newOutput()
	logger := level.NewFilter(log.NewLogfmtLogger(logged), level.AllowInfo())
	handler, err := web.NewHandler(web.Options{
		Fleet: world.Fleet, Process: prometheus.NewRegistry(), TelemetryPath: "/metrics", TimeoutOffset: 500 * time.Millisecond, Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	network = cloudsim.NewPipe() // the server notices a slow client at once: connections have no buffer
	server := command.NewServer(handler, logger)
	ended := make(chan error)
	go func() { ended <- server.Serve(network) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
		<-time.After(time.Minute) // running fetches end
	})
	return network, logged
}

func dial(t *testing.T, network *cloudsim.Pipe) net.Conn {
	t.Helper()
	c, err := network.Dial(t.Context(), "tcp", "exporter")
	if err != nil {
		t.Error(err)
	}
	return c
}

// trickle sends text byte by byte, one per second, and then repeats the last byte. It returns when the server closes the connection.
func trickle(c net.Conn, text string) {
	go func() { _, _ = io.Copy(io.Discard, c) }()
	for i := 0; ; i++ {
		if _, err := c.Write([]byte{text[min(i, len(text)-1)]}); err != nil {
			return
		}
		<-time.After(time.Second)
	}
}

// sip requests a page and reads one byte per second. It returns when the server closes the connection.
func sip(c net.Conn, headers string) {
	if _, err := io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: x\r\n"+headers+"\r\n"); err != nil {
		return
	}
	for b := make([]byte, 1); ; <-time.After(time.Second) {
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
	}
}

// TestSlowClients: each kind is disconnected in time, and delays no other client.
func TestSlowClients(t *testing.T) {
	const crowd = 200
	for name, tc := range map[string]struct {
		client func(net.Conn)
		gone   time.Duration // after the start; a second request starts with its fourth byte
	}{
		"say nothing":              {func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, 10 * time.Second},
		"send a header slowly":     {func(c net.Conn) { trickle(c, "GET / HTTP/1.1\r\nHost: x\r\nX: y") }, 10 * time.Second},
		"start another slowly":     {func(c net.Conn) { ask(c, "/-/ready"); trickle(c, "GET / HTTP/1.1\r\nX: y") }, 13 * time.Second},
		"send a body slowly":       {func(c net.Conn) { head(c, "POST /-/reload", "Content-Length: 9999"); trickle(c, "x") }, 10 * time.Second},
		"send a page's body":       {func(c net.Conn) { head(c, "GET /metrics", "Content-Length: 9999"); trickle(c, "x") }, 10 * time.Second},
		"stay":                     {func(c net.Conn) { ask(c, "/-/ready"); _, _ = io.Copy(io.Discard, c) }, 5 * time.Minute},
		"read slowly":              {func(c net.Conn) { sip(c, "") }, 9500*time.Millisecond + 30*time.Second},
		"read slowly, and patient": {func(c net.Conn) { sip(c, "X-Prometheus-Scrape-Timeout-Seconds: 60\r\n") }, 59500*time.Millisecond + 30*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network, logged := site(t)
				start := time.Now()
				var clients sync.WaitGroup
				for range crowd {
					clients.Go(func() {
						c := dial(t, network)
						defer c.Close()
						tc.client(c)
						if stayed := time.Since(start); stayed < tc.gone || stayed > tc.gone+time.Second {
							t.Errorf("disconnected after %s, want %s", stayed, tc.gone)
						}
					})
				}
				<-time.After(5 * time.Second)
				asked := time.Now()
				if got := ask(dial(t, network), "/-/healthy"); !strings.HasPrefix(got, "HTTP/1.1 200 OK") || time.Since(asked) != 0 {
					t.Errorf("during that time, after %s: %s", time.Since(asked), got)
				}
				clients.Wait()
				if got := ask(dial(t, network), "/metrics"); !strings.HasPrefix(got, "HTTP/1.1 200 OK") {
					t.Errorf("afterwards: %s", got)
				}
				if got := logged.String(); got != "" {
					t.Errorf("clients can fill the log:\n%.2000s", got)
				}
			})
		})
	}
}

// TestLongAndLargeRequests: a request that waits for the cloud longer than the limit for receiving requests still gets its response.
// Requests that are too large are rejected early.
func TestLongAndLargeRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, _ := site(t)
		start := time.Now()
		if got := ask(dial(t, network), "/metrics", "X-Prometheus-Scrape-Timeout-Seconds: 120"); !strings.HasPrefix(got, "HTTP/1.1 200 OK") || time.Since(start) < 30*time.Second {
			t.Errorf("after %s: %s", time.Since(start), got)
		}
		for size, want := range map[int]string{400_000: "HTTP/1.1 400 Bad Request", 600 << 10: "HTTP/1.1 431 Request Header Fields Too Large"} {
			if got := ask(dial(t, network), "/metrics?"+strings.Repeat("x", size)); !strings.HasPrefix(got, want) {
				t.Errorf("%d bytes: %.200s", size, got)
			}
		}
	})
}

// head sends the start of a request.
func head(c net.Conn, request string, headers ...string) {
	_, _ = fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", request, strings.Join(headers, "\r\n"))
}

// ask sends a request and returns its whole response.
func ask(c net.Conn, path string, headers ...string) string {
	go head(c, "GET "+path, append(headers, "X: y")...) // the server can respond before it has read all
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return fmt.Sprintf("%s %s\n%s%v", resp.Proto, resp.Status, body, err)
}
