package providers_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/huaweicloud"
)

const partnerQuota = "/v1/" + project + "/dbss/audit/quota"

// remaining is the result of the documented example without the list of instances.
const remaining = `audit_instance "" used - limit - remaining 1 range -..-
cpu "" used - limit - remaining 796 range -..-
ram "MB" used - limit - remaining 1.622016e+06 range -..-`

// TestDBSS fetches the quotas of the documented example, and other possible responses.
func TestDBSS(t *testing.T) {
	page := func(n int, rest string) reply {
		return reply(`{"instances":[` + strings.TrimSuffix(strings.Repeat(`{"id":"x"},`, n), ",") + `]` + rest + `}`)
	}
	offset := func(n int) string { return strings.Replace(instances, "offset=0", fmt.Sprint("offset=", n), 1) }
	endless := replies{}
	for n := range 50 {
		endless[offset(n*1000)] = page(1000, "")
	}
	with := func(used int) string {
		return fmt.Sprintf("audit_instance \"\" used %d limit %d remaining 1 range -..-\ncpu", used, used+1)
	}
	for name, tc := range map[string]struct {
		replies replies
		want    string // the start of the result, or of the reason and the error
		says    string
	}{
		"none":                  {replies{instances: `{"instances":[],"total":0}`}, with(0), ""},
		"servers":               {replies{instances: `{"servers":[{}],"total":1}`}, with(1), ""},
		"servers, no total":     {replies{instances: `{"servers":[{},{}]}`}, with(2), ""},
		"total as a string":     {replies{instances: page(2, `,"total":"2"`)}, with(2), ""},
		"total beyond the page": {replies{instances: page(100, `,"total":250`)}, with(250), ""},
		"no total":              {replies{instances: page(2, "")}, with(2), ""},
		"no instances among them": {
			replies{instances: `{"instances":[{},5,null,"x",{}]}`},
			with(2) + ` "" used - limit - remaining 796 range -..-
ram "MB" used - limit - remaining 1.622016e+06 range -..-
skipped: an element of the list of audit instances is not an instance`, "",
		},
		"no instances among a total": {replies{instances: `{"instances":[{},5],"total":2}`}, with(2), ""},
		"no total, two pages":        {replies{instances: page(1000, ""), offset(1000): page(1, "")}, with(1001), ""},

		"the list is forbidden":   {replies{instances: `403 {"error_msg":"no"}`}, remaining + "\nincomplete: used and limit of audit_instance are unknown: GET ", "grant the IAM action dbss:auditInstance:list"},
		"there is no list":        {replies{instances: `404 {"error_msg":"no"}`}, remaining + "\nincomplete: used and limit of audit_instance are unknown: GET ", ""},
		"the list fails":          {replies{instances: `500 {"error_msg":"no"}`}, "server_error", ""},
		"the list requires a key": {replies{instances: `401 {"error_msg":"no"}`}, "unauthorized", ""},
		"the list is throttled":   {replies{instances: `429 {"error_msg":"no"}`}, "throttled", ""},
		"no list in it":           {replies{instances: `{}`}, "malformed", "it has no list of audit instances"},
		"no JSON":                 {replies{instances: `<html>`}, "malformed", ""},
		"less than are listed":    {replies{instances: page(1, `,"total":0`)}, "malformed", "total is 0, but 1 audit instances are listed"},
		"a total of words":        {replies{instances: page(0, `,"total":"x"`)}, "malformed", `total is "\"x\""`},
		"a negative total":        {replies{instances: page(0, `,"total":-1`)}, "malformed", "total is -1"},
		"an object for the list":  {replies{instances: `{"instances":{"id":"single"}}`}, "malformed", ""},
		"a list without end":      {endless, "malformed", "has more than 50000 elements"},

		"a partner cloud": {replies{paths["dbss"]: `404 {"error_code":"APIGW.0101"}`, partnerQuota: document(t, "dbss"), instances: "404 {}"}, remaining, ""},
		"neither path": { // the error is that of the documented one
			replies{paths["dbss"]: `404 {"error_msg":"first"}`, partnerQuota: `404 {"error_msg":"second"}`}, "not_found", "first",
		},
		"a partner cloud that rejects requests": {replies{paths["dbss"]: `404 {}`, partnerQuota: `403 {"error_msg":"second"}`}, "forbidden", "second"},

		"some":              {replies{paths["dbss"]: `{"cpu":796}`}, `cpu "" used - limit - remaining 796 range -..-`, ""},
		"null and a string": {replies{paths["dbss"]: `{"audit_quota":null,"ram":"5"}`}, `ram "MB" used - limit - remaining 5 range -..-`, ""},
		"mistakes": {replies{paths["dbss"]: `{"audit_quota":"x","cpu":0,"ram":-1}`}, `cpu "" used - limit - remaining 0 range -..-
skipped: audit_quota is "\"x\"", expected a number
skipped: ram is -1, but negative values are not documented`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			all := replies{paths["dbss"]: document(t, "dbss")}
			maps.Copy(all, tc.replies)
			result, err := ask(t, "dbss", all)
			got := show(result)
			if err != nil {
				got = huaweicloud.Reason(err) + got + ": " + err.Error()
			}
			if !strings.HasPrefix(got, tc.want) || !strings.Contains(got, tc.says) {
				t.Errorf("got\n%s\nwant\n%s\nand %s", got, tc.want, tc.says)
			}
		})
	}
}

// TestDBSSConfigured: without the list it is not requested. A configured path is used, even if another one would also respond.
func TestDBSSConfigured(t *testing.T) {
	result, err := ask(t, "dbss", replies{paths["dbss"]: document(t, "dbss")},
		func(_ *huaweicloud.Client, options map[string]bool) { options["list_instances"] = false })
	if err != nil || show(result) != remaining {
		t.Errorf("got %v\n%s\nwant\n%s", err, show(result), remaining)
	}
	_, err = ask(t, "dbss", replies{"/own": `404 {}`, partnerQuota: document(t, "dbss")}, func(c *huaweicloud.Client, _ map[string]bool) { c.QuotaPath = "/own" })
	if huaweicloud.Reason(err) != "not_found" {
		t.Errorf("got %v", err)
	}
}
