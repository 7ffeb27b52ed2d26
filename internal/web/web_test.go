package web_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/democloud"
	"cloud_quota_exporter/internal/fleet/fleettest"
	"cloud_quota_exporter/internal/web"
	"cloud_quota_exporter/providers"
	"cloud_quota_exporter/providers/providerstest"
)

// site is the exporter's pages with a simulated cloud.
type site struct {
	*fleettest.World
	handler http.Handler
}

func newSite(t testing.TB, cloud *cloudtest.Cloud, yaml string, change ...func(*web.Options)) *site {
	t.Helper()
	return newSiteOf(t, providerstest.Five(), cloud, yaml, change...)
}

// newSiteOf is like newSite, with other services.
func newSiteOf(t testing.TB, services []providers.Service, cloud *cloudtest.Cloud, yaml string, change ...func(*web.Options)) *site {
	t.Helper()
	s := &site{World: fleettest.NewOf(t, services, cloud, yaml)}
	process := prometheus.NewRegistry()
	process.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "cloud_quota_exporter_requests", Help: "x"},
		func() float64 { return float64(len(s.Requests())) }))
	o := web.Options{
		Fleet: s.Fleet, Process: process, TelemetryPath: "/metrics", TimeoutOffset: 500 * time.Millisecond, Version: "1.2.3",
		Logger: log.NewNopLogger(),
	}
	for _, f := range change {
		f(&o)
	}
	handler, err := web.NewHandler(o)
	if err != nil {
		t.Fatal(err)
	}
	s.handler = handler
	return s
}

// get requests a path; header has alternating names and values.
func (s *site) get(t *testing.T, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
	for pair := range slices.Chunk(header, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

// series returns the lines of a page whose names match.
func series(page *httptest.ResponseRecorder, names string) string {
	return strings.Join(regexp.MustCompile(`(?m)^(?:`+names+`)[{ ].*$`).FindAllString(page.Body.String(), -1), "\n")
}

func scaleConfig(cloud *cloudtest.Cloud) string {
	yaml := "accounts:\n  - name: main\n    credentials: {static: {access_key: " + democloud.AccessKey + ", secret_key: " + democloud.SecretKey + "}}\n    ca_file: CA\n    projects:\n"
	for _, p := range cloud.Projects() {
		yaml += fmt.Sprintf("      - {id: %s, region: %s, name: %s}\n", p.ID, p.Region, p.Name)
	}
	return yaml
}

// twoProjects is a site with the projects prod and dev.
func twoProjects(t *testing.T) *site {
	t.Helper()
	cloud := cloudtest.New(cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: []cloudsim.Project{
		{ID: fleettest.ProjectID, Name: "ap-southeast-3"}, {ID: "5bd2d60ff638ccd9a8a28114eab086e7", Name: "ap-southeast-1"},
	}})
	return newSite(t, cloud, fleettest.DocumentsConfig+"      - {region: ap-southeast-1, name: dev & test}\n")
}

// quotas asserts that a page has the quotas of all five documents.
func (s *site) quotas(t *testing.T, page *httptest.ResponseRecorder) {
	t.Helper()
	up, numbers := series(page, "cloud_quota_up"), series(page, "cloud_quota_(?:limit|remaining|used)")
	if page.Code != http.StatusOK || strings.Count(up, "} 1") != 5 || strings.Count(numbers, "cloud_quota_") != 23 {
		t.Errorf("%d\n%s\n%s", page.Code, up, numbers)
	}
}

// outOfOrder is a collector of an unavailable metric.
type outOfOrder struct{}

func (outOfOrder) Describe(chan<- *prometheus.Desc) {}

func (outOfOrder) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(nil), errors.New("out of order"))
}

// TestMetrics has a metric of the process that fails. It is logged, and affects nothing else.
func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged strings.Builder
		s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig, func(o *web.Options) {
			o.Process.MustRegister(outOfOrder{})
			o.Logger = log.NewLogfmtLogger(&logged)
		})
		page := s.get(t, "/metrics", "Accept-Encoding", "identity")
		s.quotas(t, page)
		if got := series(page, "cloud_quota_exporter_requests"); got != "cloud_quota_exporter_requests 6" {
			t.Errorf("%s, want the six requests of this scrape counted", got)
		}
		if got := logged.String(); !strings.Contains(got, "level=error") || !strings.Contains(got, "out of order") {
			t.Errorf("logged %q, want the error", got)
		}
		for accept, want := range map[string]string{
			"":                             "text/plain; version=0.0.4",
			"application/openmetrics-text": "application/openmetrics-text; version=",
			"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited": "application/vnd.google.protobuf",
		} {
			page := s.get(t, "/metrics", "Accept", accept, "Accept-Encoding", "gzip")
			header := page.Header()
			if page.Code != http.StatusOK || !strings.HasPrefix(header.Get("Content-Type"), want) || header.Get("Content-Encoding") != "gzip" {
				t.Errorf("%s: %d, %v", accept, page.Code, header)
			}
		}
	})
}

