package democloud_test

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/cloudsim/simtest"
	"cloud_quota_exporter/internal/democloud"
	"cloud_quota_exporter/internal/fleet/fleettest"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
	"cloud_quota_exporter/providers"
	"cloud_quota_exporter/providers/examples"
)

// paths are the APIs of the five services with their own values.
var paths = map[string]string{
	"cts": "/v3/{project_id}/quotas", "ces": "/V1.0/{project_id}/quotas", "taurusdb": "/v3/{project_id}/project-quotas",
	"dcs": "/v2/{project_id}/quota", "dbss": "/v2/{project_id}/audit/quota",
}

// ask returns a function that sends signed requests to a cloud. Without a host in the path, they go to localhost.
func ask(t *testing.T, c *cloudsim.Cloud) (get func(path, id string) (status int, body []byte)) {
	t.Helper()
	client := simtest.Serve(t, c)
	return func(path, id string) (int, []byte) {
		t.Helper()
		if strings.HasPrefix(path, "/") {
			path = "localhost" + path
		}
		keys := simtest.Keys{Access: democloud.AccessKey, Secret: democloud.SecretKey}
		domain := cloudsim.ID("main")
		path = strings.NewReplacer("{project_id}", id, "{domain_id}", domain).Replace(path)
		got := client.Get(t, keys, path, "X-Project-Id", id, "X-Domain-Id", domain)
		return got.Status, []byte(got.Body)
	}
}

// demoProjects returns IDs by name.
func demoProjects(t *testing.T, get func(path, id string) (int, []byte)) map[string]string {
	t.Helper()
	var list struct{ Projects []struct{ ID, Name string } }
	_, body := get("/v3/projects", "")
	if err := json.Unmarshal(body, &list); err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for _, p := range list.Projects {
		ids[p.Name] = p.ID
	}
	return ids
}

type measured struct {
	Type        string
	Used, Quota float64
}

// measure fetches the values of CTS, CES, TaurusDB, or DCS.
func measure(t *testing.T, get func(path, id string) (int, []byte), service, id string) map[string]measured {
	t.Helper()
	var body struct {
		Quotas    struct{ Resources []measured }
		Resources []measured
	}
	status, answer := get(paths[service], id)
	if err := json.Unmarshal(answer, &body); err != nil || status != http.StatusOK {
		t.Fatalf("%s: status %d, %v, body %s", service, status, err, answer)
	}
	byType := map[string]measured{}
	for _, m := range append(body.Quotas.Resources, body.Resources...) {
		byType[m.Type] = m
	}
	return byType
}

func within(t *testing.T, name string, m measured, low, high float64) {
	t.Helper()
	if ratio := m.Used / m.Quota; ratio < low || ratio > high {
		t.Errorf("%s: %v of %v, want a ratio between %v and %v", name, m.Used, m.Quota, low, high)
	}
}

// demoConfig is the configuration of the demo command, without TLS.
const demoConfig = `accounts:
  - name: demo
    credentials: {static: {access_key: ` + democloud.AccessKey + `, secret_key: ` + democloud.SecretKey + `}}
    ca_file: CA
    projects: [{region: ap-southeast-3, name: prod}, {region: ap-southeast-1, name: staging}, {region: ap-southeast-1, name: dev, id: DEV}]
services: {defaults: {enabled: true, cache_ttl: 10s}}
`

// TestDemo: the content of the demo over time. Signatures are verified, and an API only responds at its host.
func TestDemo(t *testing.T) {
	between := map[string][2]float64{ // used/limit
		"prod ces alarm": {0.94, 0.96}, "prod dcs ram": {0.93, 0.99}, "prod ecs cores": {0.94, 0.99}, "prod taurusdb instance": {0.6, 0.9},
		"prod cts system_tracker": {1, 1}, "staging cts system_tracker": {1, 1}, "dev cts system_tracker": {1, 1}, "dev taurusdb instance": {0, 0},
	}
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.NewOf(t, democloud.Services(), cloudtest.Demo(), strings.ReplaceAll(demoConfig, "DEV", cloudsim.ID("ap-southeast-1_dev")))
		if n := len(w.Services()); n < 15 {
			t.Errorf("%d services, want a dozen in addition to the five", n)
		}
		seen, start := map[string]map[float64]bool{}, time.Now()
		for range 12 {
			<-time.After(167 * time.Second)
			failing := time.Since(start)%(3*time.Minute) >= 2*time.Minute
			for _, r := range w.Scrape(t, time.Second) {
				source := r.Project.Label + " " + r.Service
				if want := r.Service == "functiongraph" && r.Project.Label != "prod"; r.NotOffered != want {
					t.Errorf("%s: not offered is %t, want %t", source, r.NotOffered, want)
				}
				want := ""
				if failing && source == "staging dbss" {
					want = "server_error"
				}
				if got := r.Reason(); got != want && !r.NotOffered {
					t.Errorf("%s after %v: reason %q, want %q", source, time.Since(start), got, want)
				}
				for _, q := range r.Quotas {
					if q.Used == nil || q.Limit == nil {
						continue
					}
					name, allowed := source+" "+q.ResourceType, [2]float64{0, 0.93}
					if exact, ok := between[name]; ok {
						allowed = exact
					}
					if ratio := *q.Used / *q.Limit; ratio < allowed[0] || ratio > allowed[1] {
						t.Errorf("%s: %v of %v, want a ratio between %v", name, *q.Used, *q.Limit, allowed)
					}
					if seen[name] == nil {
						seen[name] = map[float64]bool{}
					}
					seen[name][*q.Used] = true
				}
			}
		}
		for name := range between {
			if n := len(seen[name]); n < 5 != strings.Contains(name, "system_tracker") {
				t.Errorf("%s: %d different numbers", name, n)
			}
		}
	})
}

