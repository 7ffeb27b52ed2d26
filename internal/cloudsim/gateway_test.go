package cloudsim_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/simtest"
)

const (
	idA   = "0250cb8a80c24c0b9f20f557cb159aad" // states no quotas
	idB   = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" // states all quotas
	idSub = "cccccccccccccccccccccccccccccccc"
	other = "dddddddddddddddddddddddddddddddd" // of another account
	cloud = ".myhuaweicloud.com"
)

// newCloud publishes the APIs of shaped. The host names of each API begin with its name, except those of "dds" in eu-de.
func newCloud() *cloudsim.Cloud {
	stated := map[string][]cloudsim.Quota{}
	var apis []cloudsim.API
	for _, s := range shaped {
		s.api.Example, s.api.Host = []byte(`"`+s.api.Service+`"`), func(region string) string {
			if s.api.Service == "dds" && region == "eu-de" {
				return "mongodb"
			}
			return s.api.Service
		}
		apis, stated[s.api.Service] = append(apis, s.api), s.quotas
	}
	return cloudsim.New(apis,
		cloudsim.Account{Name: "main", AccessKey: "MAINAK", SecretKey: "main-secret", Projects: []cloudsim.Project{
			{ID: idSub, Name: "ap-southeast-3_dev", Disabled: true},
			{ID: idA, Name: "ap-southeast-3"},
			{ID: idB, Name: "eu-de", AuditInstances: 250, Quotas: stated},
		}},
		cloudsim.Account{Name: "other", AccessKey: "OTHERAK", SecretKey: "other-secret", Projects: []cloudsim.Project{
			{ID: other, Name: "eu-de_x"}, {ID: "mos", Name: "MOS"},
		}},
	)
}

var mainKeys, otherKeys = simtest.Keys{Access: "MAINAK", Secret: "main-secret"}, simtest.Keys{Access: "OTHERAK", Secret: "other-secret"}

// unpublished is the body of a 404.
const unpublished = `{"error_code":"APIGW.0101","request_id":"REQUEST",
	"error_msg":"The API does not exist or has not been published in the environment"}`

func TestHostsAndPaths(t *testing.T) {
	client := simtest.Serve(t, newCloud())
	const path, inGermany, south = "/v3/" + idA + "/quotas", "/v3/" + idB + "/quotas", ".ap-southeast-3" + cloud
	for place, example := range map[string]string{ // the answer, or nothing for a 404
		"cts" + south + path:                                "cts",
		"CTS.AP-SOUTHEAST-3" + cloud + ":443" + path:        "cts",
		"rds" + south + path:                                "rds",
		"dds" + south + path:                                "dds",
		"dds.ap-southeast-3.partner.example" + path:         "dds",
		"dcs" + south + "/v2/" + idSub + "/quota":           "dcs",
		"localhost" + path:                                  "cts", // published first
		"127.0.0.1:8080" + path:                             "cts",
		"[::1]:8080" + path:                                 "cts",
		"gateway.example.com" + path:                        "cts",
		"cts.test" + path:                                   "cts",
		"127.0.0.1:8080/rds" + path:                         "rds",
		"gateway.example.com/dds" + path:                    "dds",
		"rds" + south + "/dds" + path:                       "dds",
		"localhost/v2/" + idA + "/os-quota-sets/" + idA:     "map",
		"localhost/v1/" + idA + "/dbss/audit/quota":         "dbss", // which partner clouds document
		"dbss" + south + "/v1/" + idA + "/dbss/audit/quota": "dbss",
		"127.0.0.1:8080/mongodb" + path:                     "", // the label in another region
		"mongodb" + south + path:                            "",
		"dds.eu-de" + cloud + inGermany:                     "",
		"other" + south + path:                              "", // no service
		"iam" + south + path:                                "", // another service
		"cts" + south + "/v3/projects":                      "",
		"dcs" + south + "/v2/" + idA + "/audit/instances":   "",
		"rds.eu-de" + cloud + path:                          "", // another region
		"localhost/other" + path:                            "",
		"localhost/rds/rds" + path:                          "",
		"localhost/rds":                                     "",
		"localhost/rds/":                                    "",
		"localhost/":                                        "",
		"localhost/v3/" + idA:                               "",
		"localhost/v3//quotas":                              "",
		"localhost" + path + "/":                            "",
		"localhost" + path + "/" + idA:                      "",
		"localhost/V3/" + idA + "/quotas":                   "",
		"localhost/v3/projects/" + idA:                      "",
		"localhost/v2/" + idA + "/os-quota-sets/" + idSub:   "", // two projects
		"localhost/v2/" + idA + "/os-quota-sets/":           "",
	} {
		if got := client.Get(t, mainKeys, place); example == "" {
			got.Want(t, place, http.StatusNotFound, unpublished)
		} else {
			got.Want(t, place, http.StatusOK, `"`+example+`"`)
		}
	}
	for _, place := range []string{
		"iam" + cloud + "/v3/projects", "iam.eu-de" + cloud + "/v3/projects", "localhost/iam/v3/projects", "mongodb.eu-de" + cloud + inGermany,
		"127.0.0.1/mongodb" + inGermany, "localhost/dbss/v2/" + idA + "/audit/instances",
	} {
		client.Get(t, mainKeys, place).Want(t, place, http.StatusOK, "")
	}
}

