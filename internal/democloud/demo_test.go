package democloud_test

import (
	"cmp"
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
	"cloud_quota_exporter/providers"
	"cloud_quota_exporter/providers/examples"
)

// paths are the APIs of the five services that have numbers of their own.
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
		got := client.Get(t, keys, strings.ReplaceAll(path, "{project_id}", id), "X-Project-Id", id)
		return got.Status, []byte(got.Body)
	}
}

// demoProjects returns ids by name.
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

// measure reads the numbers of CTS, CES, TaurusDB or DCS.
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

func TestDemo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		get := ask(t, democloud.Demo())
		ids := demoProjects(t, get)
		want := []string{"ap-southeast-1", "ap-southeast-1_dev", "ap-southeast-3"}
		if got := slices.Sorted(maps.Keys(ids)); !slices.Equal(got, want) {
			t.Fatalf("projects %v, want %v", got, want)
		}
		seen := map[float64]bool{}
		start := time.Now()
		for range 80 {
			<-time.After(67 * time.Second)
			failing := time.Since(start)%(3*time.Minute) >= 2*time.Minute
			ram := measure(t, get, "dcs", ids["ap-southeast-3"])["ram"]
			seen[ram.Used] = true
			within(t, "dcs ram of production", ram, 0.93, 0.99)
			within(t, "ces alarm of production", measure(t, get, "ces", ids["ap-southeast-3"])["alarm"], 0.94, 0.96)
			within(t, "taurusdb of production", measure(t, get, "taurusdb", ids["ap-southeast-3"])["instance"], 0.6, 0.9)
			for name, id := range ids {
				want := http.StatusOK
				if failing && name == "ap-southeast-1" {
					want = http.StatusServiceUnavailable
				}
				if status, _ := get(paths["dbss"], id); status != want {
					t.Errorf("DBSS of %s after %v: status %d, want %d", name, time.Since(start), status, want)
				}
				within(t, "cts of "+name, measure(t, get, "cts", id)["system_tracker"], 1, 1)
				for _, service := range []string{"cts", "ces", "dcs"} {
					for resource, m := range measure(t, get, service, id) {
						within(t, service+" "+resource+" of "+name, m, 0, 1)
					}
				}
			}
		}
		if len(seen) < 10 {
			t.Errorf("only %d different numbers: nothing moves", len(seen))
		}
		if m := measure(t, get, "taurusdb", ids["ap-southeast-1_dev"])["instance"]; m.Quota != -1 {
			t.Errorf("TaurusDB of development has the limit %v, want none", m.Quota)
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
		path, _, _ := strings.Cut(s.API.Path, "?")
		place := s.API.Host.Label("ap-southeast-1") + ".ap-southeast-1.myhuaweicloud.com" + path
		want := cmp.Or(string(examples.Of(s.Name)), string(democloud.Made(s.API)))
		if status, body := get(place, unstated); status != http.StatusOK || string(body) != want {
			t.Errorf("%s: status %d, body %s, want the example of the document or what is made\n%s", s.Name, status, body, want)
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
