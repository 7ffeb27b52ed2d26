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
	"syscall"
	"testing"
	"time"

	"cloud_quota_exporter/internal/files/filestest"
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

// TestCAFileThatNeverEnds: no timeout of a request would end its reading.
func TestCAFileThatNeverEnds(t *testing.T) {
	dir := t.TempDir()
	fifo, large := filepath.Join(dir, "fifo"), filepath.Join(dir, "large")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(large, make([]byte, 4<<20+1), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, _ := client(t, nil)
	for file, says := range map[string]string{fifo: "it is a named pipe, not a regular file", large: "larger than 4194304 bytes"} {
		c.HTTP = huaweicloud.NewHTTPClient(new(net.Dialer).DialContext, file, 8)
		want := "ca_file " + file + ": " + says + "; it must hold certificates in PEM"
		if _, err := c.Get(t.Context(), "/"); huaweicloud.Reason(err) != "tls" || !strings.Contains(err.Error(), want) {
			t.Errorf("a request: got %v, want %s", err, want)
		}
		if err := huaweicloud.CheckCAFile(t.Context(), file); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestCAFileThatHangs: a request ends with its own context, and the file serves as soon as it can be read.
func TestCAFileThatHangs(t *testing.T) {
	c, ca := secure(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	hanging := filestest.Hang(t, file)
	c.HTTP = huaweicloud.NewHTTPClient(new(net.Dialer).DialContext, file, 8)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	const says = ": no response from the file system: context deadline exceeded"
	var e *huaweicloud.CAFileError
	if _, err := c.Get(ctx, "/"); huaweicloud.Reason(err) != "timeout" || !errors.As(err, &e) || !strings.Contains(err.Error(), "ca_file "+file+says) {
		t.Errorf("a request: got %v", err)
	}
	if err := huaweicloud.CheckCAFile(ctx, file); err == nil || !strings.Contains(err.Error(), "ca_file "+file+says) {
		t.Errorf("got %v", err)
	}
	hanging.Release()
	if _, err := c.Get(t.Context(), "/"); err != nil {
		t.Errorf("when it can be read: %v", err)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	c, ca := secure(t)
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.Config.ErrorLog = log.New(io.Discard, "", 0)
	old.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11} // by itself, the server would refuse 1.1
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
