package huaweicloud_test

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
)

// auth grants keys and counts rejections.
type auth struct {
	keys     *huaweicloud.Keys
	err      error
	rejected atomic.Int64
}

func (a *auth) Grant(context.Context, huaweicloud.Scope) (huaweicloud.Grant, error) {
	if a.err != nil {
		return nil, a.err
	}
	return a.keys, nil
}

func (a *auth) Reject(huaweicloud.Grant) { a.rejected.Add(1) }

// clientOf returns a client whose connections dial makes.
func clientOf(dial huaweicloud.Dial) *huaweicloud.Client {
	return &huaweicloud.Client{
		HTTP: huaweicloud.NewHTTPClient(dial, "", 60), Auth: &auth{keys: keys("AKIDEXAMPLE", "a-secret-key", "a-security-token")},
		Service: "cts", Action: "cts:quota:get", BaseURL: "http://127.0.0.1", UserAgent: "cloud_quota_exporter/test",
		Scope:  huaweicloud.Scope{ProjectID: "0250cb8a80c24c0b9f20f557cb159aad", Region: "ap-southeast-3"},
		Events: func(string, string, time.Duration) {},
	}
}

// client sends requests to handler over real HTTP; events are those of its requests.
func client(t *testing.T, handler http.HandlerFunc) (c *huaweicloud.Client, a *auth, events *[]string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, events = clientOf(new(net.Dialer).DialContext), new([]string)
	c.BaseURL = server.URL
	c.Events = func(service, code string, took time.Duration) {
		if took <= 0 {
			t.Errorf("a request took %s", took)
		}
		*events = append(*events, service+" "+code)
	}
	a, _ = c.Auth.(*auth)
	return c, a, events
}

func body(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
}

func TestRequestsAreSigned(t *testing.T) {
	for id, escaped := range map[string]string{"0250cb8a": "/v3/0250cb8a/project-quotas", "a/b?": "/v3/a%2Fb%3F/project-quotas", "": "/v3//project-quotas"} {
		c, _, events := client(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.EscapedPath() != escaped || r.URL.RawQuery != "type=instance" {
				t.Errorf("requested %s", r.URL)
			}
			for name, want := range map[string]string{
				"User-Agent": "cloud_quota_exporter/test", "X-Project-Id": id, "X-Security-Token": "a-security-token", "Content-Type": "application/json; charset=UTF-8",
			} {
				if got := r.Header.Get(name); got != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
			date, err := time.Parse("20060102T150405Z", r.Header.Get("X-Sdk-Date"))
			if err != nil || time.Since(date).Abs() > time.Minute {
				t.Errorf("X-Sdk-Date = %s (%v), want now in UTC", date, err)
			}
			signed := "SignedHeaders=host;x-project-id;x-sdk-date;x-security-token,"
			if id == "" {
				signed = "SignedHeaders=host;x-sdk-date;x-security-token,"
			}
			if got := r.Header.Get("Authorization"); !strings.Contains(got, signed) {
				t.Errorf("Authorization = %s, want host, date, token and the project signed, if there is one", got)
			}
			fmt.Fprint(w, "{}")
		})
		c.Scope.ProjectID = id
		answer, err := c.Get(t.Context(), "/v3/{project_id}/project-quotas?type=instance")
		if err != nil || string(answer.Body) != "{}" || fmt.Sprint(*events) != "[cts 200]" {
			t.Fatalf("got %v, %v; events %s", answer, err, *events)
		}
	}
}

