package cloudsim_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/simtest"
)

// shaped are APIs of each shape, with quotas as they are stated and, ten minutes later, written.
var shaped = []struct {
	api    cloudsim.API
	quotas []cloudsim.Quota
	want   string
}{
	{
		cloudsim.API{Service: "cts", Path: "/v3/{project_id}/quotas", Action: "cts:quota:get", Shape: cloudsim.Shape{
			Type: "kind", Used: "n.used", Limit: "n.quota", Remaining: "left", Unit: "unit", Min: "min", Max: "max",
		}},
		[]cloudsim.Quota{
			{Type: "a", Unit: "GB", Used: 1, Limit: 5, Max: 9},
			{Type: "b", Used: 2, Limit: -1},
			{Type: "c", Min: 1, Limit: 30, Move: func(elapsed time.Duration) int64 { return int64(elapsed / time.Minute) }},
		},
		`[{"kind":"a","n":{"used":1,"quota":5},"left":4,"unit":"GB","min":0,"max":9}, {"kind":"b","n":{"used":2,"quota":-1},"left":-1},
			{"kind":"c","n":{"used":10,"quota":30},"left":20,"min":1,"max":0}]`,
	},
	{
		cloudsim.API{Service: "map", Path: "/v2/{project_id}/os-quota-sets/{project_id}", Shape: cloudsim.Shape{
			List: "quota_set", Type: "{key}", Used: "in_use", Limit: "limit",
		}},
		[]cloudsim.Quota{{Type: "gigabytes", Unit: "GB", Used: 3, Limit: 10}, {Type: "snapshots", Limit: -1}},
		`{"quota_set":{"gigabytes":{"in_use":3,"limit":10},"snapshots":{"in_use":0,"limit":-1}}}`,
	},
	{
		cloudsim.API{Service: "pairs", Path: "/v2.1/{project_id}/limits", Shape: cloudsim.Shape{List: "limits.absolute", Pairs: []cloudsim.Pair{
			{Type: "cores", Used: "totalCoresUsed", Limit: "maxTotalCores"},
			{Type: "groups", Limit: "maxServerGroups"},
			{Type: "ram", Remaining: "ram.left"},
		}}},
		[]cloudsim.Quota{{Type: "cores", Used: 4, Limit: 8}, {Type: "groups", Used: 1, Limit: 2}, {Type: "ram", Unit: "MB", Used: 10, Limit: 30}},
		`{"limits":{"absolute":{"totalCoresUsed":4,"maxTotalCores":8,"maxServerGroups":2,"ram":{"left":20}}}}`,
	},
	{
		cloudsim.API{Service: "header", Path: "/v1/header/quota", Shape: cloudsim.Shape{List: "quotas.resources", Type: "type", Used: "used"}},
		[]cloudsim.Quota{{Type: "image", Used: 7, Limit: 50}},
		`{"quotas":{"resources":[{"type":"image","used":7}]}}`,
	},
	{
		cloudsim.API{Service: "dbss", Path: "/v2/{project_id}/audit/quota", Shape: cloudsim.Shape{Pairs: []cloudsim.Pair{{Type: "cpu", Remaining: "cpu"}}}},
		[]cloudsim.Quota{{Type: "cpu", Used: 4, Limit: 800}},
		`{"cpu":796}`,
	},
	{cloudsim.API{Service: "dcs", Path: "/v2/{project_id}/quota", Shape: cloudsim.Shape{Type: "type"}}, nil, `[]`},
	{cloudsim.API{Service: "rds", Path: "/v3/{project_id}/quotas", Shape: cloudsim.Shape{Type: "rds"}}, []cloudsim.Quota{{Type: "x"}}, `[{"rds":"x"}]`},
	{cloudsim.API{Service: "dds", Path: "/v3/{project_id}/quotas", Shape: cloudsim.Shape{Type: "dds"}}, []cloudsim.Quota{{Type: "x"}}, `[{"dds":"x"}]`},
}

func of(path, id string) string { return strings.ReplaceAll(path, "{project_id}", id) }

func TestQuotas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := simtest.Serve(t, newCloud())
		<-time.After(10 * time.Minute)
		for _, s := range shaped {
			place := "localhost/" + s.api.Service
			client.Get(t, mainKeys, place+of(s.api.Path, idA), "X-Project-Id", idA).Want(t, s.api.Service, http.StatusOK, `"`+s.api.Service+`"`)
			client.Get(t, mainKeys, place+of(s.api.Path, idB), "X-Project-Id", idB).Want(t, s.api.Service, http.StatusOK, s.want)
		}
	})
}

func TestUpdate(t *testing.T) {
	c := newCloud()
	c.Publish(
		cloudsim.API{Service: "composed", Path: "/composed", Host: func(string) string { return "x" }, Shape: cloudsim.Shape{Type: "{type}_{mode}"}},
		cloudsim.API{Service: "typeless", Path: "/typeless", Host: func(string) string { return "x" }},
	)
	client := simtest.Serve(t, c)
	add := func(account string, p cloudsim.Project) {
		c.Update(account, func(a *cloudsim.Account) { a.Projects[0].Disabled, a.Projects = false, append(a.Projects, p) })
	}
	for _, service := range []string{"composed", "typeless", "pairs", "unknown"} {
		simtest.WantPanic(t, "quotas of "+service, func() {
			add("main", cloudsim.Project{ID: "new", Quotas: map[string][]cloudsim.Quota{service: {{Type: "x"}}}})
		})
	}
	simtest.WantPanic(t, "a project twice", func() { add("main", cloudsim.Project{ID: other}) })
	simtest.WantPanic(t, "unknown account", func() { add("nobody", cloudsim.Project{ID: "new"}) })
	if got := c.Projects(); len(got) != 5 || !got[0].Disabled {
		t.Errorf("projects %v, want no change by a panic", got)
	}
	add("main", cloudsim.Project{ID: "new", Name: "ap-southeast-3_new"})
	if p := c.Projects(); len(p) != 6 || p[3].ID != "new" || p[3].Region != "ap-southeast-3" {
		t.Errorf("projects %v, want one more", p)
	}
	client.Get(t, mainKeys, "dcs.ap-southeast-3"+cloud+"/v2/new/quota").Want(t, "new project", http.StatusOK, `"dcs"`)
	c.Update("main", func(a *cloudsim.Account) { a.Projects = nil })
	client.Get(t, mainKeys, "localhost/v2/new/quota").Want(t, "removed project", http.StatusForbidden, "")
}

