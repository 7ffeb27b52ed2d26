package providers_test

import (
	"encoding/json"
	"math"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"cloud_quota_exporter/internal/democloud"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/providers"
	"cloud_quota_exporter/providers/providerstest"
)

// FuzzQuotas: for any response, exported values are numbers with unique names that Prometheus accepts, and everything else is
// reported without secrets.
func FuzzQuotas(f *testing.F) {
	const list = `{"instances":[{"id":"a","status":"ACTIVE"}],"total":1}`
	for i, service := range providerstest.Five() {
		f.Add(uint8(i), string(document(f, service.Name)), list)
		f.Add(uint8(i), string(common(service.Name, `{"type":"a","used":"4,","quota":-1,"unit":{}},{"type":"SECRETKEY","unit":"SECRETKEY","used":1},null,{"type":"SECRETKEY","used":"SECRETKEY"}`)), `{"servers":[{}]}`)
		f.Add(uint8(i), string(common(service.Name, `{"type":"\ud800","used":1e400,"quota":"NaN","min":-0.0,"max":1e308}`)), `{"instances":[],"total":1e308}`)
		f.Add(uint8(i), string(common(service.Name, `{"type":"a","used":"many of SECRETKEY"},{"type":"`+strings.Repeat("x", 240)+`SECRETKEY","used":1}`)), `{"total":"many of SECRETKEY"}`)
		f.Add(uint8(i), `{"audit_quota":1,"cpu":"as many as SECRETKEY"}`, `{"total":"many of SECRETKEY"}`)
		f.Add(uint8(i), `{"audit_quota":1e308,"cpu":"-1","ram":null}`, `{"instances":[],"total":1.7e308}`)
		f.Add(uint8(i), "", "<html>SECRETKEY")
	}
	f.Fuzz(func(t *testing.T, service uint8, body, list string) {
		five := providerstest.Five()
		name := five[int(service)%len(five)].Name
		result, err := ask(t, name, replies{paths[name]: reply(body), instances: reply(list)})
		if err != nil {
			wantHarmless(t, err.Error())
			if reason := huaweicloud.Reason(err); reason != huaweicloud.ReasonMalformed || len(result.Quotas) > 0 {
				t.Errorf("reason %s with %d quotas", reason, len(result.Quotas))
			}
			return
		}
		wantSound(t, result, name == "taurusdb")
		wantHarmless(t, result.Skipped.String())
	})
}

// wantSound asserts what applies to every result. unlimited is whether the API has a value for "no limit".
func wantSound(t *testing.T, result providers.Result, unlimited bool) {
	t.Helper()
	if n := len(result.Quotas); n == 0 || n > 200 {
		t.Errorf("%d quotas", n)
	}
	seen := map[string]bool{}
	for _, q := range result.Quotas {
		if seen[q.ResourceType] || q.ResourceType == "" || len(q.ResourceType) > 256 || !utf8.ValidString(q.ResourceType) {
			t.Errorf("resource type %q", q.ResourceType)
		}
		if strings.Contains(q.ResourceType+q.Unit, echoed[:len(beginning)+4]) {
			t.Errorf("a secret is in resource type %q or unit %q", q.ResourceType, q.Unit)
		}
		if !utf8.ValidString(q.Unit) || utf8.RuneCountInString(q.Unit) > 32 {
			t.Errorf("unit %q", q.Unit)
		}
		seen[q.ResourceType] = true
		if q.Used == nil && q.Limit == nil && q.Remaining == nil {
			t.Errorf("%s reports nothing", q.ResourceType)
		}
		for _, n := range []*float64{q.Used, q.Limit, q.Remaining, q.Min, q.Max} {
			mayBeInf := unlimited && n == q.Limit
			if n != nil && (math.IsNaN(*n) || *n < 0 || math.IsInf(*n, 0) && !mayBeInf) {
				t.Errorf("%s has the value %g", q.ResourceType, *n)
			}
		}
	}
	if s := result.Skipped; (s.Count > 0) != (len(s.Reasons) > 0) || len(s.Reasons) > 10 {
		t.Errorf("%d skipped, %d reasons", s.Count, len(s.Reasons))
	}
}

// wantHarmless asserts that a text can be shown.
func wantHarmless(t *testing.T, text string) {
	t.Helper()
	if strings.Contains(text, echoed[:len(beginning)+4]) || !utf8.ValidString(text) || len(text) > 16<<10 {
		t.Errorf("%d bytes of text: %.2000q", len(text), text)
	}
}

