package huaweicloud_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
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

	"cloud_quota_exporter/internal/files/filestest"
	"cloud_quota_exporter/internal/huaweicloud"
)

// TestMain sets a time zone other than UTC, which signatures use.
func TestMain(m *testing.M) {
	time.Local = time.FixedZone("UTC+8", 8*60*60)
	os.Exit(m.Run())
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

// secure returns a client of a TLS server, and a file with the authority of its certificate, which c does not trust.
func secure(t *testing.T, config *tls.Config) (c *huaweicloud.Client, caFile string, ca []byte) {
	t.Helper()
	server := httptest.NewUnstartedServer(body("{}"))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = config
	server.StartTLS()
	t.Cleanup(server.Close)
	c = clientOf(new(net.Dialer).DialContext)
	c.BaseURL = server.URL
	caFile, ca = filepath.Join(t.TempDir(), "ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	write(t, caFile, ca)
	return c, caFile, ca
}

func write(t *testing.T, file string, contents []byte) {
	t.Helper()
	if err := os.WriteFile(file, contents, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCertificateIsVerified(t *testing.T) {
	c, _, _ := secure(t, nil)
	_, err := c.Get(t.Context(), "/")
	if huaweicloud.Reason(err) != "tls" || !strings.Contains(err.Error(), "set ca_file") {
		t.Errorf("got %v", err)
	}
}

func TestOldTLSIsRejected(t *testing.T) {
	c, file, _ := secure(t, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}) // by default, the server rejects 1.1
	c.HTTP = huaweicloud.NewHTTPClient(new(net.Dialer).DialContext, file, 8)
	if _, err := c.Get(t.Context(), "/"); huaweicloud.Reason(err) != "tls" {
		t.Errorf("got %v", err)
	}
}

// counting counts opened and open connections.
type counting struct{ opened, open atomic.Int64 }

func (n *counting) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	return n.count(conn), err
}

func (n *counting) count(conn net.Conn) net.Conn {
	n.opened.Add(1)
	n.open.Add(1)
	return closing{conn, sync.OnceFunc(func() { n.open.Add(-1) })}
}

type closing struct {
	net.Conn
	closed func()
}

func (c closing) Close() error {
	c.closed()
	return c.Conn.Close()
}

func TestCAFileIsReadAgain(t *testing.T) {
	c, file, ca := secure(t, nil)
	var n counting
	c.HTTP = huaweicloud.NewHTTPClient(n.dial, file, 8)
	c.HTTP.CloseIdleConnections() // nothing was opened yet
	for _, step := range []struct{ contents, says string }{
		{"not a certificate", "it has no certificate; use a file with certificates in PEM format"},
		{string(ca) + string(ca[:len(ca)/2]), "it ends within a certificate"},
		{string(ca), ""},
		{"half-written, for a moment", ""},
		{string(ca) + "\n", ""},
	} {
		write(t, file, []byte(step.contents))
		_, err := c.Get(t.Context(), "/")
		if (err == nil) != (step.says == "") || err != nil && (huaweicloud.Reason(err) != "tls" || !strings.Contains(err.Error(), step.says)) {
			t.Errorf("got %v, want %q", err, step.says)
		}
		if open := n.open.Load(); open > 1 {
			t.Errorf("%d connections are open, want that of the last request", open)
		}
	}
	c.HTTP.CloseIdleConnections()
	if open := n.open.Load(); open != 0 || n.opened.Load() != 2 {
		t.Errorf("%d of %d connections are open after they were closed, want none of 2", open, n.opened.Load())
	}
	c.Events = func(string, string, time.Duration) { t.Error("an event, although nothing was sent") }
	var e *huaweicloud.CAFileError
	c.HTTP = huaweicloud.NewHTTPClient(n.dial, file, 8) // has no previous authorities
	os.Remove(file)
	if _, err := c.Get(t.Context(), "/"); !errors.As(err, &e) || !errors.Is(err, os.ErrNotExist) || huaweicloud.Reason(err) != "tls" {
		t.Errorf("got %v, want the file's error within", err)
	}
}

// TestAuthoritiesThatNeverEnd: request timeouts do not interrupt reading a pipe or a device, and a file system can hang.
func TestAuthoritiesThatNeverEnd(t *testing.T) {
	c, file, _ := secure(t, nil)
	dir := t.TempDir()
	fifo, large := filepath.Join(dir, "fifo"), filepath.Join(dir, "large")
	write(t, large, make([]byte, 4<<20+1))
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	fromEnvironment := func(ctx context.Context, file string) error {
		return huaweicloud.CheckAuthorities(ctx, func(name string) string { return map[string]string{"SSL_CERT_FILE": file}[name] })
	}
	for bad, says := range map[string]string{
		fifo: "it is a named pipe, not a regular file", large: "larger than 4194304 bytes", "/dev/zero": "it is a device, not a regular file",
	} {
		c.HTTP = huaweicloud.NewHTTPClient(new(net.Dialer).DialContext, bad, 8)
		want := "ca_file " + bad + ": " + says + "; use a file with certificates in PEM format"
		if _, err := c.Get(t.Context(), "/"); huaweicloud.Reason(err) != "tls" || !strings.Contains(err.Error(), want) {
			t.Errorf("a request: got %v, want %s", err, want)
		}
		if err := huaweicloud.CheckCAFile(t.Context(), bad); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if err := fromEnvironment(t.Context(), bad); err == nil || !strings.HasPrefix(err.Error(), "SSL_CERT_FILE="+bad+": "+says+"; set it to a file") {
			t.Errorf("got %v, want %s", err, says)
		}
	}
	for _, good := range []string{"", file, filepath.Join(dir, "missing")} { // Go decides about a missing one
		if err := fromEnvironment(t.Context(), good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	hanging := filestest.Hang(t, file)
	c.HTTP = huaweicloud.NewHTTPClient(new(net.Dialer).DialContext, file, 8)
	for _, tc := range []struct {
		prefix string
		look   func(context.Context) error
	}{
		{"ca_file ", func(ctx context.Context) error { return huaweicloud.CheckCAFile(ctx, file) }},
		{"SSL_CERT_FILE=", func(ctx context.Context) error { return fromEnvironment(ctx, file) }},
		{"ca_file ", func(ctx context.Context) error { _, err := c.Get(ctx, "/"); return err }},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		err := tc.look(ctx)
		cancel()
		if want := tc.prefix + file + ": no response from the file system: context deadline exceeded"; huaweicloud.Reason(err) != "timeout" || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	hanging.Release()
	if _, err := c.Get(t.Context(), "/"); err != nil {
		t.Errorf("when it can be read: %v", err)
	}
}

// TestSilentHostLeaksNothing: a host that accepts connections but never responds does not accumulate them, nor one that does not accept connections
// the attempts.
func TestSilentHostLeaksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n counting
		c := clientOf(func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, far) }()
			return n.count(near), nil
		})
		c.BaseURL = "https://127.0.0.1"
		get := func(timeout time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			_, err := c.Get(ctx, "/")
			return err
		}
		for range 50 {
			if err := get(50 * time.Millisecond); huaweicloud.Reason(err) != "timeout" {
				t.Errorf("got %v", err)
			}
		}
		<-time.After(time.Minute)
		if open := n.open.Load(); open != 0 {
			t.Errorf("%d connections are open after a minute, want none", open)
		}
		ended := make(chan struct{})
		c.HTTP = huaweicloud.NewHTTPClient(func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			close(ended)
			return nil, ctx.Err()
		}, "", 8)
		if err := get(time.Second); huaweicloud.Reason(err) != "timeout" || !strings.Contains(err.Error(), "no response after 1s: ") {
			t.Errorf("got %v, want a timeout after 1s", err)
		}
		<-ended // otherwise the bubble reports a deadlock
	})
}

// TestDeadAddresses: if all addresses of a host but the last one are dead, that one is reached within the timeout of a request.
func TestDeadAddresses(t *testing.T) {
	for _, timeout := range []time.Duration{3 * time.Second, 10 * time.Second, time.Minute} {
		for addresses := 2; addresses <= 4; addresses++ {
			synctest.Test(t, func(t *testing.T) {
				c := clientOf(func(ctx context.Context, _, _ string) (net.Conn, error) {
					end, _ := ctx.Deadline()
					<-time.After(time.Until(end) * time.Duration(addresses-1) / time.Duration(addresses)) // as net.Dialer divides it
					return nil, syscall.ECONNREFUSED
				})
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				defer cancel()
				if _, err := c.Get(ctx, "/"); !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("%d addresses: %v", addresses, err)
				}
			})
		}
	}
}
