package huaweicloud_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
)

// TestMain sets a proxy, since its variables are looked at once in the life of a process. Requests to 127.0.0.1, those of all other
// tests, never go through it.
func TestMain(m *testing.M) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "proxied %s", r.URL)
	}))
	os.Setenv("HTTP_PROXY", proxy.URL)
	os.Setenv("NO_PROXY", "direct.example.com")
	code := m.Run()
	proxy.Close()
	os.Exit(code)
}

func TestProxy(t *testing.T) {
	c, _, _ := client(t, nil)
	c.BaseURL = "http://cts.ap-southeast-3.example.com"
	answer, err := c.Get(t.Context(), "/v3/x/quotas")
	if err != nil || string(answer.Body) != "proxied http://cts.ap-southeast-3.example.com/v3/x/quotas" {
		t.Errorf("got %v, %v; want the proxy's answer", answer, err)
	}
	c.BaseURL = "http://direct.example.com"
	c.HTTP = huaweicloud.NewHTTPClient(func(_ context.Context, _, address string) (net.Conn, error) {
		return nil, fmt.Errorf("dialled %s", address)
	}, "", 1)
	if _, err := c.Get(t.Context(), "/"); err == nil || !strings.Contains(err.Error(), "dialled direct.example.com:80") {
		t.Errorf("got %v, want NO_PROXY honoured", err)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the redirect was followed, with %v", r.Header)
	}))
	defer elsewhere.Close()
	c, _, _ := client(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	if _, err := c.Get(t.Context(), "/"); huaweicloud.Reason(err) != "client_error" {
		t.Errorf("got %v", err)
	}
}

// secure returns a client of a TLS server whose certificate only caFile vouches for.
func secure(t *testing.T) (c *huaweicloud.Client, ca []byte) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	c, _, _ = client(t, nil)
	c.BaseURL = server.URL
	return c, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

func TestCertificateIsVerified(t *testing.T) {
	c, _ := secure(t)
	_, err := c.Get(t.Context(), "/")
	if huaweicloud.Reason(err) != "tls" || !strings.Contains(err.Error(), "needs ca_file") {
		t.Errorf("got %v", err)
	}
}

func TestCAFileIsReadAgain(t *testing.T) {
	c, ca := secure(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	c.HTTP = huaweicloud.NewHTTPClient(new(net.Dialer).DialContext, file, 8)
	c.HTTP.CloseIdleConnections() // nothing was opened yet
	for _, step := range []struct {
		contents string
		reason   string
		says     string
	}{
		{"", "tls", "no such file"},
		{"not a certificate", "tls", "there is no certificate in it; it must hold certificates in PEM"},
		{string(ca), "", ""},
		{"rotated to something wrong", "tls", "there is no certificate in it"},
		{string(ca) + "\n", "", ""},
	} {
		if step.contents != "" {
			if err := os.WriteFile(file, []byte(step.contents), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := c.Get(t.Context(), "/")
		if step.reason == "" && err != nil {
			t.Errorf("with the right authority: %v", err)
		}
		if step.reason != "" && (huaweicloud.Reason(err) != step.reason || !strings.Contains(err.Error(), step.says)) {
			t.Errorf("got %v, want reason %s and %q", err, step.reason, step.says)
		}
	}
	c.HTTP.CloseIdleConnections()
	sent := 0
	c.Events = func(string, string, time.Duration) { sent++ }
	var e *huaweicloud.CAFileError
	os.Remove(file)
	if _, err := c.Get(t.Context(), "/"); !errors.As(err, &e) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want the file's error within", err)
	}
	if sent != 0 {
		t.Errorf("%d requests are told, though none was sent", sent)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	c, ca := secure(t)
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.Config.ErrorLog = log.New(io.Discard, "", 0)
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11}
	old.StartTLS()
	defer old.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	c.HTTP = huaweicloud.NewHTTPClient(new(net.Dialer).DialContext, file, 8)
	c.BaseURL = old.URL
	if _, err := c.Get(t.Context(), "/"); huaweicloud.Reason(err) != "tls" {
		t.Errorf("got %v", err)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	var dials atomic.Int64
	together := make(chan struct{})
	var waiting atomic.Int64
	c, _, _ := client(t, func(w http.ResponseWriter, _ *http.Request) {
		if waiting.Add(1)%8 == 0 { // all eight are in flight at a time, three times
			for range 7 {
				together <- struct{}{}
			}
		} else {
			<-together
		}
		fmt.Fprint(w, "{}")
	})
	c.Events = func(string, string, time.Duration) {}
	c.HTTP = huaweicloud.NewHTTPClient(func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}, "", 8)
	for range 3 {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if _, err := c.Get(t.Context(), "/"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	if n := dials.Load(); n != 8 {
		t.Errorf("%d dials for three rounds of 8 requests, want 8", n)
	}
}

// closing tells when a connection is closed.
type closing struct {
	net.Conn
	closed func()
}

func (c closing) Close() error {
	c.closed()
	return c.Conn.Close()
}

// TestSilentHostLeaksNothing: a host that accepts connections and says nothing must not collect them.
func TestSilentHostLeaksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open atomic.Int64
		auth := &auth{keys: keys("AK", "SK", "")}
		c := &huaweicloud.Client{
			Auth: auth, Service: "cts", BaseURL: "https://127.0.0.1", Events: func(string, string, time.Duration) {},
			HTTP: huaweicloud.NewHTTPClient(func(context.Context, string, string) (net.Conn, error) {
				open.Add(1)
				near, far := net.Pipe()
				go func() { _, _ = io.Copy(io.Discard, far) }()
				return closing{near, sync.OnceFunc(func() { open.Add(-1) })}, nil
			}, "", 8),
		}
		for range 50 {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			if _, err := c.Get(ctx, "/"); huaweicloud.Reason(err) != "timeout" {
				t.Errorf("got %v", err)
			}
			cancel()
		}
		<-time.After(time.Minute)
		if n := open.Load(); n != 0 {
			t.Errorf("%d connections are open after a minute, want none", n)
		}
	})
}

// TestHangingDialEnds: nor must a dial that nobody waits for any more go on for good.
func TestHangingDialEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		c := &huaweicloud.Client{
			Auth: &auth{keys: keys("AK", "SK", "")}, Service: "cts", BaseURL: "https://127.0.0.1", Events: func(string, string, time.Duration) {},
			HTTP: huaweicloud.NewHTTPClient(func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				close(ended)
				return nil, ctx.Err()
			}, "", 8),
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Get(ctx, "/"); huaweicloud.Reason(err) != "timeout" {
			t.Errorf("got %v", err)
		}
		<-ended // the bubble would tell a deadlock
	})
}

