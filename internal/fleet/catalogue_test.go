package fleet_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/democloud"
	"cloud_quota_exporter/internal/fleet/fleettest"
	"cloud_quota_exporter/providers"
)

// entries are services of each shape, of which one has no cache_ttl and one is not configured.
const entries = `
list:
  product: A list
  title: T
  cache_ttl: 15m
  api: {path: "/v3/{project_id}/quotas", host: {default: rows, ap-southeast-3: a-list}}
map:
  product: A map of objects
  title: T
  cache_ttl: 15m
  api:
    path: /v2/{project_id}/os-quota-sets/{project_id}?usage=True
    list: quota_set
    type: "{key}"
    used: in_use
    limit: limit
    no_limit: -1
    skip: per_volume_gigabytes
    units: {gigabytes.*: GiB}
pairs:
  product: An object of pairs
  title: T
  api:
    path: /v1/{project_id}/cloudservers/limits
    list: absolute
    no_limit: -1
    pairs:
      - {type: cores, limit: maxTotalCores, used: totalCoresUsed}
      - {type: ram, limit: maxTotalRAMSize, used: totalRAMUsed, unit: MB}
"off":
  product: Not configured
  title: T
  api: {path: "/v3/{project_id}/quotas"}
`

// exampleOf returns the example answer of an entry.
func exampleOf(service string) []byte {
	return []byte(map[string]string{
		"list": `{"quotas": {"resources": [{"type": "shares", "used": 5, "quota": 400}, {"type": "capacity", "unit": "GB", "used": 0, "quota": 20}]}}`,
		"map": `{"quota_set": {"id": "p", "gigabytes_SSD": {"in_use": 21, "limit": -1, "reserved": 0}, "volumes": {"in_use": 108, "limit": 200},
			"per_volume_gigabytes": {"in_use": 0, "limit": 32768}}}`,
		"pairs": `{"absolute": {"maxTotalCores": 20480, "totalCoresUsed": 40, "maxTotalRAMSize": -1, "totalRAMUsed": 75776, "maxImageMeta": 128}}`,
	}[service])
}

// TestServiceOfAnEntryAlone: an entry of the catalogue and an example are all that it takes for a service to be configured, asked, cached
// and shown, and to be simulated.
func TestServiceOfAnEntryAlone(t *testing.T) {
	services, err := providers.ReadCatalogue([]byte(entries))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.Wrap(cloudsim.New(democloud.APIsOf(services, exampleOf), cloudsim.Account{
			Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: []cloudsim.Project{
				{ID: prodID, Name: "ap-southeast-3"},
				{ID: devID, Name: "ap-southeast-1", Quotas: map[string][]cloudsim.Quota{
					"list":  {{Type: "capacity", Unit: "GB", Used: 6, Limit: 20}},
					"map":   {{Type: "gigabytes", Used: 7, Limit: -1}},
					"pairs": {{Type: "ram", Used: 8, Limit: 16}},
				}},
			},
		}))
		config := fleettest.DocumentsConfig + "      - {id: " + devID + ", region: ap-southeast-1, name: dev}\n"
		w := fleettest.NewOf(t, services, cloud, config)
		if got := w.Services(); len(got) > 0 {
			t.Errorf("services %v are read without being enabled", got)
		}
		w.Configure(t, config+"services: {list: {enabled: true}, map: {enabled: true}, pairs: {enabled: true}}\n")
		if got := fmt.Sprint(w.Services()); got != "[list map pairs]" {
			t.Errorf("services %s", got)
		}
		const want = `list/dev capacity in GB: 6 of 20, 14
map/dev gigabytes in GiB: 7 of +Inf, +Inf
pairs/dev ram in MB: 8 of 16, 8
list/prod shares: 5 of 400, 395
list/prod capacity in GB: 0 of 20, 20
map/prod gigabytes_SSD in GiB: 21 of +Inf, +Inf
map/prod volumes: 108 of 200, 92
pairs/prod cores: 40 of 20480, 20440
pairs/prod ram in MB: 75776 of +Inf, +Inf`
		for _, requests := range []string{"map[list:1 map:1 pairs:1]", "map[list:1 map:1 pairs:2]"} { // pairs are fresh for 5 minutes, as usual
			readings := w.Scrape(t, time.Minute)
			w.Scrape(t, time.Minute)
			for _, r := range readings {
				if r.Reason() != "" || r.State.Value.Skipped.Count > 0 {
					t.Errorf("%s/%s: %q, skipped %v", r.Service, r.Project.Label, r.Reason(), r.State.Value.Skipped)
				}
			}
			if got := numbers(readings); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if got := fmt.Sprint(w.Cloud.ProjectRequests(prodID)); got != requests {
				t.Errorf("requests %s, want %s", got, requests)
			}
			pass(6 * time.Minute)
		}
	})
}
