package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// watched is the label of the project of startWatched in which everything happens. A dot means something in an expression.
const watched = "prod.1"

// startWatched runs a Prometheus with the shipped rules in front of two exporters of the same accounts, each scraped with labels of its
// own, in a cloud in which everything happens that the dashboards show: quotas in all states, without a limit, of which only the rest is
// known, that grow, of which the limit has changed; resources that can't be read; a service that throttles; an account that can't be
// used, and one whose tokens expire; a project that is left out. One of the exporters was restarted, and refused a configuration.
func startWatched(t *testing.T) *prometheus {
	t.Helper()
	const busy, idle = "0250cb8a80c24c0b9f20f557cb159aad", "7d3c1f0e5b9a48e2a6c4d8f01b2e3a59"
	grows := func(elapsed time.Duration) int64 { return 100 + int64(elapsed.Seconds()) }
	cloud := cloudtest.New(
		cloudsim.Account{Name: "main", Projects: []cloudsim.Project{
			{ID: busy, Name: "ap-southeast-3", AuditInstances: 2, Quotas: map[string][]cloudsim.Quota{
				"ces":      {{Type: "alarm", Limit: 100000, Move: grows}},
				"taurusdb": {{Type: "instance", Limit: -1, Move: grows}},
				"dcs":      {{Type: "instance", Used: 11, Limit: 10, Min: 1, Max: 50}, {Type: "ram", Unit: "GB", Used: 8, Limit: 64, Min: 1, Max: 800}},
			}},
			{ID: idle, Name: "ap-southeast-1"},
			{ID: "5bd2d60ff638ccd9a8a28114eab086e7", Name: "eu-de"},
		}},
		cloudsim.Account{Name: "other", AccessKey: accessKey, SecretKey: secretKey},
	)
	cloud.SetIdentities("main", cloudtest.Identities{Users: []cloudtest.User{{Name: "reader", Password: "sesame"}}})
	cloud.Inject(cloudtest.Fault{Service: "cts", ProjectID: busy, Status: http.StatusOK, Body: []byte(`{"resources": [
		{"type": "data_tracker", "used": 85, "quota": 100}, {"used": 1, "quota": 1}, {"type": "system_tracker", "used": 1, "quota": 1}]}`)})
	endpoints := serve(t, cloud)
	config := fmt.Sprintf(`
accounts:
  - name: main
    credentials: {password: {domain_name: main, user_name: reader, password: sesame}}
    endpoints: %[1]s
    projects: [{id: %[2]s, region: ap-southeast-3, name: %[3]s}, {id: %[4]s, region: ap-southeast-1, name: eu-de}]
    discovery: {name_prefix: ""}
  - name: other
    credentials: {static: {access_key: %[5]s, secret_key: wrong}}
    endpoints: %[1]s
    discovery: {}
services: {defaults: {cache_ttl: 1s}}
`, endpoints, busy, watched, idle, accessKey)
	one, two := configured(t, config), configured(t, config)

	p := startPrometheus(t, fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_timeout: 1s}
rule_files: [%s]
scrape_configs:
  - job_name: one
    static_configs: [{targets: [%q], labels: {cluster: east, namespace: monitoring, pod: exporter-0}}]
  - job_name: two
    static_configs: [{targets: [%q], labels: {cluster: west}}]
`, rulesEverySecond(t), one.at, two.at))
	p.becomes(t, `count(cloud_quota_remaining{service="dbss"})`, " 12")

	cloud.Inject(cloudtest.Fault{Service: "dbss", ProjectID: busy, Status: http.StatusTooManyRequests, Body: cloudsim.ErrorBody("dbss", http.StatusTooManyRequests, "slow down")})
	cloud.SetQuota(busy, "dcs", "ram", 8, 32)
	two.terminate(t)
	two.run(t, two.at)
	if err := errors.Join(os.WriteFile(two.config, []byte("nonsense"), 0o600), two.cmd.Process.Signal(syscall.SIGHUP)); err != nil {
		t.Fatal(err)
	}
	p.becomes(t, `count by (alertname) (ALERTS{alertname=~"CloudQuota(AccountDown|ConfigReloadFailed|ReadFailing)"})`,
		`{alertname="CloudQuotaAccountDown"} 1
{alertname="CloudQuotaConfigReloadFailed"} 1
{alertname="CloudQuotaReadFailing"} 1`)
	return p
}
