package command_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/command"
)

// serve runs serve with a configuration, and with POST /-/reload.
func serve(t *testing.T, webConfig, configFile string, hangup <-chan os.Signal) *running {
	t.Helper()
	return start(t, webConfig, func(ctx context.Context, logs command.Logs, s command.Serving) error {
		s.EnableLifecycle = true
		return command.Serve(ctx, logs, s, configFile, hangup)
	})
}

// served is serve in front of a simulated cloud.
type served struct {
	*running

	cloud     *cloudtest.Cloud
	key, file string // the secret key, and the configuration
	hangup    chan<- os.Signal
}

// serving serves a project of a simulated cloud; services ends the configuration.
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
	r.log.waitFor(t, `msg="credentials are there"`) // before anybody scrapes
	contains(t, r.log.String(), `account=main from="static: access_key in the configuration, secret_key_file `)
	if n := len(r.cloud.Requests()); n != 0 {
		t.Errorf("%d requests for permanent keys", n)
	}
	page := r.get(t, "/metrics")
	contains(t, page, "200\n",
		`cloud_quota_used{project="prod",resource_type="data_tracker",service="cts"} 9`,
		`cloud_quota_used{project="prod",resource_type="system_tracker",service="cts"} 1`,
		`cloud_quota_limit{project="prod",resource_type="alarm",service="ces"} 1000`,
		`cloud_quota_used{project="prod",resource_type="instance",service="taurusdb"} 4`,
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
	contains(t, r.log.String(), "msg=serving", `services="[cts ces taurusdb dcs dbss]"`, `msg="stopping, scrapes under way are finished"`)
}

func TestServeLogsChangesOnly(t *testing.T) {
	r := serving(t, "", "services: {defaults: {cache_ttl: 0}, ces: {enabled: false}, taurusdb: {enabled: false}, dcs: {enabled: false}}")
	skipped := `{"resources":[{"type":"a","used":1,"quota":2},{"type":"a","used":1,"quota":2}]}`
	heal := r.cloud.Inject(cloudtest.Fault{Service: "cts", Status: http.StatusOK, Body: []byte(skipped)})
	healList := r.cloud.Inject(cloudtest.Fault{Path: "/v2/{project_id}/audit/instances", Status: http.StatusForbidden})
	r.get(t, "/metrics")
	r.get(t, "/metrics")
	heal()
	r.cloud.Inject(cloudtest.Fault{Service: "cts", Status: http.StatusInternalServerError, Body: cloudsim.ErrorBody("cts", 500, "out of order")})
	r.get(t, "/metrics")
	r.get(t, "/metrics")
	healList()
	r.get(t, "/metrics")
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int{
		`level=warn caller=log.go`: 3,
		`msg="resources are left out" count=1 err="resource 2 of 2: type \"a\" is there twice"`:                    1,
		`msg="quotas are incomplete" err="used and limit of audit_instance are not known: GET http`:                1,
		`account=main project=prod service=cts msg="quotas can't be read" reason=server_error err="GET http://127`: 1,
		`out of order`: 2, // once more at debug level, with the fetch
		`grant the IAM action dbss:auditInstance:list`: 1,
		`msg="quotas are read again"`:                  0,
		`level=error`:                                  0,
	} {
		if got := strings.Count(r.log.String(), text); got != want {
			t.Errorf("%q is %d times in the log, want %d:\n%s", text, got, want, r.log)
		}
	}
}