func TestMalformedShowsTheBeginningWithoutSecrets(t *testing.T) {
	for text, want := range map[string]string{
		"<html>\n\tYou sent a-security-token" + strings.Repeat("\xff", 300): "it is no JSON (begins with: <html> You sent <hidden>",
		"\x00":                   "it is no JSON (begins with: nothing printable",
		"":                       "it is no JSON (it is empty); check endpoints",
		strings.Repeat("x", 201): "begins with: " + strings.Repeat("x", 200) + "...); check endpoints",
	} {
		c, _, _ := client(t, body(text))
		answer, err := c.Get(t.Context(), "/")
		if err != nil {
			t.Fatal(err)
		}
		if got := answer.Malformed("it is no JSON").Error(); !strings.Contains(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestTooLongResponseIsNotRead: its connection cannot be reused, and must be closed.
func TestTooLongResponseIsNotRead(t *testing.T) {
	c, _, _ := client(t, body(strings.Repeat("y", 1<<20)))
	if answer, err := c.Get(t.Context(), "/"); err != nil || len(answer.Body) != 1<<20 {
		t.Errorf("1 MiB: %v", err)
	}
	c, _, _ = client(t, body(strings.Repeat("y", 8<<20)))
	var n counting
	c.HTTP = huaweicloud.NewHTTPClient(n.dial, "", 8)
	_, err := c.Get(t.Context(), "/")
	var e *huaweicloud.MalformedError
	if !errors.As(err, &e) || huaweicloud.Reason(err) != "malformed" || !strings.Contains(err.Error(), "longer than 1048576 bytes (begins with: yyy") {
		t.Errorf("8 MiB: %v", err)
	}
	for start := time.Now(); n.open.Load() != 0; <-time.After(time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			t.Fatal("the connection is not closed")
		}
	}
}

func TestNothingIsSent(t *testing.T) {
	c, auth, events := client(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	auth.err = &huaweicloud.APIError{Status: http.StatusForbidden}
	_, err := c.Get(t.Context(), "/")
	if huaweicloud.Reason(err) != "credentials" || !errors.Is(err, auth.err) || !strings.HasPrefix(err.Error(), "no credentials: ") {
		t.Errorf("without credentials: %v", err)
	}
	c.BaseURL = "http://a b"
	if _, err := c.Get(t.Context(), "/"); err == nil || !strings.Contains(err.Error(), "check endpoints") {
		t.Errorf("with a bad URL: %v", err)
	}
	if len(*events) != 0 {
		t.Errorf("events = %v", *events)
	}
}

// says dials a host that always sends the same text. It waits for a request, because net/http does not accept earlier data as a response.
func says(text string) huaweicloud.Dial {
	return func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			_, _ = far.Read(make([]byte, 1))
			go func() { _, _ = io.Copy(io.Discard, far) }()
			_, _ = io.WriteString(far, text)
		}()
		return near, nil
	}
}

// serverHello is the start of a TLS handshake with a version and a cipher suite.
func serverHello(version, suite string) string {
	return "\x16\x03\x01\x00\x2a\x02\x00\x00\x26" + version + strings.Repeat("r", 32) + "\x00" + suite + "\x00"
}

func TestNoResponse(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	abort := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	with := func(header, value, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(header, value)
			fmt.Fprint(w, body)
		}
	}
	packed := func(body string) http.HandlerFunc { return with("Content-Encoding", "gzip", body) }
	const gzipHeader = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
	failsTo := func(op string, err error) huaweicloud.Dial {
		return func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: op, Net: "tcp", Err: err}
		}
	}
	fails := func(err error) huaweicloud.Dial { return failsTo("dial", err) }
	noSuchHost := &net.DNSError{Err: "no such host", Name: "cts.nowhere.myhuaweicloud.com", IsNotFound: true}
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		dial    huaweicloud.Dial
		base    string
		reason  string
		says    string
		code    string // of the event; empty: error

		notOffered bool
	}{
		{name: "hang", handler: hang, reason: "timeout", says: "increase services.cts.timeout"},
		{name: "reset", handler: abort, reason: "network", says: "check the network"},
		{name: "reset in the body", handler: with("Content-Length", "100", "half"), reason: "network", says: `"200 OK", but the body is incomplete`, code: "200"},
		{name: "not gzip, despite the header", handler: packed("{}, and more"), reason: "malformed", says: "gzip: invalid header; check endpoints and the proxy", code: "200"},
		{name: "damaged gzip", handler: packed(gzipHeader + "\xff\xff\xff"), reason: "malformed", says: "corrupt input", code: "200"},
		{name: "gzip of something else", handler: packed(gzipHeader + "\x03\x00\x00\x00\x00\x01\x00\x00\x00\x00"), reason: "malformed", says: "invalid checksum", code: "200"},
		{name: "headers without end", handler: with("X-Long", strings.Repeat("x", 300<<10), ""), reason: "network", says: "check the network"},
		{
			name: "no such host", dial: fails(noSuchHost),
			reason: "network", says: "set endpoints.cts if the service has another host in this region (the region may not offer it)", notOffered: true,
		},
		{name: "no such proxy", dial: failsTo("proxyconnect", noSuchHost), reason: "network", says: "check the network, and HTTPS_PROXY and endpoints.cts"},
		{name: "a connection that times out", dial: fails(os.ErrDeadlineExceeded), reason: "timeout", says: "increase services.cts.timeout"},
		{name: "name server out of order", dial: fails(&net.DNSError{Err: "server misbehaving", IsTemporary: true}), reason: "network", says: "check the network"},
		{name: "refused", dial: fails(syscall.ECONNREFUSED), reason: "network", says: "connection refused"},
		{name: "no route", dial: fails(syscall.EHOSTUNREACH), reason: "network", says: "no route to host"},
		{name: "no TLS", base: "https", reason: "tls", says: "check endpoints"},
		{name: "another protocol", dial: says("SSH-2.0-x\r\n"), base: "https", reason: "tls", says: "check endpoints"},
		{name: "invalid TLS", dial: says("\x16\x03\x03\x00\x04\xff\x00\x00\x00"), base: "https", reason: "tls", says: "check endpoints"},
		{name: "TLS 1.0", dial: says(serverHello("\x03\x01", "\x00\x2f")), base: "https", reason: "tls", says: "unsupported protocol version 301; set ca_file if"},
		{name: "an unknown cipher suite", dial: says(serverHello("\x03\x03", "\x99\x99")), base: "https", reason: "tls", says: "unconfigured cipher suite; set ca_file if"},
		{name: "an echo that is not HTTP", dial: says("a-security-token\r\n"), reason: "network", says: `malformed HTTP response "<hidden>"`},
		{name: "an echo in a header", dial: says("HTTP/1.1 200 OK\r\na-new-token for a-secret-key\r\n\r\n"), reason: "network", says: `missing colon: "a-new-token for <hidden>"; check the network`},
		{name: "an echo in the status", dial: says("HTTP/1.1 200 a-secret-key\r\nContent-Length: 9\r\n\r\nhalf"), reason: "timeout", says: `"200 <hidden>", but the body is incomplete`, code: "200"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, _, events := client(t, tc.handler)
			if tc.dial != nil {
				c.HTTP = huaweicloud.NewHTTPClient(tc.dial, "", 1)
			}
			if tc.base != "" {
				c.BaseURL = strings.Replace(c.BaseURL, "http", tc.base, 1)
			}
			patience := time.Minute
			if tc.reason == "timeout" {
				patience = 100 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := c.Get(ctx, "/v3/{project_id}/quotas")
			var e *huaweicloud.TransportError
			if !errors.As(err, &e) || huaweicloud.Reason(err) != tc.reason {
				t.Fatalf("got %v, reason %s; want a TransportError, %s", err, huaweicloud.Reason(err), tc.reason)
			}
			text := fmt.Sprint(err, e.Err)
			if !strings.Contains(text, tc.says) || strings.Count(text, "http://")+strings.Count(text, "https://") != 1 || strings.Contains(text, "a-sec") {
				t.Errorf("the error and its cause are\n%s\nwant %q, the URL once, and no secret", text, tc.says)
			}
			if got, want := fmt.Sprint(*events), "[cts "+cmp.Or(tc.code, "error")+"]"; got != want {
				t.Errorf("events = %s, want %s", got, want)
			}
			if got := huaweicloud.IsNotOffered("cts", err); got != tc.notOffered {
				t.Errorf("not offered is %t", got)
			}
		})
	}
}

