package cloudsim_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"cloud_quota_exporter/internal/cloudsim"
)

// projectList is an answer of IAM.
type projectList struct {
	Links struct {
		Next *string
		Self string
	}
	Projects []struct {
		ID, Name string
		ParentID string `json:"parent_id"`
		DomainID string `json:"domain_id"`
		Enabled  bool
		Links    struct{ Self string }
	}
}

func list(t *testing.T, client *http.Client, k keys, query string) projectList {
	t.Helper()
	const place = "iam" + cloud + "/v3/projects"
	var l projectList
	got := k.get(t, client, place+query)
	if err := json.Unmarshal([]byte(got.body), &l); err != nil || l.Projects == nil {
		t.Fatalf("%s: %v, body %s", query, err, got.body)
	}
	if l.Links.Self != "http://"+place+query || l.Links.Next != nil {
		t.Errorf("%s: links %+v", query, l.Links)
	}
	for _, p := range l.Projects {
		if p.DomainID == "" || p.Links.Self != "http://"+place+"/"+p.ID {
			t.Errorf("project %+v", p)
		}
	}
	return l
}

func TestProjectList(t *testing.T) {
	client := dial(t, newCloud())
	const dev, a, b = "ap-southeast-3_dev false", "ap-southeast-3 true", "ap-southeast-1 true"
	for query, want := range map[string][]string{
		"": {dev, a, b}, "?name=ap-southeast-3": {a}, "?name=ap": nil, "?enabled=true": {a, b}, "?enabled=false": {dev},
		"?page=1&per_page=2": {dev, a}, "?page=2&per_page=2": {b}, "?page=3&per_page=2": nil, "?enabled=true&name=ap-southeast-1": {b},
	} {
		var names []string
		for _, p := range list(t, client, mainKeys, query).Projects {
			names = append(names, p.Name+" "+strconv.FormatBool(p.Enabled))
		}
		if !slices.Equal(names, want) {
			t.Errorf("%q: %v, want %v", query, names, want)
		}
	}
	for _, query := range []string{"?page=0", "?per_page=5001", "?per_page=x"} {
		got := mainKeys.get(t, client, "iam"+cloud+"/v3/projects"+query)
		if got.status != http.StatusBadRequest {
			t.Errorf("%s: status %d, want 400", query, got.status)
		}
		wantJSON(t, got.body, `{"error":{"code":400,"message":"page or per_page is out of range","title":"Bad Request"}}`)
	}
}

func TestProjectsBelongToRegionsAndAccounts(t *testing.T) {
	c := newCloud()
	client := dial(t, c)
	c.AddProject("other", cloudsim.Project{ID: "mos", Name: "MOS"})
	var given []string
	for _, p := range c.Projects() {
		given = append(given, p.ID)
	}
	if want := []string{idSub, idA, idB, other, "mos"}; !slices.Equal(given, want) {
		t.Errorf("projects %v, want %v", given, want)
	}
	parents, domains := map[string]string{}, map[string]bool{}
	for _, k := range []keys{mainKeys, {access: "OTHERAK", secret: "other-secret"}} {
		for _, p := range list(t, client, k, "").Projects {
			domains[p.DomainID] = true
			parents[p.ID] = p.ParentID
			if p.ID != idSub && p.ParentID != p.DomainID {
				t.Errorf("%s has the parent %q, want its domain", p.Name, p.ParentID)
			}
		}
	}
	if len(parents) != 5 || len(domains) != 2 {
		t.Errorf("%d projects in %d domains, want 5 in 2", len(parents), len(domains))
	}
	if parents[idSub] != idA {
		t.Errorf("the sub-project has the parent %q, want the project of its region", parents[idSub])
	}
}
