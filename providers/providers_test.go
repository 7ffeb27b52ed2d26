package providers_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
	"cloud_quota_exporter/providers"
)

const project = "0250cb8a80c24c0b9f20f557cb159aad"

type auth struct{}

func (auth) Grant(context.Context, string) (huaweicloud.Grant, error) {
	return &huaweicloud.Keys{AccessKey: secret.New("AK"), SecretKey: secret.New("SECRETKEY")}, nil
}
func (auth) Reject(huaweicloud.Grant) {}

// reply is what the API answers: a body alone, or a status, a blank and a body.
type reply string

// ask asks a service over real HTTP. The API answers by path and query; an unexpected path fails the test.
func ask(t *testing.T, service string, replies map[string]reply, change ...func(*huaweicloud.Client, *providers.Options)) (providers.Result, error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, known := replies[r.URL.String()]
		if !known {
			t.Errorf("%s was asked for, want one of %v", r.URL, slices.Sorted(maps.Keys(replies)))
		}
		var status int
		if n, _ := fmt.Sscanf(string(answer), "%3d ", &status); n == 1 && len(answer) > 3 && answer[3] == ' ' {
			w.WriteHeader(status)
			answer = answer[4:]
		}
		fmt.Fprint(w, answer)
	}))
	defer server.Close()
	i := slices.IndexFunc(providers.All(), func(s providers.Service) bool { return s.Name == service })
	if i < 0 {
		t.Fatalf("there is no service %s", service)
	}
	c := &huaweicloud.Client{
		HTTP: huaweicloud.NewHTTPClient(new(net.Dialer).DialContext, "", 1), Auth: auth{}, Service: service,
		BaseURL: server.URL, ProjectID: project, Events: func(string, string, time.Duration) {},
	}
	o := providers.Options{ListInstances: true}
	for _, f := range change {
		f(c, &o)
	}
	return providers.All()[i].Quotas(t.Context(), c, o)
}

// show writes a result as a person would: one line a quota, "-" for what was not reported.
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

// paths are where the documents say that the quotas are.
var paths = map[string]string{
	"cts":      "/v3/" + project + "/quotas",
	"ces":      "/V1.0/" + project + "/quotas",
	"taurusdb": "/v3/" + project + "/project-quotas?type=instance",
	"dcs":      "/v2/" + project + "/quota",
	"dbss":     "/v2/" + project + "/audit/quota",
}

const instances = "/v2/" + project + "/audit/instances?offset=0&limit=1000"

func document(t *testing.T, service string) reply {
	t.Helper()
	body, err := os.ReadFile("testdata/" + service + ".json")
	if err != nil {
		t.Fatal(err)
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
			result, err := ask(t, service, map[string]reply{
				paths[service]: document(t, service),
				instances:      `{"instances":[{"id":"a","status":"ACTIVE"},{"id":"b","status":"SHUTOFF"}],"total":2}`,
			})
			if err != nil || show(result) != want {
				t.Errorf("got %v\n%s\nwant\n%s", err, show(result), want)
			}
		})
	}
}

// common is an answer with one resource, in the shape that four services share.
func common(service, resources string) reply {
	if service == "cts" {
		return reply(`{"resources":[` + resources + `]}`)
	}
	return reply(`{"quotas":{"resources":[` + resources + `]}}`)
}

