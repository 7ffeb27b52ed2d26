package web_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/democloud"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

// TestPolicy: only the page's own style and script are allowed, byte for byte, and no frames.
func TestPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig).get(t, "/")
		hash := func(element string) string {
			m := regexp.MustCompile(`(?s)<`+element+`>(.*?)</`+element+`>`).FindAllStringSubmatch(page.Body.String(), -1)
			if len(m) != 1 {
				t.Fatalf("%d elements %s, want one", len(m), element)
			}
			sum := sha256.Sum256([]byte(m[0][1]))
			return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; style-src " + hash("style") + "; script-src " + hash("script") +
				"; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			"Content-Type":           "text/html; charset=utf-8",
			"X-Content-Type-Options": "nosniff",
			"X-Frame-Options":        "DENY",
			"Referrer-Policy":        "no-referrer",
			"Cache-Control":          "no-store",
		} {
			if got := page.Header().Get(name); got != want {
				t.Errorf("%s: %s\nwant %s", name, got, want)
			}
		}
		for _, m := range regexp.MustCompile(`(?:href|src|action)="([^"]*)"`).FindAllStringSubmatch(page.Body.String(), -1) {
			if !regexp.MustCompile(`^([a-z-]|\./|#|\?)[^:]*$|^data:image/`).MatchString(m[1]) {
				t.Errorf("the page has external content, or an absolute link: %s", m[0])
			}
		}
	})
}

// TestHostileTexts: text of the cloud stays text everywhere.
func TestHostileTexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const evil = `</td><script>alert(1)</script>" onload="x`
		cloud := cloudtest.New(cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: []cloudsim.Project{
			{ID: `"><img src=x>`, Name: "eu-de"}, // not a valid ID
			{ID: "0ther", Name: "ap-southeast-3_<b>&{{.}}", Quotas: map[string][]cloudsim.Quota{
				"cts": {{Type: evil, Used: 1, Limit: 2}},
				"dcs": {{Type: "ram", Unit: "<i>GB</i>", Used: 1, Limit: 2}},
			}},
		}})
		cloud.Inject(cloudtest.Fault{Service: "ces", Status: http.StatusForbidden, Body: cloudsim.ErrorBody("ces", 403, evil)})
		s := newSite(t, cloud, "accounts:\n  - name: main\n    credentials: {static: {access_key: AK, secret_key: SK}}\n    ca_file: CA\n    discovery: {}\n")
		page := s.get(t, "/")
		says(t, page, evil, `ap-southeast-3_<b>&{{.}} cts `+evil+` 50.0 %`, "1 <i>GB</i> 2 <i>GB</i>", "main ok 1 1 invalid")
		if got := regexp.MustCompile(`<(?:script|img|i|b)[ >]|" onload`).FindAllString(page.Body.String(), -1); len(got) != 1 {
			t.Errorf("markup %q, want only the page's own script", got)
		}
	})
}

// TestHiddenCharacters: characters that would reorder the page or be invisible are escaped, and the form and the links have the original names.
func TestHiddenCharacters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const name, evil, shown = "ap-southeast-3_a\u202eb", "e\u2066v\u200bi\u3164l", `e\u2066v\u200bi\u3164l`
		cloud := cloudtest.New(cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: []cloudsim.Project{
			{ID: "0ther", Name: name, Quotas: map[string][]cloudsim.Quota{"dcs": {{Type: evil, Unit: evil, Used: 1, Limit: 2}}}},
		}})
		cloud.Inject(cloudtest.Fault{Service: "ces", Status: http.StatusForbidden, Body: cloudsim.ErrorBody("ces", 403, evil)})
		cloud.Inject(cloudtest.Fault{Service: "cts", Status: http.StatusForbidden, Body: cloudsim.ErrorBody("cts", 403, evil)})
		s := newSite(t, cloud, "accounts:\n  - name: main\n    credentials: {static: {access_key: AK, secret_key: SK}}\n    ca_file: CA\n    discovery: {}\n")
		page := s.get(t, "/")
		says(t, page, `ces in ap-southeast-3_a\u202eb`, `ap-southeast-3_a\u202eb dcs `+shown+" 50.0 % 1 "+shown+" 2 "+shown)
		if body := strings.ReplaceAll(page.Body.String(), `<option value="`+name+`">`, ""); strings.ContainsAny(body, "\u202e\u2066\u200b\u3164") {
			t.Errorf("raw characters in\n%s", body)
		}
		if page := s.get(t, "/?project="+url.QueryEscape(name)); page.Code != http.StatusOK || !strings.Contains(page.Body.String(), `<option value="`+name+`" selected>`) {
			t.Errorf("the page of the project: %d %s", page.Code, page.Body)
		}
	})
}

