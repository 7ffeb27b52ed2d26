package cloudsim_test

import (
	"net/http"
	"testing"

	"cloud_quota_exporter/internal/cloudsim"
)

// shaped are APIs of each shape, with quotas as they are stated and as they are written.
var shaped = []struct {
	api    cloudsim.API
	quotas []cloudsim.Quota
	want   string
}{
	{
		cloudsim.API{Service: "rows", Path: "/v1/{project_id}/rows", Shape: cloudsim.Shape{
			Type: "kind", Used: "n.used", Limit: "n.quota", Remaining: "left", Unit: "unit", Min: "min", Max: "max",
		}},
		[]cloudsim.Quota{{Type: "a", Unit: "GB", Used: 1, Limit: 5, Max: 9}, {Type: "b", Used: 2, Limit: -1}},
		`[{"kind":"a","n":{"used":1,"quota":5},"left":4,"unit":"GB","min":0,"max":9},
			{"kind":"b","n":{"used":2,"quota":-1},"left":-1}]`,
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
}

// newShaped has project idA, which states no quotas, and "p", which states all. The host of each API begins with its name.
func newShaped(more ...cloudsim.API) *cloudsim.Cloud {
	apis, stated := more, map[string][]cloudsim.Quota{}
	for _, s := range shaped {
		s.api.Example, s.api.Host = []byte(`"the example of `+s.api.Service+`"`), at(s.api.Service)
		apis, stated[s.api.Service] = append(apis, s.api), s.quotas
	}
	return cloudsim.New(apis, cloudsim.Account{Name: "main", AccessKey: "MAINAK", SecretKey: "main-secret", Projects: []cloudsim.Project{
		{ID: idA, Name: "ap-southeast-3"}, {ID: "p", Name: "ap-southeast-3_p", Quotas: stated},
	}})
}

func at(label string) func(string) string { return func(string) string { return label } }

func TestShapes(t *testing.T) {
	client := dial(t, newShaped())
	for _, s := range shaped {
		host := s.api.Service + ".ap-southeast-3" + cloud
		if got := mainKeys.getFor(t, client, idA, host+of(s.api.Path, idA)); got.body != `"the example of `+s.api.Service+`"` {
			t.Errorf("%s: status %d, body %s, want the example", s.api.Service, got.status, got.body)
		}
		wantJSON(t, mainKeys.getFor(t, client, "p", host+of(s.api.Path, "p")).body, s.want)
	}
}

func TestQuotasThatCanNotBeWritten(t *testing.T) {
	c := newShaped(
		cloudsim.API{Service: "composed", Path: "/composed", Host: at("composed"), Shape: cloudsim.Shape{Type: "{type}_{mode}"}},
		cloudsim.API{Service: "typeless", Path: "/typeless", Host: at("typeless")},
	)
	for _, service := range []string{"composed", "typeless", "pairs", "unknown"} {
		wantPanic(t, service, func() {
			c.AddProject("main", cloudsim.Project{ID: "new", Quotas: map[string][]cloudsim.Quota{service: {{Type: "x"}}}})
		})
	}
	if client := dial(t, c); mainKeys.getFor(t, client, "new", "localhost"+of("/v1/{project_id}/rows", "new")).status != http.StatusForbidden {
		t.Error("there is a project that was refused")
	}
}
