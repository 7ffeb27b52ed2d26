package command_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/command"
	"cloud_quota_exporter/internal/democloud"
)

// serve runs serve with a configuration, and with POST /-/reload.
func serve(t *testing.T, webConfig, configFile string, hangup <-chan os.Signal) *running {
	t.Helper()
	return start(t, webConfig, func(ctx context.Context, logs command.Logs, s command.Serving) error {
		s.EnableLifecycle = true
		return command.Serve(ctx, logs, s, configFile, hangup)
	})
}

// served is serve with a simulated cloud.
type served struct {
	*running

	cloud     *cloudtest.Cloud
	key, file string // the secret key, and the configuration
	hangup    chan<- os.Signal
}

// serving serves a project of a simulated cloud. The configuration ends with services.
func serving(t *testing.T, webConfig, services string) served {
	t.Helper()
	cloud, endpoints := simulated(t)
	key := write(t, "sk", secretKey)
	file := configuration(t, endpoints, key, services)
	hangup := make(chan os.Signal)
	return served{serve(t, webConfig, file, hangup), cloud, key, file, hangup}
}

func configuration(t *testing.T, endpoints, secretKeyFile, services string) string {
	t.Helper()
	return write(t, "config.yml", `accounts:
  - name: main
    credentials:
      static: {access_key: `+accessKey+`, secret_key_file: `+secretKeyFile+`, security_token: `+token+`}
    endpoints: `+endpoints+`
    projects:
      - {region: ap-southeast-3, name: prod}
`+services)
}

func TestServe(t *testing.T) {
	r := serving(t, "", "")
	r.log.waitFor(t, `msg="Credentials loaded"`) // before the first scrape
	contains(t, r.log.String(), `account=main from="static: access_key in the configuration, secret_key_file `)
	if n := len(r.cloud.Requests()); n != 0 {
		t.Errorf("%d requests for permanent keys", n)
	}
	page := r.get(t, "/metrics")
	contains(t, page, "200\n",
		`cloud_quota_limit{project="prod",resource_type="ram",service="dcs"} 800`,
		`cloud_quota_remaining{project="prod",resource_type="ram",service="dbss"} 1.622016e+06`,
		`cloud_quota_project_info{account="main",project="prod",project_id="`+projectID+`",region="ap-southeast-3"} 1`,
		`cloud_quota_exporter_api_requests_total{code="200",service="iam"} 1`,
		`cloud_quota_exporter_api_requests_total{code="200",service="dbss"} 2`,
		`cloud_quota_exporter_api_request_duration_seconds_count{service="cts"} 1`,
		"\ncloud_quota_exporter_config_last_reload_successful 1\n",
		"cloud_quota_exporter_build_info{",
		"go_goroutines ", "process_resident_memory_bytes ",
	)
	loaded := regexp.MustCompile(`(?m)^cloud_quota_exporter_config_last_reload_success_timestamp_seconds (\S+)$`).FindStringSubmatch(page)
	if when, err := strconv.ParseFloat(loaded[1], 64); err != nil || math.Abs(when-float64(time.Now().Unix())) > 60 {
		t.Errorf("the configuration was loaded at %s (%v), want now", loaded[1], err)
	}
	_, body, _ := strings.Cut(page, "\n")
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil || len(problems) != 0 {
		t.Errorf("%v %v", problems, err)
	}
	if err := r.stop(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	contains(t, r.log.String(), `msg="Exporter started"`, `services="[cts ces taurusdb dcs dbss]"`, `msg="Stopping after running scrapes have finished"`)
}

func TestServeFromEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		"HUAWEICLOUD_SDK_AK": accessKey, "HUAWEICLOUD_SDK_SK": secretKey, "HW_REGION_NAME": "nowhere-1", "HUAWEICLOUD_SDK_PROJECT_ID": projectID,
	} {
		t.Setenv(name, value)
	}
	r := serve(t, "", "", nil)
	contains(t, r.get(t, "/metrics?collect%5B%5D=exporter"), "cloud_quota_exporter_build_info")
	contains(t, r.log.String(), "projects=1")
	if strings.Contains(r.log.String(), secretKey) {
		t.Error("the key is shown")
	}
}

