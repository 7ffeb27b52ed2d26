package providers_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/democloud"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/providers"
	"cloud_quota_exporter/providers/examples"
	"cloud_quota_exporter/providers/providerstest"
)

var update = flag.Bool("update", false, "update testdata/catalogue.golden")

// answerOf returns the documented example or, if there is none, a response made from the description.
func answerOf(s providers.Service) (body []byte, kind string) {
	if body = examples.Of(s.Name); body != nil {
		return body, "example"
	}
	return democloud.Made(s.API), "made"
}

// decode parses a response of which nothing is skipped.
func decode(t *testing.T, s providers.Service, body []byte) []providers.Quota {
	t.Helper()
	result, err := s.API.Decode(&huaweicloud.Answer{Body: body})
	if err != nil || result.Skipped.Count > 0 {
		t.Fatalf("%s: got %v\n%s\nof %s", s.Name, err, show(result), body)
	}
	return result.Quotas
}

// TestCatalogue: the request of every entry and the result of its response. testdata/catalogue.golden contains them, so that changes of the catalogue
// are visible.
func TestCatalogue(t *testing.T) {
	const file = "testdata/catalogue.golden"
	var text strings.Builder
	for _, s := range providers.All() {
		body, kind := answerOf(s)
		quotas := show(providers.Result{Quotas: decode(t, s, body)})
		fmt.Fprintf(&text, "%s, %s of %s%s\n  %s\n", s.Name, kind, s.API.Host.BaseURL("ap-southeast-3", ""), s.API.Path, strings.ReplaceAll(quotas, "\n", "\n  "))
		if rules := rulesOf(s.API); len(rules) > 0 {
			fmt.Fprintf(&text, "  (%s)\n", strings.Join(rules, ", "))
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || text.String() != string(want) {
		t.Errorf("%v; %s is not what the catalogue yields now. If that is meant, run: go test ./providers -run TestCatalogue -update\ngot\n%s", err, file, text.String())
	}
}

// rulesOf shows what a made response does not.
func rulesOf(a *providers.API) []string {
	var rules []string
	if a.NoLimit != nil {
		rules = append(rules, fmt.Sprintf("no_limit %g", *a.NoLimit))
	}
	if a.Unknown != nil {
		rules = append(rules, fmt.Sprintf("unknown %g", *a.Unknown))
	}
	if a.Skip != nil {
		rules = append(rules, "skip "+a.Skip.String())
	}
	for _, u := range a.Units {
		rules = append(rules, fmt.Sprintf("unit of %s %s", u.Types, u.Unit))
	}
	if len(a.Rename) > 0 {
		rules = append(rules, fmt.Sprintf("rename %v", a.Rename))
	}
	return rules
}

// TestExamplesHaveEntries: no test would read an example without an entry.
func TestExamplesHaveEntries(t *testing.T) {
	files, err := os.ReadDir("examples")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, s := range providers.All() {
		known[s.Name+".json"] = true
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".json") && !known[f.Name()] {
			t.Errorf("examples/%s belongs to no entry", f.Name())
		}
	}
}

// answer is a response that a test changes.
type answer struct {
	api  *providers.API
	body any
	list string // the path in use
}

// newAnswer parses the response of an entry.
func newAnswer(t *testing.T, s providers.Service) *answer {
	t.Helper()
	a := &answer{api: s.API}
	body, _ := answerOf(s)
	if err := json.Unmarshal(body, &a.body); err != nil {
		t.Fatal(err)
	}
	for _, a.list = range s.API.List {
		switch a.at(a.list).(type) {
		case []any, map[string]any:
			return a
		}
	}
	t.Fatalf("%s: no list", s.Name)
	return nil
}

// at returns the value at a path; nil if there is none.
func (a *answer) at(path string) any {
	v := a.body
	for name := range strings.SplitSeq(path, ".") {
		if path == "" {
			break
		}
		object, _ := v.(map[string]any)
		v = object[name]
	}
	return v
}

// put replaces the value at a path.
func (a *answer) put(path string, value any) {
	outer, name := "", path
	if i := strings.LastIndex(path, "."); i >= 0 {
		outer, name = path[:i], path[i+1:]
	}
	if path == "" {
		a.body = value
		return
	}
	a.at(outer).(map[string]any)[name] = value
}

// resources are the objects with the fields of a resource, or of several in pairs.
func (a *answer) resources() []map[string]any {
	var all []map[string]any
	switch list := a.at(a.list).(type) {
	case []any:
		for _, row := range list {
			all = append(all, row.(map[string]any))
		}
	case map[string]any:
		if a.api.Type != "{key}" {
			return []map[string]any{list}
		}
		for _, member := range list {
			if row, ok := member.(map[string]any); ok {
				all = append(all, row)
			}
		}
	}
	return all
}

// set sets the fields of all resources; nil removes them.
func (a *answer) set(value any, fields ...string) {
	for _, row := range a.resources() {
		for _, field := range fields {
			if delete(row, field); value != nil && field != "" {
				row[field] = value
			}
		}
	}
}

// numbers replaces all numbers by texts, or by the results of write.
func numbers(v any, write func(float64) any) any {
	switch v := v.(type) {
	case float64:
		return write(v)
	case []any:
		for i := range v {
			v[i] = numbers(v[i], write)
		}
	case map[string]any:
		for name := range v {
			v[name] = numbers(v[name], write)
		}
	}
	return v
}

// strange adds undocumented members to all objects except a map of resources, in which they would be resources.
func (a *answer) strange(v any) {
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			a.strange(element)
		}
	case map[string]any:
		for _, member := range v {
			a.strange(member)
		}
		v["is_success"], v["xx_note"], v["xx_none"], v["xx_number"] = true, "text", nil, -7
		if a.api.Type != "{key}" {
			v["xx_list"], v["xx_object"] = []any{map[string]any{"type": "x", "used": 1}}, map[string]any{"type": "x", "used": 1}
		}
	}
}

