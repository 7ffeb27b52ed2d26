package e2e

import (
	"fmt"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// organisation returns 500 projects in 10 regions, of three accounts.
func organisation() []cloudsim.Account {
	regions := []string{
		"af-south-1", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "cn-east-3", "cn-north-4", "eu-de", "la-north-2", "me-east-1", "tr-west-1",
	}
	accounts := []cloudsim.Account{{Name: "one"}, {Name: "two"}, {Name: "three"}}
	for i := range accounts {
		accounts[i].AccessKey, accounts[i].SecretKey = "AK"+accounts[i].Name, "SK"+accounts[i].Name
	}
	for i := range 500 {
		a := &accounts[i%len(accounts)]
		a.Projects = append(a.Projects, cloudsim.Project{ID: fmt.Sprintf("%032d", i), Name: fmt.Sprintf("%s_p%03d", regions[i%len(regions)], i)})
	}
	return accounts
}

// TestOrganisation removes a project, adds one, and revokes and restores the keys of an account: no other series ever has a gap. It does not
// run beside other tests, as it is a load of its own.
func TestOrganisation(t *testing.T) {
	const scrapes = 5 * time.Second
	accounts := organisation()
	cloud := cloudtest.New(accounts...)
	e := startDiscovering(t, serve(t, cloud), "{refresh_interval: 1m}",
		"{defaults: {cache_ttl: 20s, max_in_flight: 32}, ces: {cache_ttl: 20s}}", accounts...)
	p := startPrometheus(t, scraping(e.at, scrapes))
	becomes := func(expr, want string) {
		t.Helper()
		within(t, 6*time.Minute, expr, func() (string, bool) { // five of them for a key that was refused
			got := text(p.now(t, expr))
			return got, got == want
		})
	}
	perProject := len(numbersOfExamples())
	becomes("count("+numbersOfQuotas+")", fmt.Sprintf(" %d", 500*perProject))
	becomes("count(cloud_quota_up == 1)", " 2500")
	p.is(t, "count(count by (region) (cloud_quota_project_info))", " 10")
	p.is(t, "cloud_quota_account_projects", `cloud_quota_account_projects{account="one"} 167
cloud_quota_account_projects{account="three"} 166
cloud_quota_account_projects{account="two"} 167`)
	since := time.Now()

	removed := accounts[0].Projects[0]
	added := cloudsim.Project{ID: "0ne0fa11", Name: "eu-de_added"}
	cloud.RemoveProject(removed.ID)
	cloud.AddProject("three", added)
	cloud.SetKeys("two", "AKother", "SKother", "")
	becomes(`count(cloud_quota_up{project=~"two/.*"} == 0)`, fmt.Sprintf(" %d", 167*5))
	becomes(`count(cloud_quota_up{project="three/eu-de_added"} == 1)`, " 5")
	becomes(`cloud_quota_up{project="one/`+removed.Name+`"}`, "")
	becomes(`cloud_quota_account_up{account="two"}`, `cloud_quota_account_up{account="two"} 0`)
	p.is(t, "count by (reason) (cloud_quota_last_failure_reason)", fmt.Sprintf("{reason=\"unauthorized\"} %d", 167*5))
	p.is(t, `count(cloud_quota_used{project=~"two/.*"} or cloud_quota_remaining{project=~"two/.*"})`, // the last numbers stay
		text(p.now(t, `count(cloud_quota_used{project=~"three/.*",project!~".*_added"} or cloud_quota_remaining{project=~"three/.*",project!~".*_added"}) / 166 * 167`)))

	cloud.SetKeys("two", "AKtwo", "SKtwo", "")
	becomes(`cloud_quota_account_up{account="two"}`, `cloud_quota_account_up{account="two"} 1`)
	becomes("count(cloud_quota_up == 1)", " 2500")
	p.is(t, "cloud_quota_last_failure_reason", "")

	window := fmt.Sprintf("[%ds]", int(time.Since(since).Seconds()))
	others := fmt.Sprintf("{project!~%q}", "one/"+removed.Name+"|three/eu-de_added")
	for _, name := range []string{"cloud_quota_used", "cloud_quota_limit", "cloud_quota_remaining", "cloud_quota_up"} {
		p.is(t, "count(count_over_time("+name+others+window+") != on () group_left () count_over_time(up"+window+"))", "")
		if name != "cloud_quota_up" {
			p.is(t, "max(changes("+name+window+"))", " 0")
		}
	}
	p.is(t, "count(min_over_time(cloud_quota_up{project!~\"two/.*|one/"+removed.Name+"\"}"+window+") == 0)", "")
	p.is(t, "min(min_over_time(up"+window+") and count_over_time(up"+window+") > 10)", " 1")
}