// TestOrderOfChecks: each request fails the check in question and, if possible, all later ones.
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
		{http.MethodGet, "cts.eu-de" + cloud + "/v3/nobody/quotas", mainKeys, 403, forbidden("cts:quota:get")},
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

func TestOnePathByMethods(t *testing.T) {
	c := newCloud()
	c.Publish(cloudsim.API{
		Service: "iam", Method: http.MethodPost, Path: "/v3/projects", Host: func(string) string { return "iam" },
		Answer: func(q cloudsim.Call) cloudsim.Answer {
			return cloudsim.Answer{Status: http.StatusCreated, Body: q.Body}
		},
	})
	client := simtest.Serve(t, c)
	client.Send(t, http.MethodPost, "iam"+cloud+"/v3/projects", `"body"`).Want(t, "POST", http.StatusCreated, `"body"`)
	client.Get(t, mainKeys, "localhost/v3/projects").Want(t, "GET", http.StatusOK, "")
	client.Send(t, http.MethodPut, "localhost/v3/projects", "").Want(t, "PUT", http.StatusMethodNotAllowed, "")
}

func TestProjectInTheHeader(t *testing.T) {
	client := simtest.Serve(t, newCloud())
	for id, want := range map[string]int{idA: http.StatusOK, "nobody": http.StatusForbidden, other: http.StatusForbidden, "": http.StatusForbidden} {
		got := client.Get(t, mainKeys, "localhost/header/v1/header/quota", "X-Project-Id", id)
		body := `"header"`
		if want == http.StatusForbidden {
			body = string(cloudsim.ErrorBody("header", want, "Authorization failed."))
		}
		got.Want(t, "X-Project-Id "+id, want, body)
	}
	client.Get(t, mainKeys, "header.eu-de"+cloud+"/v1/header/quota", "X-Project-Id", idA).Want(t, "another region", http.StatusNotFound, unpublished)
	for stated, want := range map[string]int{idA: http.StatusOK, idSub: http.StatusForbidden} { // besides the one in the path
		client.Get(t, mainKeys, "localhost/v2/"+idA+"/quota", "X-Project-Id", stated).Want(t, "X-Project-Id "+stated, want, "")
	}
}

func TestHeaders(t *testing.T) {
	client := simtest.Serve(t, newCloud())
	first, second := client.Get(t, mainKeys, "localhost/v3/projects"), client.Get(t, mainKeys, "localhost/v2/"+idA+"/quota")
	if a, b := first.Header.Get("X-Request-Id"), second.Header.Get("X-Request-Id"); len(a) != 32 || a == b {
		t.Errorf("request IDs %q and %q, want two different ones", a, b)
	}
	if first.Header.Get("X-Iam-Trace-Id") == "" || second.Header.Get("X-Iam-Trace-Id") != "" {
		t.Error("want X-IAM-Trace-Id from IAM, and only there")
	}
	if got := second.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
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
		t.Errorf("status %d, want a connection that was closed", answer.StatusCode)
	}
}

func TestPipe(t *testing.T) {
	pipe := cloudsim.NewPipe()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	for range 2 { // before and after the deadline
		if _, err := pipe.Dial(ctx, "tcp", "a:1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nobody accepts: error %v, want the deadline", err)
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