// TestCatalogueVariants changes the response of every entry in the ways in which real responses differ from documents. Nothing may be skipped.
func TestCatalogueVariants(t *testing.T) {
	text := func(format string) func(*answer) {
		return func(a *answer) { a.body = numbers(a.body, func(n float64) any { return fmt.Sprintf(format, n) }) }
	}
	same := func(*providers.Quota) {}
	noRange := func(q *providers.Quota) { q.Min, q.Max = nil, nil }
	noUnit := func(q *providers.Quota) { q.Unit = "" }
	ranges := func(value any) func(*answer) { return func(a *answer) { a.set(value, a.api.Min, a.api.Max) } }
	units := func(value any) func(*answer) { return func(a *answer) { a.set(value, a.api.Unit) } }
	for name, tc := range map[string]struct {
		change func(*answer)
		differ func(*providers.Quota) // from those of the unchanged answer
	}{
		"numbers as texts":                 {text("%.0f"), same},
		"numbers as texts with blanks":     {text(" %.0f "), same},
		"numbers as texts with a comma":    {text("%.0f,"), same},
		"numbers as texts with a fraction": {text("%.1f"), same},
		"numbers with an exponent": {func(a *answer) {
			a.body = numbers(a.body, func(n float64) any { return json.Number(fmt.Sprintf("%.9e", n)) })
		}, same},
		"undocumented members":                     {func(a *answer) { a.strange(a.body) }, same},
		"minimum and maximum of -1":                {ranges(-1), noRange},
		"minimum and maximum that are not numbers": {ranges("unlimited"), noRange},
		"minimum and maximum that are objects":     {ranges(map[string]any{}), noRange},
		"no minimum and maximum":                   {ranges(nil), noRange},
		"no unit":                                  {units(nil), noUnit},
		"an object for a unit":                     {units(map[string]any{}), noUnit},
		"the text null for a unit":                 {units("null"), noUnit},
		"an empty unit":                            {units(""), noUnit},
		"a number for a unit":                      {units(5), noUnit},
	} {
		t.Run(name, func(t *testing.T) {
			for _, s := range providers.All() {
				if len(s.API.Pairs) > 0 && strings.Contains(name, "unit") {
					continue // the description has it
				}
				a := newAnswer(t, s)
				want := decode(t, s, encode(t, a.body))
				for i := range want {
					tc.differ(&want[i])
					for _, u := range s.API.Units {
						if u.Types.MatchString(want[i].ResourceType) {
							want[i].Unit = u.Unit
						}
					}
				}
				tc.change(a)
				wantQuotas(t, s, decode(t, s, encode(t, a.body)), want)
			}
		})
	}
}