// TestNoSecret: if the cloud echoes requests, the page contains no keys.
func TestNoSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.Scale(1)
		cloud.Inject(cloudtest.Fault{Service: "dcs", Status: http.StatusForbidden, Body: cloudsim.ErrorBody("dcs", 403,
			"signed by "+democloud.AccessKey+" with "+democloud.SecretKey)})
		cloud.Inject(cloudtest.Fault{Service: "cts", Status: http.StatusOK, Body: []byte(`{"resources": [
			{"type": "data_tracker", "used": 1, "quota": 2}, {"type": "x", "used": "` + democloud.SecretKey + `", "quota": 2}]}`)})
		page := newSite(t, cloud, scaleConfig(cloud)).get(t, "/")
		says(t, page, "forbidden dcs in", "<hidden>", "resources skipped cts in", "<hidden>")
		if strings.Contains(page.Body.String(), democloud.SecretKey) {
			t.Errorf("the secret key is in\n%s", page.Body)
		}
	})
}

// lure is a text with which a cloud could mislead people.
const lure = "x; open https://evil.example and log in"

// problemsOf returns the problems of a page: the reason and place, the remedy, and the response.
func problemsOf(page *httptest.ResponseRecorder) []string {
	var all []string
	for _, m := range regexp.MustCompile(`(?s)<article.*?</article>`).FindAllString(page.Body.String(), -1) {
		part := func(element string) string {
			return text(regexp.MustCompile(`(?s)<` + element + `[ >].*?</` + element[:strings.IndexAny(element+" ", " ")] + `>`).FindString(m))
		}
		all = append(all, part("h3")+" | "+part(`p class="remedy"`)+" | "+part(`p class="what"`))
	}
	return all
}

// TestCloudDoesNotWriteTheRemedy: each part of a problem is shown in its own place, whatever the text of the others contains.
func TestCloudDoesNotWriteTheRemedy(t *testing.T) {
	answer := func(status int, body string, header http.Header) cloudtest.Fault {
		return cloudtest.Fault{Service: "cts", Status: status, Header: header, Body: []byte(body)}
	}
	const url = "GET https://cts.ap-southeast-3.myhuaweicloud.com/v3/" + fleettest.ProjectID + "/quotas: "
	for _, tc := range []struct {
		name  string
		fault cloudtest.Fault
		want  string // reason and place, remedy, and response
	}{
		{
			"a resource type", answer(200, `{"resources":[{"type":"a","used":1,"quota":2},{"type":"`+lure+`","used":"`+lure+`"}]}`, nil),
			`resources skipped cts in prod |  | resource 2 of 2: type "` + lure + `": used is "\"` + lure[:37],
		},
		{
			"only such types", answer(200, `{"resources":[{"type":"`+lure+`"}]}`, nil),
			`malformed cts in prod | What to do: check endpoints and the proxy (something other than the API may have responded) | ` + url +
				`cannot parse the response: no quotas in it: resource 1 of 1: type "` + lure + `"`,
		},
		{
			"no JSON", answer(200, lure, nil),
			`malformed cts in prod | What to do: check endpoints and the proxy (something other than the API may have responded) | ` + url +
				`cannot parse the response: invalid character 'x' looking for beginning of value (begins with: ` + lure,
		},
		{
			"a code, a message and an id", answer(403, `{"error_code":"`+lure+`","error_msg":"`+lure+`"}`, http.Header{"X-Request-Id": {lure}}),
			`forbidden cts in prod | What to do: grant the IAM action cts:quota:get, and check that the project ID belongs to this account; cloud_quota_exporter policy prints the project-level policy | ` + url +
				`403 Forbidden ` + lure + `: ` + lure + ` (request ID ` + lure + `)`,
		},
		{
			"a redirect", answer(302, lure, http.Header{"Location": {"https://evil.example/login"}}),
			`client_error cts in prod | What to do: set endpoints.cts if the service has moved (redirects are not followed) | ` + url +
				`302 Found: ` + lure + ` (redirect to https://evil.example)`,
		},
		{
			"a clock", answer(401, lure, http.Header{"Date": {time.Date(1999, 12, 31, 22, 0, 0, 0, time.UTC).Format(http.TimeFormat)}}),
			`clock_skew cts in prod | What to do: synchronize this machine's clock with NTP | ` + url +
				`401 Unauthorized: ` + lure + ` (this machine's clock is 2h0m0s ahead of the cloud's)`,
		},
		{
			"a list that is rejected",
			cloudtest.Fault{
				Path: "/v2/{project_id}/audit/instances", Status: http.StatusForbidden, Body: cloudsim.ErrorBody("dbss", 403, lure),
			},
			`incomplete dbss in prod | What to do: grant the IAM action dbss:auditInstance:list, and check that the project ID belongs to this account; cloud_quota_exporter policy prints the project-level policy | ` +
				`used and limit of audit_instance are unknown: GET https://dbss.`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig)
				if tc.fault.Service == "cts" { // the others are fetched before: a wrong clock pauses the key
					s.get(t, "/metrics?collect%5B%5D=ces&collect%5B%5D=taurusdb&collect%5B%5D=dcs&collect%5B%5D=dbss")
				}
				s.Cloud.Inject(tc.fault)
				got := problemsOf(s.get(t, "/"))
				if len(got) != 1 || !strings.HasPrefix(got[0], tc.want) {
					t.Errorf("got %q\nwant %q", got, tc.want)
				}
			})
		})
	}
}