func TestCollectAndProject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.Scale(3)
		yaml := "accounts:\n  - credentials: {static: {access_key: " + democloud.AccessKey + ", secret_key: " + democloud.SecretKey + "}}\n    ca_file: CA\n    projects:\n"
		for i, p := range cloud.Projects() {
			yaml += fmt.Sprintf("      - {id: %s, region: %s, name: p%d}\n", p.ID, p.Region, i)
		}
		s := newSite(t, cloud, yaml+"services: {cts: {enabled: false}}")
		for _, tc := range []struct {
			query, up string
			also      bool // process metrics
		}{
			{"collect[]=dcs", "p0 dcs, p1 dcs, p2 dcs", false},
			{"collect[]=dcs&collect[]=ces&project[]=p1", "p1 ces, p1 dcs", false},
			{"project[]=p0&project[]=p2&collect[]=dbss", "p0 dbss, p2 dbss", false},
			{"project[]=p1", "p1 ces, p1 dbss, p1 dcs, p1 taurusdb", true},
			{"collect[]=exporter", "", true},
			{"collect[]=exporter&collect[]=ces&project[]=p2", "p2 ces", true},
		} {
			query := strings.NewReplacer("[", "%5B", "]", "%5D").Replace(tc.query)
			page := s.get(t, "/metrics?"+query)
			var up []string
			for _, m := range regexp.MustCompile(`(?m)^cloud_quota_up{project="(.*)",service="(.*)"} 1$`).FindAllStringSubmatch(page.Body.String(), -1) {
				up = append(up, m[1]+" "+m[2])
			}
			if got := strings.Join(up, ", "); page.Code != http.StatusOK || got != tc.up {
				t.Errorf("%s: %d, up of %s; want %s", tc.query, page.Code, got, tc.up)
			}
			if got := series(page, "cloud_quota_exporter_.*"); strings.HasPrefix(got, "cloud_quota_exporter_requests ") != tc.also {
				t.Errorf("%s: of the process %q", tc.query, got)
			}
		}
	})
}

// TestFilterCostsNoMoreThanEverything: a filtered page reuses the metrics of the whole page, and a filter that selects everything is no filter.
// Rendering them again would take thousands of allocations.
func TestFilterCostsNoMoreThanEverything(t *testing.T) {
	cloud := cloudtest.Scale(50)
	s := newSite(t, cloud, scaleConfig(cloud))
	s.Scrape(t, time.Minute)
	cost := func(query url.Values) float64 {
		return testing.AllocsPerRun(5, func() { s.get(t, "/metrics?"+query.Encode(), "Accept-Encoding", "identity") })
	}
	whole := cost(nil)
	for name, query := range map[string]url.Values{
		"all services":             {"collect[]": append(s.Services(), "exporter")},
		"all projects":             {"project[]": s.Projects()},
		"all services of projects": {"project[]": s.Projects(), "collect[]": s.Services()},
		"all services but one":     {"collect[]": s.Services()[1:]},
		"all projects but one":     {"project[]": s.Projects()[1:]},
	} {
		if got := cost(query); got > whole+50*16 {
			t.Errorf("%s: %.0f allocations, %.0f for everything", name, got, whole)
		}
	}
	all, named := s.get(t, "/metrics").Body.String(), s.get(t, "/metrics?"+url.Values{"project[]": s.Projects()}.Encode()).Body.String()
	if all != named {
		t.Errorf("the page of all projects differs from that of everything")
	}
}

// TestProbeCostsTheSameAmongManyProjects: a scrape of one project makes no list of all projects.
func TestProbeCostsTheSameAmongManyProjects(t *testing.T) {
	cost := func(projects int) uint64 {
		cloud := cloudtest.Scale(projects)
		s := newSite(t, cloud, scaleConfig(cloud))
		const target, runs = "/probe?target=ap-southeast-3_p0001", 20
		s.get(t, target) // fetches
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			s.get(t, target)
		}
		runtime.ReadMemStats(&after)
		return (after.TotalAlloc - before.TotalAlloc) / runs
	}
	if few, many := cost(2), cost(2000); many > few+20_000 {
		t.Errorf("a probe allocates %d bytes with 2,000 projects, %d with two", many, few)
	}
}