// FuzzResourceNextToAnother: a valid resource is never lost, regardless of what comes before or after it.
func FuzzResourceNextToAnother(f *testing.F) {
	for _, bad := range []string{`{}`, `null`, `5`, `[]`, `"x"`, `{"type":5}`, `{"type":"a","used":{}}`, `{"type":"a","used":"x"},{"type":"b"}`, `{"Type":"good "}`} {
		for i := range 4 {
			f.Add(uint8(i), bad, i%2 == 0)
		}
	}
	const good = `{"type":"good","used":1,"quota":2,"unit":"GB"}`
	f.Fuzz(func(t *testing.T, service uint8, bad string, before bool) {
		names := []string{"cts", "ces", "taurusdb", "dcs"}
		service %= uint8(len(names))
		var others []json.RawMessage
		if json.Unmarshal([]byte("["+bad+"]"), &others) != nil || len(others) > 199 {
			return // it would not be a response, or too long a one
		}
		list := good + "," + bad
		if before {
			list = bad + "," + good
		}
		if strings.TrimSpace(bad) == "" {
			list = good
		}
		result, err := ask(t, names[service], replies{paths[names[service]]: common(names[service], list)})
		i := slices.IndexFunc(result.Quotas, func(q providers.Quota) bool { return q.ResourceType == "good" })
		if err != nil || i < 0 {
			t.Fatalf("the good resource is lost: %v\n%s", err, show(result))
		}
		if q := result.Quotas[i]; !before && (*q.Used != 1 || *q.Limit != 2 || q.Unit != "GB") {
			t.Errorf("the valid resource has changed:\n%s", show(result))
		}
	})
}

// FuzzDescription: whatever the description of an API and its response, the description is rejected or the result is sound.
func FuzzDescription(f *testing.F) {
	bodies := []string{
		`{"quotas":{"resources":[{"type":"a","used":"4,","quota":-1,"unit":{}},{"type":"a"},null,5,[],{"type":"b","used":1e400}]}}`,
		`{"a_quota":5,"a":1,"left":"1,","x":{"a":{"b":1},"c":-1}}`,
		`{"rows":[{"site":"s","q":{"z":1},"u":{"z":2},"l":3},{"a":{"b":"n"},"c":"m","q":-1,"r":1}]}`,
		`{"\u0071uotas":{"resources":{"type":"a\\\"","used":[[[]]],"quota":{"a":"}]"}}}}`, `[{"\u0061":1,"a":2}]`, `null`, ``, ` { } `,
	}
	for _, description := range []string{
		`{path: /a}`,
		`{path: /a, list: "", type: "{key}", used: a.b, limit: c, units: {".*": GB}}`,
		`{path: /a, list: "", pairs: [{type: a, limit: a_quota, used: a}, {type: b, remaining: left}]}`,
		`{path: /a, list: rows, type: "{site}_{key}", pairs: [{type: x, limit: q.z, used: u.z}, {type: y, limit: l}], no_limit: -1}`,
		`{path: /a, list: [rows, x], type: "{a.b}-{c}!", limit: q, remaining: r, no_limit: 0, unknown: -1, skip: "x.*", rename: {a: b}}`,
		`{path: "/{project_id}", host: {default: "a.{cloud}:8443", eu-de: b}, list: rows, type: same, limit: q, action: {role: "a:b:c"}}`,
		`{path: "/a%2Fb/{project_id}?c[]=%C3%A4+&d=//", host: "q-{region}.example.com:8443"}`,
		`{path: /a, host: "db.example.com:65536", list: [rows, ""], type: "{key}_{c}", used: u.z, unit: "", min: "", max: q.z, units: {"n.*": "%"}}`,
	} {
		for _, body := range bodies {
			f.Add(description, body)
		}
	}
	described := catalogueTexts(f)
	for _, s := range providers.All() {
		body, _ := answerOf(s)
		f.Add(described[s.Name], string(body))
	}
	f.Fuzz(func(t *testing.T, description, body string) {
		a, err := read(description)
		if err != nil {
			return
		}
		_ = democloud.Made(a) // does not panic
		base := a.Host.BaseURL("ap-southeast-3", "")
		if u, err := url.Parse(base); err != nil || u.Scheme != "https" || u.User != nil || u.Path+u.RawQuery+u.Fragment != "" || u.Hostname() == "" {
			t.Errorf("base URL %q: %v", base, err)
		}
		path := strings.NewReplacer("{project_id}", project, "{domain_id}", project).Replace(a.Path)
		if u, err := url.Parse(base + path); path != "" && (err != nil || u.RequestURI() != path) { // "" if not configured
			t.Errorf("%q is sent as another path, %v", path, err)
		}
		result, err := a.Decode(&huaweicloud.Answer{Body: []byte(body)})
		if err != nil {
			if text := err.Error(); !utf8.ValidString(text) || len(text) > 40<<10 {
				t.Errorf("%d bytes of text: %.200q", len(text), text)
			}
			return
		}
		wantSound(t, result, a.NoLimit != nil)
	})
}

// catalogueTexts returns the source texts of the catalogue's descriptions, by service.
func catalogueTexts(f *testing.F) map[string]string {
	f.Helper()
	file, err := os.ReadFile("catalogue.yml")
	var entries map[string]struct{ API yaml.Node }
	if err == nil {
		err = yaml.Unmarshal(file, &entries)
	}
	if err != nil {
		f.Fatal(err)
	}
	texts := map[string]string{}
	for name, entry := range entries {
		text, err := yaml.Marshal(&entry.API)
		if err != nil {
			f.Fatal(err)
		}
		texts[name] = string(text)
	}
	return texts
}
