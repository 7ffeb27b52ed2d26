package huaweicloud_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/huaweicloud"
)

func TestFindProject(t *testing.T) {
	const one = `{"links":{"next":null,"previous":null,"self":"https://iam/v3/projects"},"projects":[
		{"is_domain":false,"description":"","links":{"self":"x"},"enabled":true,"id":"06f1","parent_id":"d78c","domain_id":"d78c","name":"ap-southeast-1"}]}`
	items := make([]string, 10_000)
	for i := range items {
		items[i] = fmt.Sprintf(`{"id":"id%d","name":"ap-southeast-1"}`, i)
	}
	many := `{"projects":[` + strings.Join(items, ",") + `]}`
	for _, tc := range []struct {
		name, body, id, reason, says string
	}{
		{name: "one", body: one, id: "06f1"},
		{name: "none", body: `{"projects":[]}`, reason: "not_found", says: "IAM knows no project of the name ap-southeast-1; state the project's id: projects: [{id: ..., region: ap-southeast-1"},
		{name: "another", body: strings.ReplaceAll(one, `"ap-southeast-1"`, `"ap-southeast-1_dev"`), reason: "not_found", says: "no project"},
		{name: "several", body: `{"projects":[{"id":"a","name":"ap-southeast-1"},{"id":"b","name":"ap-southeast-1"}]}`, reason: "not_found", says: "2 projects (a, b)"},
		{name: "one, twice", body: `{"projects":[{"id":"a","name":"ap-southeast-1"},{"id":"a","name":"ap-southeast-1"}]}`, id: "a"},
		{name: "very many", body: many, reason: "not_found", says: "IAM knows more than 5 projects (id0, id1, id2, id3, id4, ...) of the name"},
		{
			name: "several, with what no log should have", body: `{"projects":[{"id":"a\nb","name":"ap-southeast-1"},{"id":"a-secret-key","name":"ap-southeast-1"}]}`,
			reason: "not_found", says: "2 projects (a b, <hidden>)",
		},
		{name: "one without an id", body: `{"projects":[{"name":"ap-southeast-1"}]}`, reason: "not_found", says: "no project"},
		{name: "no list", body: `{}`, reason: "malformed", says: "there is no list of projects in it; it begins with: {}"},
		{name: "no JSON", body: `<html>`, reason: "malformed", says: "it begins with: <html>"},
		{name: "nothing", body: ``, reason: "malformed", says: "it is empty"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			iam, _, _ := client(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.String() != "/v3/projects?name=ap-southeast-1" {
					t.Errorf("asked for %s", r.URL)
				}
				fmt.Fprint(w, tc.body)
			})
			id, err := huaweicloud.FindProject(t.Context(), iam, "ap-southeast-1")
			if id != tc.id || (err == nil) != (tc.reason == "") {
				t.Fatalf("got %q, %v", id, err)
			}
			if err != nil && (huaweicloud.Reason(err) != tc.reason || !strings.Contains(err.Error(), tc.says)) {
				t.Errorf("got reason %s: %v\nwant %s: %s", huaweicloud.Reason(err), err, tc.reason, tc.says)
			}
		})
	}
}

func TestListProjects(t *testing.T) {
	page := func(from, n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`{"id":"id%d","name":"ap-southeast-1_p%d","enabled":true}`, from+i, from+i))
		}
		return `{"projects":[` + strings.Join(all, ",") + `]}`
	}
	for _, tc := range []struct {
		name   string
		pages  func(page string) string
		want   int
		reason string
	}{
		{"one page", func(string) string { return page(0, 3) }, 3, ""},
		{"none", func(string) string { return `{"projects":[]}` }, 0, ""},
		{"three pages", func(p string) string {
			return map[string]string{"1": page(0, 200), "2": page(200, 200), "3": page(400, 5)}[p]
		}, 405, ""},
		{"a server without pages", func(string) string { return page(0, 200) }, 200, ""},
		{"the second page fails", func(p string) string { return map[string]string{"1": page(0, 200), "2": "<html>"}[p] }, 0, "malformed"},
		{"without end", func(p string) string {
			n, _ := strconv.Atoi(p)
			return page(n*200, 200)
		}, 0, "malformed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			iam, _, _ := client(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v3/projects" || r.URL.Query().Get("per_page") != "200" {
					t.Errorf("asked for %s", r.URL)
				}
				fmt.Fprint(w, tc.pages(r.URL.Query().Get("page")))
			})
			projects, err := huaweicloud.ListProjects(t.Context(), iam)
			if len(projects) != tc.want || (err == nil) != (tc.reason == "") || err != nil && huaweicloud.Reason(err) != tc.reason {
				t.Errorf("got %d projects, %v", len(projects), err)
			}
		})
	}
}

func TestProjectServes(t *testing.T) {
	for _, tc := range []struct {
		project huaweicloud.Project
		region  string
		serves  bool
	}{
		{huaweicloud.Project{Name: "ap-southeast-3"}, "ap-southeast-3", true},
		{huaweicloud.Project{Name: "eu-de_a_b", Enabled: new(true)}, "eu-de", true},
		{huaweicloud.Project{Name: "eu-de", Enabled: new(false)}, "eu-de", false},
		{huaweicloud.Project{Name: "eu-de", IsDomain: true}, "eu-de", false},
		{huaweicloud.Project{Name: "MOS"}, "MOS", false},
		{huaweicloud.Project{Name: "project"}, "project", false},
		{huaweicloud.Project{Name: "_x"}, "", false},
	} {
		if region, serves := tc.project.Region(), tc.project.Serves(); region != tc.region || serves != tc.serves {
			t.Errorf("%+v: region %s, serves %t; want %s, %t", tc.project, region, serves, tc.region, tc.serves)
		}
	}
}
