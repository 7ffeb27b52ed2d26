package web_test

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/printable"
)

// follow returns the page of a link.
func (s *site) follow(t *testing.T, page *httptest.ResponseRecorder, text string) *httptest.ResponseRecorder {
	t.Helper()
	m := regexp.MustCompile(`<a href="([^"]*)">` + regexp.QuoteMeta(text) + `</a>`).FindStringSubmatch(page.Body.String())
	if m == nil {
		t.Fatalf("no link %q in\n%s", text, page.Body)
	}
	path, _, _ := strings.Cut(html.UnescapeString(m[1]), "#")
	return s.get(t, "/"+path)
}

// TestPagesOfQuotas: each quota is on exactly one page, those with the highest utilization on the first, and links keep the filters.
func TestPagesOfQuotas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.Scale(150) // 1,350 quotas, 1,200 of these three services
		s := newSite(t, cloud, scaleConfig(cloud)+"services: {ces: {enabled: false}}")
		s.Scrape(t, time.Minute)
		const filter = "/?service=cts&service=dcs&service=dbss&filter=p0"
		var all []string
		for page := s.get(t, filter); ; page = s.follow(t, page, "Next") {
			says(t, page, "1,050 quotas", fmt.Sprintf("%s to %s of 1,050 quotas", grouped(len(all)+1), grouped(min(len(all)+400, 1050))), "1 to 100 of 150 projects")
			all = append(all, slices.DeleteFunc(rows(page), func(row string) bool { return strings.HasPrefix(row, "Muted:") })...)
			if len(all) == 1050 {
				says(t, s.follow(t, page, "Previous"), "401 to 800 of")
				says(t, s.follow(t, page, "First"), "1 to 400 of")
				says(t, s.follow(t, s.get(t, filter), "Last"), "801 to 1,050 of")
				break
			}
		}
		once := slices.Compact(slices.Sorted(slices.Values(all)))
		if len(once) != 1050 || !strings.Contains(all[0], " 90.0 % warning ") || !strings.Contains(all[1049], "system_tracker 100.0 % muted") {
			t.Errorf("%d quotas, from %s to %s", len(once), all[0], all[len(all)-1])
		}
		says(t, s.get(t, "/?quota_page=99&project_page=99"), "801 to 1,200 of 1,200 quotas", "101 to 150 of 150 projects")
		for _, query := range []string{"quota_page=0", "project_page=-1", "problem_page=x", "account_page=1.5"} {
			if page := s.get(t, "/?"+query); page.Code != http.StatusBadRequest || !strings.Contains(page.Body.String(), "is not a page number; expected 1 or more") {
				t.Errorf("%s: %d %s", query, page.Code, page.Body)
			}
		}
	})
}

func grouped(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}

// TestFiltersSearchAllPages: words and states are searched in all quotas, not only on the first page.
func TestFiltersSearchAllPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.Scale(100)
		cloud.SetQuota(cloud.Projects()[41].ID, "taurusdb", "instance", 49, 50)
		s := newSite(t, cloud, scaleConfig(cloud))
		s.Scrape(t, time.Minute)
		for query, want := range map[string]int{
			"filter=p0042":                                9,
			"filter=P0042++Ram":                           2,
			"filter=p0042+muted":                          1,
			"filter=p0041+warning":                        0,
			"filter=p0050+warning":                        6,
			"filter=critical":                             1,
			"state=critical":                              1,
			"state=warning":                               120,
			"state=muted&filter=p003":                     10,
			"state=warning&service=dcs":                   40,
			"filter=tracker&project=ap-southeast-3_p0099": 2,
			"state=nothing-like-this":                     0,
			"filter=nothing+like+this":                    0,
			"filter=&state=&project=&service=":            400,
		} {
			page := s.get(t, "/?"+query)
			got := slices.DeleteFunc(rows(page), func(row string) bool { return strings.HasPrefix(row, "Muted:") })
			if page.Code != http.StatusOK || len(got) != want {
				t.Errorf("%s: %d, %d quotas, want %d", query, page.Code, len(got), want)
			}
			if want == 0 {
				says(t, page, "1 critical", "Not everything is shown: show all", "None of 900 quotas matches the filter.")
			}
		}
		page := s.get(t, "/?service=taurusdb&service=dcs&filter=x&quota_page=2")
		if got := rows(s.follow(t, page, "1 critical")); len(got) != 1 || !strings.HasPrefix(got[0], "ap-southeast-1_p0042") {
			t.Errorf("the link of the summary is %q", got)
		}
		if got := rows(s.follow(t, page, "60 warning")); len(got) != 60 {
			t.Errorf("the page of the summary's link has %d quotas, want the 60 of the two services", len(got))
		}
		page = s.get(t, "/?state=warning&filter=p00+%22x%22")
		if got := options(page, "state"); fmt.Sprint(got) != "[critical warning muted]" {
			t.Errorf("states %q", got)
		}
		for _, want := range []string{`<option selected>warning</option>`, `name="filter" type="search" value="p00 &#34;x&#34;"`} {
			if !strings.Contains(page.Body.String(), want) {
				t.Errorf("no %s in\n%s", want, page.Body)
			}
		}
	})
}

