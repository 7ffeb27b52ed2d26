package providers_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestVariants(t *testing.T) {
	for _, tc := range []struct{ name, service, resources, want string }{
		{"strings", "taurusdb", `{"type":"instance","used":"4","quota":"50","mode":"cluster"}`, `instance "" used 4 limit 50 remaining - range -..-`},
		{"no limit as a string", "taurusdb", `{"type":"instance,","used":"4,","quota":"-1,"}`, `instance "" used 4 limit +Inf remaining - range -..-`},
		{"commas and blanks", "taurusdb", `{"type":"instance, ","used":"4 ,","quota":"50 , "}`, `instance "" used 4 limit 50 remaining - range -..-`},
		{"the table's plural", "dcs", `{"type":"instances","used":3,"quota":10}`, `instance "" used 3 limit 10 remaining - range -..-`},
		{
			"the plural beside the singular", "dcs", `{"type":"instances","used":3,"quota":10},{"type":"instance","used":4,"quota":10}`,
			"instance \"\" used 3 limit 10 remaining - range -..-\nskipped: resource 2 of 2: duplicate type \"instance\"",
		},
		{"a duplicate key, the last of which counts", "ces", `{"type":"alarm","used":"x","used":3,"quota":10}`, `alarm "" used 3 limit 10 remaining - range -..-`},
		{"unit null", "dcs", `{"type":"instance","used":3,"quota":10,"unit":null}`, `instance "" used 3 limit 10 remaining - range -..-`},
		{"unit of another kind", "ces", `{"type":"alarm","used":3,"quota":10,"unit":5}`, `alarm "" used 3 limit 10 remaining - range -..-`},
		{"unit that is not UTF-8", "ces", `{"type":"alarm","used":3,"quota":10,"unit":"G` + "\xff" + `"}`, `alarm "" used 3 limit 10 remaining - range -..-`},
		{"unit too long", "ces", `{"type":"alarm","used":3,"quota":10,"unit":"` + strings.Repeat("G", 33) + `"}`, `alarm "" used 3 limit 10 remaining - range -..-`},
		{"an invalid range only costs the range", "dcs", `{"type":"ram","used":3,"quota":10,"min":"low","max":800}`, `ram "" used 3 limit 10 remaining - range -..800`},
		{"a negative range", "dcs", `{"type":"ram","used":3,"quota":10,"min":1,"max":-1}`, `ram "" used 3 limit 10 remaining - range 1..-`},
		{"a range of -1", "dcs", `{"type":"ram","used":3,"quota":10,"min":-1,"max":-1}`, `ram "" used 3 limit 10 remaining - range -..-`},
		{"a field's name with escapes", "ces", `{"typ\u0065":"alarm","\u0075sed":3,"quota":10}`, `alarm "" used 3 limit 10 remaining - range -..-`},
		{"quota alone", "cts", `{"type":"data_tracker","used":null,"quota":100}`, `data_tracker "" used - limit 100 remaining - range -..-`},
		{"texts with escapes", "ces", `{"type":"al\u0061rm","used":"\u0033","quota":"1\u0030,","unit":"G\u0042"}`, `alarm "GB" used 3 limit 10 remaining - range -..-`},
		{"fractions", "dcs", `{"type":"ram","used":2.25e1,"quota":"800.5","unit":"GB"}`, `ram "GB" used 22.5 limit 800.5 remaining - range -..-`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			result, err := ask(t, tc.service, replies{paths[tc.service]: common(tc.service, tc.resources)})
			if err != nil || show(result) != tc.want {
				t.Errorf("got %v\n%s\nwant\n%s", err, show(result), tc.want)
			}
		})
	}
}

