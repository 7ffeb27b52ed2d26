package command_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-kit/log"
	toolkit "github.com/prometheus/exporter-toolkit/web"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/command"
)

func TestServeTellsThatThePortIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	systemd, webConfig := false, ""
	_, endpoints := simulated(t)
	logs := command.Logs{Program: log.NewNopLogger(), Bare: log.NewNopLogger()}
	err = command.Serve(t.Context(), logs, command.Serving{
		Web:           &toolkit.FlagConfig{WebListenAddresses: &[]string{taken.Addr().String()}, WebSystemdSocket: &systemd, WebConfigFile: &webConfig},
		TelemetryPath: "/metrics",
	}, configuration(t, endpoints, "sk", ""), nil)
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v", err)
	}
}

// TestRequestsSayWhoAsks: the cloud's operators see who it is that asks.
func TestRequestsSayWhoAsks(t *testing.T) {
	asked := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.UserAgent() }))
	defer server.Close()
	r := serve(t, "", configuration(t, `{iam: "`+server.URL+`"}`, write(t, "sk", secretKey), ""))
	r.get(t, "/metrics?collect%5B%5D=cts")
	if got := <-asked; !strings.HasPrefix(got, "cloud_quota_exporter/") {
		t.Errorf("User-Agent %q", got)
	}
}

// TestTLSAndBasicAuth uses the toolkit's file; its key pair is made for the test.
func TestTLSAndBasicAuth(t *testing.T) {
	_, endpoints := simulated(t)
	certificate, key := keyPair(t)
	webConfig := write(t, "web.yml", "tls_server_config: {cert_file: "+certificate+", key_file: "+key+`}
basic_auth_users:
  prometheus: $2a$04$Ba3/oA.WZDKD5BqPJtdUuummoh.pXYvfilCVFk8JRdvgEtwBfaY5O # "secret"
`)
	r := serve(t, webConfig, configuration(t, endpoints, write(t, "sk", secretKey), ""))
	r.url = strings.Replace(r.url, "http", "https", 1)
	contains(t, r.get(t, "/metrics"), "401\n")
	r.url = strings.Replace(r.url, "https://", "https://prometheus:secret@", 1)
	contains(t, r.get(t, "/metrics"), "200\n", "cloud_quota_used{")
}

// TestRateLimit is the toolkit's, in the same file: the exporter itself counts no requests.
func TestRateLimit(t *testing.T) {
	_, endpoints := simulated(t)
	r := serve(t, write(t, "web.yml", "rate_limit: {interval: 1h, burst: 2}\n"), configuration(t, endpoints, write(t, "sk", secretKey), ""))
	for _, want := range []string{"200\n", "200\n", "429\n"} {
		contains(t, r.get(t, "/-/healthy"), want)
	}
}

// TestOldTLSIsRefused: the toolkit's least version.
func TestOldTLSIsRefused(t *testing.T) {
	_, endpoints := simulated(t)
	certificate, key := keyPair(t)
	webConfig := write(t, "web.yml", "tls_server_config: {cert_file: "+certificate+", key_file: "+key+"}\n")
	r := serve(t, webConfig, configuration(t, endpoints, write(t, "sk", secretKey), ""))
	for version, accepted := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(r.url, "http://"), &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
		if (err == nil) != accepted {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			conn.Close()
		}
	}
	r.log.waitFor(t, `msg="http: TLS handshake error from 127.0.0.1:`) // as a line of the log
}

// TestStopFinishesScrapes: a scrape that waits for the cloud when the signal comes is answered.
func TestStopFinishesScrapes(t *testing.T) {
	cloud, endpoints := simulated(t)
	asked := make(chan struct{})
	proceed := make(chan struct{})
	cloud.Inject(cloudtest.Fault{Service: "dcs", When: func(int) bool {
		close(asked)
		<-proceed
		return false
	}})
	r := serve(t, "", configuration(t, endpoints, write(t, "sk", secretKey), ""))
	page := make(chan string)
	go func() { page <- r.get(t, "/metrics?collect%5B%5D=dcs") }()
	<-asked
	ended := make(chan error)
	go func() { ended <- r.stop() }()
	<-r.log.stopping
	close(proceed)
	contains(t, <-page, "200\n", `cloud_quota_used{project="prod",resource_type="instance",service="dcs"} 3`)
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
}