func TestAuditInstancesArePaged(t *testing.T) {
	client := simtest.Serve(t, newCloud())
	seen := map[string]bool{}
	for query, want := range map[string]int{
		"": 100, "?offset=100": 100, "?limit=100&offset=200": 50, "?offset=250": 0, "?limit=1000": 250, "?limit=1": 1,
	} {
		var list struct {
			Instances []struct {
				ID, Name, Status string
				CPU, RAM         int
			}
			Total int
		}
		got := client.Get(t, mainKeys, "localhost/v2/"+idB+"/audit/instances"+query)
		if err := json.Unmarshal([]byte(got.Body), &list); err != nil || list.Total != 250 || len(list.Instances) != want || list.Instances == nil {
			t.Errorf("%q: %v, %d instances, body %s, want %d of 250", query, err, len(list.Instances), got.Body, want)
		}
		for _, i := range list.Instances {
			seen[i.ID] = true
			if i.Name == "" || i.Status != "ACTIVE" || i.CPU == 0 || i.RAM == 0 {
				t.Errorf("instance %+v", i)
			}
		}
	}
	if len(seen) != 250 {
		t.Errorf("%d different instances, want 250", len(seen))
	}
	for _, query := range []string{"?limit=0", "?limit=1001", "?offset=-1", "?offset=x"} {
		client.Get(t, mainKeys, "localhost/v2/"+idB+"/audit/instances"+query).Want(t, query, http.StatusBadRequest, "")
	}
	client.Get(t, mainKeys, "localhost/v2/"+other+"/audit/instances").Want(t, "forbidden", http.StatusForbidden, `{"error_code":"DBSS.0403",
		"error_msg":"Policy doesn't allow [dbss:auditInstance:list] to be performed","encoded_authorization_message":"",
		"details":[{"error_code":"DBSS.0403","error_msg":"Policy doesn't allow [dbss:auditInstance:list] to be performed"}]}`)
	without := simtest.Serve(t, cloudsim.New(
		[]cloudsim.API{{Service: "dcs", Path: "/v2/{project_id}/quota", Host: func(string) string { return "dcs" }}},
		cloudsim.Account{AccessKey: "MAINAK", SecretKey: "main-secret"}))
	without.Get(t, mainKeys, "localhost/v2/nobody/quota").Want(t, "an account without a name", http.StatusForbidden, "")
	without.Get(t, mainKeys, "localhost/v2/"+idB+"/audit/instances").Want(t, "without DBSS", http.StatusNotFound, unpublished)
}

func TestProjectList(t *testing.T) {
	client := simtest.Serve(t, newCloud())
	const place = "iam" + cloud + "/v3/projects"
	project := func(id, name, parent, domain, enabled string) string {
		return `{"is_domain":false,"description":"","links":{"self":"http://` + place + `/` + id + `"},"enabled":` + enabled + `,"id":"` + id +
			`","parent_id":"` + parent + `","domain_id":"` + domain + `","name":"` + name + `"}`
	}
	const mainDomain, otherDomain = "0d6e4079e36703ebd37c00722f5891d2", "d9298a10d1b0735837dc4bd85dac641b"
	dev := project(idSub, "ap-southeast-3_dev", idA, mainDomain, "false")
	a, b := project(idA, "ap-southeast-3", mainDomain, mainDomain, "true"), project(idB, "eu-de", mainDomain, mainDomain, "true")
	list := func(k simtest.Keys, query string, want ...string) {
		t.Helper()
		client.Get(t, k, place+query).Want(t, query, http.StatusOK,
			`{"links":{"self":"http://`+place+query+`","next":null,"previous":null},"projects":[`+strings.Join(want, ",")+`]}`)
	}
	list(mainKeys, "", dev, a, b)
	list(mainKeys, "?name=ap-southeast-3", a)
	list(mainKeys, "?name=ap")
	list(mainKeys, "?enabled=true", a, b)
	list(mainKeys, "?enabled=false", dev)
	list(mainKeys, "?enabled=true&name=eu-de", b)
	list(mainKeys, "?page=1&per_page=2", dev, a)
	list(mainKeys, "?page=2&per_page=2", b)
	list(mainKeys, "?page=3&per_page=2")
	list(otherKeys, "", project(other, "eu-de_x", otherDomain, otherDomain, "true"), project("mos", "MOS", otherDomain, otherDomain, "true"))
	for _, query := range []string{"?page=0", "?per_page=5001", "?per_page=x"} {
		client.Get(t, mainKeys, place+query).Want(t, query, http.StatusBadRequest,
			`{"error":{"code":400,"message":"page or per_page is out of range","title":"Bad Request"}}`)
	}
}
