package command_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/command"
	"cloud_quota_exporter/internal/democloud"
	"cloud_quota_exporter/internal/printable"
)

// TestExhaustedWithoutLimit: DBSS only reports the remaining amount. If nothing remains, the quota counts like one at its limit, for the order, the
// exit code, and JSON, as on the status page and in the alert CloudQuotaExhausted. Muted quotas do not count.
func TestExhaustedWithoutLimit(t *testing.T) {
	p := newPeople(t, 2)
	for _, project := range p.cloud.Projects() {
		p.cloud.SetQuota(project.ID, "dbss", "cpu", 800, 800)
	}
	p.cloud.SetQuota(p.cloud.Projects()[0].ID, "dcs", "ram", 799, 800)
	q := command.Query{Services: []string{"dcs", "dbss"}, Sort: "usage", FailAbove: 1}
	mute := func(project string) string {
		return p.config(t, democloud.SecretKey, fmt.Sprintf("thresholds: {overrides: [{service: dbss, project: %q, ratios: {}}]}\n", project))
	}
	golden(t, "query-exhausted", query(t, mute(p.cloud.Projects()[1].Name), q))
	if got := query(t, mute(".*"), q); !strings.HasSuffix(got, "\n--- stderr\n--- exit code 0\n") {
		t.Errorf("a muted quota counts:\n%s", got)
	}
	q = command.Query{Services: []string{"dbss"}, Projects: []string{p.cloud.Projects()[0].Name}, Output: "json", FailAbove: 1}
	got := query(t, p.config(t, democloud.SecretKey, ""), q)
	contains(t, got, `"remaining": 0,`+"\n      "+`"ratio": 1,`, "1 of 3 quotas are at or above 1\n--- exit code 2")
}

// hostile are characters that a terminal does not display as themselves, each with its escape.
var hostile = map[string]string{
	"\x1b[2K": `\x1b[2K`, "\r": `\r`, "\n": `\n`, "\t": `\t`, "\u009b2K": `\u009b2K`, "\u202e": `\u202e`, "\u2066": `\u2066`, "\u200b": `\u200b`,
	"\u00a0": `\u00a0`, "\u3164": `\u3164`, "\x7f": `\x7f`,
}

// TestUntrustedTexts: whatever a type, a unit, or the name of a project contains, it stays in its cell, and the columns stay aligned.
func TestUntrustedTexts(t *testing.T) {
	p := newPeople(t, 3)
	config := p.config(t, democloud.SecretKey, `limits: [{resource_type: "x\e\u202e", limit: 1}]`+"\n")
	for i, name := range []string{"客户项目", "e\u0301te\u0301", "re\u202ever\u00a0se"} {
		rewrite(t, config, func(text string) string {
			return strings.Replace(text, "name: "+p.cloud.Projects()[i].Name, fmt.Sprintf("name: %q", name), 1)
		})
	}
	var resources []string
	for characters := range hostile {
		resources = append(resources, fmt.Sprintf(`{"type":%s,"unit":%[1]s,"used":1,"quota":10}`, quote("a"+characters+"b")))
	}
	body := []byte(`{"resources":[` + strings.Join(resources, ",") + `]}`)
	p.cloud.Inject(cloudtest.Fault{Service: "cts", Status: http.StatusOK, Body: body})
	p.cloud.Inject(cloudtest.Fault{Service: "ces", ProjectID: p.cloud.Projects()[2].ID, Status: http.StatusForbidden, Body: body})
	table := query(t, config, command.Query{Services: []string{"cts", "ces"}})
	for _, escaped := range hostile {
		contains(t, table, "a"+escaped+"b")
	}
	columns := -1
	for line := range strings.SplitSeq(table, "\n") {
		before, _, isRow := strings.Cut(line, " cts ")
		if !isRow || !strings.HasSuffix(line, " %") {
			continue
		}
		if n := printable.Width(before); columns >= 0 && n != columns {
			t.Errorf("a row has its service in column %d, others in column %d:\n%s", n, columns, table)
		} else {
			columns = n
		}
	}
	golden(t, "query-wide", query(t, config, command.Query{Projects: []string{"客户项目", "e\u0301te\u0301"}, Services: []string{"dcs"}}))
	checked := check(t, config, true)
	contains(t, checked, `x\x1b\u202e`, `re\u202ever\u00a0se`, "forbidden: ces in "+`re\u202ever\u00a0se`)
	unknown := query(t, config, command.Query{Projects: []string{"no\u202esuch"}})
	contains(t, unknown, `unknown --project="no\u202esuch"`, `re\u202ever\u00a0se`)
	answer := query(t, config, command.Query{Services: []string{"cts"}, Output: "json"})
	for _, text := range []string{table, checked, unknown, answer} {
		if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && (!unicode.IsPrint(r) || r == '\u3164') }); i >= 0 {
			t.Errorf("%q is not escaped in\n%s", text[i:min(len(text), i+10)], text)
		}
	}
	var quotas struct {
		Quotas []struct{ Project, Unit string }
	}
	before, _, _ := strings.Cut(answer, "--- stderr")
	if err := json.Unmarshal([]byte(before), &quotas); err != nil {
		t.Fatal(err)
	}
	for _, q := range quotas.Quotas {
		if inner := strings.TrimSuffix(strings.TrimPrefix(q.Unit, "a"), "b"); hostile[inner] == "" {
			t.Errorf("JSON has the unit %q", q.Unit)
		}
	}
}

