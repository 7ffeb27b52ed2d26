package providers_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/config/strictyaml"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/providers"
)

// read parses a description like the configuration.
func read(description string) (*providers.API, error) {
	found := strictyaml.NewProblems("c.yml")
	a := providers.ReadAPI(strictyaml.Parse([]byte(description), found), "host")
	return a, found.Err()
}

func api(t testing.TB, description string) *providers.API {
	t.Helper()
	a, err := read(description)
	if err != nil {
		t.Fatalf("%s: %v", description, err)
	}
	return a
}

// TestShapes shows each form of a description. A body that starts with a name is that example of testdata/answers.
func TestShapes(t *testing.T) {
	for _, tc := range []struct{ name, api, body, want string }{
		{"top level list", `{path: /a, list: ""}`, `[{"type":"a","used":1,"quota":2}]`, `a "" used 1 limit 2 remaining - range -..-`},
		{"list of one object", `{path: /a}`, `{"quotas":{"resources":{"type":"a","used":1,"quota":2}}}`, `a "" used 1 limit 2 remaining - range -..-`},
		{"constant type", `{path: /a, list: quota, type: instance}`, `{"quota":{"used":1,"quota":2}}`, `instance "" used 1 limit 2 remaining - range -..-`},
		{"the first list that exists", `{path: /a, list: [quotas.resources, quotas], type: "{quotaKey}", limit: quotaLimit}`, "cce", `cluster "count" used 13 limit 20 remaining - range -..-`},
		{
			"the first list, deeper", `{path: /a, list: [quotas.resources, quotas], type: "{quotaKey}", limit: quotaLimit}`,
			`{"quotas":{"resources":[{"quotaKey":"cluster","used":1,"quotaLimit":5}]}}`, `cluster "" used 1 limit 5 remaining - range -..-`,
		},
		{
			"names of fields", `{path: /a, type: "{k}", used: n.u, limit: n.l, remaining: n.r, unit: n.unit, min: lo, max: hi}`,
			`{"quotas":{"resources":[{"k":"a","n":{"u":1,"l":"7","r":6,"unit":"GB"},"lo":0,"hi":9}]}}`, `a "GB" used 1 limit 7 remaining 6 range 0..9`,
		},
		{"no used", `{path: /a, used: ""}`, `{"quotas":{"resources":[{"type":"a","used":"x","quota":2}]}}`, `a "" used - limit 2 remaining - range -..-`},
		{
			"only what remains", `{path: /a, used: "", limit: "", remaining: available}`, `{"quotas":{"resources":[{"type":"a","available":5},{"type":"b"}]}}`,
			"a \"\" used - limit - remaining 5 range -..-\nskipped: resource 2 of 2: type \"b\": available is not reported",
		},
		{
			"three numbers, none reported", `{path: /a, remaining: left}`, `{"quotas":{"resources":[{"type":"a","used":1},{"type":"b"}]}}`,
			"a \"\" used 1 limit - remaining - range -..-\nskipped: resource 2 of 2: type \"b\": none of used, quota, left is reported",
		},
		{
			"map", `{path: /a, list: quota_set, type: "{key}", used: in_use, limit: limit, no_limit: -1, skip: ".*_S.*", units: {"(backup_)?gigabytes.*": GiB}}`, "evs",
			`backup_gigabytes "GiB" used 51 limit 5120 remaining - range -..-
backups "" used 10 limit 100 remaining - range -..-
gigabytes "GiB" used 2792 limit 42790 remaining - range -..-
snapshots "" used 6 limit 10 remaining - range -..-
volumes "" used 108 limit +Inf remaining - range -..-`,
		},
		{
			"a bad member of a map", `{path: /a, list: "", type: "{key}"}`, `{"id":"x","a":{"used":"x"},"b":{"used":1},"c":null}`,
			"b \"\" used 1 limit - remaining - range -..-\nskipped: resource 2 of 4: type \"a\": used is \"\\\"x\\\"\", expected a number",
		},
		{"escaped keys of a map", `{path: /a, list: "", type: "{key}"}`, `{"\u0061":{"used":1}}`, `a "" used 1 limit - remaining - range -..-`},
		{
			"pairs", `{path: /a, list: absolute, no_limit: -1, pairs: [
			{type: cores, limit: maxTotalCores, used: totalCoresUsed}, {type: ram, limit: maxTotalRAMSize, used: totalRAMUsed, unit: MB},
			{type: key_pairs, limit: maxTotalKeypairs}, {type: absent, used: x, limit: y}]}`, "ecs",
			`cores "" used 40 limit 20480 remaining - range -..-
ram "MB" used 75776 limit 2.5165824e+07 remaining - range -..-
key_pairs "" used - limit +Inf remaining - range -..-`,
		},
		{
			"a bad pair", `{path: /a, list: "", pairs: [{type: a, used: ua, limit: la}, {type: b, limit: lb}]}`, `{"ua":1,"la":2,"lb":"x"}`,
			"a \"\" used 1 limit 2 remaining - range -..-\nskipped: lb is \"\\\"x\\\"\", expected a number",
		},
		{
			"pairs in a list", `{path: /a, list: q, type: "{site}_{key}", pairs: [{type: ram, used: used.ram, limit: quota.ram}]}`,
			`{"q":[{"site":"x","quota":{"ram":5},"used":{"ram":1}},{"site":"y","quota":{"ram":6}}]}`,
			"x_ram \"\" used 1 limit 5 remaining - range -..-\ny_ram \"\" used - limit 6 remaining - range -..-",
		},
		{
			"template", `{path: /a, type: "{type}_{mode}"}`, "dds",
			`instance_Sharding "" used 6 limit 80 remaining - range -..-
instance_ReplicaSet "" used 9 limit 80 remaining - range -..-
instance_Single "" used 5 limit 1000 remaining - range -..-`,
		},
		{
			"template with a field missing", `{path: /a, type: "{type}_{mode}"}`, `{"quotas":{"resources":[{"type":"i","used":2},{"mode":"m","used":2}]}}`,
			"i \"\" used 2 limit - remaining - range -..-\nskipped: resource 2 of 2: it has no type ({type}_{mode})",
		},
		{
			"template with a number", `{path: /a, type: "{type}_{n}"}`,
			`{"quotas":{"resources":[{"type":"a","n":1,"used":1},{"type":"a","n":2,"used":3},{"type":"a","n":true,"used":4},{"type":5,"n":2,"used":5}]}}`,
			"a_1 \"\" used 1 limit - remaining - range -..-\na_2 \"\" used 3 limit - remaining - range -..-\n" +
				"skipped: resource 3 of 4: it has no type ({type}_{n})\nskipped: resource 4 of 4: it has no type ({type}_{n})",
		},
		{
			"no limit and nothing that remains", `{path: /a, no_limit: -1, remaining: left}`,
			`{"quotas":{"resources":[{"type":"a","used":1,"quota":-1,"left":-1}]}}`, `a "" used 1 limit +Inf remaining - range -..-`,
		},
		{
			"elements that are not objects", `{path: /a, list: "", pairs: [{type: a, used: u, limit: l}]}`, `[null,5,[],{},{"u":1,"l":2}]`,
			"a \"\" used 1 limit 2 remaining - range -..-\nskipped: resource 1 of 5: it is not a resource\nskipped: resource 2 of 5: it is not a resource\n" +
				"skipped: resource 3 of 5: it is not a resource\nskipped: resource 4 of 5: no value is reported",
		},
		{
			"members that are not objects", `{path: /a, list: "", type: "{key}"}`, `{"a":[{"used":1}],"b":null,"c":5,"":{"used":2,"key":"k"},"d":{"used":1}}`,
			"d \"\" used 1 limit - remaining - range -..-\nskipped: resource 1 of 5: it is not a resource\nskipped: resource 4 of 5: it is not a resource",
		},
		{
			"skip hides no resource without a type", `{path: /a, skip: "a|b|"}`, `{"quotas":{"resources":[{"type":"c","used":1},{"used":5},{"type":"a"}]}}`,
			"c \"\" used 1 limit - remaining - range -..-\nskipped: resource 2 of 3: it has no type",
		},
		{"not reported", `{path: /a, unknown: -1}`, `{"quotas":{"resources":[{"type":"i","used":-1,"quota":5,"max":-1}]}}`, `i "" used - limit 5 remaining - range -..-`},
		{"zero is no limit", `{path: /a, no_limit: 0}`, `{"quotas":{"resources":[{"type":"i","used":0,"quota":0}]}}`, `i "" used 0 limit +Inf remaining - range -..-`},
		{"no limit and not reported", `{path: /a, no_limit: -1, unknown: -1}`, `{"quotas":{"resources":[{"type":"i","used":-1,"quota":-1}]}}`, `i "" used - limit +Inf remaining - range -..-`},
		{"skipped types do not count", `{path: /a, skip: "x.*|y"}`, `{"quotas":{"resources":[{"type":"x1"},{"type":"y","used":"?"},{"type":"yy","used":1}]}}`, `yy "" used 1 limit - remaining - range -..-`},
		{
			"renamed", `{path: /a, rename: {as: a, b: c}}`, `{"quotas":{"resources":[{"type":"as,","used":1},{"type":"b","used":2}]}}`,
			"a \"\" used 1 limit - remaining - range -..-\nc \"\" used 2 limit - remaining - range -..-",
		},
		{
			"units in their order", `{path: /a, units: {"a.*": GB, "ab": MB}}`, `{"quotas":{"resources":[{"type":"ab","used":1},{"type":"ac","used":1,"unit":"KB"},{"type":"ad","used":1,"unit":"null"}]}}`,
			"ab \"GB\" used 1 limit - remaining - range -..-\nac \"KB\" used 1 limit - remaining - range -..-\nad \"GB\" used 1 limit - remaining - range -..-",
		},
		{"nothing there", `{path: /a}`, `{"quota":{}}`, `neither a list nor an object found (tried list quotas.resources, type {type}, fields used, quota) (begins with: {"quota":{}}); check endpoints`},
		{"none of several lists", `{path: /a, list: [a.b, ""], remaining: left}`, `5`, "neither a list nor an object found (tried list a.b or the top level, type {type}, fields used, quota, left)"},
		{"an empty list", `{path: /a}`, `{"quotas":{"resources":[]}}`, "the list is empty (tried list quotas.resources, type {type}"},
		{"an empty map", `{path: /a, list: q, type: "{key}"}`, `{"q":{}}`, "the object is empty (tried list q, type {key}"},
		{"a map of other things", `{path: /a, list: q, type: "{key}"}`, `{"q":{"id":"x"}}`, " no resource in the object (tried list q, type {key}"},
		{"a type of another name", `{path: /a, type: "{quota_key}"}`, `{"quotas":{"resources":[{"type":"a"}]}}`, "resource 1 of 1: it has no type ({quota_key}) (tried list quotas.resources, type {quota_key}, fields used, quota)"},
		{"numbers of other names", `{path: /a, limit: hard, remaining: left}`, `{"quotas":{"resources":[{"type":"a","quota":5}]}}`, `resource 1 of 1: type "a": none of used, hard, left is reported (tried list`},
		{"no field of any pair", `{path: /a, list: "", pairs: [{type: a, used: b, limit: c}, {type: d, limit: e}]}`, `{"B":1}`, "no value is reported (tried list the top level, fields b, c, e)"},
		{"nothing but what is skipped", `{path: /a, skip: "[a-z]"}`, `{"quotas":{"resources":[{"type":"a","quota":5}]}}`, "skip matches all 1 resources (tried list"},
		{"more pairs than can be shown", manyPairs(), `{"x":1}`, "no value is reported (tried list the top level, fields f1, f2, f3,"},

		{"a list of one object on the way", `{path: /a, used: n.u}`, `{"quotas":[{"resources":[{"type":"a","n":[{"u":1}],"quota":2}]}]}`, `a "" used 1 limit 2 remaining - range -..-`},
		{"a list of two objects on the way", `{path: /a}`, `{"quotas":[{"resources":[{"type":"a","used":1}]},{}]}`, "neither a list nor an object found (tried"},
		{"a separator of thousands", `{path: /a}`, `{"quotas":{"resources":[{"type":"a","used":"1,000"},{"type":"b","used":1}]}}`, "b \"\" used 1 limit - remaining - range -..-\nskipped: resource 1 of 2: type \"a\": used is \"\\\"1,000\\\"\", expected a number"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			body := []byte(tc.body)
			if file, err := os.ReadFile("testdata/answers/" + tc.body + ".json"); err == nil {
				body = file
			}
			result, err := api(t, tc.api).Decode(&huaweicloud.Answer{Body: body})
			got := show(result)
			if huaweicloud.Reason(err) == huaweicloud.ReasonMalformed && got == "" && strings.Contains(err.Error(), "quotas in it: "+tc.want) {
				if len(err.Error()) > 2000 {
					t.Errorf("%d bytes of text: %s", len(err.Error()), err)
				}
				return // nothing was found; the error lists what was tried
			}
			if err != nil || got != tc.want {
				t.Errorf("got %v\n%s\nwant\n%s", err, got, tc.want)
			}
		})
	}
}

