package web_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/providers"
)

// TestAccountLevel: an account is a target like a project while an account-level service is enabled, also right after the start.
func TestAccountLevel(t *testing.T) {
	const states = "accounts: [{name: main, credentials: {static: {access_key: AK, secret_key: SK}}, ca_file: CA, discovery: {name_prefix: 'p/'}}]\n"
	const enabled = "services: {defaults: {enabled: false}, cts: {enabled: true}, iam: {enabled: true}, eps: {enabled: true}}\n"
	newAccount := func(t *testing.T) *site {
		cloud := cloudtest.New(cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: []cloudsim.Project{{ID: cloudsim.ID("p"), Name: "ap-southeast-3"}}})
		return newSiteOf(t, providers.All(), cloud, states+enabled)
	}
	synctest.Test(t, func(t *testing.T) {
		s := newAccount(t)
		probe := s.get(t, "/probe?target=main")
		for metric, want := range map[string]string{
			"cloud_quota_up":           `cloud_quota_up{project="main",service="eps"} 1` + "\n" + `cloud_quota_up{project="main",service="iam"} 1`,
			"cloud_quota_project_info": `cloud_quota_project_info{account="main",project="main",project_id="",region=""} 1`,
			"cloud_quota_limit":        `cloud_quota_limit{project="main",resource_type="enterprise_project",service="eps"} 100`,
		} {
			if got := series(probe, metric); probe.Code != http.StatusOK || !strings.Contains(got, want) {
				t.Errorf("right after the start: %d, %s, want\n%s", probe.Code, got, want)
			}
		}
		if strings.Contains(probe.Body.String(), "p/ap-southeast-3") {
			t.Errorf("the probe of the account has its project:\n%s", probe.Body)
		}
		all := s.get(t, "/metrics")
		if got := series(all, "cloud_quota_account_projects"); got != `cloud_quota_account_projects{account="main"} 1` {
			t.Errorf("the account counts as a project: %s", got)
		}
		const target = `{"targets":["example.com"],"labels":{"__meta_cloud_quota_account":"main","__meta_cloud_quota_project":"main","__meta_cloud_quota_project_id":"","__meta_cloud_quota_region":"",`
		if got := s.get(t, "/sd").Body.String(); !strings.Contains(got, target) || strings.Count(got, `"targets"`) != 2 {
			t.Errorf("discovery %s, want %s", got, target)
		}
		says(t, s.get(t, "/?project=main"), "main ok: iam, eps main none: the account itself")

		s.Configure(t, states+strings.NewReplacer("iam: {enabled: true}, eps: {enabled: true}", "iam: {enabled: false}").Replace(enabled))
		s.Scrape(t, time.Minute)
		if got := s.get(t, "/sd").Body.String(); strings.Count(got, `"targets"`) != 1 || strings.Contains(got, `"main",`+`"__meta_cloud_quota_project":"main"`) {
			t.Errorf("without account-level services: discovery %s", got)
		}
		if code := s.get(t, "/probe?target=main").Code; code != http.StatusBadRequest {
			t.Errorf("without account-level services: the probe is a %d, want 400", code)
		}
	})
}
