package cloudsim_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
)

var demoKeys = keys{access: cloudsim.DemoAccessKey, secret: cloudsim.DemoSecretKey}

// demoProjects returns ids by name.
func demoProjects(t *testing.T, client *http.Client) map[string]string {
	t.Helper()
	var list struct{ Projects []struct{ ID, Name string } }
	if err := json.Unmarshal([]byte(demoKeys.get(t, client, "iam"+cloud+"/v3/projects").body), &list); err != nil {
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
func measure(t *testing.T, client *http.Client, service, id string) map[string]measured {
	t.Helper()
	var body struct {
		Quotas    struct{ Resources []measured }
		Resources []measured
	}
	got := demoKeys.get(t, client, "localhost"+of(paths[service], id))
	if err := json.Unmarshal([]byte(got.body), &body); err != nil || got.status != http.StatusOK {
		t.Fatalf("%s: status %d, %v, body %s", service, got.status, err, got.body)
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
		client := dial(t, cloudsim.Demo())
		ids := demoProjects(t, client)
		want := []string{"ap-southeast-1", "ap-southeast-1_dev", "ap-southeast-3"}
		if got := slices.Sorted(maps.Keys(ids)); !slices.Equal(got, want) {
			t.Fatalf("projects %v, want %v", got, want)
		}
		seen := map[float64]bool{}
		for range 80 {
			<-time.After(67 * time.Second)
			ram := measure(t, client, "dcs", ids["ap-southeast-3"])["ram"]
			seen[ram.Used] = true
			within(t, "dcs ram of production", ram, 0.93, 0.99)
			within(t, "ces alarm of production", measure(t, client, "ces", ids["ap-southeast-3"])["alarm"], 0.94, 0.96)
			within(t, "taurusdb of production", measure(t, client, "taurusdb", ids["ap-southeast-3"])["instance"], 0.6, 0.9)
			for name, id := range ids {
				within(t, "cts of "+name, measure(t, client, "cts", id)["system_tracker"], 1, 1)
				for _, service := range []string{"cts", "ces", "dcs"} {
					for resource, m := range measure(t, client, service, id) {
						within(t, service+" "+resource+" of "+name, m, 0, 1)
					}
				}
			}
		}
		if len(seen) < 10 {
			t.Errorf("only %d different numbers: nothing moves", len(seen))
		}
		if m := measure(t, client, "taurusdb", ids["ap-southeast-1_dev"])["instance"]; m.Quota != -1 {
			t.Errorf("TaurusDB of development has the limit %v, want none", m.Quota)
		}
	})
}

func TestDemoFailsNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := dial(t, cloudsim.Demo())
		ids := demoProjects(t, client)
		start := time.Now()
		for range 24 {
			elapsed := time.Since(start)
			for name, id := range ids {
				want := http.StatusOK
				if name == "ap-southeast-1" && elapsed%(3*time.Minute) >= 2*time.Minute {
					want = http.StatusServiceUnavailable
				}
				if got := demoKeys.get(t, client, "localhost"+of(paths["dbss"], id)); got.status != want {
					t.Errorf("DBSS of %s after %v: status %d, want %d", name, elapsed, got.status, want)
				}
			}
			<-time.After(15 * time.Second)
		}
	})
}

func TestScale(t *testing.T) {
	const projects = 25
	client := dial(t, cloudsim.Scale(projects))
	ids := demoProjects(t, client)
	if len(ids) != projects || len(ids["ap-southeast-3_p0001"]) != 32 || len(ids["ap-southeast-1_p0002"]) != 32 {
		t.Fatalf("projects %v", ids)
	}
	for name, id := range ids {
		for _, path := range append(slices.Collect(maps.Values(paths)), "/v2/{project_id}/audit/instances") {
			if got := demoKeys.get(t, client, "localhost"+of(path, id)); got.status != http.StatusOK {
				t.Errorf("%s of %s: status %d", path, name, got.status)
			}
		}
		within(t, "dcs ram of "+name, measure(t, client, "dcs", id)["ram"], 0, 1)
	}
}