func wantQuotas(t *testing.T, s providers.Service, got, want []providers.Quota) {
	t.Helper()
	if g, w := show(providers.Result{Quotas: got}), show(providers.Result{Quotas: want}); g != w {
		t.Errorf("%s: got\n%s\nwant\n%s", s.Name, g, w)
	}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestCatalogueWithoutNumbers: used or the limit may be missing or null. This does not affect resources with another value.
func TestCatalogueWithoutNumbers(t *testing.T) {
	null := json.RawMessage("null")
	for _, s := range providers.All() {
		for _, value := range []any{nil, null} {
			for _, remove := range []string{"used", "limit"} {
				a := newAnswer(t, s)
				fields := []string{s.API.Used, s.API.Limit}
				for _, p := range s.API.Pairs {
					fields = append(fields, p.Used, p.Limit)
				}
				var want []providers.Quota
				skipped := 0 // resources without a number; an object can lack some of the pairs
				for _, q := range decode(t, s, encode(t, a.body)) {
					if remove == "used" {
						q.Used = nil
					} else {
						q.Limit = nil
					}
					if q.Used != nil || q.Limit != nil || q.Remaining != nil {
						want = append(want, q)
					} else if len(s.API.Pairs) == 0 {
						skipped++
					}
				}
				for i, field := range fields {
					if (i%2 == 0) == (remove == "used") {
						a.set(value, field)
					}
				}
				result, err := s.API.Decode(&huaweicloud.Answer{Body: encode(t, a.body)})
				if len(want) == 0 {
					if huaweicloud.Reason(err) != huaweicloud.ReasonMalformed {
						t.Errorf("%s without %s: got %v", s.Name, remove, err)
					}
					continue
				}
				wantQuotas(t, s, result.Quotas, want)
				if result.Skipped.Count != skipped {
					t.Errorf("%s without %s: skipped %v, want %d", s.Name, remove, result.Skipped, skipped)
				}
			}
		}
	}
}

// TestCatalogueKinds: an object counts as a list of one, and a list of one as the object.
func TestCatalogueKinds(t *testing.T) {
	for _, s := range providers.All() {
		a := newAnswer(t, s)
		inOrder := func() string { return show(providers.Result{Quotas: decode(t, s, encode(t, a.body))}) }
		want := inOrder()
		outer, _, isDeep := strings.Cut(a.list, ".")
		if isDeep {
			a.put(outer, []any{a.at(outer)})
			if got := inOrder(); got != want {
				t.Errorf("%s with a list at %s: got\n%s\nwant\n%s", s.Name, outer, got, want)
			}
			a.put(outer, a.at(outer).([]any)[0])
		}
		whole := a.at(a.list)
		for _, path := range s.API.List {
			a.body = whole // and nothing else
			for _, name := range slices.Backward(strings.Split(path, ".")) {
				if path != "" {
					a.body = map[string]any{name: a.body}
				}
			}
			a.list = path
			if got := inOrder(); got != want {
				t.Errorf("%s with the resources at %s: got\n%s\nwant\n%s", s.Name, path, got, want)
			}
		}
		list, isList := whole.([]any)
		if !isList {
			if s.API.Type != "{key}" {
				a.put(a.list, []any{whole})
				if got := inOrder(); got != want {
					t.Errorf("%s with a list of one: got\n%s\nwant\n%s", s.Name, got, want)
				}
			}
			continue
		}
		var each []string
		for _, row := range list {
			a.put(a.list, row)
			if result, _ := s.API.Decode(&huaweicloud.Answer{Body: encode(t, a.body)}); len(result.Quotas) > 0 { // skip omits the others
				each = append(each, show(result))
			}
		}
		if got := strings.Join(each, "\n"); got != want {
			t.Errorf("%s with one object after the other: got\n%s\nwant\n%s", s.Name, got, want)
		}
	}
}

// TestHazards are realistic responses of services, according to their documents, definitions, and SDKs.
func TestHazards(t *testing.T) {
	for _, tc := range []struct{ name, service, uri, answer, want string }{
		{"status 201", "dc", "/v3/%s/dcaas/quotas", `201 {"quotas":{"resources":[{"type":"virtualInterface","quota":-1,"used":3},{"type":"peerLinkPerGdgw","quota":5,"used":0}]},"request_id":"r"}`, `virtualInterface "" used 3 limit +Inf remaining - range -..-`},
		{"no success", "dli", "/v3/%s/quotas", `{"is_success":false,"message":"","quotas":{"resources":[{"type":"CU","quota":2500,"used":992,"min":0,"max":100000}]}}`, `CU "" used 992 limit 2500 remaining - range 0..100000`},
		{"texts for numbers and null for a unit", "dws", "/v1.0/%s/quotas", `{"quotas":{"resources":[{"type":"instance","quota":"55","used":"6","unit":"null"},{"type":"disk","quota":"10","used":"1","unit":null}]}}`, "instance \"\" used 6 limit 55 remaining - range -..-\ndisk \"\" used 1 limit 10 remaining - range -..-"},
		{"types that differ in case", "workspace", "/v2/%s/quotas", `{"quotas":{"resources":[{"type":"cores","quota":500,"used":4},{"type":"Cores","quota":200,"used":8,"unit":"count"}]},"site_quotas":[{"site_id":"s","resources":[{"type":"cores","quota":1,"used":1}]}]}`, "cores \"\" used 4 limit 500 remaining - range -..-\nCores \"count\" used 8 limit 200 remaining - range -..-"},
		{"a type for each availability zone", "cce", "/api/v3/projects/%s/quotas", `{"quotas":[{"quotaKey":"cluster","quotaLimit":50,"used":3,"unit":"count","regionId":"r","availabilityZoneId":"a"},{"quotaKey":"cluster","quotaLimit":20,"used":1,"unit":"count","regionId":"r","availabilityZoneId":"b"}]}`, "cluster \"count\" used 3 limit 50 remaining - range -..-\nskipped: resource 2 of 2: duplicate type \"cluster\""},
		{"a type for each name", "eg", "/v1/%s/quotas", `{"quotas":{"resources":[{"name":"a","type":"CHANNEL","quota":10,"used":1,"min":0,"max":-1},{"name":"b","type":"CHANNEL","quota":10,"used":2}]}}`, "CHANNEL \"\" used 1 limit 10 remaining - range 0..-\nskipped: resource 2 of 2: duplicate type \"CHANNEL\""},
		{"no limit and no maximum", "sdrs", "/v1/%s/sdrs/quotas", `{"quotas":{"resources":[{"type":"server_groups","used":1,"quota":-1,"min":0,"max":-1}]}}`, `server_groups "" used 1 limit +Inf remaining - range 0..-`},
		{"zero is no limit", "geminidb", "/v3/%s/quotas", `{"quotas":{"resources":[{"type":"instance","used":8,"quota":0}]}}`, `instance "" used 8 limit +Inf remaining - range -..-`},
		{"one object", "drs", "/v3/%s/quotas", `{"quotas":{"resource":{"type":"job","used":2,"quota":10}}}`, `job "" used 2 limit 10 remaining - range -..-`},
		{"a list that is called a set", "deh", "/v1.0/%[1]s/quota-sets/%[1]s", `{"quota_set":[{"resource":"s3","hard_limit":-1,"used":0},{"resource":"s6","hard_limit":"10","used":null}]}`, "s3 \"\" used 0 limit +Inf remaining - range -..-\ns6 \"\" used - limit 10 remaining - range -..-"},
		{"pages", "er", "/v3/%s/enterprise-router/quotas?limit=2000", `{"quotas":[{"quota_key":"er_instance","quota_limit":-1,"used":1,"unit":"count"}],"page_info":{"next_marker":"1","current_count":9},"request_id":"r"}`, `er_instance "count" used 1 limit +Inf remaining - range -..-`},
		{"an empty unit", "swr", "/v2/manage/projects/%s/quotas", `{"quotas":[{"quota_key":"namespace","quota_limit":5,"used":1,"unit":""}]}`, `namespace "" used 1 limit 5 remaining - range -..-`},
		{"quotas of flavors", "bms", "/v1/%s/baremetalservers/limits", `{"absolute":{"maxTotalInstances":20,"totalInstancesUsed":"2","maxTotalCores":-1,"totalCoresUsed":null,"maxTotalRAMSize":65536,"totalRAMUsed":1,"maxServerMeta":128,"limit_by_flavor":[{"name":"f","maxTotalInstances":1,"totalInstanceUsed":1}]}}`, "instances \"\" used 2 limit 20 remaining - range -..-\ncores \"\" used - limit +Inf remaining - range -..-\nram \"MB\" used 1 limit 65536 remaining - range -..-"},
		{"a key's own limit", "kms", "/v1.0/%s/kms/user-quotas", `{"quotas":{"resources":[{"type":"CMK","used":20,"quota":20},{"type":"grant_per_CMK","used":15,"quota":100}]}}`, `CMK "" used 20 limit 20 remaining - range -..-`},
		{"times", "functiongraph", "/v2/%s/fgs/quotas", `{"quotas":{"resources":[{"type":"fgs_func_scale_down_timeout","used":0,"quota":60},{"type":"fgs_func_code_size","used":22,"quota":10240,"unit":"MB"}]}}`, `fgs_func_code_size "MB" used 22 limit 10240 remaining - range -..-`},
		{"no project in the path", "ims", "/v1/cloudimages/quota", `{"quotas":{"resources":[{"quota":50,"type":"image","used":30}]}}`, `image "" used 30 limit 50 remaining - range -..-`},
		{"only what remains", "ges", "/v2/%s/graphs/quotas", `{"quotas":{"resources":[{"type":"graph","available":5,"edge_volume":1000000}]}}`, `graph "" used - limit - remaining 5 range -..-`},
		{"one object without a type", "antiddos", "/v1/%s/antiddos/quotas", `{"ddos_quota":{"current":3,"quota":100}}`, `ip "" used 3 limit 100 remaining - range -..-`},
		{"one object at the top", "dsc", "/v1/%s/sdg/asset/quota", `{"total_size":30,"use_size":2,"type":"x"}`, `asset "" used 2 limit 30 remaining - range -..-`},
		{"a list by the page's table", "nat", "/v2.0/%s/nat_gateways/quotas", `{"quotas":[{"resources":[{"type":"nat_gateway","used":4,"quota":150,"min":0}]}]}`, `nat_gateway "" used 4 limit 150 remaining - range 0..-`},
		{"a list of resources", "sfsturbo", "/v1/%s/sfs-turbo/quotas", `{"quotas":[{"type":"shares","used":5,"quota":400},{"type":"capacity","used":0,"quota":20,"unit":"GB"}]}`, "shares \"\" used 5 limit 400 remaining - range -..-\ncapacity \"GB\" used 0 limit 20 remaining - range -..-"},
		{"a negative number of which nothing is documented", "rds", "/v3/%s/quotas", `{"quotas":{"resources":[{"type":"instance","used":1,"quota":-1},{"type":"x","used":1,"quota":2}]}}`, "x \"\" used 1 limit 2 remaining - range -..-\nskipped: resource 1 of 2: type \"instance\": quota is -1, but negative values are not documented"},
		{"a usage of null", "iam", "/v3.0/OS-QUOTA/domains/%s", `{"quotas":{"resources":[{"max":100,"min":10,"quota":10,"type":"mapping","used":null},{"max":500,"min":50,"quota":200,"type":"assigment_group_mp","used":8}]}}`, "mapping \"\" used - limit 10 remaining - range 10..100\nassigment_group_mp \"\" used 8 limit 200 remaining - range 50..500"},
		{"the account in the query", "dns", "/v2/quotamg/dns/quotas?domain_id=%s", `{"quotas":[{"quota_key":"private_zone","quota_limit":50,"used":30,"unit":"count"}],"request_id":"r"}`, `private_zone "count" used 30 limit 50 remaining - range -..-`},
		{"no account in the path", "ccm", "/v1/private-certificates/quotas", `{"quotas":{"resources":[{"type":"CERTIFICATE","used":25,"quota":100000}]}}`, `CERTIFICATE "" used 25 limit 100000 remaining - range -..-`},
		{"the host of another entry", "ccm_ca", "/v1/private-certificate-authorities/quotas", `{"quotas":{"resources":{"type":"CERTIFICATE_AUTHORITY","used":25,"quota":100}}}`, `CERTIFICATE_AUTHORITY "" used 25 limit 100 remaining - range -..-`},
		{"limits of one network", "cc_central_network", "/v3/%s/gcn/quotas", `{"quotas":[{"quota_key":"central_networks_per_account","quota_limit":6,"used":1,"unit":"count"},{"quota_key":"policies_per_central_network","quota_limit":500,"used":0},{"quota_key":"er_instances_per_region_per_central_network","quota_limit":1,"used":0},{"quota_key":"policy_documents_per_central_network_kb","quota_limit":10,"used":0}],"page_info":{"next_marker":"1"}}`, `central_networks_per_account "count" used 1 limit 6 remaining - range -..-`},
		{"limits of one site network", "cc_site_network", "/v3/%s/dcaas/site-network/quotas", `{"quotas":[{"quota_key":"site_networks_per_account","quota_limit":6,"used":1},{"quota_key":"sites_per_mesh_site_network","quota_limit":5,"used":0},{"quota_key":"sites_per_star_site_network","quota_limit":5,"used":0},{"quota_key":"sites_per_hybrid_site_network","quota_limit":5,"used":0}]}`, `site_networks_per_account "" used 1 limit 6 remaining - range -..-`},
		{"no usage, and a maximum below the limit", "ga", "/v1/%s/ga/quotas", `{"quotas":{"resources":[{"type":"accelerator_per_tenant","min":1,"max":1,"quota":20}]},"request_id":"r"}`, `accelerator_per_tenant "" used - limit 20 remaining - range 1..1`},
		{"a limit of one bandwidth", "geip", "/v3/%s/geip/quotas", `{"quotas":{"resources":[{"type":"global_eip","quota":20,"used":2,"min":0},{"type":"internetBandwidthIP","quota":20,"used":0,"min":0}]}}`, `global_eip "" used 2 limit 20 remaining - range 0..-`},
		{"counters of a day and limits of one domain", "cdn", "/v1.0/cdn/quota", `{"quotas":[{"type":"domain","quota_limit":100,"used":3},{"type":"file_refresh","quota_limit":2000,"used":1999},{"type":"flexible_origin_condition","quota_limit":20,"used":0},{"type":"rule","quota_limit":10,"used":0},{"type":"origin_request_header","quota_limit":10,"used":0}]}`, "domain \"\" used 3 limit 100 remaining - range -..-\nfile_refresh \"\" used 1999 limit 2000 remaining - range -..-"},
		{"an empty unit", "tms", "/v1.0/tms/quotas", `{"quotas":[{"quota_key":"predefine_tags","quota_limit":500,"used":7,"unit":""}]}`, `predefine_tags "" used 7 limit 500 remaining - range -..-`},
		{"nothing else", "eps", "/v1.0/enterprise-projects/quotas", `{"quotas":{"resources":[{"type":"enterprise_project","used":3,"quota":100}]}}`, `enterprise_project "" used 3 limit 100 remaining - range -..-`},
		{"a unit for some", "ec", "/v1/enterprise-connect/quotas", `{"quotas":{"resources":[{"type":"ecn_standard_bandwidth_limit","used":1000,"quota":2000,"min":2000,"max":2000,"unit":"Mbit/s"},{"type":"route_limit","used":0,"quota":50}]}}`, "ecn_standard_bandwidth_limit \"Mbit/s\" used 1000 limit 2000 remaining - range 2000..2000\nroute_limit \"\" used 0 limit 50 remaining - range -..-"},
		{"many types", "iec", "/v1/edgeclouds/quotas", `{"quotas":{"resources":[{"type":"edgeclouds","used":22,"quota":30,"min":0,"max":10000},{"type":"ram","used":360448,"quota":5120000}]}}`, "edgeclouds \"\" used 22 limit 30 remaining - range 0..10000\nram \"\" used 360448 limit 5.12e+06 remaining - range -..-"},
		{"the path of others", "cloudpond", "/v1/%s/quotas", `{"quotas":{"resources":[{"type":"edge_site","used":7,"quota":10}]}}`, `edge_site "" used 7 limit 10 remaining - range -..-`},
		{"texts as in the SDK, numbers as in the example", "ucs", "/v1/maintenance/quota/%s", `{"quotas":{"resources":[{"type":"cluster","used":"2","quota":"50"},{"type":"fleet","used":1,"quota":50}]}}`, "cluster \"\" used 2 limit 50 remaining - range -..-\nfleet \"\" used 1 limit 50 remaining - range -..-"},
		{"a negative number of which nothing is documented", "eps", "/v1.0/enterprise-projects/quotas", `{"quotas":{"resources":[{"type":"enterprise_project","used":3,"quota":-1},{"type":"x","used":1,"quota":2}]}}`, "x \"\" used 1 limit 2 remaining - range -..-\nskipped: resource 1 of 2: type \"enterprise_project\": quota is -1, but negative values are not documented"},
	} {
		t.Run(tc.service+", "+tc.name, func(t *testing.T) {
			owner := project
			if providerstest.Named(tc.service)[0].API.Account {
				owner = domain
			}
			uri := tc.uri
			if strings.Contains(uri, "%") {
				uri = fmt.Sprintf(uri, owner)
			}
			result, err := ask(t, tc.service, replies{uri: reply(tc.answer)})
			if err != nil || result.Owner != owner || show(result) != tc.want {
				t.Errorf("got %v, of %q\n%s\nwant of %s\n%s", err, result.Owner, show(result), owner, tc.want)
			}
		})
	}
}