func TestVariants(t *testing.T) {
	for _, tc := range []struct{ name, service, resources, want string }{
		{"strings", "taurusdb", `{"type":"instance","used":"4","quota":"50","mode":"cluster"}`, `instance "" used 4 limit 50 remaining - range -..-`},
		{"numbers", "taurusdb", `{"type":"instance","used":4,"quota":50}`, `instance "" used 4 limit 50 remaining - range -..-`},
		{"no limit", "taurusdb", `{"type":"instance","used":4,"quota":-1}`, `instance "" used 4 limit +Inf remaining - range -..-`},
		{"no limit as a string", "taurusdb", `{"type":"instance,","used":"4,","quota":"-1,"}`, `instance "" used 4 limit +Inf remaining - range -..-`},
		{"the table's plural", "dcs", `{"type":"instances","used":3,"quota":10}`, `instance "" used 3 limit 10 remaining - range -..-`},
		{"unit null", "dcs", `{"type":"instance","used":3,"quota":10,"unit":null}`, `instance "" used 3 limit 10 remaining - range -..-`},
		{"unit of another kind", "ces", `{"type":"alarm","used":3,"quota":10,"unit":5}`, `alarm "" used 3 limit 10 remaining - range -..-`},
		{"unit that is no UTF-8", "ces", `{"type":"alarm","used":3,"quota":10,"unit":"G` + "\xff" + `"}`, `alarm "" used 3 limit 10 remaining - range -..-`},
		{"unit too long", "ces", `{"type":"alarm","used":3,"quota":10,"unit":"` + strings.Repeat("G", 33) + `"}`, `alarm "" used 3 limit 10 remaining - range -..-`},
		{"range null", "ces", `{"type":"alarm","used":3,"quota":10,"min":null,"max":null}`, `alarm "" used 3 limit 10 remaining - range -..-`},
		{"another type", "cts", `{"type":"event_bus","used":0,"quota":0}`, `event_bus "" used 0 limit 0 remaining - range -..-`},
		{"used alone", "cts", `{"type":"data_tracker","used":9}`, `data_tracker "" used 9 limit - remaining - range -..-`},
		{"quota alone", "cts", `{"type":"data_tracker","used":null,"quota":100}`, `data_tracker "" used - limit 100 remaining - range -..-`},
		{"more than the limit", "cts", `{"type":"data_tracker","used":101,"quota":100}`, `data_tracker "" used 101 limit 100 remaining - range -..-`},
		{"fractions", "dcs", `{"type":"ram","used":2.25e1,"quota":"800.5","unit":"GB"}`, `ram "GB" used 22.5 limit 800.5 remaining - range -..-`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			result, err := ask(t, tc.service, map[string]reply{paths[tc.service]: common(tc.service, tc.resources)})
			if err != nil || show(result) != tc.want {
				t.Errorf("got %v\n%s\nwant\n%s", err, show(result), tc.want)
			}
		})
	}
}

