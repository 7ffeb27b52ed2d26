package cloudsim_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/cloudsim/simtest"
)

const (
	idA   = "0250cb8a80c24c0b9f20f557cb159aad" // no configured quotas
	idB   = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" // all quotas configured
	idSub = "cccccccccccccccccccccccccccccccc"
	other = "dddddddddddddddddddddddddddddddd" // of another account
	cloud = ".myhuaweicloud.com"
)

// shaped are APIs of each shape, with quotas as configured and, ten minutes later, as written.
var shaped = []struct {
	api    cloudsim.API
	quotas []cloudsim.Quota
	want   string
}{
	{
		cloudsim.API{Service: "cts", Path: "/v3/{project_id}/quotas", Action: "cts:quota:get", Shape: cloudsim.Shape{
			Type: "{kind}", Used: "n.used", Limit: "n.quota", Remaining: "left", Unit: "unit", Min: "min", Max: "max",
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
		cloudsim.API{Service: "header", Path: "/v1/header/quota", Shape: cloudsim.Shape{List: "quotas.resources", Type: "{type}", Used: "used"}},
		[]cloudsim.Quota{{Type: "image", Used: 7, Limit: 50}},
		`{"quotas":{"resources":[{"type":"image","used":7}]}}`,
	},
	{
		cloudsim.API{Service: "dbss", Path: "/v2/{project_id}/audit/quota", Shape: cloudsim.Shape{Pairs: []cloudsim.Pair{{Type: "cpu", Remaining: "cpu"}}}},
		[]cloudsim.Quota{{Type: "cpu", Used: 4, Limit: 800}},
		`{"cpu":796}`,
	},
	{cloudsim.API{Service: "dcs", Path: "/v2/{project_id}/quota", Shape: cloudsim.Shape{Type: "{type}"}}, nil, `[]`},
	{cloudsim.API{Service: "rds", Path: "/v3/{project_id}/quotas", Shape: cloudsim.Shape{Type: "{rds}"}}, []cloudsim.Quota{{Type: "x"}}, `[{"rds":"x"}]`},
	{cloudsim.API{Service: "dds", Path: "/v3/{project_id}/quotas", Shape: cloudsim.Shape{Type: "{dds}"}}, []cloudsim.Quota{{Type: "x"}}, `[{"dds":"x"}]`},
	{
		cloudsim.API{Service: "composed", Path: "/v1/{project_id}/composed", Shape: cloudsim.Shape{List: "q", Type: "a-{type}_{n.mode}!", Limit: "quota"}},
		[]cloudsim.Quota{{Type: "a-x_y_!z!", Limit: 5}},
		`{"q":[{"type":"x","n":{"mode":"y_!z"},"quota":5}]}`,
	},
	{
		cloudsim.API{Service: "constant", Path: "/v1/{project_id}/constant", Shape: cloudsim.Shape{Type: "instance", Used: "used", Limit: "quota"}},
		[]cloudsim.Quota{{Type: "instance", Used: 1, Limit: 5}},
		`{"used":1,"quota":5}`,
	},
}

// label returns the first label of an API's host names: its name, except "dds" in eu-de.
func label(service, region string) string {
	if service == "dds" && region == "eu-de" {
		return "mongodb"
	}
	return service
}

// newCloud publishes the APIs of shaped.
func newCloud() *cloudtest.Cloud {
	stated := map[string][]cloudsim.Quota{}
	var apis []cloudsim.API
	for _, s := range shaped {
		s.api.Example, s.api.Host = []byte(`"`+s.api.Service+`"`), func(region string) string { return label(s.api.Service, region) }
		apis, stated[s.api.Service] = append(apis, s.api), s.quotas
	}
	return cloudtest.Wrap(cloudsim.New(apis,
		cloudsim.Account{Name: "main", AccessKey: "MAINAK", SecretKey: "main-secret", Projects: []cloudsim.Project{
			{ID: idSub, Name: "ap-southeast-3_dev", Disabled: true},
			{ID: idA, Name: "ap-southeast-3"},
			{ID: idB, Name: "eu-de", AuditInstances: 250, Quotas: stated},
		}},
		cloudsim.Account{Name: "other", AccessKey: "OTHERAK", SecretKey: "other-secret", Projects: []cloudsim.Project{
			{ID: other, Name: "eu-de_x"}, {ID: "mos", Name: "MOS"},
		}},
	))
}

var mainKeys, otherKeys = simtest.Keys{Access: "MAINAK", Secret: "main-secret"}, simtest.Keys{Access: "OTHERAK", Secret: "other-secret"}

// unpublished is the body of a 404.
const unpublished = `{"error_code":"APIGW.0101","request_id":"REQUEST",
	"error_msg":"The API does not exist or has not been published in the environment"}`

func TestHostsAndPaths(t *testing.T) {
	client := simtest.Serve(t, newCloud())
	const path, inGermany, south = "/v3/" + idA + "/quotas", "/v3/" + idB + "/quotas", ".ap-southeast-3" + cloud
	for place, example := range map[string]string{ // the response, or nothing for a 404
		"cts" + south + path:                              "cts",
		"CTS.AP-SOUTHEAST-3" + cloud + ":443" + path:      "cts",
		"rds" + south + path:                              "rds",
		"dds" + south + path:                              "dds",
		"dds.ap-southeast-3.partner.example" + path:       "dds",
		"dcs" + south + "/v2/" + idSub + "/quota":         "dcs",
		"localhost" + path:                                "cts", // published first
		"127.0.0.1:8080" + path:                           "cts",
		"[::1]:8080" + path:                               "cts",
		"gateway.example.com" + path:                      "cts",
		"cts.test" + path:                                 "cts",
		"localhost/v2/" + idA + "/os-quota-sets/" + idA:   "map",
		"mongodb" + south + path:                          "",
		"dds.eu-de" + cloud + inGermany:                   "",
		"other" + south + path:                            "", // no service
		"iam" + south + path:                              "", // another service
		"cts" + south + "/v3/projects":                    "",
		"dcs" + south + "/v2/" + idA + "/audit/instances": "",
		"rds.eu-de" + cloud + path:                        "", // another region
		"localhost/other" + path:                          "",
		"localhost/rds" + path:                            "",
		"localhost/":                                      "",
		"localhost/v3/" + idA:                             "",
		"localhost/v3//quotas":                            "",
		"localhost" + path + "/":                          "",
		"localhost" + path + "/" + idA:                    "",
		"localhost/V3/" + idA + "/quotas":                 "",
		"localhost/v3/projects/" + idA:                    "",
		"localhost/v2/" + idA + "/os-quota-sets/" + idSub: "", // two projects
		"localhost/v2/" + idA + "/os-quota-sets/":         "",
	} {
		if got := client.Get(t, mainKeys, place); example == "" {
			got.Want(t, place, http.StatusNotFound, unpublished)
		} else {
			got.Want(t, place, http.StatusOK, `"`+example+`"`)
		}
	}
	for _, place := range []string{
		"iam" + cloud + "/v3/projects", "iam.eu-de" + cloud + "/v3/projects", "localhost/v3/projects", "mongodb.eu-de" + cloud + inGermany,
	} {
		client.Get(t, mainKeys, place).Want(t, place, http.StatusOK, "")
	}
}

// TestOrderOfChecks: each request fails one check and, if possible, all later ones.
func TestOrderOfChecks(t *testing.T) {
	client := simtest.Serve(t, newCloud())
	const south = ".ap-southeast-3" + cloud
	const unsigned = `{"error_code":"APIGW.0301","request_id":"REQUEST","error_msg":"Incorrect IAM authentication information: x-auth-token not found"}`
	forbidden := func(action string) string {
		return `{"error_code":"CTS.0403","error_msg":"Policy doesn't allow [` + action + `] to be performed"}`
	}
	for _, test := range []struct {
		method, place string
		keys          simtest.Keys
		status        int
		body          string
	}{
		{http.MethodPost, "cts" + south + "/v2/" + other + "/quota", simtest.Keys{}, 404, unpublished},
		{http.MethodPost, "cts" + south + "/v3/" + other + "/quotas", simtest.Keys{}, 405, `{"error_code":"APIGW.0101","request_id":"REQUEST",
			"error_msg":"The API does not support the method POST"}`},
		{http.MethodGet, "cts" + south + "/v3/" + other + "/quotas", simtest.Keys{}, 401, unsigned},
		{http.MethodGet, "cts" + south + "/v3/" + other + "/quotas", mainKeys, 404, unpublished},
		{http.MethodGet, "cts.eu-de" + cloud + "/v3/" + other + "/quotas", mainKeys, 403, forbidden("cts:quota:get")},
		{http.MethodGet, "cts.eu-de" + cloud + "/v3/unknown/quotas", mainKeys, 403, forbidden("cts:quota:get")},
		{http.MethodGet, "cts.eu-de" + cloud + "/v3/" + other + "/quotas", otherKeys, 200, `"cts"`},
	} {
		r := simtest.NewRequest(t, test.method, test.place, "")
		if test.keys != (simtest.Keys{}) {
			test.keys.Sign(r, "")
		}
		got := client.Do(t, r)
		got.Want(t, test.method+" "+test.place, test.status, test.body)
		if allow := got.Header.Get("Allow"); (allow == http.MethodGet) != (test.status == 405) {
			t.Errorf("%s %s: Allow %q", test.method, test.place, allow)
		}
	}
}

func TestProjectInTheHeader(t *testing.T) {
	client := simtest.Serve(t, newCloud())
	for id, want := range map[string]int{idA: http.StatusOK, "unknown": http.StatusForbidden, other: http.StatusForbidden, "": http.StatusForbidden} {
		got := client.Get(t, mainKeys, "localhost/v1/header/quota", "X-Project-Id", id)
		body := `"header"`
		if want == http.StatusForbidden {
			body = string(cloudsim.ErrorBody("header", want, "Authorization failed."))
		}
		got.Want(t, "X-Project-Id "+id, want, body)
	}
	client.Get(t, mainKeys, "header.eu-de"+cloud+"/v1/header/quota", "X-Project-Id", idA).Want(t, "another region", http.StatusNotFound, unpublished)
	for stated, want := range map[string]int{idA: http.StatusOK, idSub: http.StatusForbidden} { // in addition to the one in the path
		client.Get(t, mainKeys, "localhost/v2/"+idA+"/quota", "X-Project-Id", stated).Want(t, "X-Project-Id "+stated, want, "")
	}
}

// TestHeaders sends the headers of the two APIs with the same path, which differ in the method.
func TestHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud()
		c.Publish(cloudsim.API{
			Service: "other", Method: http.MethodPost, Path: "/v3/projects", Host: func(string) string { return "iam" },
			Answer: func(q cloudsim.Call) cloudsim.Answer {
				return cloudsim.Answer{Status: http.StatusCreated, Body: q.Body}
			},
		})
		client := simtest.Serve(t, c)
		first := client.Get(t, mainKeys, "localhost/v3/projects")
		second := client.Send(t, http.MethodPost, "iam"+cloud+"/v3/projects", `"body"`)
		second.Want(t, "POST", http.StatusCreated, `"body"`)
		if a, b := first.Header.Get("X-Request-Id"), second.Header.Get("X-Request-Id"); len(a) != 32 || a == b {
			t.Errorf("request IDs %q and %q, want two different ones", a, b)
		}
		if first.Header.Get("X-Iam-Trace-Id") == "" || second.Header.Get("X-Iam-Trace-Id") != "" {
			t.Error("want X-IAM-Trace-Id from IAM, and only there")
		}
		if h := second.Header; h.Get("Content-Type") != "application/json" || h.Get("Date") != "Sat, 01 Jan 2000 00:00:00 GMT" {
			t.Errorf("headers %v, want JSON and the clock of the cloud", h)
		}
		client.Send(t, http.MethodPut, "localhost/v3/projects", "").Want(t, "PUT", http.StatusMethodNotAllowed, "")
	})
}

