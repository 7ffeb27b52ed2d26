package providers_test

import (
	"fmt"
	"strings"
	"testing"

	"cloud_quota_exporter/providers"
)

// TestServices states what users rely on: the labels and their order, the actions to grant, how often each is asked.
func TestServices(t *testing.T) {
	var lines []string
	for _, s := range providers.All() {
		lines = append(lines, fmt.Sprintf("%s: action %q, cache_ttl %s, lists instances %t", s.Name, s.Action, s.CacheTTL, s.ListsInstances))
	}
	const want = `cts: action "cts:quota:get", cache_ttl 0s, lists instances false
ces: action "ces:quotas:get", cache_ttl 15m0s, lists instances false
taurusdb: action "gaussdbformysql:quota:list", cache_ttl 0s, lists instances false
dcs: action "dcs:quota:get", cache_ttl 0s, lists instances false
dbss: action "", cache_ttl 0s, lists instances true`
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestHosts(t *testing.T) {
	for _, s := range providers.All() {
		want := s.Name
		if s.Name == "taurusdb" {
			want = "gaussdb"
		}
		if got := s.Host("ap-southeast-3"); got != want {
			t.Errorf("%s in ap-southeast-3: host %s, want %s", s.Name, got, want)
		}
		if s.Name != "taurusdb" {
			continue
		}
		for region, want := range map[string]string{
			"ap-southeast-1": "gaussdbformysql", "ap-southeast-2": "gaussdbformysql", "cn-north-11": "gaussdbformysql",
			"me-east-1": "gaussdbformysql", "tr-west-1": "gaussdbformysql",
			"af-south-1": "gaussdb-mysql", "cn-east-5": "gaussdb-mysql", "cn-southwest-3": "gaussdb-mysql", "la-north-2": "gaussdb-mysql",
			"eu-de":      "gaussdb-mysql", // Open Telekom Cloud
			"cn-north-4": "gaussdb", "ap-southeast-4": "gaussdb",
		} {
			if got := s.Host(region); got != want {
				t.Errorf("%s in %s: host %s, want %s", s.Name, region, got, want)
			}
		}
	}
}