// TestIssueShowsNoResponse: keys in a response are not known yet, and net/http quotes them in its errors.
func TestIssueShowsNoResponse(t *testing.T) {
	for text, want := range map[string]string{
		"HTTP/1.1 200 OK\r\na-new-token for a-secret-key\r\n\r\n":       `missing colon: "..."; check the network`,
		"HTTP/1.1 200 a-new-token\r\nContent-Length: 9\r\n\r\nhalf":     `"...", but the body is incomplete`,
		"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\na-new-token":      "not shown because it may contain keys",
		"HTTP/1.1 101 a-new-token\r\nUpgrade: x\r\n\r\nand a-new-token": "unexpected status 101 Switching Protocols",
	} {
		c := clientOf(says(text))
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		answer, err := c.Issue(ctx, http.MethodPost, "/", nil, "x")
		cancel()
		if err == nil {
			err = answer.Malformed("a-new-token")
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "a-new-token") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestInformationalResponseIsNotRead: after a 101 the connection stays open, so that reading its body would block forever.
func TestInformationalResponseIsNotRead(t *testing.T) {
	c := clientOf(says("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: anything\r\n\r\n"))
	_, err := c.Get(t.Context(), "/") // no deadline: it must end by itself
	if reason := huaweicloud.Reason(err); reason != huaweicloud.ReasonMalformed || !strings.Contains(err.Error(), "101 Switching Protocols") {
		t.Errorf("%s: %v, want malformed", reason, err)
	}
}

func TestBaseURL(t *testing.T) {
	for _, tc := range []struct{ region, cloud, want string }{
		{"", "", "https://cts.myhuaweicloud.com"},
		{"ap-southeast-3", "", "https://cts.ap-southeast-3.myhuaweicloud.com"},
		{"eu-west-101", "", "https://cts.eu-west-101.myhuaweicloud.eu"},
		{"eu-west-0", "", "https://cts.eu-west-0.myhuaweicloud.com"}, // a partner's: its cloud must be configured
		{"eu-de", "otc.t-systems.com", "https://cts.eu-de.otc.t-systems.com"},
		{"eu-west-101", "example.com", "https://cts.eu-west-101.example.com"},
	} {
		if got := huaweicloud.BaseURL("cts", tc.region, tc.cloud); got != tc.want {
			t.Errorf("%s of %q: got %s, want %s", tc.region, tc.cloud, got, tc.want)
		}
	}
}

// nat is a network that can drop connections silently: they stay open, but no longer carry data. It connects to a server that responds with {}.
type nat struct {
	latency time.Duration // to the first byte of a response
	slow    time.Duration // from that to the others

	mu       sync.Mutex
	dialed   []*natConn
	requests atomic.Int64
}

type natConn struct {
	net.Conn
	forgotten atomic.Bool
}

func (c *natConn) Write(b []byte) (int, error) {
	if c.forgotten.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (n *nat) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		for in := bufio.NewReader(there); ; {
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			n.requests.Add(1)
			<-time.After(n.latency)
			fmt.Fprint(there, "HTTP/1.1 200 ")
			<-time.After(n.slow)
			fmt.Fprint(there, "OK\r\nContent-Length: 2\r\n\r\n{}")
		}
	}()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dialed = append(n.dialed, &natConn{Conn: here})
	return n.dialed[len(n.dialed)-1], nil
}

// forget drops all connections so far.
func (n *nat) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.dialed {
		c.forgotten.Store(true)
	}
}