func TestErrorBodies(t *testing.T) {
	for service, want := range map[string]string{
		"cts":      `{"error_code":"CTS.0403","error_msg":"no"}`,
		"ces":      `{"http_code":"403","message":{"code":"403","details":"no"}}`,
		"taurusdb": `{"error_code":"DBS.000403","error_msg":"no"}`,
		"dcs":      `{"error_code":"DCS.0403","error_ext_msg":null,"error_msg":"no"}`,
		"dbss": `{"details":[{"error_code":"DBSS.0403","error_msg":"no"}],"encoded_authorization_message":"",` +
			`"error_code":"DBSS.0403","error_msg":"no"}`,
		"iam": `{"error":{"code":403,"message":"no","title":"Forbidden"}}`,
	} {
		if got := string(cloudsim.ErrorBody(service, 403, "no")); got != want {
			t.Errorf("%s: %s, want %s", service, got, want)
		}
	}
	for status, code := range map[int]string{
		400: "APIGW.0201", 401: "APIGW.0301", 403: "APIGW.0302", 404: "APIGW.0101", 429: "APIGW.0308",
		502: "APIGW.0202", 503: "APIGW.0202", 504: "APIGW.0203",
	} {
		if body := string(cloudsim.ErrorBody("", status, "no")); !strings.HasPrefix(body, `{"error_code":"`+code+`","error_msg":"no","request_id":"`) {
			t.Errorf("gateway's %d: %s, want %s", status, body, code)
		}
	}
}

