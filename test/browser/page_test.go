package browser

import (
	"bytes"
	"cmp"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/democloud"
	"cloud_quota_exporter/providers"
)

// widths of a small phone, a phone, a tablet, and screens on which the quotas are a table.
var widths = []int64{320, 375, 768, 1120, 1280}

// TestDemo checks what a new user sees.
func TestDemo(t *testing.T) {
	b := show(t, startDemo(t))
	if got := b.texts(t, "h1, h2"); fmt.Sprint(got) != "[Cloud quotas Quotas Sources]" {
		t.Errorf("headings %s", got)
	}
	rows := b.texts(t, "#rows tbody tr:not(.title)")
	if len(rows) < 100 || !strings.HasPrefix(rows[0], "prod\t") || !strings.Contains(rows[0], "\tcritical\t") {
		t.Errorf("%d quotas, the first is %q", len(rows), rows)
	}
	if got, want := fmt.Sprint(b.texts(t, "#shown")), fmt.Sprintf("[%[1]d of %[1]d quotas shown]", len(rows)); got != want {
		t.Errorf("the script shows %q, want %q", got, want)
	}
	b.mustFit(t)
	b.mustBeAccessible(t)
}

// TestManyProjects: of 2,250 quotas, the first page shows those with the highest utilization. The filter searches this page at once, and all pages
// with Enter.
func TestManyProjects(t *testing.T) {
	cloud := cloudtest.Scale(250)
	s := newSite(t, cloud, "")
	s.Scrape(t, patience)
	cloud.SetQuota(cloud.Projects()[221].ID, "taurusdb", "instance", 49, 50)
	s.Configure(t, s.config+"services: {taurusdb: {cache_ttl: 0}}")
	s.Scrape(t, patience)
	b := show(t, s.url)
	if got := b.texts(t, "#rows tbody tr:not(.title)"); len(got) != 400 || !strings.HasPrefix(got[0], "ap-southeast-1_p0222\ttaurusdb\tinstance\t\n98.0 %\n\tcritical\t49\t50\t1\t") {
		t.Errorf("%d quotas, the first is %.100q", len(got), got)
	}
	b.mustFit(t)
	b.mustBeAccessible(t)
	b.follow(t, chromedp.Click(`//nav[contains(., "quotas")]//a[text()="Next"]`))
	ratio := func(text string) float64 {
		n, _ := strconv.ParseFloat(strings.TrimSuffix(text, " %"), 64)
		return n
	}
	ratios := b.texts(t, "#rows tr:not(.muted) .bar span")
	if len(ratios) != 400 || ratios[0] != "70.0 %" || !slices.IsSortedFunc(ratios, func(x, y string) int { return cmp.Compare(ratio(y), ratio(x)) }) {
		t.Errorf("%d ratios on the second page, which are not in order: %v", len(ratios), ratios)
	}
	b.mustFit(t)
	b.follow(t, chromedp.Click(`//nav[contains(., "quotas")]//a[text()="First"]`))
	for _, tc := range []struct {
		words                  string
		here, shown            int
		typed, entered, spread string
	}{
		{"p0222", 1, 9, "1 of 400 quotas shown; Enter searches all pages", "9 of 9 quotas shown", ""},
		{" P0222  ram ", 2, 2, "2 of 9 quotas shown", "2 of 2 quotas shown", ""},
		{"tracker muted p02", 0, 51, "0 of 2 quotas shown", "51 of 51 quotas shown", ""},
		{"critical", 0, 1, "0 of 51 quotas shown", "1 of 1 quotas shown", ""},
		{"", 1, 400, "1 of 1 quotas shown", "400 of 400 quotas shown; Enter searches all pages", "1 to 400 of 2,250 quotas Next Last"},
	} {
		eval[chromedp.Void](t, b, `document.querySelector("#words").select()`)
		b.do(t, chromedp.KeyEvent("\b"+tc.words))
		count := func() int { return len(b.texts(t, "#rows tbody tr:not(.title)")) }
		if n, says := count(), fmt.Sprint(b.texts(t, "#shown")); n != tc.here || says != "["+tc.typed+"]" {
			t.Errorf("%q shows %d quotas and %s, want %d and %s", tc.words, n, says, tc.here, tc.typed)
		}
		if n := len(b.texts(t, "#rows .title")); tc.here == 0 && n > 0 {
			t.Errorf("%q shows %d headings of muted quotas", tc.words, n)
		}
		b.follow(t, chromedp.KeyEvent("\r"))
		if n, says := count(), fmt.Sprint(b.texts(t, "#shown")); n != tc.shown || says != "["+tc.entered+"]" {
			t.Errorf("%q and Enter show %d quotas and %s, want %d and %s", tc.words, n, says, tc.shown, tc.entered)
		}
		if spread := strings.Join(strings.Fields(strings.Join(b.texts(t, "#quotas nav"), "")), " "); spread != tc.spread {
			t.Errorf("%q: pages %q, want %q", tc.words, spread, tc.spread)
		}
	}
	b.do(t, chromedp.Focus("input[name=project]"), chromedp.KeyEvent("ap-southeast-1_p0250"))
	b.follow(t, chromedp.KeyEvent("\r"))
	if got := b.texts(t, "#rows tbody tr:not(.title)"); len(got) != 9 {
		t.Errorf("%d quotas of a project whose name is typed, want 9", len(got))
	}
}