// TestManyProjectsAreTyped: a list of thousands is too long to select from.
func TestManyProjectsAreTyped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for projects, want := range map[int]int{200: 200, 201: 0} {
			cloud := cloudtest.Scale(projects)
			s := newSite(t, cloud, scaleConfig(cloud)+"services: {defaults: {enabled: false}, cts: {enabled: true}}")
			s.Scrape(t, time.Minute)
			page := s.get(t, "/?project=ap-southeast-3_p0007")
			if got := options(page, "project"); len(got) != want {
				t.Errorf("%d options for %d projects, want %d", len(got), projects, want)
			}
			field := fmt.Sprintf(`<input name="project" value="ap-southeast-3_p0007" placeholder="all %d"`, projects)
			if is := strings.Contains(page.Body.String(), field); is != (want == 0) {
				t.Errorf("%d projects: a field to type into: %t", projects, is)
			}
			if got := rows(page); len(got) != 3 {
				t.Errorf("quotas %q", got)
			}
			const refusal = `unknown project="P0199"; known: ap-southeast-3_p0199, ap-southeast-1_p0002, `
			for _, query := range []string{"project=P0199", "project=ap-southeast-1_p0002&project=P0199&project=p0007"} {
				if got := s.get(t, "/?"+query).Body.String(); !strings.HasPrefix(got, refusal) {
					t.Errorf("%s is rejected with %s, want %s", query, got, refusal)
				}
			}
		}
	})
}

// TestFailuresAreFirst: failures are on the first page, with a link to the rest.
func TestFailuresAreFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.Scale(150)
		forbidden := cloudtest.Fault{Service: "cts", Status: http.StatusForbidden, Body: cloudsim.ErrorBody("cts", http.StatusForbidden, "no")}
		for _, i := range []int{149, 120, 7} {
			forbidden.ProjectID = cloud.Projects()[i].ID
			cloud.Inject(forbidden)
		}
		yaml := scaleConfig(cloud)
		for i := range 120 {
			yaml += fmt.Sprintf("  - {name: a%03d, credentials: {static: {access_key: AK%[1]d, secret_key: wrong}}, ca_file: CA, discovery: {}}\n", i)
		}
		s := newSite(t, cloud, yaml)
		s.Scrape(t, time.Minute)
		page := s.get(t, "/")
		says(t, page, "3 of 750 sources failing", "Problems", "1 to 30 of 121 problems", "20 more problems", "Sources", "1 to 100 of 150 projects",
			"ap-southeast-1_p0008 forbidden: cts", "ap-southeast-1_p0150 forbidden: cts", "ap-southeast-3_p0121 forbidden: cts", "ap-southeast-1_p0002 ok: ",
			"1 to 100 of 121 accounts", "a000 discovery fails")
		says(t, s.get(t, "/?problem_page=5"), "121 to 121 of 121 problems", "forbidden cts in ap-southeast-1_p0008 and 2 more")
		says(t, s.get(t, "/?account_page=2"), "101 to 121 of 121 accounts", "a119 discovery fails", "main ok 150 none")
	})
}

// maxPage is the maximum size of the page, in bytes.
const maxPage = 2_000_000

// TestMaximumSizeOfThePage: names of the maximum length, with the characters that take the most space in HTML, and many of everything, all failing.
func TestMaximumSizeOfThePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := func(i, n int) string { return fmt.Sprintf("%04d%s", i, strings.Repeat(`"`, n-4)) }
		number := 101
		if testing.Short() {
			number = 5
		}
		var projects []cloudsim.Project
		for i := range number {
			var quotas []cloudsim.Quota
			for j := range 10 {
				quotas = append(quotas, cloudsim.Quota{Type: long(j, 256), Unit: long(j, 32), Used: 12345678901, Limit: 12345678901, Max: 123456789012})
			}
			name := "ap-southeast-3_" + long(i, 128-15)
			projects = append(projects, cloudsim.Project{ID: cloudsim.ID(name), Name: name, Quotas: map[string][]cloudsim.Quota{"ces": quotas, "dcs": quotas}})
		}
		cloud := cloudtest.New(cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: projects})
		yaml := "accounts:\n  - {name: main, credentials: {static: {access_key: AK, secret_key: SK}}, ca_file: CA, discovery: {name_prefix: \"\"}}\n"
		for i := range 210 {
			yaml += fmt.Sprintf("  - {name: '%s', credentials: {static: {access_key: AK%d, secret_key: wrong}}, ca_file: CA, discovery: {}}\n", fmt.Sprintf("a%03d_", i)+strings.Repeat("x", 58), i)
		}
		yaml += "services:\n  defaults: {max_in_flight: 64}\n"
		for i := range 70 {
			yaml += fmt.Sprintf("  %s: {api: {host: x, path: '/v1/{project_id}/quotas'}}\n", fmt.Sprintf("s%03d_", i)+strings.Repeat("x", 58))
		}
		s := newSite(t, cloud, yaml)
		small := func(query, want string) {
			t.Helper()
			page := s.get(t, "/?"+query)
			if n := page.Body.Len(); page.Code != http.StatusOK || n > maxPage {
				t.Errorf("%d, %d bytes, want %d at most", page.Code, n, maxPage)
			}
			says(t, page, want)
		}
		s.Scrape(t, 10*time.Minute)
		small("", printable.Grouped(float64(26*number))+" quotas")
		s.Cloud.Inject(cloudtest.Fault{Status: http.StatusForbidden, Body: cloudsim.ErrorBody("dcs", http.StatusForbidden, strings.Repeat(`"`, 1000))})
		<-time.After(time.Hour)
		s.Scrape(t, 10*time.Minute)
		small("", "sources failing")
		small("quota_page=2&problem_page=2&project_page=2&account_page=2", "sources failing")
		const maxQuery = 4000
		query := "filter=" // of words that are in every label
		query += strings.Repeat(strings.Repeat(`"`, 100)+"+", maxQuery)[:maxQuery-len(query)]
		small(query, "sources failing")
		if page := s.get(t, "/?"+query+"x"); page.Code != http.StatusBadRequest || page.Body.String() != "the parameters have 4001 bytes; use at most 4000\n" {
			t.Errorf("%d %s", page.Code, page.Body)
		}
		<-time.After(time.Minute) // for fetches that the page does not wait for
	})
}