func TestBodyThatIsTooLong(t *testing.T) {
	answer, err := simtest.Serve(t, newCloud()).Client.Do(simtest.NewRequest(t, http.MethodGet, "localhost/v3/projects", string(make([]byte, 2<<20))))
	if err == nil {
		_ = answer.Body.Close()
		t.Errorf("status %d, want a closed connection", answer.StatusCode)
	}
}

func TestPipe(t *testing.T) {
	pipe := cloudsim.NewPipe()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	for range 2 { // before and after the deadline
		if _, err := pipe.Dial(ctx, "tcp", "a:1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without Accept: error %v, want the deadline", err)
		}
	}
	go func() { _, _ = pipe.Dial(t.Context(), "tcp", "a:1") }()
	conn, err := pipe.Accept()
	if err != nil || conn.LocalAddr().Network() != "pipe" || conn.LocalAddr().String() != "a:1" || pipe.Addr().String() != "pipe" {
		t.Errorf("connection %v, %v, want one at a:1", conn, err)
	}
	_, _ = pipe.Close(), pipe.Close()
	if _, err := pipe.Dial(t.Context(), "tcp", "a:1"); !errors.Is(err, syscall.ECONNREFUSED) || err.Error() != "dial tcp a:1: connect: connection refused" {
		t.Errorf("closed: error %v, want a refused connection", err)
	}
	if _, err := pipe.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept() = %v, want net.ErrClosed", err)
	}
}

func TestQuotas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := simtest.Serve(t, newCloud())
		<-time.After(10 * time.Minute)
		for _, s := range shaped {
			ask := func(id, region, want string) {
				place := label(s.api.Service, region) + "." + region + cloud + strings.ReplaceAll(s.api.Path, "{project_id}", id)
				client.Get(t, mainKeys, place, "X-Project-Id", id).Want(t, s.api.Service, http.StatusOK, want)
			}
			ask(idA, "ap-southeast-3", `"`+s.api.Service+`"`)
			ask(idB, "eu-de", s.want)
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
	simtest.WantPanic(t, "unknown account", func() { add("unknown", cloudsim.Project{ID: "new"}) })
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
	without.Get(t, mainKeys, "localhost/v2/unknown/quota").Want(t, "an account without a name", http.StatusForbidden, "")
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
