package cloudsim_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
)

// paths are the APIs that have a project in their path.
var paths = map[string]string{
	"cts": "/v3/{project_id}/quotas", "ces": "/V1.0/{project_id}/quotas", "taurusdb": "/v3/{project_id}/project-quotas",
	"dcs": "/v2/{project_id}/quota", "dbss": "/v2/{project_id}/audit/quota",
}

func of(path, id string) string { return strings.ReplaceAll(path, "{project_id}", id) }

func TestWhatIsNotPublished(t *testing.T) {
	client := dial(t, newCloud())
	for _, place := range []string{
		"localhost/", "localhost/v3/" + idA, "localhost/v3//quotas", "localhost/v3/a/b/quotas", "localhost/v1.0/" + idA + "/quotas",
		"localhost/v2/" + idA + "/quota/", "localhost/v3/projects/" + idA,
		"cts.ap-southeast-1" + cloud + "/v3/" + idA + "/quotas",             // another region
		"ces.ap-southeast-3" + cloud + "/v3/" + idA + "/quotas",             // another service
		"iam.ap-southeast-3" + cloud + "/v3/" + idA + "/quotas",             //
		"dbss.ap-southeast-3" + cloud + "/v3/projects",                      //
		"gaussdb.ap-southeast-1" + cloud + "/v3/" + idB + "/project-quotas", // TaurusDB, but not there
		"gaussdb-mysql.ap-southeast-3" + cloud + "/v3/" + idA + "/project-quotas",
	} {
		got := mainKeys.get(t, client, place)
		if got.status != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", place, got.status)
			continue
		}
		wantJSON(t, got.body, `{"error_code":"APIGW.0101","request_id":"`+got.header.Get("X-Request-Id")+`",
			"error_msg":"The API does not exist or has not been published in the environment"}`)
	}
}

func TestHosts(t *testing.T) {
	client := dial(t, newCloud())
	for _, place := range []string{
		"cts.ap-southeast-3" + cloud + "/v3/" + idA + "/quotas",
		"CES.AP-SOUTHEAST-3" + cloud + ":443/V1.0/" + idA + "/quotas",
		"gaussdb.ap-southeast-3" + cloud + "/v3/" + idA + "/project-quotas",
		"gaussdbformysql.ap-southeast-1" + cloud + "/v3/" + idB + "/project-quotas",
		"dbss.ap-southeast-3.partner.example/v1/" + idA + "/dbss/audit/quota",
		"dcs.ap-southeast-3" + cloud + "/v2/" + idSub + "/quota",
		"iam" + cloud + "/v3/projects",
		"iam.eu-de" + cloud + "/v3/projects",
		"dcs.test/v2/" + idA + "/quota",
		"gateway.example.com/v2/" + idA + "/quota",
		"[::1]/v2/" + idA + "/quota",
	} {
		if got := mainKeys.get(t, client, place); got.status != http.StatusOK {
			t.Errorf("%s: status %d, body %s", place, got.status, got.body)
		}
	}
	otherKeys := keys{access: "OTHERAK", secret: "other-secret"}
	if got := otherKeys.get(t, client, "gaussdb-mysql.eu-de.otc.t-systems.com/v3/"+other+"/project-quotas"); got.status != http.StatusOK {
		t.Errorf("TaurusDB in eu-de: status %d", got.status)
	}
}

func TestMethods(t *testing.T) {
	client := dial(t, newCloud())
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodHead} {
		r := newRequest(t, method, "http://localhost/v2/"+idA+"/quota", "")
		got := do(t, client, mainKeys.sign(r, "", time.Now()))
		if got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != http.MethodGet {
			t.Errorf("%s: status %d, Allow %q, want 405", method, got.status, got.header.Get("Allow"))
		}
	}
}

func TestForbiddenProjects(t *testing.T) {
	c := newCloud()
	client := dial(t, c)
	c.RemoveProject(idB)
	for service, want := range map[string]string{
		"cts": `{"error_code":"CTS.0403","error_msg":"Policy doesn't allow [cts:quota:get] to be performed"}`,
		"ces": `{"http_code":"403","message":{"details":"Policy doesn't allow [ces:quotas:get] to be performed","code":"403"}}`,
		"taurusdb": `{"error_code":"DBS.000403",
			"error_msg":"Policy doesn't allow [gaussdbformysql:quota:list] to be performed"}`,
		"dcs": `{"error_code":"DCS.0403","error_msg":"Policy doesn't allow [dcs:quota:get] to be performed","error_ext_msg":null}`,
		"dbss": `{"error_code":"DBSS.0403","error_msg":"Authorization failed.","encoded_authorization_message":"",
			"details":[{"error_code":"DBSS.0403","error_msg":"Authorization failed."}]}`,
	} {
		for name, id := range map[string]string{"of another": other, "unknown": "nobody", "removed": idB} {
			got := mainKeys.get(t, client, "localhost"+of(paths[service], id))
			if got.status != http.StatusForbidden {
				t.Errorf("%s of a project %s: status %d, want 403", service, name, got.status)
			}
			wantJSON(t, got.body, want)
		}
	}
	for stated, want := range map[string]int{idA: http.StatusOK, idSub: http.StatusForbidden} {
		r := newRequest(t, http.MethodGet, "http://localhost/v2/"+idA+"/quota", "")
		r.Header.Set("X-Project-Id", stated)
		if got := do(t, client, mainKeys.sign(r, "", time.Now())); got.status != want {
			t.Errorf("X-Project-Id %s: status %d, want %d", stated, got.status, want)
		}
	}
	wantPanic(t, "RemoveProject of none", func() { c.RemoveProject(idB) })
	wantPanic(t, "AddProject twice", func() { c.AddProject("main", cloudsim.Project{ID: idA}) })
}