// TestBadResourceIsLeftOut puts a bad resource before and after a good one, in every service of the common shape.
func TestBadResourceIsLeftOut(t *testing.T) {
	const good = `{"type":"good","used":1,"quota":2}`
	for _, tc := range []struct{ name, bad, says string }{
		{"no type", `{"used":1,"quota":2}`, "it has no type"},
		{"an empty type", `{"type":"","used":1,"quota":2}`, "it has no type"},
		{"a type that is no string", `{"type":7,"used":1,"quota":2}`, "it has no type"},
		{"a type that is no UTF-8", `{"type":"a` + "\xff" + `","used":1,"quota":2}`, "is no valid UTF-8"},
		{"half a surrogate", `{"type":"a\ud800","used":1,"quota":2}`, "is no valid UTF-8"},
		{"a type without end", `{"type":"` + strings.Repeat("x", 257) + `","used":1,"quota":2}`, "longer than 256 bytes"},
		{"null", `null`, "it has no type"},
		{"a number", `5`, "it has no type"},
		{"a list", `[]`, "it has no type"},
		{"words", `{"type":"bad","used":"many","quota":2}`, `type "bad": used is "\"many\"", want a number`},
		{"an empty string", `{"type":"bad","used":"","quota":2}`, "want a number"},
		{"NaN", `{"type":"bad","used":1,"quota":"NaN"}`, "want a number"},
		{"infinity", `{"type":"bad","used":1,"quota":"Infinity"}`, "want a number"},
		{"hexadecimal", `{"type":"bad","used":1,"quota":"0x10"}`, "want a number"},
		{"an underscore", `{"type":"bad","used":1,"quota":"1_0"}`, "want a number"},
		{"too large", `{"type":"bad","used":1,"quota":1e400}`, "want a number"},
		{"true", `{"type":"bad","used":true,"quota":2}`, "want a number"},
		{"an object", `{"type":"bad","used":{},"quota":2}`, "want a number"},
		{"a bad range", `{"type":"bad","used":1,"quota":2,"min":"low"}`, "min is"},
		{"both wrong", `{"type":"bad","used":"x","quota":"y"}`, "quota is"},
		{"negative use", `{"type":"bad","used":-1,"quota":2}`, "used is -1, and the document gives negative numbers no meaning"},
		{"negative limit", `{"type":"bad","used":1,"quota":-2}`, "quota is -2, and the document"},
		{"nothing reported", `{"type":"bad"}`, "neither used nor quota is reported"},
		{"the same type twice", good, `type "good" is there twice`},
	} {
		for _, service := range []string{"cts", "ces", "taurusdb", "dcs"} {
			for _, list := range []string{tc.bad + "," + good, good + "," + tc.bad} {
				result, err := ask(t, service, map[string]reply{paths[service]: common(service, list)})
				if err != nil || len(result.Quotas) != 1 || result.Quotas[0].ResourceType != "good" || *result.Quotas[0].Used != 1 {
					t.Errorf("%s, %s: got %v\n%s\nwant the good resource", tc.name, service, err, show(result))
					continue
				}
				if result.Skipped.Count != 1 || !strings.Contains(result.Skipped.String(), tc.says) {
					t.Errorf("%s, %s: skipped %v, want one that says %q", tc.name, service, result.Skipped, tc.says)
				}
			}
		}
	}
}

func TestMinusOneIsNoLimitInTaurusDBAlone(t *testing.T) {
	for _, service := range []string{"cts", "ces", "dcs"} {
		result, err := ask(t, service, map[string]reply{
			paths[service]: common(service, `{"type":"a","used":1,"quota":-1},{"type":"b","used":1,"quota":2}`),
		})
		if err != nil || len(result.Quotas) != 1 || result.Skipped.Count != 1 {
			t.Errorf("%s: got %v\n%s\nwant the negative limit left out", service, err, show(result))
		}
	}
}

func TestTooManyResources(t *testing.T) {
	var list []string
	for i := range 10_000 {
		list = append(list, fmt.Sprintf(`{"type":"t%d","used":1,"quota":2}`, i))
	}
	result, err := ask(t, "cts", map[string]reply{paths["cts"]: common("cts", strings.Join(list, ","))})
	if err != nil || len(result.Quotas) != 200 || result.Skipped.Count != 9800 || result.Quotas[199].ResourceType != "t199" {
		t.Errorf("got %v, %d quotas and %d skipped; want the first 200", err, len(result.Quotas), result.Skipped.Count)
	}
}

func TestManyReasonsAreTold(t *testing.T) {
	result, err := ask(t, "cts", map[string]reply{paths["cts"]: common("cts", `{"type":"a","used":1,"quota":2}`+strings.Repeat(",{}", 100_000))})
	told := result.Skipped.String()
	if err != nil || result.Skipped.Count != 100_000 || strings.Count(told, "it has no type") != 10 || !strings.HasSuffix(told, "and 99990 more") {
		t.Errorf("got %v, %d skipped:\n%s", err, result.Skipped.Count, told)
	}
}

func TestEchoedSecretsAreHidden(t *testing.T) {
	result, err := ask(t, "cts", map[string]reply{paths["cts"]: common("cts", `{"type":"a","used":1,"quota":2},{"type":"SECRETKEY","used":"SECRETKEY"}`)})
	if told := result.Skipped.String(); err != nil || strings.Contains(told, "SECRETKEY") || !strings.Contains(told, "<hidden>") {
		t.Errorf("got %v, skipped %s", err, told)
	}
	_, err = ask(t, "cts", map[string]reply{paths["cts"]: common("cts", `{"type":"SECRETKEY","used":"x"}`)})
	if strings.Contains(err.Error(), "SECRETKEY") {
		t.Errorf("got %v", err)
	}
}