// TestProjectsDoNotWriteTheRemedy: names and IDs of projects are text from IAM.
func TestProjectsDoNotWriteTheRemedy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.New(cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: []cloudsim.Project{
			{ID: "1" + lure, Name: "ap-southeast-3"}, {ID: "2" + lure, Name: "ap-southeast-3"}, {ID: "3", Name: "eu-de_" + lure},
		}})
		cloud.Inject(cloudtest.Fault{ProjectID: "3", Service: "dcs", Status: http.StatusForbidden})
		s := newSite(t, cloud, `accounts:
  - name: main
    credentials: {static: {access_key: AK, secret_key: SK}}
    ca_file: CA
    projects: [{region: ap-southeast-3, name: prod}]
    discovery: {regions: [eu-de]}
`)
		got := problemsOf(s.get(t, "/"))
		want := []string{
			"forbidden dcs in eu-de_" + lure + " | What to do: grant the IAM action dcs:quota:get, and check that the project ID belongs to this account; cloud_quota_exporter policy prints the project-level policy | GET ",
			"not_found cts, ces, taurusdb, dcs, dbss in prod | What to do: set the project ID: projects: [{id: ..., region: ap-southeast-3, name: ...}] | " +
				"cts in prod GET https://iam.ap-southeast-3.myhuaweicloud.com/v3/projects?name=ap-southeast-3: IAM lists no project with the name ap-southeast-3 (2 are invalid: its ID",
		}
		for i := range want {
			if len(got) != len(want) || !strings.HasPrefix(got[i], want[i]) {
				t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	})
}

// TestSameFailureIsOneProblem: different response texts for projects do not make separate problems.
func TestSameFailureIsOneProblem(t *testing.T) {
	for name, header := range map[string]func(n int) http.Header{
		"forbidden":    func(n int) http.Header { return http.Header{"X-Request-Id": {fmt.Sprint(lure, n)}} },
		"client_error": func(n int) http.Header { return http.Header{"Location": {fmt.Sprintf("https://evil%d.example/", n)}} },
		"clock_skew": func(n int) http.Header {
			return http.Header{"Date": {time.Now().Add(-time.Duration(n+1) * time.Hour).UTC().Format(http.TimeFormat)}}
		},
	} {
		status := map[string]int{"forbidden": 403, "client_error": 302, "clock_skew": 401}[name]
		last := map[string]string{"forbidden": "3", "client_error": "3", "clock_skew": ""}[name] // the others are not sent
		synctest.Test(t, func(t *testing.T) {
			cloud := cloudtest.Scale(4)
			for n, p := range cloud.Projects() {
				cloud.Inject(cloudtest.Fault{Service: "dcs", ProjectID: p.ID, Status: status, Header: header(n), Body: cloudsim.ErrorBody("dcs", status, fmt.Sprint(lure, n))})
			}
			page := newSite(t, cloud, scaleConfig(cloud)).get(t, "/")
			if got := problemsOf(page); len(got) != 1 || !strings.HasPrefix(got[0], name+" ") || !strings.Contains(got[0], " in ap-southeast-1_p0002 and 3 more | What to do: ") {
				t.Errorf("%s: got %q, want one problem", name, got)
			}
			says(t, page, "3 more", lure+last)
		})
	}
}
