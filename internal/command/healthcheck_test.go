package command_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	toolkit "github.com/prometheus/exporter-toolkit/web"

	"cloud_quota_exporter/internal/command"
)

// health runs healthcheck with flags of serve.
func health(t *testing.T, listen, webConfig string, change ...func(*command.Serving)) error {
	t.Helper()
	systemd := false
	s := command.Serving{Web: &toolkit.FlagConfig{WebListenAddresses: &[]string{listen, "127.0.0.1:1"}, WebSystemdSocket: &systemd, WebConfigFile: &webConfig}}
	for _, f := range change {
		f(&s)
	}
	return command.Healthcheck(t.Context(), s)
}

// TestHealthcheck requests a real exporter: over HTTP, over TLS, and with a password.
func TestHealthcheck(t *testing.T) {
	file, key := keyPair(t)
	certificate := "tls_server_config: {cert_file: " + file + ", key_file: " + key + "}"
	for name, web := range map[string]string{
		"plain": "", "empty": "{}", "TLS": certificate, "TLS and a password": certificate + "\nbasic_auth_users: {prometheus: $2a$04$Ba3/oA.WZDKD5BqPJtdUuummoh.pXYvfilCVFk8JRdvgEtwBfaY5O}", "password": "basic_auth_users: {prometheus: $2a$04$Ba3/oA.WZDKD5BqPJtdUuummoh.pXYvfilCVFk8JRdvgEtwBfaY5O}",
	} {
		if web != "" {
			web = write(t, "web.yml", web)
		}
		r := serving(t, web, "")
		if err := health(t, strings.TrimPrefix(r.url, "http://"), web); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if err := health(t, strings.TrimPrefix(r.url, "http://"), web); err == nil || !strings.HasPrefix(err.Error(), "not healthy: ") {
			t.Errorf("%s, stopped: %v", name, err)
		}
	}
}

// TestHealthcheckAddresses: an exporter that listens on a wildcard address is requested on the loopback interface, also over IPv6.
func TestHealthcheckAddresses(t *testing.T) {
	for _, tc := range []struct{ listen, flag string }{
		{"127.0.0.1:0", ":PORT"},
		{"127.0.0.1:0", "0.0.0.0:PORT"},
		{"127.0.0.1:0", "localhost:PORT"},
		{"127.0.0.1:0", "[::]:PORT"},
		{"[::1]:0", ":PORT"},
		{"[::1]:0", "[::]:PORT"},
		{"[::1]:0", "[::1]:PORT"},
		{"[::1]:0", "0.0.0.0:PORT"},
		{"[::1%lo]:0", "[::1%lo]:PORT"},
	} {
		listener, err := net.Listen("tcp", tc.listen)
		if err != nil && strings.Contains(tc.listen, "::1") {
			t.Logf("no IPv6: %v", err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/-/healthy" {
				w.WriteHeader(http.StatusNotFound)
			}
		})}
		go func() { _ = server.Serve(listener) }()
		_, port, _ := net.SplitHostPort(listener.Addr().String())
		if err := health(t, strings.Replace(tc.flag, "PORT", port, 1), ""); err != nil {
			t.Errorf("%v: %v", tc, err)
		}
		server.Close()
	}
}

func TestHealthcheckResponses(t *testing.T) {
	for _, tc := range []struct {
		code    int
		healthy bool
	}{{200, true}, {401, true}, {204, false}, {302, false}, {403, false}, {404, false}, {429, false}, {500, false}, {503, false}} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/")
			if r.URL.Path == "/a/quotas/-/healthy" {
				w.WriteHeader(tc.code)
			}
		}))
		err := health(t, server.Listener.Addr().String(), "", func(s *command.Serving) { s.ExternalURL = "https://example.com/a/quotas/" })
		if (err == nil) != tc.healthy {
			t.Errorf("%d: %v", tc.code, err)
		}
		server.Close()
	}
}

// TestHealthcheckRejects unsupported addresses, with a clear error.
func TestHealthcheckRejects(t *testing.T) {
	for want, err := range map[string]error{
		"does not support --web.listen-address=vsock://:10133": health(t, "vsock://:10133", ""),
		"does not support --web.systemd-socket":                health(t, ":10133", "", func(s *command.Serving) { *s.Web.WebSystemdSocket = true }),
		"--web.listen-address: ":                               health(t, "10133", ""),
		"--web.route-prefix has an invalid path":               health(t, ":10133", "", func(s *command.Serving) { s.RoutePrefix = "/{a}" }),
		"/dev/zero: it is a device":                            health(t, ":10133", "/dev/zero"),
		"/missing.yml: no such file or directory":              health(t, ":10133", "/missing.yml"),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestHealthcheckEnds: an exporter that accepts connections but does not respond is not healthy.
func TestHealthcheckEnds(t *testing.T) {
	t.Parallel() // it waits
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	start := time.Now()
	err = health(t, listener.Addr().String(), "")
	if took := time.Since(start); err == nil || err.Error() != "not healthy: no response within 5s" || took < 5*time.Second || took > 10*time.Second {
		t.Errorf("%v after %s", err, took)
	}
}

func TestImageHasAHealthcheck(t *testing.T) {
	text, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(text), "HEALTHCHECK ", `CMD ["/cloud_quota_exporter", "healthcheck"]`)
}
