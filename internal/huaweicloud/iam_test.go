package huaweicloud_test

import (
	"fmt"
	"net/http"
	"regexp"
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
		{name: "none", body: `{"projects":[]}`, reason: "not_found", says: "IAM lists no project with the name ap-southeast-1; set the project ID: projects: [{id: ..., region: ap-southeast-1"},
		{name: "another", body: strings.ReplaceAll(one, `"ap-southeast-1"`, `"ap-southeast-1_dev"`), reason: "not_found", says: "no project"},
		{name: "several", body: `{"projects":[{"id":"a","name":"ap-southeast-1"},{"id":"b","name":"ap-southeast-1"}]}`, reason: "not_found", says: "2 projects (a, b)"},
		{name: "one, twice", body: `{"projects":[{"id":"a","name":"ap-southeast-1"},{"id":"a","name":"ap-southeast-1"}]}`, id: "a"},
		{name: "very many", body: many, reason: "not_found", says: "IAM lists more than 5 projects (id0, id1, id2, id3, id4, ...) with the name"},
		{
			name: "several, with invalid IDs", body: `{"projects":[{"id":"a\nb","name":"ap-southeast-1"},{"id":"a-secret-key","name":"ap-southeast-1"}]}`,
			reason: "not_found", says: "no project with the name ap-southeast-1 (2 are invalid: its ID is not a valid project_id); set",
		},
		{name: "one valid one of several", body: `{"projects":[{"id":"a b","name":"ap-southeast-1"},5,{"id":7},{"id":"06f1","name":"ap-southeast-1"}]}`, id: "06f1"},
		{name: "one without an ID", body: `{"projects":[{"name":"ap-southeast-1"}]}`, reason: "malformed", says: "all of its projects are invalid: project 1 of page 1: it has no ID"},
		{name: "no list", body: `{}`, reason: "malformed", says: "it has no list of projects (begins with: {}"},
		{name: "no JSON", body: `<html>`, reason: "malformed", says: "begins with: <html>"},
		{name: "nothing", body: ``, reason: "malformed", says: "it is empty"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			iam, _, _ := client(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.String() != "/v3/projects?name=ap-southeast-1" {
					t.Errorf("requested %s", r.URL)
				}
				fmt.Fprint(w, tc.body)
			})
			p, err := huaweicloud.FindProject(t.Context(), iam, "ap-southeast-1", isID)
			if p.ID != tc.id || (err == nil) != (tc.reason == "") {
				t.Fatalf("got %q, %v", p.ID, err)
			}
			if err != nil && (huaweicloud.Reason(err) != tc.reason || !strings.Contains(err.Error(), tc.says)) {
				t.Errorf("got reason %s: %v\nwant %s: %s", huaweicloud.Reason(err), err, tc.reason, tc.says)
			}
		})
	}
}

// isID accepts the documented IDs.
func isID(id string) bool { return regexp.MustCompile(`^[A-Za-z0-9]+$`).MatchString(id) }

// keepAll keeps all valid projects.
func keepAll(_ huaweicloud.Project, err error) (bool, error) { return err == nil, err }

