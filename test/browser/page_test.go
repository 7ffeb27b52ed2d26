package browser

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// widths are of a small phone, a phone, a tablet, and screens on which the quotas are a table.
var widths = []int64{320, 375, 768, 1056, 1280}

// TestDemo is what somebody sees who tries the program.
func TestDemo(t *testing.T) {
	url := startDemo(t)
	b := newTab(t)
	b.resize(t, 1280)
	b.open(t, url)
	if got := b.texts(t, "h1, h2"); fmt.Sprint(got) != "[Cloud quotas Quotas Sources]" {
		t.Errorf("headings %s", got)
	}
	if got := b.texts(t, "#rows tbody tr:not(.title)"); len(got) != 27 || !strings.HasPrefix(got[0], "prod\tdcs\tram\t") || !strings.Contains(got[0], "critical\t7") {
		t.Errorf("%d quotas, the first is %q", len(got), got)
	}
	if got := b.texts(t, "#shown"); fmt.Sprint(got) != "[27 of 27 quotas shown]" {
		t.Errorf("the script says %q", got)
	}
	b.mustFit(t)
	b.mustBeAccessible(t)
	for link, want := range map[string]string{"Metrics": "cloud_quota_used{", "Service discovery": "__param_target", "Healthy": "is healthy", "Ready": "is ready"} {
		href := eval[string](t, b, fmt.Sprintf("Array.from(document.querySelectorAll('nav a')).find(a => a.innerText == %s).href", quote(link)))
		if got := fetch(t, href); !strings.Contains(got, want) {
			t.Errorf("%s leads to\n%.500s", link, got)
		}
	}
}

// TestManyProjects: 4,500 quotas are in order, and what is typed finds one of them.
func TestManyProjects(t *testing.T) {
	cloud := cloudtest.Scale(500)
	s := newSite(t, cloud, configOf(cloud))
	s.Scrape(t, patience)
	cloud.SetQuota(cloud.Projects()[321].ID, "taurusdb", "instance", 49, 50)
	s.Configure(t, configOf(cloud)+"services: {taurusdb: {cache_ttl: 0}}")
	s.Scrape(t, patience)
	b := newTab(t)
	b.resize(t, 1280)
	b.open(t, s.url)
	if got := b.texts(t, "#rows tbody tr:not(.title)"); len(got) != 4500 || !strings.HasPrefix(got[0], "ap-southeast-1_p0322\ttaurusdb\tinstance\t\n98.0 %\n\tcritical\t49\t50\t1\t") {
		t.Errorf("%d quotas, the first is %.100q", len(got), got)
	}
	if ratios := b.ratios(t); len(ratios) != 3000 || !slices.IsSortedFunc(ratios, func(x, y float64) int { return cmp.Compare(y, x) }) {
		t.Errorf("%d ratios, which are not in order: %v", len(ratios), ratios)
	}
	b.mustFit(t)
	for _, tc := range []struct {
		words string
		shown int
		says  string
	}{
		{"p0322", 9, "9 of 4500 quotas shown"},
		{" P0322  ram ", 2, "2 of 4500 quotas shown"},
		{"tracker muted p03", 100, "100 of 4500 quotas shown"},
		{"critical", 1, "1 of 4500 quotas shown"},
		{"nothing like this", 0, "0 of 4500 quotas shown"},
		{"", 4500, "4500 of 4500 quotas shown"},
	} {
		b.enter(t, tc.words)
		got := b.texts(t, "#rows tbody tr:not(.title)")
		if says := b.texts(t, "#shown"); len(got) != tc.shown || fmt.Sprint(says) != "["+tc.says+"]" {
			t.Errorf("%q shows %d quotas and says %q, want %d", tc.words, len(got), says, tc.shown)
		}
		if n := len(b.texts(t, "#rows .title")); (n == 1) != slices.ContainsFunc(got, func(row string) bool { return strings.Contains(row, "muted") }) {
			t.Errorf("%q shows %d headings of muted quotas", tc.words, n)
		}
	}
}

// TestChoosing: a project and a service are chosen by the keyboard alone, and the address says so.
func TestChoosing(t *testing.T) {
	cloud := cloudtest.Scale(3)
	s := newSite(t, cloud, configOf(cloud))
	b := newTab(t)
	b.resize(t, 1280)
	b.open(t, s.url)
	b.do(t, chromedp.Focus("select[name=project]"), chromedp.KeyEvent("ap-southeast-3_p0003\tdcs\t"))
	b.follow(t, chromedp.KeyEvent("\r"))
	want := s.url + "?project=ap-southeast-3_p0003&service=dcs"
	if got := eval[string](t, b, "location.href"); got != want {
		t.Errorf("the address is %s, want %s", got, want)
	}
	if got := b.texts(t, "#rows tbody tr"); len(got) != 2 || !strings.HasPrefix(got[0], "ap-southeast-3_p0003\tdcs") {
		t.Errorf("it shows %q", got)
	}
	b.mustBeAccessible(t)
	b.follow(t, chromedp.Click(`//a[text()="show all"]`))
	if got := b.texts(t, "#rows tbody tr:not(.title)"); len(got) != 27 {
		t.Errorf("%d quotas after all, want 27", len(got))
	}
	b.follow(t, chromedp.Click(`//table//a[text()="ap-southeast-1_p0002"]`))
	if got := b.texts(t, "#rows tbody tr:not(.title)"); len(got) != 9 {
		t.Errorf("%d quotas of one project, want 9", len(got))
	}
}

