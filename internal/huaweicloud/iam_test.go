package huaweicloud_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/huaweicloud"
)

func TestFindProject(t *testing.T) {
	const one = `{"links":{"next":null,"previous":null,"self":"https://iam/v3/projects"},"projects":[
		{"is_domain":false,"description":"","links":{"self":"x"},"enabled":true,"id":"06f1","parent_id":"d78c","domain_id":"d78c","name":"ap-southeast-1"}]}`
	for _, tc := range []struct {
		name, body, id, reason, says string
	}{
		{name: "one", body: one, id: "06f1"},
		{name: "none", body: `{"projects":[]}`, reason: "not_found", says: "IAM knows no project of the name ap-southeast-1; state the project's id: projects: [{id: ..., region: ap-southeast-1"},
		{name: "another", body: strings.ReplaceAll(one, `"ap-southeast-1"`, `"ap-southeast-1_dev"`), reason: "not_found", says: "no project"},
		{name: "several", body: `{"projects":[{"id":"a","name":"ap-southeast-1"},{"id":"b","name":"ap-southeast-1"}]}`, reason: "not_found", says: "2 projects (a, b)"},
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

func TestFindProjectRefused(t *testing.T) {
	iam, _, _ := client(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"error":{"code":403,"message":"You are not authorized.","title":"Forbidden"}}`)
	})
	iam.Action = huaweicloud.ListProjectsAction
	_, err := huaweicloud.FindProject(t.Context(), iam, "ap-southeast-1")
	var e *huaweicloud.APIError
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "grant the IAM action iam:projects:listProjects") {
		t.Errorf("got %v", err)
	}
}
