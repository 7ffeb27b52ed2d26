package e2e

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
)

// deploy is the directory of the shipped files.
const (
	deploy       = "../../deploy/"
	shippedRules = deploy + "prometheus/rules.yml"
)

// due are the alerts that fire for newCloud, regardless of how it is scraped.
const due = `ALERTS{alertname="CloudQuotaCritical",alertstate="pending",project="ap-southeast-1_dev",resource_type="instance",service="dcs",severity="critical"} 1
ALERTS{alertname="CloudQuotaExhausted",alertstate="pending",project="ap-southeast-1_dev",resource_type="instance",service="dcs",severity="critical"} 1
ALERTS{alertname="CloudQuotaNearlyExhausted",alertstate="pending",project="ap-southeast-1_dev",resource_type="alarm",service="ces",severity="warning"} 1
ALERTS{alertname="CloudQuotaNearlyExhausted",alertstate="pending",project="ap-southeast-1_dev",resource_type="instance",service="dcs",severity="warning"} 1`

func TestShippedStaticConfiguration(t *testing.T) {
	t.Parallel()
	e := startExporter(t, newCloud(), "{}")
	p := startShipped(t, "scrape-static.yml", "localhost:10133", e.at)
	p.becomes(t, "up", "up 1")
	p.knowsWhatIsDue(t)
}

func TestShippedConfigurationOfProjects(t *testing.T) {
	t.Parallel()
	cloud := newCloud()
	one, two := startExporter(t, cloud, "{}"), startExporter(t, cloud, "{}")
	p := startShipped(t, "scrape-projects.yml", "exporter-0.example.com:10133", one.at, "exporter-1.example.com:10133", two.at)
	p.becomes(t, `sum(up{job="cloud_quota_exporters"})`, " 2")
	p.becomes(t, byTarget(`sum by (instance) (up{job=~"cloud_quota_[01]"})`), lines([]string{fmt.Sprintf("{target=%q} 1", examples), fmt.Sprintf("{target=%q} 1", named)}))
	p.knowsWhatIsDue(t)
}

func TestShippedSecureConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certificate, key := keyPair(t)
	ca, password := save(t, dir+"/tls.crt", certificate), save(t, dir+"/password", "open sesame")
	save(t, dir+"/tls.key", key)
	web := save(t, dir+"/web.yml", "tls_server_config: {cert_file: tls.crt, key_file: tls.key}\n"+
		"basic_auth_users: {prometheus: $2a$04$JLbUYvQhgxuSWJOvy//feezC/Sz7Ybdi3/1JmSjrTtq0AKqV/SSFO}\n")
	open := startExporter(t, newCloud(), "{}")
	e := startProcess(t, exporterBinary, "--config.file="+open.config, "--web.listen-address=127.0.0.1:0", "--web.config.file="+web)
	p := startShipped(t, "scrape-secure.yml", "exporter.example.com:10133", e.address(t),
		"/etc/prometheus/cloud_quota_exporter/ca.crt", ca, "/etc/prometheus/cloud_quota_exporter/password", password)
	p.becomes(t, "up", "up 1")
	p.knowsWhatIsDue(t)
}

// startShipped runs a server with a shipped configuration, in which pairs of words are replaced, and with the shipped rules, both at intervals of a
// second.
func startShipped(t *testing.T, name string, replaced ...string) *prometheus {
	t.Helper()
	config := replace(t, readFile(t, deploy+"prometheus/"+name), append(replaced, "rules.yml", rulesEverySecond(t), `(interval|timeout): 1\w+`, "$1: 1s")...)
	return startPrometheus(t, "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"+config)
}

// rulesEverySecond returns a file with the shipped rules, evaluated every second.
func rulesEverySecond(t *testing.T) string {
	t.Helper()
	return save(t, filepath.Join(t.TempDir(), "rules.yml"), replace(t, readFile(t, shippedRules), "interval: 2m", "interval: 1s"))
}

// knowsWhatIsDue asserts that every rule can be evaluated, and that the expected alerts fire.
func (p *prometheus) knowsWhatIsDue(t *testing.T) {
	t.Helper()
	p.becomes(t, `ALERTS`, due)
	p.is(t, "count(quota:cloud_quota_remaining:min)", fmt.Sprintf(" %d", len(quotas)))
	eventually(t, "all rules are evaluated", func() (string, bool) {
		var data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
		if err := p.get("/api/v1/rules", nil, &data); err != nil {
			return err.Error(), false
		}
		rules := data.Groups[0].Rules
		sick := slices.DeleteFunc(slices.Clone(rules), func(r struct{ Name, Health, LastError string }) bool { return r.Health == "ok" })
		return fmt.Sprint(sick), len(rules) > 0 && len(sick) == 0
	})
}

// keyPair returns a certificate of 127.0.0.1 and its key, in PEM.
func keyPair(t *testing.T) (certificate, key string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pair := server.TLS.Certificates[0]
	pkcs8, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return encode("CERTIFICATE", pair.Certificate[0]), encode("PRIVATE KEY", pkcs8)
}
