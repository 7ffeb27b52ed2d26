package providers_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/config/strictyaml"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
	"cloud_quota_exporter/providers"
	"cloud_quota_exporter/providers/examples"
	"cloud_quota_exporter/providers/providerstest"
)

const (
	project = "0250cb8a80c24c0b9f20f557cb159aad"
	domain  = "0d6e4079e36703ebd37c00722f5891d2" // of an account-level service
)

// echoed is a secret that a server may echo; in responses and in fuzzed text, its start represents it.
const (
	echoed    = "SECRETKEY-of-forty-characters-0123456789"
	beginning = "SECRETKEY"
)

type auth struct{}

func (auth) Grant(context.Context, huaweicloud.Scope) (huaweicloud.Grant, error) {
	return &huaweicloud.Keys{AccessKey: secret.New("AK-of-the-test"), SecretKey: secret.New(echoed)}, nil
}
func (auth) Reject(huaweicloud.Grant) {}

// reply is the response of the API: only a body, or a status, a blank, and a body.
type reply string

// replies responds by path and query, without a network. Unknown requests are errors.
type replies map[string]reply

func (all replies) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, known := all[r.URL.RequestURI()]
	if !known {
		return nil, fmt.Errorf("%s was requested, want one of %v", r.URL, slices.Sorted(maps.Keys(all)))
	}
	status := http.StatusOK
	if n, _ := fmt.Sscanf(string(answer), "%3d ", &status); n == 1 && len(answer) > 3 && answer[3] == ' ' {
		answer = answer[4:]
	}
	body := strings.ReplaceAll(string(answer), beginning, echoed)
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func client(service string, transport replies) *huaweicloud.Client {
	return &huaweicloud.Client{
		HTTP: &http.Client{Transport: transport}, Auth: auth{}, Service: service, BaseURL: "https://host",
		Scope: huaweicloud.Scope{ProjectID: project}, Events: func(string, string, time.Duration) {},
	}
}

// ask fetches a service of the catalogue.
func ask(t *testing.T, service string, transport replies, change ...func(*huaweicloud.Client, map[string]bool)) (providers.Result, error) {
	t.Helper()
	c := client(service, transport)
	asked := providerstest.Named(service)[0]
	if asked.API.Account {
		c.Scope.DomainID = domain
	}
	options := maps.Clone(asked.Options)
	for _, f := range change {
		f(c, options)
	}
	return asked.Quotas(t.Context(), c, options)
}

// show writes a result for people: one line per quota, "-" for values that were not reported.
func show(r providers.Result) string {
	number := func(n *float64) string {
		if n == nil {
			return "-"
		}
		return fmt.Sprint(*n)
	}
	var lines []string
	for _, q := range r.Quotas {
		lines = append(lines, fmt.Sprintf("%s %q used %s limit %s remaining %s range %s..%s",
			q.ResourceType, q.Unit, number(q.Used), number(q.Limit), number(q.Remaining), number(q.Min), number(q.Max)))
	}
	for _, err := range r.Skipped.Reasons {
		lines = append(lines, "skipped: "+err.Error())
	}
	if r.Incomplete != nil {
		lines = append(lines, "incomplete: "+r.Incomplete.Error())
	}
	return strings.Join(lines, "\n")
}

// paths are the documented paths of the quotas.
var paths = map[string]string{
	"cts":      "/v3/" + project + "/quotas",
	"ces":      "/V1.0/" + project + "/quotas",
	"taurusdb": "/v3/" + project + "/project-quotas?type=instance",
	"dcs":      "/v2/" + project + "/quota",
	"dbss":     "/v2/" + project + "/audit/quota",
}

const instances = "/v2/" + project + "/audit/instances?offset=0&limit=1000"

func document(t testing.TB, service string) reply {
	t.Helper()
	body := examples.Of(service)
	if body == nil {
		t.Fatalf("%s has no example", service)
	}
	return reply(body)
}

func TestDocumentsExamples(t *testing.T) {
	for service, want := range map[string]string{
		"cts": `data_tracker "" used 9 limit 100 remaining - range -..-
system_tracker "" used 1 limit 1 remaining - range -..-`,
		"ces":      `alarm "" used 10 limit 1000 remaining - range -..-`,
		"taurusdb": `instance "" used 4 limit 50 remaining - range -..-`,
		"dcs": `instance "" used 3 limit 10 remaining - range 1..10
ram "GB" used 22 limit 800 remaining - range 1..800`,
		"dbss": `audit_instance "" used 2 limit 3 remaining 1 range -..-
cpu "" used - limit - remaining 796 range -..-
ram "MB" used - limit - remaining 1.622016e+06 range -..-`,
	} {
		t.Run(service, func(t *testing.T) {
			result, err := ask(t, service, replies{
				paths[service]: document(t, service),
				instances:      `{"instances":[{"id":"a","status":"ACTIVE"},{"id":"b","status":"SHUTOFF"}],"total":2}`,
			})
			if err != nil || show(result) != want {
				t.Errorf("got %v\n%s\nwant\n%s", err, show(result), want)
			}
		})
	}
}