func TestExampleConfiguration(t *testing.T) {
	example, err := os.ReadFile("../../config.example.yml")
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, "", "../../config.example.yml", nil)
	r.log.waitFor(t, `msg="Exporter started"`)
	// Every key is included, also those that are commented out.
	for _, key := range []string{
		"accounts", "name", "credentials", "static", "environment", "access_key", "access_key_file", "secret_key", "secret_key_file",
		"security_token", "security_token_file", "cloud", "endpoints", "iam", "default", "ca_file", "projects", "id", "region",
		"services", "defaults", "cache_ttl", "timeout", "max_stale", "max_in_flight", "enabled", "list_instances",
		"cts", "ces", "taurusdb", "dcs", "dbss",
		"api", "path", "level", "host", "list", "type", "used", "remaining", "unit", "min", "max", "pairs", "units", "rename", "no_limit", "unknown", "skip",
		"action", "identity", "role",
		"discovery", "regions", "domain_id", "assume_agency", "include", "exclude", "subprojects", "name_prefix", "refresh_interval",
		"limits", "service", "project", "resource_type", "limit", "thresholds", "overrides", "ratios",
	} {
		if !regexp.MustCompile(`(?m)(^|[\s{,#-])` + key + `:`).Match(example) {
			t.Errorf("config.example.yml does not contain %s", key)
		}
	}
}

// TestWebConfig uses the toolkit's file, with a key pair that the test creates.
func TestWebConfig(t *testing.T) {
	certificate, key := keyPair(t)
	r := serving(t, write(t, "web.yml", "tls_server_config: {cert_file: "+certificate+", key_file: "+key+`}
basic_auth_users:
  prometheus: $2a$04$Ba3/oA.WZDKD5BqPJtdUuummoh.pXYvfilCVFk8JRdvgEtwBfaY5O # "secret"
`), "")
	address := strings.TrimPrefix(r.url, "http://")
	r.url = "https://" + address
	contains(t, r.get(t, "/metrics")+r.get(t, "/-/ready")+r.get(t, "/-/healthy")+r.get(t, "/runbooks/CloudQuotaStale"),
		"401\nUnauthorized\n401\nUnauthorized\n401\nUnauthorized\n401\nUnauthorized\n")
	r.url = "https://prometheus:secret@" + address
	contains(t, r.get(t, "/metrics"), "200\n", "cloud_quota_used{")
	contains(t, r.get(t, "/runbooks/CloudQuotaStale"), "200\n", "<h1>CloudQuotaStale</h1>")
	contains(t, r.get(t, "/-/ready")+r.get(t, "/-/healthy"), "200\ncloud_quota_exporter is ready.\n200\n") // so a probe with httpHeaders works
	for version, accepted := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
		if (err == nil) != accepted {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			conn.Close()
		}
	}
	r.log.waitFor(t, `msg="http: TLS handshake error from 127.0.0.1:`) // as a log line
	limited := serving(t, write(t, "web.yml", "rate_limit: {interval: 1h, burst: 2}\n"), "")
	for _, want := range []string{"200\n", "200\n", "429\n"} {
		contains(t, limited.get(t, "/-/healthy"), want)
	}
}

func TestDemo(t *testing.T) {
	t.Setenv("TMPDIR", "/missing") // as in the container image, which has no writable directory
	hints := newOutput()
	r := start(t, "", func(ctx context.Context, logs command.Logs, s command.Serving) error {
		s.ExternalURL = "https://example.com/quotas"
		return command.Demo(ctx, logs, s, hints)
	})
	page := r.get(t, "/quotas/metrics")
	offered := 3*len(democloud.Services()) - 2 // in two projects, one is not
	if n := len(regexp.MustCompile(`(?m)^cloud_quota_up{.*} 1$`).FindAllString(page, -1)); n != offered || strings.Count(page, "\ncloud_quota_up{") != n {
		t.Errorf("%d sources are read, want %d; page\n%s", n, offered, page)
	}
	hints.waitFor(t, "Press Ctrl-C to stop.")
	contains(t, hints.String(), "Open:\n\n  "+r.url+"/quotas/metrics ", "Press Ctrl-C to stop.")
	if err := r.stop(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// keyPair creates the files of a certificate and its key.
func keyPair(t *testing.T) (certificate, key string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	server.Close()
	pair := server.TLS.Certificates[0]
	pkcs8, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, bytes []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}))
	}
	return write(t, "cert.pem", encode("CERTIFICATE", pair.Certificate[0])), write(t, "key.pem", encode("PRIVATE KEY", pkcs8))
}
