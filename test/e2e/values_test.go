package e2e

import (
	"fmt"
	"testing"
	"time"
)

func TestEveryQuotaHasItsNumbers(t *testing.T) {
	t.Parallel()
	cloud := newCloud()
	p := startPrometheus(t, scraping(startExporter(t, cloud, "{}").at, time.Second))
	p.becomes(t, numbersOfQuotas, numbers(""))

	var units, projects []string
	for _, q := range quotas {
		unit := ""
		if q.unit != "" { // to Prometheus, an empty label is none
			unit = fmt.Sprintf(",unit=%q", q.unit)
		}
		units = append(units, fmt.Sprintf("cloud_quota_info{project=%q,resource_type=%q,service=%q%s} 1", q.project, q.resourceType, q.service, unit))
	}
	p.is(t, "cloud_quota_info", lines(units))
	for _, project := range cloud.Projects() {
		projects = append(projects, fmt.Sprintf("cloud_quota_project_info{account=\"main\",project=%q,project_id=%q,region=%q} 1",
			project.Name, project.ID, project.Region))
	}
	p.is(t, "cloud_quota_project_info", lines(projects))
	p.is(t, `{__name__=~"cloud_quota_limit_(min|max)"}`, `cloud_quota_limit_max{project="ap-southeast-1_dev",resource_type="instance",service="dcs"} 50
cloud_quota_limit_max{project="ap-southeast-1_dev",resource_type="ram",service="dcs"} 800
cloud_quota_limit_max{project="ap-southeast-3",resource_type="instance",service="dcs"} 10
cloud_quota_limit_max{project="ap-southeast-3",resource_type="ram",service="dcs"} 800
cloud_quota_limit_min{project="ap-southeast-1_dev",resource_type="instance",service="dcs"} 1
cloud_quota_limit_min{project="ap-southeast-1_dev",resource_type="ram",service="dcs"} 1
cloud_quota_limit_min{project="ap-southeast-3",resource_type="instance",service="dcs"} 1
cloud_quota_limit_min{project="ap-southeast-3",resource_type="ram",service="dcs"} 1`)
	p.is(t, "cloud_quota_up", sources("cloud_quota_up", always("1")))
	p.is(t, "cloud_quota_last_failure_reason", "")
	p.is(t, "cloud_quota_resources_skipped", sources("cloud_quota_resources_skipped", always("0")))
}

func TestRatios(t *testing.T) {
	t.Parallel()
	p := startPrometheus(t, scraping(startExporter(t, newCloud(), "{}").at, time.Second))
	p.becomes(t, numbersOfQuotas, numbers(""))

	ratios := lines(metric("", quotas, func(q quota) string { return q.ratio }))
	p.is(t, "cloud_quota_used / cloud_quota_limit", ratios)
	p.is(t, "max by (service, project, resource_type) (cloud_quota_used / cloud_quota_limit)", ratios)
	p.is(t, "max by (service, project, resource_type) (cloud_quota_used / cloud_quota_limit) > 0.9",
		lines(metric("", quotas, func(q quota) string {
			if q.resourceType == "system_tracker" || q.project == named && (q.resourceType == "alarm" || q.service == "dcs" && q.resourceType == "instance") {
				return q.ratio
			}
			return ""
		})))
}