// TestCacheTTL: the metric is the setting of each source, also before the first fetch, and follows a reload without a fetch.
func TestCacheTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ttl = "cloud_quota_cache_ttl_seconds"
		want := func(page *httptest.ResponseRecorder, want map[string]string) {
			t.Helper()
			var lines []string
			for _, service := range slices.Sorted(maps.Keys(want)) {
				lines = append(lines, fmt.Sprintf("%s{project=\"prod\",service=%q} %s", ttl, service, want[service]))
			}
			if got := series(page, ttl); got != strings.Join(lines, "\n") {
				t.Errorf("got\n%s\nwant\n%s", got, strings.Join(lines, "\n"))
			}
		}
		s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig)
		s.Cloud.Inject(cloudtest.Fault{Service: "dcs", Hang: true})
		want(s.get(t, "/metrics"), map[string]string{"ces": "900", "cts": "300", "dbss": "300", "dcs": "300", "taurusdb": "300"})
		before := len(s.Requests())
		s.Configure(t, fleettest.DocumentsConfig+"services: {defaults: {cache_ttl: 1h}, cts: {cache_ttl: 90m}, dcs: {cache_ttl: 0}, dbss: {enabled: false}}")
		want(s.get(t, "/metrics?collect%5B%5D=ces&collect%5B%5D=cts&collect%5B%5D=taurusdb"), map[string]string{"ces": "900", "cts": "5400", "taurusdb": "3600"})
		if n := len(s.Requests()) - before; n != 0 {
			t.Errorf("%d requests, want none for fresh values", n)
		}
		want(s.get(t, "/metrics"), map[string]string{"ces": "900", "cts": "5400", "dcs": "0", "taurusdb": "3600"})
	})
}

// TestUnknownValuesAreRejected with the known names, and without a request to the cloud.
func TestUnknownValuesAreRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig+"services: {cts: {enabled: false}}")
		for path, want := range map[string]string{
			"/metrics?collect[]=dc":                        `unknown collect[]="dc"; known: ces, taurusdb, dcs, dbss, exporter; to list all services, run: cloud_quota_exporter services`,
			"/metrics?collect[]=dcs&collect[]=":            `unknown collect[]=""; known: ces, taurusdb, dcs, dbss, exporter; to list all services, run: cloud_quota_exporter services`,
			"/metrics?collect[]=cts":                       `collect[]="cts" is disabled; add services: {cts: {enabled: true}} to a file, and pass it with --config.file`,
			"/metrics?collect=dcs":                         `unknown parameter="collect"; known: collect[], project[]`,
			"/metrics?collect[]=%zz":                       `cannot parse the query: invalid URL escape "%zz"`,
			"/metrics?project[]=" + url.QueryEscape("<b>"): `unknown project[]="<b>"; known: prod`,
			"/probe":                         `unknown target=""; known: prod`,
			"/probe?target=":                 `unknown target=""; known: prod`,
			"/probe?target=x":                `unknown target="x"; known: prod`,
			"/probe?target=prod&target=prod": `unknown target=""; known: prod`,
			"/probe?project[]=prod":          `unknown parameter="project[]"; known: target`,
			"/?project=x":                    `unknown project="x"; known: prod`,
			"/?service=x":                    `unknown service="x"; known: ces, taurusdb, dcs, dbss; to list all services, run: cloud_quota_exporter services`,
			"/?service=cts":                  `service="cts" is disabled; add services: {cts: {enabled: true}} to a file, and pass it with --config.file`,
			"/?project=prod&region=x":        `unknown parameter="region"; known: project, service, state, filter, problem_page, quota_page, project_page, account_page`,
			"/?project=%zz":                  `cannot parse the query: invalid URL escape "%zz"`,
		} {
			page := s.get(t, path)
			if got := strings.TrimSpace(page.Body.String()); page.Code != http.StatusBadRequest || got != want {
				t.Errorf("%s: %d %s\nwant 400 %s", path, page.Code, got, want)
			}
			if got := page.Header().Get("Content-Type"); !strings.HasPrefix(got, "text/plain") {
				t.Errorf("%s: Content-Type %s", path, got)
			}
		}
		if n := len(s.Requests()); n != 0 {
			t.Errorf("%d requests for refused pages", n)
		}
	})
}

