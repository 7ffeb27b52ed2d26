package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// TestTwoAccounts has two accounts with three account-level services each, one of which is forbidden. Account labels are not projects: no alert
// treats them as missing or duplicate, even while reloads add and remove account-level services.
func TestTwoAccounts(t *testing.T) {
	t.Parallel()
	newAccount := func(name, accessKey string, users int64) cloudsim.Account {
		return cloudsim.Account{
			Name: name, AccessKey: accessKey, SecretKey: secretKey,
			Projects: []cloudsim.Project{{ID: cloudsim.ID(name + "/p"), Name: "ap-southeast-3", Quotas: map[string][]cloudsim.Quota{"cts": {{Type: "data_tracker", Used: 1, Limit: 100}}}}},
			Quotas: map[string][]cloudsim.Quota{
				"iam": {{Type: "user", Used: users, Limit: 50}}, "dns": {{Type: "zone", Used: 2, Limit: 50}}, "eps": {{Type: "enterprise_project", Used: 3, Limit: 100}},
			},
		}
	}
	cloud := cloudtest.New(newAccount("main", accessKey, 45), newAccount("other", "OTHERACCESSKEY", 5))
	cloud.Inject(cloudtest.Fault{Service: "eps", DomainID: cloudsim.ID("other"), Status: http.StatusForbidden, Body: cloudsim.ErrorBody("eps", http.StatusForbidden, "no")})

	const hosts = `{iam: "http://iam.{region}.myhuaweicloud.com", cts: "http://cts.{region}.myhuaweicloud.com", dns: "http://dns.myhuaweicloud.com", eps: "http://eps.myhuaweicloud.com"}`
	const accountLevel = "  iam: {enabled: true}\n  dns: {enabled: true}\n  eps: {enabled: true}\n"
	config := fmt.Sprintf(`
accounts:
  - name: main
    credentials: {static: {access_key: %s, secret_key: %s}}
    endpoints: %s
    discovery: {regions: [ap-southeast-3]}
  - name: other
    credentials: {static: {access_key: OTHERACCESSKEY, secret_key: %[2]s}}
    endpoints: %[3]s
    projects: [{region: ap-southeast-3, name: shop}]
services:
  defaults: {cache_ttl: 1s, enabled: false}
  cts: {enabled: true}
`, accessKey, secretKey, hosts)
	file := filepath.Join(t.TempDir(), "config.yml")
	e := &exporter{config: save(t, file, config+accountLevel), env: []string{"HTTP_PROXY=http://" + openDoor(t, cloud).address}}
	e.run(t, "127.0.0.1:0")
	p := startPrometheus(t, fmt.Sprintf("rule_files: [%q]\n", rulesWithMinutesOf(t, 100*time.Millisecond))+scraping(e.at, time.Second))

	const up = `cloud_quota_up{project="main",service="dns"} 1
cloud_quota_up{project="main",service="eps"} 1
cloud_quota_up{project="main",service="iam"} 1
cloud_quota_up{project="main/ap-southeast-3",service="cts"} 1
cloud_quota_up{project="other",service="dns"} 1
cloud_quota_up{project="other",service="eps"} 0
cloud_quota_up{project="other",service="iam"} 1
cloud_quota_up{project="shop",service="cts"} 1`
	p.becomes(t, "cloud_quota_up", up)
	p.is(t, `cloud_quota_used{service="iam"} / cloud_quota_limit`, `{project="main",resource_type="user",service="iam"} 0.9
{project="other",resource_type="user",service="iam"} 0.1`)
	p.is(t, `cloud_quota_account_projects`, `cloud_quota_account_projects{account="main"} 1
cloud_quota_account_projects{account="other"} 1`)
	p.is(t, "cloud_quota_last_failure_reason", `cloud_quota_last_failure_reason{project="other",reason="forbidden",service="eps"} 1`)
	p.is(t, `cloud_quota_project_info{region=""}`, `cloud_quota_project_info{account="main",project="main"} 1
cloud_quota_project_info{account="other",project="other"} 1`)

	for _, d := range readDashboards(t) {
		if d.file == "quotas.json" {
			if got := p.choose(t, d, map[string]string{"account": "other"})["project"]; got != "(other|shop)" {
				t.Errorf("%s offers the projects %s of account other, want the account itself among them", d.file, got)
			}
		}
	}

	const due = `ALERTS{alertname="CloudQuotaNearlyExhausted",alertstate="firing",project="main",resource_type="user",service="iam",severity="warning"} 1`
	const refused = `
ALERTS{alertname="CloudQuotaReadFailing",alertstate="firing",project="other",service="eps",severity="warning"} 1`
	p.becomes(t, "ALERTS", due+refused)
	p.becomes(t, "min(count_over_time(up[5m])) > bool 15", " 1") // longer than the longest for of a rule
	p.is(t, "ALERTS", due+refused)

	if err := errors.Join(os.WriteFile(file, []byte(config), 0o600), e.cmd.Process.Signal(syscall.SIGHUP)); err != nil {
		t.Fatal(err)
	}
	p.becomes(t, "cloud_quota_project_info", `cloud_quota_project_info{account="main",project="main/ap-southeast-3",project_id="`+cloudsim.ID("main/p")+`",region="ap-southeast-3"} 1
cloud_quota_project_info{account="other",project="shop",project_id="`+cloudsim.ID("other/p")+`",region="ap-southeast-3"} 1`)
	p.becomes(t, "ALERTS", "") // and no alerts on missing projects
}