// TestInvalidResourceIsSkipped puts an invalid resource before and after a valid one, in every service of the common shape.
func TestInvalidResourceIsSkipped(t *testing.T) {
	const good = `{"type":"good","used":1,"quota":2}`
	for _, tc := range []struct{ name, bad, says string }{
		{"no type", `{"used":1,"quota":2}`, "it has no type"},
		{"an empty type", `{"type":"","used":1,"quota":2}`, "it has no type"},
		{"a type that is not a string", `{"type":7,"used":1,"quota":2}`, "it has no type"},
		{"a type that is not UTF-8", `{"type":"a` + "\xff" + `","used":1,"quota":2}`, "is not valid UTF-8"},
		{"half a surrogate", `{"type":"a\ud800","used":1,"quota":2}`, "is not valid UTF-8"},
		{"a type without end", `{"type":"` + strings.Repeat("x", 257) + `","used":1,"quota":2}`, "longer than 256 bytes"},
		{"null", `null`, "it has no type"},
		{"words", `{"type":"bad","used":"many","quota":2}`, `type "bad": used is "\"many\"", expected a number`},
		{"an empty string", `{"type":"bad","used":"","quota":2}`, "expected a number"},
		{"NaN", `{"type":"bad","used":1,"quota":"NaN"}`, "expected a number"},
		{"infinity", `{"type":"bad","used":1,"quota":"Infinity"}`, "expected a number"},
		{"hexadecimal", `{"type":"bad","used":1,"quota":"0x10"}`, "expected a number"},
		{"an underscore", `{"type":"bad","used":1,"quota":"1_0"}`, "expected a number"},
		{"too large", `{"type":"bad","used":1,"quota":1e400}`, "expected a number"},
		{"beyond any sum", `{"type":"bad","used":1,"quota":1e301}`, "quota is 1e+301, expected a number that can be summed"},
		{"true", `{"type":"bad","used":true,"quota":2}`, "expected a number"},
		{"an object", `{"type":"bad","used":{},"quota":2}`, "expected a number"},
		{"negative use", `{"type":"bad","used":-1,"quota":2}`, "used is -1, but negative values are not documented"},
		{"negative limit", `{"type":"bad","used":1,"quota":-2}`, "quota is -2, but negative values"},
		{"nothing reported", `{"type":"bad"}`, "neither used nor quota is reported"},
		{"the same type twice", good, `type "good"`},
	} {
		for _, service := range []string{"cts", "ces", "taurusdb", "dcs"} {
			for _, list := range []string{tc.bad + "," + good, good + "," + tc.bad} {
				result, err := ask(t, service, replies{paths[service]: common(service, list)})
				if err != nil || len(result.Quotas) != 1 || result.Quotas[0].ResourceType != "good" || *result.Quotas[0].Used != 1 {
					t.Errorf("%s, %s: got %v\n%s\nwant the good resource", tc.name, service, err, show(result))
					continue
				}
				if result.Skipped.Count != 1 || !strings.Contains(result.Skipped.String(), tc.says) {
					t.Errorf("%s, %s: skipped %v, want one with %q", tc.name, service, result.Skipped, tc.says)
				}
			}
		}
	}
}

// TestTooManyResources: the first 200 are used, and a few reasons are reported for the others.
func TestTooManyResources(t *testing.T) {
	var list []string
	for i := range 10_000 {
		list = append(list, fmt.Sprintf(`{"type":"t%d","used":1,"quota":2}`, i))
	}
	list = append(list, strings.Split(strings.Repeat("{},", 90_000)+"{}", ",")...)
	result, err := ask(t, "cts", replies{paths["cts"]: common("cts", strings.Join(list, ","))})
	reasons := result.Skipped.String()
	if err != nil || len(result.Quotas) != 200 || result.Skipped.Count != 99_801 || result.Quotas[199].ResourceType != "t199" ||
		strings.Count(reasons, "more than 200 resources") != 10 || !strings.HasSuffix(reasons, "and 99791 more") {
		t.Errorf("got %v, %d quotas and %d skipped:\n%s", err, len(result.Quotas), result.Skipped.Count, reasons)
	}
}