// TestThousandScrapesAtOnce: they cost the cloud as many requests as one scrape, and so does any number of people.
func TestThousandScrapesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig)
		s.Cloud.Inject(cloudtest.Fault{Latency: 50 * time.Millisecond})
		var scrapes sync.WaitGroup
		for range 1000 {
			scrapes.Go(func() { s.quotas(t, s.get(t, "/metrics")) })
		}
		scrapes.Wait()
		for range 100 {
			s.get(t, "/")
			s.get(t, "/?project=prod")
		}
		if got := fmt.Sprint(s.Cloud.ProjectRequests(fleettest.ProjectID)); got != "map[ces:1 cts:1 dbss:2 dcs:1 taurusdb:1]" {
			t.Errorf("requests %s", got)
		}
	})
}

func TestTelemetryPath(t *testing.T) {
	for path, good := range map[string]bool{
		"/metrics": true, "/a/b-c.d_e~1": true, "": false, "metrics": false, "/": false, "/-/ready": false, "/a/": false, "/{x}": false, "/a b": false,
		"/..": false, "/.": false, "/metrics/./x": false, "/a/../metrics": false, "/metrics/..": false, "/...": true, "/.metrics": true,
		"/probe": false, "/sd": false, "/runbooks": false, "/runbooks/metrics": false, "/runbooks/all/metrics": true,
	} {
		_, err := web.NewHandler(web.Options{TelemetryPath: path, Process: prometheus.NewRegistry()})
		if (err == nil) != good {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// TestPages requests each page over HTTP, because only a real server handles HEAD and unknown paths.
func TestPages(t *testing.T) {
	s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig, func(o *web.Options) { o.TelemetryPath = "/quotas" })
	server := httptest.NewServer(s.handler)
	defer server.Close()
	for _, tc := range []struct {
		method, path string
		code         int
		says         string
	}{
		{http.MethodGet, "/-/healthy", http.StatusOK, "cloud_quota_exporter is healthy."},
		{http.MethodGet, "/-/ready", http.StatusOK, "cloud_quota_exporter is ready."},
		{http.MethodGet, "/metrics", http.StatusNotFound, "404 page not found"},
		{http.MethodGet, "/index.html", http.StatusNotFound, "404 page not found"},
		{http.MethodPost, "/", http.StatusMethodNotAllowed, "Method Not Allowed"},
		{http.MethodGet, "/runbooks/CloudQuotaStale/metrics", http.StatusNotFound, "404 page not found"},
		{http.MethodPost, "/runbooks/CloudQuotaStale", http.StatusMethodNotAllowed, "Method Not Allowed"},
		{http.MethodHead, "/runbooks/CloudQuotaStale", http.StatusOK, ""},
		{http.MethodPost, "/quotas", http.StatusMethodNotAllowed, "Method Not Allowed"},
		{http.MethodPost, "/-/healthy", http.StatusMethodNotAllowed, "Method Not Allowed"},
		{http.MethodPost, "/-/ready", http.StatusMethodNotAllowed, "Method Not Allowed"},
		{http.MethodGet, "/quotas", http.StatusOK, "cloud_quota_exporter_requests 6"}, // the first request to the cloud
		{http.MethodGet, "/", http.StatusOK, `<a href="quotas">Metrics</a>`},
		{http.MethodGet, "/", http.StatusOK, `<a href="sd">Service discovery</a>`},
		{http.MethodGet, "/", http.StatusOK, `<a href="-/healthy">Healthy</a>`},
		{http.MethodGet, "/", http.StatusOK, `<a href="-/ready">Ready</a>`},
		{http.MethodGet, "/", http.StatusOK, `<footer>cloud_quota_exporter 1.2.3</footer>`},
		{http.MethodHead, "/", http.StatusOK, ""},
	} {
		r, err := http.NewRequestWithContext(t.Context(), tc.method, server.URL+tc.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != tc.code || !strings.Contains(string(body), tc.says) || tc.method == http.MethodHead && len(body) > 0 {
			t.Errorf("%s %s: %d %v\n%s", tc.method, tc.path, resp.StatusCode, err, body)
		}
		if kind := resp.Header.Get("Content-Type"); strings.HasPrefix(tc.path, "/-/") && kind != "text/plain; charset=utf-8" {
			t.Errorf("%s %s: Content-Type %s", tc.method, tc.path, kind)
		}
		if tc.path == "/" && tc.code == http.StatusOK && resp.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s %s: headers %v", tc.method, tc.path, resp.Header)
		}
	}
}