func TestScale(t *testing.T) {
	const projects = 25
	get := ask(t, cloudtest.Scale(projects).Cloud)
	ids := demoProjects(t, get)
	if len(ids) != projects || len(ids["ap-southeast-3_p0001"]) != 32 || len(ids["ap-southeast-1_p0002"]) != 32 {
		t.Fatalf("projects %v", ids)
	}
	for name, id := range ids {
		for _, path := range append(slices.Collect(maps.Values(paths)), "/v2/{project_id}/audit/instances") {
			if status, _ := get(path, id); status != http.StatusOK {
				t.Errorf("%s of %s: status %d", path, name, status)
			}
		}
		within(t, "dcs ram of "+name, measure(t, get, "dcs", id)["ram"], 0, 1)
	}
}

func TestServicesOfTheCatalogue(t *testing.T) {
	const unstated, stated = "0250cb8a80c24c0b9f20f557cb159aad", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	get := ask(t, cloudtest.New(cloudsim.Account{
		Name: "main", AccessKey: democloud.AccessKey, SecretKey: democloud.SecretKey, Projects: []cloudsim.Project{
			{ID: unstated, Name: "ap-southeast-1"},
			{ID: stated, Name: "ap-southeast-1_stated", Quotas: map[string][]cloudsim.Quota{
				"cts":      {{Type: "data_tracker", Used: 3, Limit: 100}},
				"ces":      {{Type: "alarm", Used: 1, Limit: 100, Min: 1, Max: 200}},
				"taurusdb": {{Type: "instance", Used: 4, Limit: -1}},
				"dcs":      {{Type: "instance", Limit: 10}, {Type: "ram", Unit: "GB", Used: 22, Limit: 800, Max: 800}},
				"dbss":     {{Type: "audit_instance", Used: 2, Limit: 5}, {Type: "cpu", Used: 4, Limit: 100}, {Type: "ram", Unit: "not sent", Limit: -1}},
			}},
		},
	}).Cloud)
	for _, s := range providers.All() {
		_, place, _ := strings.Cut(s.API.Host.BaseURL("ap-southeast-1", "")+s.API.Path, "://")
		want := cmp.Or(string(examples.Of(s.Name)), string(democloud.Made(s.API)))
		if status, body := get(place, unstated); status != http.StatusOK || string(body) != want {
			t.Errorf("%s: status %d, body %s, want the documented example or a generated response\n%s", s.Name, status, body, want)
		}
	}
	for service, want := range map[string]string{
		"cts":      `{"resources":[{"quota":100,"type":"data_tracker","used":3}]}`,
		"ces":      `{"quotas":{"resources":[{"max":200,"min":1,"quota":100,"type":"alarm","used":1}]}}`,
		"taurusdb": `{"quotas":{"resources":[{"quota":-1,"type":"instance","used":4}]}}`,
		"dcs": `{"quotas":{"resources":[{"quota":10,"type":"instance","used":0},` +
			`{"max":800,"min":0,"quota":800,"type":"ram","unit":"GB","used":22}]}}`,
		"dbss": `{"audit_quota":3,"cpu":96,"ram":-1}`,
	} {
		if _, body := get(paths[service], stated); string(body) != want {
			t.Errorf("%s: body %s, want %s", service, body, want)
		}
	}
}

// keysOf grants the keys of an account.
type keysOf struct{ access, secret string }

func (k keysOf) Grant(context.Context, huaweicloud.Scope) (huaweicloud.Grant, error) {
	return &huaweicloud.Keys{AccessKey: secret.New(k.access), SecretKey: secret.New(k.secret)}, nil
}
func (keysOf) Reject(huaweicloud.Grant) {}

// TestAccountLevelServices fetches every account-level service with the real client, in regions of each site.
func TestAccountLevelServices(t *testing.T) {
	const id = "0250cb8a80c24c0b9f20f557cb159aad"
	cloud := cloudtest.New(cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: []cloudsim.Project{{ID: id, Name: "ap-southeast-3"}}})
	client := simtest.Serve(t, cloud)
	for _, s := range providers.All() {
		if !s.API.Account {
			continue
		}
		for _, region := range []string{"ap-southeast-3", "cn-north-4", "eu-west-101", "ae-ad-1"} {
			c := &huaweicloud.Client{
				HTTP: client.Client, Auth: keysOf{"AK", "SK"}, Service: s.Name, BaseURL: strings.Replace(s.API.Host.BaseURL(region, ""), "https:", "http:", 1),
				Scope: huaweicloud.Scope{ProjectID: id, DomainID: cloudsim.ID("main"), Region: region}, Events: func(string, string, time.Duration) {},
			}
			result, err := s.Quotas(t.Context(), c, s.Options)
			if err != nil || len(result.Quotas) == 0 || result.Skipped.Count > 0 || result.Owner != cloudsim.ID("main") {
				t.Errorf("%s in %s: %v, %v", s.Name, region, err, result)
			}
			c.Scope.ProjectID = ""
			if _, err = s.Quotas(t.Context(), c, s.Options); huaweicloud.Reason(err) == huaweicloud.ReasonUnauthorized != (s.Name == "dns" || s.Name == "ga") {
				t.Errorf("%s in %s: without a project: %v", s.Name, region, err)
			}
			c.Scope.DomainID = cloudsim.ID("other")
			if _, err = s.Quotas(t.Context(), c, s.Options); huaweicloud.Reason(err) != huaweicloud.ReasonForbidden && huaweicloud.Reason(err) != huaweicloud.ReasonUnauthorized {
				t.Errorf("%s in %s: another account: %v", s.Name, region, err)
			}
		}
	}
}
