package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/democloud"
	"cloud_quota_exporter/providers"
)

// The projects of newServices, with their names in IAM.
const (
	prod    = "ap-southeast-3"
	staging = "ap-southeast-1"
	dev     = "ap-southeast-1_dev"
)

// quotasOfServices are all quotas of newServices. vCPUs and public IP addresses of prod are exhausted, and a quota of the user's own API is nearly
// exhausted. DDS is not offered in dev.
var quotasOfServices = []quota{
	{prod, "cts", "data_tracker", "62", "100", "38", "", ""},
	{prod, "cts", "system_tracker", "1", "1", "0", "", ""}, // muted
	{prod, "ces", "alarm", "700", "1000", "300", "", ""},
	{prod, "taurusdb", "instance", "9", "+Inf", "+Inf", "", ""},
	{prod, "dcs", "ram", "400", "800", "400", "", "GB"},
	{prod, "dbss", "cpu", "", "", "796", "", ""},
	{prod, "ecs", "cores", "1560", "1600", "40", "", ""},
	{prod, "ecs", "ram", "4710400", "6553600", "1843200", "", "MB"},
	{prod, "evs", "volumes", "640", "+Inf", "+Inf", "", ""},
	{prod, "evs", "gigabytes", "52000", "80000", "28000", "", "GiB"},
	{prod, "vpc", "publicIp", "50", "50", "0", "", ""},
	{prod, "vpc", "subnet", "44", "100", "56", "", ""},
	{prod, "rds", "instance", "33", "50", "17", "", ""},
	{prod, "dds", "instance_ReplicaSet", "8", "20", "12", "", ""},
	{prod, "my_api", "jobs", "90", "100", "10", "", ""},

	{staging, "cts", "system_tracker", "1", "1", "0", "", ""},
	{staging, "ces", "alarm", "200", "1000", "800", "", ""},
	{staging, "taurusdb", "instance", "12", "50", "38", "", ""},
	{staging, "dcs", "instance", "0", "0", "0", "", ""}, // never granted
	{staging, "dbss", "cpu", "", "", "800", "", ""},
	{staging, "ecs", "cores", "390", "800", "410", "", ""},
	{staging, "evs", "gigabytes_SSD", "4200", "+Inf", "+Inf", "", "GiB"},
	{staging, "vpc", "publicIp", "8", "20", "12", "", ""},
	{staging, "rds", "instance", "9", "40", "31", "", ""},
	{staging, "dds", "instance_Single", "3", "30", "27", "", ""},
	{staging, "my_api", "jobs", "5", "100", "95", "", ""},

	{dev, "cts", "system_tracker", "1", "1", "0", "", ""},
	{dev, "ces", "alarm", "40", "100", "60", "", ""},
	{dev, "taurusdb", "instance", "5", "+Inf", "+Inf", "", ""},
	{dev, "dcs", "ram", "8", "64", "56", "", "GB"},
	{dev, "dbss", "cpu", "", "", "700", "", ""},
	{dev, "ecs", "cores", "24", "80", "56", "", ""},
	{dev, "evs", "volumes", "14", "100", "86", "", ""},
	{dev, "vpc", "publicIp", "2", "10", "8", "", ""},
	{dev, "rds", "instance", "2", "20", "18", "", ""},
	{dev, "my_api", "jobs", "1000", "+Inf", "+Inf", "", ""},
}

// newServices returns a cloud of three projects with quotasOfServices.
func newServices() *cloudtest.Cloud {
	number := func(text string) int64 {
		n, _ := strconv.ParseInt(text, 10, 64) // 0 if there is none
		return n
	}
	account := cloudsim.Account{Name: "main", AccessKey: accessKey, SecretKey: secretKey}
	for _, name := range []string{prod, staging, dev} {
		p := cloudsim.Project{ID: cloudsim.ID(name), Name: name, Quotas: map[string][]cloudsim.Quota{}}
		for _, q := range quotasOfServices {
			if q.project != name {
				continue
			}
			of := cloudsim.Quota{Type: q.resourceType, Unit: q.unit, Used: number(q.used), Limit: number(q.limit)}
			switch q.limit {
			case "":
				of.Limit = number(q.remaining)
			case "+Inf":
				of.Limit = -1
			}
			p.Quotas[q.service] = append(p.Quotas[q.service], of)
		}
		account.Projects = append(account.Projects, p)
	}
	apis := append(democloud.APIsOf(providers.All(), democloud.NoExample), cloudsim.API{
		Service: "my_api", Path: "/v3/{project_id}/quotas", Host: func(string) string { return "my-api" },
		Shape: cloudsim.Shape{List: "quotas", Type: "{quota_key}", Used: "used", Limit: "quota_limit"},
	})
	cloud := cloudtest.Wrap(cloudsim.New(apis, account))
	cloud.Inject(cloudtest.Fault{
		Service: "dds", ProjectID: cloudsim.ID(dev), Status: http.StatusNotFound,
		Body: cloudsim.ErrorBody("gateway", http.StatusNotFound, "The API does not exist or has not been published in the environment"),
	})
	return cloud
}