func TestUnreadableAnswers(t *testing.T) {
	for _, tc := range []struct{ name, body, says string }{
		{"HTML", "<html><body>Welcome</body></html>", "it begins with: <html><body>Welcome</body></html>"},
		{"empty", "", "it is empty"},
		{"null", "null", "it begins with: null"},
		{"an array", `[{"type":"a","used":1,"quota":2}]`, `it begins with: [{"type":"a"`},
		{"a string", `"OK"`, `it begins with: "OK"`},
		{"cut off", `{"quotas":{"resources":[{"type":"alarm","us`, `it begins with: {"quotas":{"resources":[{"type":"alarm","us`},
		{"another shape", `{"quotas":[],"resources":{},"audit_quota":{}}`, "there are no quotas in it"},
		{"no resources", `{"quotas":{"resources":[]},"resources":[]}`, "there are no quotas in it"},
		{"nothing readable", `{"quotas":{"resources":[{}]},"resources":[{}]}`, "there are no quotas in it"},
		{"deep", strings.Repeat(`[`, 20_000), "exceeded max depth"},
		{"2 MiB", strings.Repeat(" ", 2<<20), "longer than 1048576 bytes"},
		{"an error with status 200", `{"error_code":"APIGW.0301","error_msg":"no"}`, `it begins with: {"error_code":"APIGW.0301","error_msg":"no"}`},
	} {
		for service, path := range paths {
			result, err := ask(t, service, map[string]reply{path: reply(tc.body)})
			if err == nil || huaweicloud.Reason(err) != "malformed" || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%s, %s: got %v\n%s\nwant malformed, and %q", tc.name, service, err, show(result), tc.says)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	for service, path := range paths {
		result, err := ask(t, service, map[string]reply{path: `403 {"error_code":"X.1","error_msg":"no"}`})
		if huaweicloud.Reason(err) != "forbidden" || len(result.Quotas) != 0 {
			t.Errorf("%s: got %v\n%s", service, err, show(result))
		}
	}
}

func TestConfiguredQuotaPath(t *testing.T) {
	for service := range paths {
		replies := map[string]reply{"/own/" + project + "?a=b": document(t, service), instances: `{"instances":[],"total":0}`}
		result, err := ask(t, service, replies, func(c *huaweicloud.Client, _ *providers.Options) { c.QuotaPath = "/own/{project_id}?a=b" })
		if err != nil || len(result.Quotas) == 0 {
			t.Errorf("%s: got %v\n%s", service, err, show(result))
		}
	}
}

func TestHosts(t *testing.T) {
	for _, s := range providers.All() {
		want := s.Name
		if s.Name == "taurusdb" {
			want = "gaussdb"
		}
		if got := s.Host("ap-southeast-3"); got != want {
			t.Errorf("%s in ap-southeast-3: host %s, want %s", s.Name, got, want)
		}
		if s.Name != "taurusdb" {
			continue
		}
		for region, want := range map[string]string{
			"ap-southeast-1": "gaussdbformysql", "ap-southeast-2": "gaussdbformysql", "cn-north-11": "gaussdbformysql",
			"me-east-1": "gaussdbformysql", "tr-west-1": "gaussdbformysql",
			"af-south-1": "gaussdb-mysql", "cn-east-5": "gaussdb-mysql", "cn-southwest-3": "gaussdb-mysql", "la-north-2": "gaussdb-mysql",
			"eu-de":      "gaussdb-mysql", // Open Telekom Cloud
			"cn-north-4": "gaussdb", "ap-southeast-4": "gaussdb",
		} {
			if got := s.Host(region); got != want {
				t.Errorf("%s in %s: host %s, want %s", s.Name, region, got, want)
			}
		}
	}
}