// TestTrouble: everything that can be wrong is told, fits on every screen and is accessible, in light and in dark.
func TestTrouble(t *testing.T) {
	s := newTrouble(t)
	b := newTab(t)
	var backgrounds []string
	for _, scheme := range []string{"light", "dark"} {
		b.prefer(t, scheme)
		b.open(t, s.url)
		backgrounds = append(backgrounds, eval[string](t, b, "getComputedStyle(document.body).backgroundColor"))
		b.do(t, chromedp.Click(`//summary`))
		for _, width := range widths {
			b.resize(t, width)
			b.mustFit(t)
			b.mustBeAccessible(t)
		}
	}
	if backgrounds[0] != "rgb(244, 245, 247)" || backgrounds[1] != "rgb(17, 21, 27)" {
		t.Errorf("backgrounds %q in light and dark", backgrounds)
	}
	all := strings.Join(b.texts(t, "body"), "")
	for _, want := range []string{
		"unauthorized discovery of projects in account other", "What to do: check that the keys are right",
		"forbidden dcs in ap-southeast-1_sandbox and 2 more", "What to do: grant the IAM action dcs:quota:get", `<script>alert("no")</script> not allowed`,
		"server_error ces in prod", "come back later", "Its last numbers are shown:", "resources left out cts in prod", "resource 2 of 3: it has no type",
		"<b>trackers</b>", "1 source not read yet", "not read yet", "not offered", "Projects may be missing", "eu-de", "failing",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("it does not say %q", want)
		}
	}
}

// TestRoles: a screen reader is told of a table with its headings, also where cards are seen.
func TestRoles(t *testing.T) {
	cloud := cloudtest.Demo()
	s := newSite(t, cloud, configOf(cloud))
	b := newTab(t)
	for _, width := range []int64{1280, 320} {
		b.resize(t, width)
		b.open(t, s.url)
		roles := map[string]int{}
		for _, node := range call(t, b, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes {
			if node.Role == nil || node.Ignored {
				continue
			}
			role := strings.Trim(string(node.Role.Value), `"`)
			if role == "meter" {
				role += " " + strings.Trim(string(node.Name.Value), `"`)
			}
			roles[role]++
		}
		// 27 quotas, 20 of which have a bar; 3 projects; 1 account; the heads of three tables and one heading.
		for role, want := range map[string]int{"table": 3, "caption": 3, "row": 27 + 3 + 1 + 3 + 1, "columnheader": 9 + 9 + 4, "meter used": 20, "rowheader": 3*27 + 1 + 3 + 1} {
			if roles[role] != want {
				t.Errorf("%d wide: %d of role %s, want %d; all: %v", width, roles[role], role, want, roles)
			}
		}
	}
}

// TestWithoutJavaScript: all is there but the field to type in; projects and services can be chosen.
func TestWithoutJavaScript(t *testing.T) {
	cloud := cloudtest.Scale(3)
	s := newSite(t, cloud, configOf(cloud))
	b := newTab(t)
	b.resize(t, 1280)
	call(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.open(t, s.url)
	if got := b.texts(t, "#rows tbody tr:not(.title)"); len(got) != 27 {
		t.Errorf("%d quotas, want 27", len(got))
	}
	if got := b.texts(t, "#typing, #shown"); len(got) != 0 {
		t.Errorf("it shows %q, which needs JavaScript", got)
	}
	b.do(t, chromedp.Focus("select[name=service]"), chromedp.KeyEvent("ces\t"))
	b.follow(t, chromedp.KeyEvent("\r"))
	if got := b.texts(t, "#rows tbody tr"); len(got) != 3 {
		t.Errorf("%d quotas of a service, want 3: %q", len(got), got)
	}
}

// TestComplaintsAreHeard: the other tests rely on it that the browser tells of what the page's policy forbids, and axe of what is wrong.
func TestComplaintsAreHeard(t *testing.T) {
	cloud := cloudtest.Scale(1)
	s := newSite(t, cloud, configOf(cloud))
	b := newTab(t)
	b.open(t, s.url)
	for what, act := range map[string]string{
		"a style":    `document.body.setAttribute("style", "color: red")`,
		"a script":   `document.body.append(Object.assign(document.createElement("script"), {text: "alert(1)"}))`,
		"an image":   `document.body.append(Object.assign(new Image(), {src: "/picture.png"}))`,
		"an error":   `setTimeout(() => { throw new Error("oops") }), new Promise(done => setTimeout(done, 50))`,
		"a request":  `fetch("/metrics").catch(() => {})`,
		"a message":  `console.warn("oops")`,
		"wrong HTML": ``,
	} {
		eval[chromedp.Void](t, b, act)
		if got := b.complaint(t); (len(got) == 0) != (act == "") {
			t.Errorf("%s: the browser complains of %q", what, got)
		}
	}
	eval[chromedp.Void](t, b, `document.querySelector("select").parentNode.replaceWith(document.querySelector("select"))`)
	if got := b.inaccessible(t); !strings.Contains(got, "select-name") {
		t.Errorf("axe finds %q, want the missing label", got)
	}
}