func TestErrorBodies(t *testing.T) {
	wantJSON(t, string(cloudsim.ErrorBody("iam", 403, "no")), `{"error":{"code":403,"message":"no","title":"Forbidden"}}`)
	for status, code := range map[int]string{
		400: "APIGW.0201", 401: "APIGW.0301", 403: "APIGW.0302", 404: "APIGW.0101", 429: "APIGW.0308",
		502: "APIGW.0202", 503: "APIGW.0202", 504: "APIGW.0203",
	} {
		if body := string(cloudsim.ErrorBody("", status, "no")); !strings.Contains(body, `"`+code+`"`) {
			t.Errorf("gateway's %d: %s, want %s", status, body, code)
		}
	}
}

func TestHeaders(t *testing.T) {
	client := dial(t, newCloud())
	first := mainKeys.get(t, client, "localhost/v3/projects")
	second := mainKeys.get(t, client, "localhost/v2/"+idA+"/quota")
	if a, b := first.header.Get("X-Request-Id"), second.header.Get("X-Request-Id"); len(a) != 32 || a == b {
		t.Errorf("request ids %q and %q, want two different ones", a, b)
	}
	if first.header.Get("X-Iam-Trace-Id") == "" || second.header.Get("X-Iam-Trace-Id") != "" {
		t.Error("want X-IAM-Trace-Id from IAM, and only there")
	}
	if _, err := http.ParseTime(second.header.Get("Date")); err != nil {
		t.Error(err)
	}
	if got := second.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
}

func TestCounters(t *testing.T) {
	c := newCloud()
	client := dial(t, c)
	mainKeys.get(t, client, "localhost/v3/"+idA+"/quotas")
	keys{}.get(t, client, "localhost/v3/"+idB+"/quotas")
	mainKeys.get(t, client, "localhost"+of(paths["dbss"], idA))
	mainKeys.get(t, client, "localhost/v2/"+idA+"/audit/instances")
	mainKeys.get(t, client, "localhost/nothing")
	do(t, client, newRequest(t, http.MethodPost, "http://localhost/v3/projects", ""))
	for name, want := range map[string]int{
		"GET /v3/{project_id}/quotas": 2, "GET /v2/{project_id}/audit/quota": 1, "GET /v2/{project_id}/audit/instances": 1,
		"GET /nothing": 1, "POST /v3/projects": 1, "GET /v3/projects": 0,
	} {
		if got := c.Requests()[name]; got != want {
			t.Errorf("%s: %d requests, want %d", name, got, want)
		}
	}
	if got := c.ProjectRequests(idA); len(got) != 2 || got["cts"] != 1 || got["dbss"] != 2 {
		t.Errorf("requests for a project: %v, want 1 of cts and 2 of dbss", got)
	}
	c.ProjectRequests("nobody")["cts"]++ // a map of the caller's own
	if got := c.ProjectRequests("nobody")["cts"]; got != 0 {
		t.Errorf("requests for a project that was never asked for: %d", got)
	}
	if got := c.MaxInFlight(); got != 1 {
		t.Errorf("MaxInFlight() = %d, want 1", got)
	}
}

func TestManyAtTheSameTime(t *testing.T) {
	const many = 5
	c := newCloud()
	client := dial(t, c)
	together := make(chan struct{})
	waiting := make(chan struct{}, many)
	c.Inject(cloudsim.Fault{Service: "dcs", When: func(int) bool {
		waiting <- struct{}{}
		<-together
		return false
	}})
	var asking sync.WaitGroup
	for range many {
		asking.Go(func() { mainKeys.get(t, client, "localhost/v2/"+idA+"/quota") })
	}
	for range many {
		<-waiting
	}
	// Everything can be changed while requests are served.
	c.AddProject("main", cloudsim.Project{ID: "new", Name: "ap-southeast-1_new", Quotas: map[string][]cloudsim.Quota{"dcs": {{Type: "ram"}}}})
	c.SetQuota("new", "dcs", "ram", 1, 2)
	c.RemoveProject(idB)
	close(together)
	asking.Wait()
	if got := c.MaxInFlight(); got != many {
		t.Errorf("MaxInFlight() = %d, want %d", got, many)
	}
}