// TestSelection selects a project and a service with the keyboard alone. The URL contains the selection.
func TestSelection(t *testing.T) {
	s := newSite(t, cloudtest.Scale(3), "")
	b := show(t, s.url)
	b.do(t, chromedp.Focus("select[name=project]"), chromedp.KeyEvent("ap-southeast-3_p0003\tdcs\t\t"))
	b.follow(t, chromedp.KeyEvent("\r"))
	want := s.url + "?filter=&project=ap-southeast-3_p0003&service=dcs&state="
	if got := eval[string](t, b, "location.href"); got != want {
		t.Errorf("the address is %s, want %s", got, want)
	}
	if got := b.texts(t, "#rows tbody tr"); len(got) != 2 || !strings.HasPrefix(got[0], "ap-southeast-3_p0003\tdcs") {
		t.Errorf("the page shows %q", got)
	}
	b.mustBeAccessible(t)
	b.follow(t, chromedp.Click(`//a[text()="show all"]`))
	if got := b.texts(t, "#rows tbody tr:not(.title)"); len(got) != 27 {
		t.Errorf("%d quotas in the end, want 27", len(got))
	}
	b.follow(t, chromedp.Click(`//table//a[text()="ap-southeast-1_p0002"]`))
	if got := b.texts(t, "#rows tbody tr:not(.title)"); len(got) != 9 {
		t.Errorf("%d quotas of one project, want 9", len(got))
	}
}

// TestProblems: all problems are shown, fit on every screen, and are accessible, in light and dark mode.
func TestProblems(t *testing.T) {
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
		"unauthorized discovery of projects in account other", "What to do: check that the credentials are correct",
		"forbidden dcs in ap-southeast-1_sandbox and 2 more", "What to do: grant the IAM action dcs:quota:get", `<script>alert("no")</script> not allowed`,
		"server_error ces in prod", "come back later", "The last values are shown:", "resources skipped cts in prod", "resource 2 of 3: it has no type",
		"<b>trackers</b>", "1 source not fetched yet", "not fetched yet", "not offered", "Projects might be missing", "eu-de", "failing",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

// TestEveryService: thirty projects with all services of the catalogue need no more width than five services. A third of the services are not offered
// and one fails.
func TestEveryService(t *testing.T) {
	var projects []cloudsim.Project
	for i := range 30 {
		name := fmt.Sprintf("ap-southeast-3_project_%02d", i)
		projects = append(projects, cloudsim.Project{ID: cloudsim.ID(name), Name: name})
	}
	cloud := cloudtest.New(cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: projects})
	inject := func(service, project string, status int) {
		cloud.Inject(cloudtest.Fault{Service: service, ProjectID: project, Status: status, Body: errorBody(service, status, "no")})
	}
	for i, service := range providers.All() {
		switch {
		case i%6 == 5:
			inject(service.Name, "", http.StatusNotFound)
		case i%6 == 4:
			inject(service.Name, projects[i%30].ID, http.StatusNotFound)
		case i > 20:
			inject(service.Name, projects[7].ID, http.StatusForbidden)
		}
	}
	s := newSiteOf(t, providers.All(), cloud, `accounts: [{name: main, credentials: {static: {access_key: AK, secret_key: SK}}, ca_file: CA, discovery: {}}]
services: {defaults: {enabled: true, max_in_flight: 64}}
`)
	s.Scrape(t, patience)
	b := newTab(t)
	b.open(t, s.url)
	for _, width := range widths {
		b.resize(t, width)
		b.mustFit(t)
	}
	for what, want := range map[string]string{
		"document.querySelector('#sources .scroll').scrollWidth - document.querySelector('#sources .scroll').clientWidth": "0",
		"document.querySelectorAll('#sources tbody tr').length":                                                           "32", // with the account as a separate row, and in the list of accounts
		"document.querySelectorAll('select[name=service] option').length":                                                 fmt.Sprint(len(providers.All()) + 1),
	} {
		if got := fmt.Sprint(eval[any](t, b, what)); got != want {
			t.Errorf("%s is %s, want %s", what, got, want)
		}
	}
	if tallest := eval[float64](t, b, "Math.max(...Array.from(document.querySelectorAll('#sources tr'), row => row.offsetHeight))"); tallest > 150 {
		t.Errorf("a project takes %.0f pixels", tallest)
	}
	b.do(t, chromedp.Click(`//section[@id="sources"]//summary[contains(., "not offered")]`))
	if got := b.texts(t, "#sources details[open]"); len(got) != 1 || !strings.Contains(got[0], " not offered\n") {
		t.Errorf("a click shows %q, want the services that are not offered", got)
	}
	b.mustFit(t)
	b.open(t, s.url+"?project=ap-southeast-3_project_07")
	b.mustBeAccessible(t)
}