func TestKeysRotateWithoutRestart(t *testing.T) {
	r := serving(t, "", "services: {defaults: {cache_ttl: 0}}")
	contains(t, r.get(t, "/metrics?collect%5B%5D=cts"), `cloud_quota_up{project="prod",service="cts"} 1`)
	r.cloud.SetKeys("main", accessKey, "another-secret-key", token)
	if err := os.WriteFile(r.key, []byte("another-secret-key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	contains(t, r.get(t, "/metrics?collect%5B%5D=cts"), `cloud_quota_up{project="prod",service="cts"} 1`)
	r.cloud.SetKeys("main", accessKey, "yet another", token)
	contains(t, r.get(t, "/metrics?collect%5B%5D=cts"), `cloud_quota_last_failure_reason{project="prod",reason="unauthorized",service="cts"} 1`)
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
		t.Error("the key shows")
	}
}

func TestExampleConfiguration(t *testing.T) {
	example, err := os.ReadFile("../../config.example.yml")
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, "", "../../config.example.yml", nil)
	r.log.waitFor(t, "msg=serving")
	// Every key is there, the ones that are commented out too.
	for _, key := range []string{
		"accounts", "name", "credentials", "static", "environment", "access_key", "access_key_file", "secret_key", "secret_key_file",
		"security_token", "security_token_file", "cloud", "endpoints", "iam", "default", "ca_file", "projects", "id", "region",
		"services", "defaults", "cache_ttl", "timeout", "max_stale", "max_in_flight", "enabled", "list_instances",
		"cts", "ces", "taurusdb", "dcs", "dbss",
		"discovery", "regions", "domain_id", "assume_agency", "include", "exclude", "subprojects", "name_prefix", "refresh_interval",
		"limits", "service", "project", "resource_type", "limit", "thresholds", "overrides", "ratios",
	} {
		if !regexp.MustCompile(`(?m)(^|[\s{,#-])` + key + `:`).Match(example) {
			t.Errorf("config.example.yml does not show %s", key)
		}
	}
}

// TestRequestsSayWhoAsks: the cloud's operators see who it is that asks.
func TestRequestsSayWhoAsks(t *testing.T) {
	asked := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.UserAgent() }))
	defer server.Close()
	r := serve(t, "", configuration(t, `{iam: "`+server.URL+`"}`, write(t, "sk", secretKey), ""), nil)
	r.get(t, "/metrics?collect%5B%5D=cts")
	if got := <-asked; !strings.HasPrefix(got, "cloud_quota_exporter/") {
		t.Errorf("User-Agent %q", got)
	}
}

// TestWebConfig uses the toolkit's file; its key pair is made for the test.
func TestWebConfig(t *testing.T) {
	certificate, key := keyPair(t)
	r := serving(t, write(t, "web.yml", "tls_server_config: {cert_file: "+certificate+", key_file: "+key+`}
basic_auth_users:
  prometheus: $2a$04$Ba3/oA.WZDKD5BqPJtdUuummoh.pXYvfilCVFk8JRdvgEtwBfaY5O # "secret"
`), "")
	address := strings.TrimPrefix(r.url, "http://")
	r.url = "https://" + address
	contains(t, r.get(t, "/metrics"), "401\n")
	r.url = "https://prometheus:secret@" + address
	contains(t, r.get(t, "/metrics"), "200\n", "cloud_quota_used{")
	for version, accepted := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
		if (err == nil) != accepted {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			conn.Close()
		}
	}
	r.log.waitFor(t, `msg="http: TLS handshake error from 127.0.0.1:`) // as a line of the log
	limited := serving(t, write(t, "web.yml", "rate_limit: {interval: 1h, burst: 2}\n"), "")
	for _, want := range []string{"200\n", "200\n", "429\n"} {
		contains(t, limited.get(t, "/-/healthy"), want)
	}
}

func TestDemo(t *testing.T) {
	t.Setenv("TMPDIR", "/missing") // as in the container image, which has no place to write
	hints := newOutput()
	r := start(t, "", func(ctx context.Context, logs command.Logs, s command.Serving) error {
		return command.Demo(ctx, logs, s, hints)
	})
	page := r.get(t, "/metrics")
	contains(t, page, "200\n",
		`cloud_quota_limit{project="dev",resource_type="instance",service="taurusdb"} +Inf`,
		`cloud_quota_used{project="prod",resource_type="ram",service="dcs"} 7`,
		`cloud_quota_limit{project="prod",resource_type="ram",service="dcs"} 800`,
		`cloud_quota_up{project="staging",service="dbss"} 1`,
	)
	if n := strings.Count(page, "\ncloud_quota_up{"); n != 15 {
		t.Errorf("%d sources, want 15", n)
	}
	hints.waitFor(t, "Ctrl-C ends it.")
	contains(t, hints.String(), "Open:\n\n  "+r.url+"/metrics ", "Ctrl-C ends it.")
	if err := r.stop(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// keyPair makes the files of a certificate that signs itself, and of its key.
func keyPair(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, bytes []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}))
	}
	return write(t, "cert.pem", encode("CERTIFICATE", der)), write(t, "key.pem", encode("PRIVATE KEY", pkcs8))
}