// TestTenServicesAndAnOwnAPI fetches at the hosts of the regions, through a proxy that replaces the network. Three of the services have the same
// path. Of the shipped rules, exactly the expected ones fire: none for services that are not offered, and none for quotas that have no limit, are
// muted, or were never granted.
func TestTenServicesAndAnOwnAPI(t *testing.T) {
	t.Parallel()
	config := fmt.Sprintf(`
accounts:
  - name: main
    credentials: {static: {access_key: %s, secret_key: %s}}
    endpoints: {iam: "http://iam.myhuaweicloud.com", default: "http://{service}.{region}.myhuaweicloud.com"}
    discovery: {}
services:
  defaults: {cache_ttl: 1s}
  ecs: {enabled: true}
  evs: {enabled: true}
  vpc: {enabled: true}
  rds: {enabled: true}
  dds: {enabled: true}
  my_api:
    api: {host: my-api, path: "/v3/{project_id}/quotas", list: quotas, type: "{quota_key}", limit: quota_limit, no_limit: -1}
`, accessKey, secretKey)
	e := &exporter{config: save(t, filepath.Join(t.TempDir(), "config.yml"), config), env: []string{"HTTP_PROXY=http://" + openDoor(t, newServices()).address}}
	e.run(t, "127.0.0.1:0")
	p := startPrometheus(t, fmt.Sprintf("rule_files: [%q]\n", rulesWithMinutesOf(t, 100*time.Millisecond))+scraping(e.at, time.Second))

	p.becomes(t, numbersOfQuotas, lines(
		metric("cloud_quota_used", quotasOfServices, func(q quota) string { return q.used }),
		metric("cloud_quota_limit", quotasOfServices, func(q quota) string { return q.limit }),
		metric("cloud_quota_remaining", quotasOfServices, func(q quota) string { return q.remaining }),
	))
	p.is(t, "count(cloud_quota_info)", fmt.Sprintf(" %d", len(quotasOfServices)))
	p.is(t, `group by (service, resource_type, unit) (cloud_quota_info{unit!=""})`, `{resource_type="gigabytes",service="evs",unit="GiB"} 1
{resource_type="gigabytes_SSD",service="evs",unit="GiB"} 1
{resource_type="ram",service="dcs",unit="GB"} 1
{resource_type="ram",service="ecs",unit="MB"} 1`)
	p.is(t, "count(cloud_quota_up == 1)", " 32")
	p.is(t, fmt.Sprintf(`{service="dds",project=%q}`, dev), "")

	const due = `ALERTS{alertname="CloudQuotaCritical",alertstate="firing",project="ap-southeast-3",resource_type="cores",service="ecs",severity="critical"} 1
ALERTS{alertname="CloudQuotaCritical",alertstate="firing",project="ap-southeast-3",resource_type="publicIp",service="vpc",severity="critical"} 1
ALERTS{alertname="CloudQuotaExhausted",alertstate="firing",project="ap-southeast-3",resource_type="publicIp",service="vpc",severity="critical"} 1
ALERTS{alertname="CloudQuotaNearlyExhausted",alertstate="firing",project="ap-southeast-3",resource_type="cores",service="ecs",severity="warning"} 1
ALERTS{alertname="CloudQuotaNearlyExhausted",alertstate="firing",project="ap-southeast-3",resource_type="jobs",service="my_api",severity="warning"} 1
ALERTS{alertname="CloudQuotaNearlyExhausted",alertstate="firing",project="ap-southeast-3",resource_type="publicIp",service="vpc",severity="warning"} 1`
	p.becomes(t, "ALERTS", due)
	p.becomes(t, "min(count_over_time(up[5m])) > bool 15", " 1") // longer than the longest for of a rule
	p.is(t, "ALERTS", due)
}
