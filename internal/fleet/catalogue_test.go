package fleet_test

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/democloud"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/fleet/fleettest"
	"cloud_quota_exporter/providers"
)

// entries are services of each shape. One has no cache_ttl and one is not configured.
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

// exampleOf returns the example response of an entry.
func exampleOf(service string) []byte {
	return []byte(map[string]string{
		"list": `{"quotas": {"resources": [{"type": "shares", "used": 5, "quota": 400}, {"type": "capacity", "unit": "GB", "used": 0, "quota": 20}]}}`,
		"map": `{"quota_set": {"id": "p", "gigabytes_SSD": {"in_use": 21, "limit": -1, "reserved": 0}, "volumes": {"in_use": 108, "limit": 200},
			"per_volume_gigabytes": {"in_use": 0, "limit": 32768}}}`,
		"pairs": `{"absolute": {"maxTotalCores": 20480, "totalCoresUsed": 40, "maxTotalRAMSize": -1, "totalRAMUsed": 75776, "maxImageMeta": 128}}`,
	}[service])
}

// TestServiceFromAnEntry: an entry of the catalogue and an example are enough to configure, fetch, cache, show, and simulate a service.
func TestServiceFromAnEntry(t *testing.T) {
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

// labels are the first labels of hosts that differ from the name of the service, by region; under "" for all others.
var labels = map[string]map[string]string{
	"taurusdb": {"": "gaussdb", "ap-southeast-1": "gaussdbformysql"},
	"gaussdb":  {"": "gaussdb-opengauss"},
	"geminidb": {"": "gaussdb-nosql"},
	"sfsturbo": {"": "sfs-turbo"},
	"dc":       {"": "dcaas"},
	"swr":      {"": "swr-api"},
}

// hostOf returns the expected host of a service.
func hostOf(service, region string) string {
	domain := "myhuaweicloud.com"
	if strings.HasPrefix(region, "eu-west-1") {
		domain = "myhuaweicloud.eu"
	}
	return cmp.Or(labels[service][region], labels[service][""], service) + "." + region + "." + domain
}

// firstType returns a resource type that an API can show.
func firstType(a *providers.API) string {
	if len(a.Pairs) > 0 {
		return a.Pairs[0].Type
	}
	return regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(a.Type, "x")
}

// TestEveryEntryAtItsHost: the real client fetches every entry of the catalogue from a cloud that verifies signatures. Several services have the same
// path, and a wrong host could return a plausible response. So each service has its own values, and the host is compared.
func TestEveryEntryAtItsHost(t *testing.T) {
	const limit = 1000
	ofProject, ofAccount, remaining := map[string][]cloudsim.Quota{}, map[string][]cloudsim.Quota{}, map[string]float64{}
	whole := map[string]providers.Host{} // of account-level services
	for i, s := range providers.All() {
		remaining[s.Name] = limit - float64(i+1)
		quotas := []cloudsim.Quota{{Type: firstType(s.API), Used: int64(i + 1), Limit: limit}}
		if s.Name == "ga" { // it only reports the limit
			quotas[0].Limit -= quotas[0].Used
		}
		if s.API.Account {
			ofAccount[s.Name], whole[s.Name] = quotas, s.API.Host
		} else {
			ofProject[s.Name] = quotas
		}
	}
	var accounts []cloudsim.Account
	config, regions := "accounts:\n", map[string]string{} // by ID of the project or the account
	for i, region := range []string{"ap-southeast-3", "ap-southeast-1", "eu-west-101"} {
		p := cloudsim.Project{ID: cloudsim.ID(region), Name: region, Quotas: ofProject}
		a := cloudsim.Account{Name: "of-" + region, AccessKey: fmt.Sprint("AK", i), SecretKey: "SK", Quotas: ofAccount}
		if region == "ap-southeast-3" { // its responses are the examples, or made from descriptions
			p.Quotas, a.Quotas = nil, nil
		}
		a.Projects = []cloudsim.Project{p}
		accounts = append(accounts, a)
		regions[p.ID], regions[cloudsim.ID(a.Name)] = region, region
		config += fmt.Sprintf("  - name: %s\n    credentials: {static: {access_key: %s, secret_key: SK}}\n    ca_file: CA\n    projects: [{id: %s, region: %s, name: %[4]s}]\n", a.Name, a.AccessKey, p.ID, region)
	}
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.New(accounts...)
		var mu sync.Mutex
		hosts := map[string]string{}
		inner := cloud.Intercept
		cloud.Intercept = func(q cloudsim.Call, next func(cloudsim.Call) cloudsim.Answer) cloudsim.Answer {
			mu.Lock()
			hosts[q.Service+" "+regions[cmp.Or(q.ProjectID, q.DomainID)]] = q.Host
			mu.Unlock()
			return inner(q, next)
		}
		w := fleettest.NewOf(t, providers.All(), cloud, config+"services: {defaults: {enabled: true}}\n")
		readings := w.Scrape(t, time.Minute)
		if want := 3 * len(providers.All()); len(readings) != want {
			t.Errorf("%d sources, want %d", len(readings), want)
		}
		for _, r := range readings {
			region := strings.TrimPrefix(r.Project.Label, "of-") // accounts have none
			if r.State.Err != nil || r.State.Value.Skipped.Count > 0 || len(r.Quotas) == 0 {
				t.Errorf("%s in %s: %d quotas, skipped %v, %v", r.Service, region, len(r.Quotas), r.State.Value.Skipped, r.State.Err)
				continue
			}
			if n := cmp.Or(r.Quotas[0].Remaining, r.Quotas[0].Limit); region != "ap-southeast-3" && (n == nil || *n != remaining[r.Service]) {
				t.Errorf("%s in %s: %s remains, want %v: these are values of another service", r.Service, region, number(n), remaining[r.Service])
			}
			at := hostOf(r.Service, region)
			if h, isOfAccount := whole[r.Service]; isOfAccount {
				at = strings.TrimPrefix(h.BaseURL(region, ""), "https://")
			}
			if got, want := hosts[r.Service+" "+region], at; got != want {
				t.Errorf("%s in %s is requested at %q, want %q", r.Service, region, got, want)
			}
		}
	})
}