// common is a response with one resource, in the shape of four services.
func common(service, resources string) reply {
	if service == "cts" {
		return reply(`{"resources":[` + resources + `]}`)
	}
	return reply(`{"quotas":{"resources":[` + resources + `]}}`)
}

func TestUnreadableResponses(t *testing.T) {
	for _, tc := range []struct{ name, body, says string }{
		{"HTML", "<html><body>Welcome</body></html>", "begins with: <html><body>Welcome</body></html>"},
		{"empty", "", "it is empty"},
		{"null", "null", "begins with: null"},
		{"an array", `[{"type":"a","used":1,"quota":2}]`, `begins with: [{"type":"a"`},
		{"a string", `"OK"`, `begins with: "OK"`},
		{"cut off", `{"quotas":{"resources":[{"type":"alarm","us`, `begins with: {"quotas":{"resources":[{"type":"alarm","us`},
		{"another shape", `{"quotas":[],"resources":{},"audit_quota":{}}`, "no quotas in it"},
		{"no resources", `{"quotas":{"resources":[]},"resources":[]}`, "no quotas in it"},
		{"nothing readable", `{"quotas":{"resources":[{}]},"resources":[{}]}`, "no quotas in it"},
		{"deep", strings.Repeat(`[`, 20_000), "exceeded max depth"},
		{"2 MiB", strings.Repeat(" ", 2<<20), "longer than 1048576 bytes (begins with: nothing printable"},
		{"an error with status 200", `{"error_code":"APIGW.0301","error_msg":"no"}`, `begins with: {"error_code":"APIGW.0301","error_msg":"no"}`},
	} {
		for service, path := range paths {
			result, err := ask(t, service, replies{path: reply(tc.body)})
			if err == nil || huaweicloud.Reason(err) != "malformed" || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%s, %s: got %v\n%s\nwant malformed, and %q", tc.name, service, err, show(result), tc.says)
			}
		}
	}
}

func TestConfiguredQuotaPath(t *testing.T) {
	for service := range paths {
		own := replies{"/own/" + project + "?a=b": document(t, service), instances: `{"instances":[],"total":0}`}
		result, err := ask(t, service, own, func(c *huaweicloud.Client, _ map[string]bool) { c.QuotaPath = "/own/{project_id}?a=b" })
		if err != nil || len(result.Quotas) == 0 {
			t.Errorf("%s: got %v\n%s", service, err, show(result))
		}
	}
}

// TestOwnAPIs: if a response differs from the description, the error contains the expected format and the start of the response, and mentions that
// the description might be wrong.
func TestOwnAPIs(t *testing.T) {
	found := strictyaml.NewProblems("c.yml")
	own := providers.Own("my_api", strictyaml.Parse([]byte(`{path: /quotas, host: my-api, list: [rows, quotas], type: "{quota_key}", limit: quota_limit}`), found))
	if err := found.Err(); err != nil || !own.IsOwn() || !own.IsVerified() {
		t.Fatal(err)
	}
	quotas := func(body reply) (providers.Result, error) {
		return own.Quotas(t.Context(), client("my_api", replies{"/quotas": body}), nil)
	}
	_, err := quotas(`{"quotas": [{"quotaKey": "a", "quota_limit": 5}]}`)
	const want = `GET https://host/quotas: cannot parse the response: no quotas in it: resource 1 of 1: it has no type ({quota_key}) ` +
		`(tried list rows or quotas, type {quota_key}, fields used, quota_limit) (begins with: {"quotas": [{"quotaKey": "a", "quota_limit": 5}]}); ` +
		`compare services.my_api.api with the response, and check endpoints and the proxy (something other than the API may have responded)`
	if err == nil || err.Error() != want || huaweicloud.Reason(err) != huaweicloud.ReasonMalformed {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if _, err := quotas("404 no"); err == nil || !strings.HasSuffix(err.Error(), "404 Not Found: no; check host and path of services.my_api.api, and that the project exists in the region") {
		t.Errorf("got %v, want a remedy about the description", err)
	}
	result, err := quotas(`{"quotas": [{"quota_key": "a", "quota_limit": 5}, {"quota_key": "b", "used": 1, "unit": null, "min": {}}]}`)
	if got := show(result); err != nil || got != "a \"\" used - limit 5 remaining - range -..-\nb \"\" used 1 limit - remaining - range -..-" {
		t.Errorf("got %v\n%s, want nothing about fields that are not reported", err, got)
	}
	own.API.Account = true
	if _, err := quotas("404 no"); err == nil || !strings.HasSuffix(err.Error(), "; check host and path of services.my_api.api") {
		t.Errorf("of an account: got %v", err)
	}
}