// TestRoles: screen readers get a table with headings, even where the page shows cards.
func TestRoles(t *testing.T) {
	s := newSite(t, cloudtest.Demo(), "")
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
		for role, want := range map[string]int{"table": 3, "caption": 3, "row": 27 + 3 + 1 + 3 + 1, "columnheader": 9 + 5 + 4, "meter used": 20, "rowheader": 3*27 + 1 + 3 + 1} {
			if roles[role] != want {
				t.Errorf("%d wide: %d of role %s, want %d; all: %v", width, roles[role], role, want, roles)
			}
		}
	}
}

// TestWithoutJavaScript: the page is complete, and the filters work.
func TestWithoutJavaScript(t *testing.T) {
	b := newTab(t)
	b.resize(t, 1280)
	call(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.open(t, newSite(t, cloudtest.Scale(3), "").url)
	if got := b.texts(t, "#rows tbody tr:not(.title)"); len(got) != 27 {
		t.Errorf("%d quotas, want 27", len(got))
	}
	b.do(t, chromedp.Focus("#words"), chromedp.KeyEvent("p0003 RAM"))
	b.follow(t, chromedp.KeyEvent("\r"))
	if got := b.texts(t, "#rows tbody tr"); len(got) != 2 {
		t.Errorf("%d quotas with two words, want 2: %q", len(got), got)
	}
	b.follow(t, chromedp.Click(`//a[text()="show all"]`))
	b.do(t, chromedp.Focus("select[name=service]"), chromedp.KeyEvent("ces\t\t"))
	b.follow(t, chromedp.KeyEvent("\r"))
	if got := b.texts(t, "#rows tbody tr"); len(got) != 3 {
		t.Errorf("%d quotas of a service, want 3: %q", len(got), got)
	}
}

// TestBrowserErrorsAreReported: the other tests depend on the browser reporting violations of the page's security policy, and on axe reporting
// accessibility problems.
func TestBrowserErrorsAreReported(t *testing.T) {
	b := show(t, newSite(t, cloudtest.Scale(1), "").url)
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
			t.Errorf("%s: the browser reports %q", what, got)
		}
	}
	eval[chromedp.Void](t, b, `document.querySelector("select").parentNode.replaceWith(document.querySelector("select"))`)
	if got := b.inaccessible(t); !strings.Contains(got, "select-name") {
		t.Errorf("axe reports %q, want the missing label", got)
	}
}

const maxPicture = 150_000 // bytes

// TestPictures checks that the pictures of the documentation exist and are small. -pictures updates them.
func TestPictures(t *testing.T) {
	for _, picture := range []struct {
		file, scheme  string
		width, height int64
	}{
		{"status-page.png", "light", 1120, 860},
		{"status-page-phone.png", "dark", 375, 1000},
	} {
		file := "../../docs/images/" + picture.file
		if *pictures {
			b := newTab(t)
			b.prefer(t, picture.scheme)
			b.do(t, chromedp.EmulateViewport(picture.width, picture.height))
			cloud := cloudtest.Demo()
			config := strings.NewReplacer("name: ap-southeast-3}", "name: prod}", "name: ap-southeast-1}", "name: staging}",
				"name: ap-southeast-1_dev}", "name: dev}").Replace(newSite(t, cloud, "").config)
			s := newSiteOf(t, democloud.Services(), cloud, config+"services: {defaults: {enabled: true}}\n")
			projects := cloud.Projects()
			cloud.Inject(cloudtest.Fault{
				Service: "dcs", ProjectID: projects[len(projects)-1].ID, Status: http.StatusForbidden,
				Body: cloudsim.ErrorBody("dcs", http.StatusForbidden, "no permission"),
			})
			s.Scrape(t, time.Minute)
			b.open(t, s.url)
			b.draw(t, file)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		seen, format, err := image.DecodeConfig(bytes.NewReader(content))
		if err != nil || format != "png" || int64(seen.Width) != picture.width || len(content) > maxPicture {
			t.Errorf("%s: %s, %+v, %d bytes (%v)", file, format, seen, len(content), err)
		}
	}
}

// draw writes a picture of the tab to a file.
func (b *tab) draw(t *testing.T, file string) {
	t.Helper()
	shot, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	seen, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	bounds := seen.Bounds()
	fewer := image.NewRGBA(bounds) // fewer colors than antialiased text has, for a smaller file
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			c := color.RGBAModel.Convert(seen.At(x, y)).(color.RGBA)
			fewer.SetRGBA(x, y, color.RGBA{c.R&^7 | c.R>>5, c.G&^7 | c.G>>5, c.B&^7 | c.B>>5, 255})
		}
	}
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, fewer); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
