package cloudsim_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
)

// documented are the example bodies of the documents, written here once more.
var documented = map[string]string{
	"cts": "{\n  \"resources\" : [ {\n    \"type\" : \"data_tracker\",\n    \"used\" : 9,\n    \"quota\" : 100\n  }, {\n" +
		"    \"type\" : \"system_tracker\",\n    \"used\" : 1,\n    \"quota\" : 1\n  } ]\n}\n",
	"ces": "{\n  \"quotas\" : {\n    \"resources\" : [ {\n      \"unit\" : \"\",\n      \"type\" : \"alarm\",\n" +
		"      \"quota\" : 1000,\n      \"used\" : 10\n    } ]\n  }\n}\n",
	"taurusdb": "{\n  \"quotas\" : {\n    \"resources\" : [ {\n      \"type\" : \"instance,\",\n      \"used\" : \"4,\",\n" +
		"      \"quota\" : 50\n    } ]\n  }\n}\n",
	"dcs": "{\n  \"quotas\" : {\n    \"resources\" : [ {\n      \"unit\" : { },\n      \"min\" : 1,\n      \"max\" : 10,\n" +
		"      \"quota\" : 10,\n      \"used\" : 3,\n      \"type\" : \"instance\"\n    }, {\n      \"unit\" : \"GB\",\n" +
		"      \"min\" : 1,\n      \"max\" : 800,\n      \"quota\" : 800,\n      \"used\" : 22,\n      \"type\" : \"ram\"\n    } ]\n  }\n}\n",
	"dbss": "{\n  \"project_id\" : \"0250cb8a80c24c0b9f20f557cb159aad\",\n  \"cpu\" : 796,\n  \"ram\" : 1622016,\n" +
		"  \"audit_quota\" : 1\n}\n",
}

func TestUnstatedQuotasAreTheDocumentsExamples(t *testing.T) {
	client := dial(t, newCloud())
	for service, want := range documented {
		if got := mainKeys.get(t, client, "localhost"+of(paths[service], idA)); got.body != want {
			t.Errorf("%s: body\n%s, want\n%s", service, got.body, want)
		}
	}
	if got := mainKeys.get(t, client, "localhost/v1/"+idA+"/dbss/audit/quota"); got.body != documented["dbss"] {
		t.Errorf("DBSS under /v1: body\n%s", got.body)
	}
	wantJSON(t, mainKeys.get(t, client, "localhost/v2/"+idA+"/audit/instances").body, `{"instances":[],"total":0}`)
}

func TestStatedQuotas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud()
		client := dial(t, c)
		minutes := func(elapsed time.Duration) int64 { return int64(elapsed / time.Minute) }
		c.AddProject("main", cloudsim.Project{ID: "p", Name: "ap-southeast-3_p", AuditInstances: 2, Quotas: map[string][]cloudsim.Quota{
			"cts":      {{Type: "data_tracker", Used: 3, Limit: 100}},
			"ces":      {{Type: "alarm", Limit: 100, Min: 1, Max: 200, Move: minutes}},
			"taurusdb": {{Type: "instance", Used: 4, Limit: -1}},
			"dcs":      {{Type: "instance", Limit: 10}, {Type: "ram", Unit: "GB", Used: 22, Limit: 800, Max: 800}},
			"dbss": {
				{Type: "audit_instance", Used: 2, Limit: 5},
				{Type: "cpu", Limit: 100, Move: minutes},
				{Type: "ram", Unit: "not sent", Used: 1, Limit: -1},
			},
		}})
		<-time.After(10 * time.Minute)
		want := map[string]string{
			"cts":      `{"resources":[{"type":"data_tracker","used":3,"quota":100}]}`,
			"ces":      `{"quotas":{"resources":[{"type":"alarm","used":10,"quota":100,"min":1,"max":200}]}}`,
			"taurusdb": `{"quotas":{"resources":[{"type":"instance","used":4,"quota":-1}]}}`,
			"dcs": `{"quotas":{"resources":[{"type":"instance","used":0,"quota":10},
				{"unit":"GB","type":"ram","used":22,"quota":800,"min":0,"max":800}]}}`,
			"dbss": `{"audit_quota":3,"cpu":90,"ram":-1}`,
		}
		for service, body := range want {
			wantJSON(t, mainKeys.get(t, client, "localhost"+of(paths[service], "p")).body, body)
		}
		c.SetQuota("p", "ces", "alarm", 99, 500) // stands still from now on
		<-time.After(time.Minute)
		wantJSON(t, mainKeys.get(t, client, "localhost"+of(paths["ces"], "p")).body,
			`{"quotas":{"resources":[{"type":"alarm","used":99,"quota":500,"min":1,"max":200}]}}`)
		wantPanic(t, "SetQuota of an unknown resource", func() { c.SetQuota("p", "ces", "site", 0, 0) })
		wantPanic(t, "SetQuota of an example", func() { c.SetQuota(idA, "ces", "alarm", 0, 0) })
		wantPanic(t, "SetQuota of an unknown project", func() { c.SetQuota("nobody", "ces", "alarm", 0, 0) })
	})
}

func TestAuditInstancesArePaged(t *testing.T) {
	c := newCloud()
	client := dial(t, c)
	c.AddProject("main", cloudsim.Project{ID: "p", Name: "ap-southeast-3_p", AuditInstances: 250})
	seen := map[string]bool{}
	page := func(query string) (count int) {
		var list struct {
			Instances []struct {
				ID, Name, Status string
				CPU, RAM         int
			}
			Total int
		}
		got := mainKeys.get(t, client, "localhost/v2/p/audit/instances"+query)
		if err := json.Unmarshal([]byte(got.body), &list); err != nil || list.Total != 250 {
			t.Fatalf("%s: %v, body %s", query, err, got.body)
		}
		for _, i := range list.Instances {
			seen[i.ID] = true
			if i.Name == "" || i.Status != "ACTIVE" || i.CPU == 0 || i.RAM == 0 {
				t.Errorf("instance %+v", i)
			}
		}
		return len(list.Instances)
	}
	for _, step := range []struct {
		query string
		want  int
	}{{"", 100}, {"?offset=100", 100}, {"?limit=100&offset=200", 50}, {"?offset=250", 0}, {"?limit=1000", 250}, {"?limit=1", 1}} {
		if got := page(step.query); got != step.want {
			t.Errorf("%q: %d instances, want %d", step.query, got, step.want)
		}
	}
	if len(seen) != 250 {
		t.Errorf("%d different instances, want 250", len(seen))
	}
	for _, query := range []string{"?limit=0", "?limit=1001", "?offset=-1", "?offset=x"} {
		if got := mainKeys.get(t, client, "localhost/v2/p/audit/instances"+query); got.status != http.StatusBadRequest {
			t.Errorf("%s: status %d, want 400", query, got.status)
		}
	}
}
