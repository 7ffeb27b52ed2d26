package providers_test

import (
	"fmt"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/huaweicloud"
)

const partnerQuota = "/v1/" + project + "/dbss/audit/quota"

// remaining is what the document's example says without the list of instances.
const remaining = `audit_instance "" used - limit - remaining 1 range -..-
cpu "" used - limit - remaining 796 range -..-
ram "MB" used - limit - remaining 1.622016e+06 range -..-`

func TestDBSSInstances(t *testing.T) {
	page := func(n int) string { return strings.TrimSuffix(strings.Repeat(`{"id":"x"},`, n), ",") }
	second := strings.Replace(instances, "offset=0", "offset=1000", 1)
	for _, tc := range []struct {
		name    string
		replies map[string]reply
		first   string // line of audit_instance
	}{
		{"none", map[string]reply{instances: `{"instances":[],"total":0}`}, `audit_instance "" used 0 limit 1 remaining 1 range -..-`},
		{"servers", map[string]reply{instances: `{"servers":[{}],"total":1}`}, `audit_instance "" used 1 limit 2 remaining 1 range -..-`},
		{"servers, no total", map[string]reply{instances: `{"servers":[{},{}]}`}, `audit_instance "" used 2 limit 3 remaining 1 range -..-`},
		{"total as a string", map[string]reply{instances: `{"instances":[{},{}],"total":"2"}`}, `audit_instance "" used 2 limit 3 remaining 1 range -..-`},
		{"total beyond the page", map[string]reply{instances: reply(`{"instances":[` + page(100) + `],"total":250}`)}, `audit_instance "" used 250 limit 251 remaining 1 range -..-`},
		{"no total", map[string]reply{instances: `{"instances":[{},{}]}`}, `audit_instance "" used 2 limit 3 remaining 1 range -..-`},
		{
			"no total, two pages",
			map[string]reply{instances: reply(`{"instances":[` + page(1000) + `]}`), second: `{"instances":[{}]}`},
			`audit_instance "" used 1001 limit 1002 remaining 1 range -..-`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.replies[paths["dbss"]] = document(t, "dbss")
			result, err := ask(t, "dbss", tc.replies)
			if first, _, _ := strings.Cut(show(result), "\n"); err != nil || first != tc.first {
				t.Errorf("got %v\n%s\nwant\n%s", err, first, tc.first)
			}
		})
	}
}

func TestDBSSListRefusedLeavesWhatRemains(t *testing.T) {
	for _, status := range []string{"403", "404"} {
		result, err := ask(t, "dbss", map[string]reply{paths["dbss"]: document(t, "dbss"), instances: reply(status + ` {"error_msg":"no"}`)})
		if err != nil || !strings.HasPrefix(show(result), remaining+"\nincomplete: used and limit of audit_instance are not known: GET ") {
			t.Errorf("%s: got %v\n%s\nwant\n%s", status, err, show(result), remaining)
		}
		if told := result.Incomplete.Error(); status == "403" && !strings.Contains(told, "grant the IAM action dbss:auditInstance:list") {
			t.Errorf("it says %s", told)
		}
		if result.Skipped.Count != 0 {
			t.Errorf("%s: skipped %v, want nothing: the resource is there", status, result.Skipped)
		}
	}
}

func TestDBSSOtherErrorsOfTheListFailTheFetch(t *testing.T) {
	for answer, reason := range map[reply]string{
		`500 {"error_msg":"no"}`:        "server_error",
		`401 {"error_msg":"no"}`:        "unauthorized",
		`429 {"error_msg":"no"}`:        "throttled",
		`{}`:                            "malformed",
		`<html>`:                        "malformed",
		`{"instances":[{}],"total":0}`:  "malformed",
		`{"instances":[],"total":"x"}`:  "malformed",
		`{"instances":[],"total":-1}`:   "malformed",
		`{"instances":{"id":"single"}}`: "malformed",
	} {
		result, err := ask(t, "dbss", map[string]reply{paths["dbss"]: document(t, "dbss"), instances: answer})
		if err == nil || huaweicloud.Reason(err) != reason || len(result.Quotas) != 0 {
			t.Errorf("%s: got %v\n%s\nwant %s", answer, err, show(result), reason)
		}
	}
}

func TestDBSSListWithoutEnd(t *testing.T) {
	replies := map[string]reply{paths["dbss"]: document(t, "dbss")}
	full := reply(`{"instances":[` + strings.TrimSuffix(strings.Repeat(`1,`, 1000), ",") + `]}`)
	for page := range 50 {
		replies[strings.Replace(instances, "offset=0", fmt.Sprintf("offset=%d", page*1000), 1)] = full
	}
	_, err := ask(t, "dbss", replies)
	if huaweicloud.Reason(err) != "malformed" || !strings.Contains(err.Error(), "goes on after 50000") {
		t.Errorf("got %v", err)
	}
}

func TestDBSSWithoutTheList(t *testing.T) {
	result, err := ask(t, "dbss", map[string]reply{paths["dbss"]: document(t, "dbss")},
		func(_ *huaweicloud.Client, options map[string]bool) { options["list_instances"] = false })
	if err != nil || show(result) != remaining {
		t.Errorf("got %v\n%s\nwant\n%s", err, show(result), remaining)
	}
}

func TestDBSSPartnerCloud(t *testing.T) {
	result, err := ask(t, "dbss", map[string]reply{
		paths["dbss"]: `404 {"error_code":"APIGW.0101"}`, partnerQuota: document(t, "dbss"), instances: "404 {}",
	})
	if err != nil || !strings.HasPrefix(show(result), remaining) {
		t.Errorf("got %v\n%s\nwant\n%s", err, show(result), remaining)
	}
	// Neither path: the error is that of the documented one.
	_, err = ask(t, "dbss", map[string]reply{paths["dbss"]: `404 {"error_msg":"first"}`, partnerQuota: `404 {"error_msg":"second"}`})
	if huaweicloud.Reason(err) != "not_found" || !strings.Contains(err.Error(), "first") {
		t.Errorf("got %v", err)
	}
	_, err = ask(t, "dbss", map[string]reply{paths["dbss"]: `404 {}`, partnerQuota: `403 {"error_msg":"second"}`})
	if huaweicloud.Reason(err) != "forbidden" {
		t.Errorf("got %v", err)
	}
}

// TestDBSSConfiguredPathIsTheOnlyOne: who states a path wants that, not another one that happens to answer.
func TestDBSSConfiguredPathIsTheOnlyOne(t *testing.T) {
	_, err := ask(t, "dbss", map[string]reply{"/own": `404 {}`}, func(c *huaweicloud.Client, _ map[string]bool) { c.QuotaPath = "/own" })
	if huaweicloud.Reason(err) != "not_found" {
		t.Errorf("got %v", err)
	}
}

func TestDBSSParts(t *testing.T) {
	for body, want := range map[reply]string{
		`{"cpu":796}`: `cpu "" used - limit - remaining 796 range -..-`,
		`{"audit_quota":"x","cpu":0,"ram":-1}`: `cpu "" used - limit - remaining 0 range -..-
skipped: audit_quota is "\"x\"", want a number
skipped: ram is -1, and the document gives negative numbers no meaning`,
		`{"audit_quota":null,"ram":"5"}`: `ram "MB" used - limit - remaining 5 range -..-`,
	} {
		result, err := ask(t, "dbss", map[string]reply{paths["dbss"]: body})
		if err != nil || show(result) != want {
			t.Errorf("%s: got %v\n%s\nwant\n%s", body, err, show(result), want)
		}
	}
}