// TestOwnAPIAsConfigured: the configured host, path, and query are requested and signed.
func TestOwnAPIAsConfigured(t *testing.T) {
	const path = "/v1/{project_id}/a%2Fb/%7Ec/%C3%A4+%20;d=(e)!/"
	prod := cloudsim.Project{ID: prodID, Name: "ap-southeast-3"}
	example := []byte(`{"quotas": {"resources": [{"type": "x", "used": 1, "quota": 2}]}}`)
	for _, tc := range []struct{ host, path, endpoints, want string }{
		{"q-{region}.example.com", path, "", "q-ap-southeast-3.example.com"},
		{"{region}-q.{region}.{cloud}", path, "", "ap-southeast-3-q.ap-southeast-3.myhuaweicloud.com"},
		{"{region}.example.com:8443", path + "?a[]=%2F&b=%C3%A4+%22&b=1&a[]", "", "ap-southeast-3.example.com:8443"},
		{"q-{region}.example.com", path + "?", "default: 'https://{service}.example.org/'", "q-ap-southeast-3.example.org"},
		{"q", "/", "mine: 'https://q.example.org" + path + "'", "q.example.org"},
	} {
		synctest.Test(t, func(t *testing.T) {
			cloud := cloudtest.Wrap(cloudsim.New([]cloudsim.API{{
				Service: "any", Path: "/v1/{project_id}/a/b/~c/ä+ ;d=(e)!/", Host: func(string) string { return "ap-southeast-3-q" }, Example: example,
			}}, cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: []cloudsim.Project{prod}}))
			var arrived string
			inner := cloud.Intercept
			cloud.Intercept = func(q cloudsim.Call, next func(cloudsim.Call) cloudsim.Answer) cloudsim.Answer {
				arrived = q.Host + q.RequestURI
				return inner(q, next)
			}
			config := strings.Replace(fleettest.DocumentsConfig, "    projects:", "    endpoints: {"+tc.endpoints+"}\n    projects:", 1)
			w := fleettest.NewOf(t, nil, cloud, config+"services: {mine: {api: {host: '"+tc.host+"', path: '"+tc.path+"'}}}\n")
			r := w.Scrape(t, time.Minute)[0]
			if got := numbers([]*fleet.Reading{r}); got != "mine/prod x: 1 of 2, 1" {
				t.Errorf("%s: got %s, %v", tc.host, got, r.State.Err)
			}
			want := tc.path
			if want == "/" {
				want = path
			}
			if want = tc.want + strings.ReplaceAll(want, "{project_id}", prodID); arrived != want {
				t.Errorf("%s arrived, want %s", arrived, want)
			}
		})
	}
}
