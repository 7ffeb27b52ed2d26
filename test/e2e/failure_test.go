package e2e

import (
	"net/http"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

func TestFailingServiceLeavesAllNumbersInPlace(t *testing.T) {
	t.Parallel()
	cloud := newCloud()
	e := startExporter(t, cloud, "{defaults: {cache_ttl: 1s}}")
	p := startPrometheus(t, scraping(e.at, 2*time.Second))
	p.becomes(t, numbersOfQuotas, numbers(""))
	p.is(t, "cloud_quota_up", sources("cloud_quota_up", always("1")))
	p.is(t, "cloud_quota_last_failure_reason", "")
	since := time.Now()

	heal := cloud.Inject(cloudtest.Fault{Service: "dcs", Status: http.StatusInternalServerError})
	p.becomes(t, "cloud_quota_up", sources("cloud_quota_up", except("dcs", "0", "1")))
	p.is(t, "max by (project, service, reason) (cloud_quota_last_failure_reason)",
		`{project="ap-southeast-1_dev",reason="server_error",service="dcs"} 1
{project="ap-southeast-3",reason="server_error",service="dcs"} 1`)
	p.is(t, numbersOfQuotas, numbers(""))

	heal()
	p.becomes(t, "cloud_quota_up", sources("cloud_quota_up", always("1")))
	p.is(t, "cloud_quota_last_failure_reason", "")
	p.is(t, numbersOfQuotas, numbers(""))
	p.is(t, "min_over_time(up[10m])", " 1")
	p.is(t, "changes(cloud_quota_up[10m])", sources("", except("dcs", "2", "0")))
	p.is(t, changesOfNumbers, " 0")
	p.complete(t, numbersOfQuotas, since)
}

func TestHangingServiceDoesNotCostTheScrape(t *testing.T) {
	t.Parallel()
	cloud := newCloud()
	cloud.Inject(cloudtest.Fault{Service: "ces", Hang: true})
	e := startExporter(t, cloud, "{defaults: {timeout: 8s}}")
	p := startPrometheus(t, scraping(e.at, 2*time.Second))

	// Before its timeout, nothing is known of the service.
	p.becomes(t, numbersOfQuotas, numbers("ces"))
	p.is(t, "cloud_quota_up", sources("cloud_quota_up", except("ces", "", "1")))
	p.is(t, "cloud_quota_last_failure_reason", "")

	p.becomes(t, "cloud_quota_up", sources("cloud_quota_up", except("ces", "0", "1")))
	p.is(t, "max by (project, service, reason) (cloud_quota_last_failure_reason)",
		`{project="ap-southeast-1_dev",reason="timeout",service="ces"} 1
{project="ap-southeast-3",reason="timeout",service="ces"} 1`)
	p.is(t, numbersOfQuotas, numbers("ces"))
	p.is(t, "min_over_time(up[10m])", " 1")
}