func TestNoAnswer(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	abort := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "half")
	}
	dialError := func(err error) huaweicloud.Dial {
		return func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
		}
	}
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		dial    huaweicloud.Dial
		base    string
		reason  string
		says    string
		events  string
	}{
		{name: "hang", handler: hang, reason: "timeout", says: "raise services.cts.timeout", events: "[cts error]"},
		{name: "reset", handler: abort, reason: "network", says: "check the network", events: "[cts error]"},
		{name: "reset in the body", handler: cut, reason: "network", says: "200 OK, but its body broke off", events: "[cts 200]"},
		{
			name: "no such host", dial: dialError(&net.DNSError{Err: "no such host", Name: "cts.nowhere.myhuaweicloud.com", IsNotFound: true}),
			reason: "network", says: "may not offer the service, or it has another host there: set endpoints.cts", events: "[cts error]",
		},
		{name: "refused", dial: dialError(syscall.ECONNREFUSED), reason: "network", says: "connection refused", events: "[cts error]"},
		{name: "no route", dial: dialError(syscall.EHOSTUNREACH), reason: "network", says: "no route to host", events: "[cts error]"},
		{name: "no TLS there", base: "https", reason: "tls", says: "check endpoints", events: "[cts error]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, _, events := client(t, tc.handler)
			if tc.dial != nil {
				c.HTTP = huaweicloud.NewHTTPClient(tc.dial, "", 1)
			}
			if tc.base != "" {
				c.BaseURL = strings.Replace(c.BaseURL, "http", tc.base, 1)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_, err := c.Get(ctx, "/v3/{project_id}/quotas")
			var e *huaweicloud.TransportError
			if !errors.As(err, &e) || huaweicloud.Reason(err) != tc.reason {
				t.Errorf("got %v, reason %s; want a TransportError, %s", err, huaweicloud.Reason(err), tc.reason)
			}
			if text := err.Error(); !strings.Contains(text, tc.says) || strings.Count(text, "http://")+strings.Count(text, "https://") != 1 {
				t.Errorf("the error says\n%s\nwant %q, and the URL once", text, tc.says)
			}
			if got := fmt.Sprint(*events); got != tc.events {
				t.Errorf("events = %s, want %s", got, tc.events)
			}
		})
	}
}