// sources sends 60 requests at once, each with a timeout of 8 seconds, and returns how many failed.
func sources(t *testing.T, c *huaweicloud.Client) int64 {
	t.Helper()
	var failed atomic.Int64
	var all sync.WaitGroup
	for range 60 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
			defer cancel()
			if _, err := c.Get(ctx, "/"); err != nil {
				failed.Add(1)
			}
		})
	}
	all.Wait()
	return failed.Load()
}

// TestForgottenConnections: a NAT drops the connections of 60 sources right after a scrape. The next one loses nothing at any time, and each fetch
// costs at most one request more.
func TestForgottenConnections(t *testing.T) {
	for _, idle := range []time.Duration{5 * time.Second, 15 * time.Second, 29 * time.Second, 31 * time.Second, 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			n := &nat{latency: 10 * time.Millisecond}
			c := clientOf(n.dial)
			for range 3 {
				if failed := sources(t, c); failed != 0 || len(n.dialed) != 60 {
					t.Fatalf("%d failed at first, with %d connections; want them used again", failed, len(n.dialed))
				}
			}
			<-time.After(idle)
			n.forget()
			n.requests.Store(0)
			start := time.Now()
			failed := sources(t, c)
			if took := time.Since(start); failed != 0 || took > 6*time.Second || n.requests.Load() != 60 {
				t.Errorf("idle for %s: %d of 60 failed after %s, %d requests arrived", idle, failed, took, n.requests.Load())
			}
			c.HTTP.CloseIdleConnections()
		})
	}
}

// TestSlowServiceGetsOneRequest: a service that takes three seconds receives one request on a new connection, and on one that was used just before. On
// an idle connection it can receive two, and the response is not delayed.
func TestSlowServiceGetsOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &nat{latency: 3 * time.Second}
		c := clientOf(n.dial)
		for _, step := range []struct {
			idle time.Duration
			want int64
		}{{0, 1}, {time.Second, 2}, {20 * time.Second, 4}} {
			<-time.After(step.idle)
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
			_, err := c.Get(ctx, "/")
			cancel()
			if took := time.Since(start); err != nil || took != 3*time.Second || n.requests.Load() != step.want {
				t.Errorf("idle for %s: %v after %s, %d requests, want %d", step.idle, err, took, n.requests.Load(), step.want)
			}
		}
		<-time.After(3 * time.Second) // the canceled request ends
		c.HTTP.CloseIdleConnections()
		n = &nat{latency: time.Second, slow: 3 * time.Second} // a connection that has sent a byte is not dead
		c = clientOf(n.dial)
		for range 2 {
			if _, err := c.Get(t.Context(), "/"); err != nil {
				t.Error(err)
			}
			<-time.After(20 * time.Second)
		}
		if got := n.requests.Load(); got != 2 {
			t.Errorf("%d requests for two slow responses, want 2", got)
		}
		c.HTTP.CloseIdleConnections()
	})
}

// TestLoginsAreSentOnce: only GET requests are ever retried.
func TestLoginsAreSentOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(nat)
		c := clientOf(n.dial)
		if _, err := c.Issue(t.Context(), http.MethodPost, "/", nil, struct{}{}); err != nil {
			t.Fatal(err)
		}
		<-time.After(20 * time.Second)
		n.forget()
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		if _, err := c.Issue(ctx, http.MethodPost, "/", nil, struct{}{}); !errors.Is(err, context.DeadlineExceeded) || n.requests.Load() != 1 {
			t.Errorf("%v with %d requests that arrived, want a timeout", err, n.requests.Load())
		}
	})
}