func TestListProjects(t *testing.T) {
	page := func(from, n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`{"id":"id%d","name":"ap-southeast-1_p%d","enabled":true}`, from+i, from+i))
		}
		return `{"projects":[` + strings.Join(all, ",") + `]}`
	}
	linked := func(page, next string) string {
		return strings.TrimSuffix(page, "}") + `,"links":{"next":` + next + `}}`
	}
	const list, own, refused = "/v3/projects", "/v3/auth/projects", `{"error":{"code":403,"message":"no"}}`
	for _, tc := range []struct {
		name    string
		pages   map[string]string // by path and query, with page=1 for all others
		want    int
		skipped string
		reason  string
		asked   int
	}{
		{name: "one page", pages: map[string]string{list: page(0, 3)}, want: 3, asked: 1},
		{name: "none", pages: map[string]string{list: `{"projects":[]}`}, asked: 1},
		{
			name:  "three pages",
			pages: map[string]string{list: page(0, 200), list + "?page=2": page(200, 200), list + "?page=3": page(400, 5)}, want: 405, asked: 3,
		},
		{name: "a server without pages", pages: map[string]string{list: page(0, 200)}, want: 200, asked: 2},
		{name: "the second page fails", pages: map[string]string{list: page(0, 200), list + "?page=2": "<html>"}, reason: "malformed", asked: 2},

		{name: "small pages with links", pages: map[string]string{
			list: linked(page(0, 2), `"https://elsewhere.example/v3/projects?marker=id1&limit=2"`), list + "?limit=2&marker=id1": linked(page(2, 2), `"?marker=id3"`),
			list + "?marker=id3": linked(page(4, 1), "null"),
		}, want: 5, asked: 3},
		{name: "an empty page with a link", pages: map[string]string{list: linked(page(0, 0), `"/v3/projects?marker=1"`), list + "?marker=1": page(0, 1)}, want: 1, asked: 2},
		{name: "links that lead back", pages: map[string]string{list: linked(page(0, 2), `"?page=2"`), list + "?page=2": linked(page(1, 2), `"?page=1"`)}, want: 3, asked: 3},
		{name: "a page that leads to itself", pages: map[string]string{list: linked(page(0, 0), `"?page=1"`)}, asked: 2},
		{name: "a link without a query", pages: map[string]string{list: linked(page(0, 2), `"https://iam.example/v3/projects"`)}, reason: "malformed", asked: 1},
		{name: "a link that is not a URL", pages: map[string]string{list: linked(page(0, 2), `"https://iam\u0000?page=2"`)}, reason: "malformed", asked: 1},
		{name: "a link that is not a text", pages: map[string]string{list: linked(page(0, 2), `5`)}, want: 2, asked: 1},

		{name: "refused", pages: map[string]string{list: refused, own: page(0, 3)}, want: 3, asked: 2},
		{name: "rejected, with pages", pages: map[string]string{list: refused, own: linked(page(0, 3), `"?marker=3"`), own + "?marker=3": page(3, 1)}, want: 4, asked: 3},
		{name: "rejected on the second page", pages: map[string]string{list: page(0, 200), list + "?page=2": refused, own: page(0, 3)}, want: 3, asked: 3},
		{name: "refused twice", pages: map[string]string{list: refused, own: refused}, reason: "forbidden", asked: 2},
		{name: "rejected, and no other list", pages: map[string]string{list: refused, own: "<html>"}, reason: "forbidden", asked: 2},

		{
			name: "bad elements", pages: map[string]string{list: `{"projects":[{"id":5,"name":"eu-de"},{"id":"a","name":7},{"id":"b","name":"eu-de","enabled":"true"},
				{"id":"c","name":"eu-de","is_domain":1},"text",null,[],{},{"id":"d"},{"id":"e","name":"eu-de"}]}`},
			want: 1, asked: 1,
			skipped: "project 1 of page 1: its id has the wrong type number|project 2 of page 1: its name has the wrong type number|" +
				"project 3 of page 1: its enabled has the wrong type string|project 4 of page 1: its is_domain has the wrong type number|" +
				"project 5 of page 1: it is not a project|project 6 of page 1: it has no ID|project 7 of page 1: it is not a project|" +
				"project 8 of page 1: it has no ID|project 9 of page 1: it has no name",
		},
		{
			name:  "the same bad elements",
			pages: map[string]string{list: `{"projects":[null,null,"text","text",{"id":"e","name":"eu-de"},{"id":"e","name":"eu-de"}],"links":{"next":"?page=1"}}`},
			want:  1, asked: 2,
			skipped: "project 1 of page 1: it has no ID|project 2 of page 1: it has no ID|project 3 of page 1: it is not a project|project 4 of page 1: it is not a project",
		},
		{
			name:  "an ID of two projects",
			pages: map[string]string{list: `{"projects":[{"id":"e","name":"eu-de"},{"id":"e","name":"eu-fr"},{"id":"e","name":"eu-de"}]}`}, want: 1, asked: 1,
			skipped: "project 2 of page 1: another project has the same ID",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			asked := 0
			iam, _, _ := client(t, func(w http.ResponseWriter, r *http.Request) {
				asked++
				query := r.URL.Query()
				query.Del("per_page")
				body, ok := tc.pages[r.URL.Path+"?"+query.Encode()]
				if !ok {
					body, ok = tc.pages[r.URL.Path]
				}
				if !ok {
					t.Errorf("requested %s", r.URL)
				}
				if body == refused {
					w.WriteHeader(http.StatusForbidden)
				}
				fmt.Fprint(w, body)
			})
			got, err := huaweicloud.ListProjects(t.Context(), iam, 1, keepAll)
			skipped := strings.ReplaceAll(got.Skipped.String(), "\n", "|")
			if len(got.Projects) != tc.want || huaweicloud.Reason(err) != tc.reason || skipped != tc.skipped || asked != tc.asked {
				t.Errorf("%d requests, %d projects, skipped %s, %v", asked, len(got.Projects), skipped, err)
			}
		})
	}
}

// TestListsEnd: an endless list, by page numbers or by links, is an error.
func TestListsEnd(t *testing.T) {
	for _, tc := range []struct {
		name            string
		perPage, wanted int
		asked           int
	}{
		{"numbers", 200, 1, 200}, {"links", 1, 1, 200}, {"as many pages as the maximum number of projects", 1, 300, 300}, {"large pages", 5000, 1, 8},
	} {
		t.Run(tc.name, func(t *testing.T) {
			asked := 0
			iam, _, _ := client(t, func(w http.ResponseWriter, _ *http.Request) {
				asked++
				var all []string
				for i := range tc.perPage {
					all = append(all, fmt.Sprintf(`{"id":"%d","name":"eu-de_%d"}`, asked*tc.perPage+i, i))
				}
				fmt.Fprintf(w, `{"projects":[%s],"links":{"next":"?page=%d"}}`, strings.Join(all, ","), asked+1)
			})
			_, err := huaweicloud.ListProjects(t.Context(), iam, tc.wanted, keepAll)
			if huaweicloud.Reason(err) != "malformed" || asked != tc.asked {
				t.Errorf("%d requests, %v", asked, err)
			}
		})
	}
}

// TestFindProjectWithoutPermission: the list of the caller's own projects has all names.
func TestFindProjectWithoutPermission(t *testing.T) {
	iam, _, _ := client(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v3/projects":
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Query().Has("marker"):
			fmt.Fprint(w, `{"projects":[{"id":"06f1","name":"ap-southeast-1"}]}`)
		default:
			fmt.Fprint(w, `{"projects":[{"id":"a","name":"eu-de"},{"id":"b","name":"ap-southeast-1_dev"},5],"links":{"next":"?marker=b"}}`)
		}
	})
	if p, err := huaweicloud.FindProject(t.Context(), iam, "ap-southeast-1", isID); p.ID != "06f1" || err != nil {
		t.Errorf("id %q, %v", p.ID, err)
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