// manyPairs describes an API with many pairs.
func manyPairs() string {
	var pairs []string
	for i := range 300 {
		pairs = append(pairs, fmt.Sprintf("{type: t%d, used: f%d}", i, i+1))
	}
	return `{path: /a, list: "", pairs: [` + strings.Join(pairs, ", ") + `]}`
}

// TestDescriptionMistakes: mistakes in a description are detected when it is read. The errors show no value of it.
func TestDescriptionMistakes(t *testing.T) {
	for description, says := range map[string]string{
		`{}`:                                                                    "path: missing",
		`{path: SECRET}`:                                                        "path: does not start with one slash",
		`{path: "https://SECRET/quotas"}`:                                       "path: does not start with one slash",
		`{path: "//SECRET/quotas"}`:                                             "path: does not start with one slash",
		`{path: "/{SECRET}/quotas"}`:                                            "path: a path with an unknown placeholder",
		`{path: "/SECRET%zz"}`:                                                  "path: has a character that is not allowed in URLs",
		`{path: "/{domain_id}/SECRET"}`:                                         "path: a path with {domain_id}; set level: account",
		`{path: "/{project_id}/SECRET", level: account}`:                        "path: a path with {project_id}; set level: project",
		`{path: /a, level: SECRET}`:                                             "level: invalid format; expected project or account",
		`{path: /a, host: SECRET_}`:                                             "host: invalid format; expected the first label",
		`{path: /a, host: "https://SECRET.example.com"}`:                        "host: a URL; expected only the host (requests use https unless endpoints has another URL)",
		`{path: /a, host: "SECRET@db.example.com"}`:                             "host: a host with a user; expected only the host",
		`{path: /a, host: db.example.com/SECRET}`:                               "host: a host with a path; expected only the host, with the path in path",
		`{path: /a, host: "db.example.com?SECRET"}`:                             "host: a host with a path",
		`{path: /a, host: SECRET.example.com}`:                                  "host: has upper-case letters; expected the host in lower case",
		`{path: /a, host: "db.example.com:SECRET"}`:                             "host: invalid format",
		`{path: /a, host: "db.example.com:"}`:                                   "host: invalid format",
		`{path: /a, host: "db.example.com:0"}`:                                  "host: has a port out of range; expected 1 to 65535",
		`{path: /a, host: "db.example.com:65536"}`:                              "host: has a port out of range",
		`{path: /a, host: ":8443"}`:                                             "host: invalid format",
		`{path: /a, host: "{cloud}.example.com"}`:                               "host: invalid format",
		`{path: /a, host: {default: a, eu-de: "b:99999"}}`:                      "host.eu-de: has a port out of range",
		`{path: /a, host: {eu-de: x}}`:                                          "host: has no default",
		`{path: /a, host: {SECRET: x, default: y}}`:                             "host: a key that is not a region",
		`{path: /a, list: SECRET..x}`:                                           "list: invalid format; expected the name of a field",
		`{path: /a, list: [a, "SECRET[0]*"]}`:                                   "list[1]: invalid format",
		`{path: /a, list: []}`:                                                  "list: is empty",
		`{path: /a, type: ""}`:                                                  "type: is empty",
		`{path: /a, type: "{SECRET"}`:                                           "type: invalid format; expected names of fields in braces",
		`{path: /a, type: "{}"}`:                                                "type: invalid format; expected names of fields in braces",
		`{path: /a, used: "", limit: ""}`:                                       "used, limit, and remaining are all empty",
		`{path: /a, used: quota, limit: quota}`:                                 "limit: has the same field as used",
		`{path: /a, used: quota}`:                                               "used: has the same field as limit",
		`{path: /a, remaining: unit}`:                                           "remaining: has the same field as unit",
		`{path: /a, limit: "{SECRET}"}`:                                         "limit: invalid format; expected the name of a field",
		`{path: /a, skip: "(SECRET"}`:                                           "skip: not a regular expression (missing closing )",
		`{path: /a, skip: ".*"}`:                                                "skip: matches every type",
		`{path: /a, skip: "SECRET)|(?:x"}`:                                      "skip: not a regular expression (unexpected )",
		`{path: /a, units: {"a": ""}}`:                                          "units: is empty",
		`{path: /a, units: {"(SECRET": GB}}`:                                    "units: not a regular expression (missing closing )",
		`{path: /a, rename: {SECRET: ""}}`:                                      "rename: is empty",
		`{path: /a, no_limit: .inf}`:                                            "no_limit: not a number, or out of range",
		`{path: /a, unknown: SECRET}`:                                           "unknown: not a number, or out of range",
		`{path: /a, action: SECRET}`:                                            "action: invalid format; expected an IAM action",
		`{path: /a, action: {SECRET: a}}`:                                       "action: an unknown key",
		`{path: /a, pairs: []}`:                                                 "pairs: is empty",
		`{path: /a, pairs: [{used: a}]}`:                                        "pairs[0].type: missing",
		`{path: /a, pairs: [{type: a, used: b, limit: b}]}`:                     "pairs[0].limit: has the same field as used",
		`{path: /a, pairs: [{type: "a,", used: b}]}`:                            "pairs[0].type: invalid format; expected a resource type",
		`{path: /a, type: "SECRET,"}`:                                           "type: invalid format; expected a resource type",
		`{path: /a, type: "{a..b}"}`:                                            "type: invalid format; expected names of fields in braces",
		`{path: "/a?x=%zz"}`:                                                    "path: has a character that is not allowed in URLs",
		`{path: /a, pairs: [{type: a}]}`:                                        "pairs[0]: has none of used, limit, and remaining",
		`{path: /a, pairs: [{type: SECRET, used: b}, {type: SECRET, used: c}]}`: "pairs[1].type: the same type as pairs[0].type in line 1",
		`{path: /a, pairs: [{type: a, limit: "SECRET*"}]}`:                      "pairs[0].limit: invalid format",
		`{path: /a, limit: SECRET, pairs: [{type: a, used: b}]}`:                "limit: has no effect with pairs",
		`{path: /a, type: "{SECRET}", pairs: [{type: a, used: b}]}`:             "type: has no effect with pairs",
	} {
		_, err := read(description)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: got %v, want %q", description, err, says)
		}
	}
}