// TestNumbersForPeople: numbers have a readable format, no number makes the table wide, and the unit "count" is omitted.
func TestNumbersForPeople(t *testing.T) {
	p := newPeople(t, 1)
	p.cloud.Inject(cloudtest.Fault{Service: "cts", Status: http.StatusOK, Body: []byte(`{"resources":[
		{"type":"minus_zero","used":-0,"quota":10},{"type":"fractions","used":0.6,"quota":0.8},{"type":"nearly","used":99999,"quota":100000},
		{"type":"huge","used":1e300,"quota":1},{"type":"tiny","used":5e-324,"quota":1e300},{"type":"one_in_a_million","used":1,"quota":1000000},
		{"type":"over","used":100001,"quota":100000},{"type":"below_a_threshold","used":94996,"quota":100000},{"type":"bytes","used":1125899906842623,"quota":1125899906842624},
		{"type":"unit_of_a_count","used":1,"quota":10,"unit":"count"}]}`)})
	config := p.config(t, democloud.SecretKey, "")
	var stdout, stderr bytes.Buffer
	q := command.Query{Once: command.Once{Timeout: time.Hour}, Services: []string{"cts"}}
	err := q.Run(t.Context(), command.Terminal{Out: &stdout, Err: &stderr, Width: 120}, config)
	golden(t, "query-numbers", transcript(&stdout, &stderr, err))
	page := serve(t, "", config, nil).get(t, "/?service=cts")
	contains(t, page, ">99.9 %<", "&gt;9999 %", "&lt;0.1 %", ">94.9 %<", ">100.1 %<", ">1e&#43;300<", ">0.2<", ">75.0 %<")
	answer := query(t, config, command.Query{Services: []string{"cts"}, Output: "json"})
	for _, odd := range []string{"-0,", "0000000000"} {
		if strings.Contains(answer, odd) || strings.Contains(page, odd) {
			t.Errorf("%q is in\n%s\n%s", odd, answer, page)
		}
	}
}

// TestThousandNames: a thousand projects can be selected by name, however long the names are. The error about an unknown one does not list all names.
func TestThousandNames(t *testing.T) {
	p := newPeople(t, 1000)
	names := url.Values{"collect[]": {"exporter"}}
	config := p.config(t, democloud.SecretKey, "")
	rewrite(t, config, func(text string) string {
		for i, project := range p.cloud.Projects() {
			name := fmt.Sprintf("%s%04d", strings.Repeat("é", 62), i) // 128 bytes
			names.Add("project[]", name)
			text = strings.Replace(text, "name: "+project.Name+"}", "name: "+name+"}", 1)
		}
		return text
	})
	r := serve(t, "", config, nil)
	if got := r.get(t, "/metrics?"+names.Encode()); !strings.HasPrefix(got, "200\n") {
		t.Errorf("%.300s", got)
	}
	for path, long := range map[string]int{"/probe?target=": 100_000, "/metrics?project[]=": 100_000, "/?project=": 3000} {
		got := r.get(t, path+strings.Repeat("n", long))
		if !strings.HasPrefix(got, "400\n") || !strings.Contains(got, "0009 and 990 more\n") || len(got) > 3000 {
			t.Errorf("%s: %d bytes: %.300s", path, len(got), got)
		}
	}
	if got := query(t, config, command.Query{Projects: []string{"nope"}}); !strings.Contains(got, "0009 and 990 more\n") || len(got) > 3000 {
		t.Errorf("%.3000s", got)
	}
}
