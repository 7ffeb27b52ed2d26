package web_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/democloud"
	"cloud_quota_exporter/internal/fleet/fleettest"
	"cloud_quota_exporter/internal/web"
)

// site is the exporter's pages over a simulated cloud.
type site struct {
	*fleettest.World
	handler http.Handler
}

func newSite(t testing.TB, cloud *cloudtest.Cloud, yaml string, change ...func(*web.Options)) *site {
	t.Helper()
	s := &site{World: fleettest.New(t, cloud, yaml)}
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

// get asks for a path; header holds names and values in turn.
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

// names returns the metric names of a page.
func names(page *httptest.ResponseRecorder) string {
	var all []string
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+)`).FindAllStringSubmatch(page.Body.String(), -1) {
		all = append(all, m[1])
	}
	return strings.Join(all, " ")
}

const documentsSeries = `cloud_quota_limit{project="prod",resource_type="alarm",service="ces"} 1000
cloud_quota_limit{project="prod",resource_type="audit_instance",service="dbss"} 3
cloud_quota_limit{project="prod",resource_type="data_tracker",service="cts"} 100
cloud_quota_limit{project="prod",resource_type="instance",service="dcs"} 10
cloud_quota_limit{project="prod",resource_type="instance",service="taurusdb"} 50
cloud_quota_limit{project="prod",resource_type="ram",service="dcs"} 800
cloud_quota_limit{project="prod",resource_type="system_tracker",service="cts"} 1
cloud_quota_remaining{project="prod",resource_type="alarm",service="ces"} 990
cloud_quota_remaining{project="prod",resource_type="audit_instance",service="dbss"} 1
cloud_quota_remaining{project="prod",resource_type="cpu",service="dbss"} 796
cloud_quota_remaining{project="prod",resource_type="data_tracker",service="cts"} 91
cloud_quota_remaining{project="prod",resource_type="instance",service="dcs"} 7
cloud_quota_remaining{project="prod",resource_type="instance",service="taurusdb"} 46
cloud_quota_remaining{project="prod",resource_type="ram",service="dbss"} 1.622016e+06
cloud_quota_remaining{project="prod",resource_type="ram",service="dcs"} 778
cloud_quota_remaining{project="prod",resource_type="system_tracker",service="cts"} 0
cloud_quota_used{project="prod",resource_type="alarm",service="ces"} 10
cloud_quota_used{project="prod",resource_type="audit_instance",service="dbss"} 2
cloud_quota_used{project="prod",resource_type="data_tracker",service="cts"} 9
cloud_quota_used{project="prod",resource_type="instance",service="dcs"} 3
cloud_quota_used{project="prod",resource_type="instance",service="taurusdb"} 4
cloud_quota_used{project="prod",resource_type="ram",service="dcs"} 22
cloud_quota_used{project="prod",resource_type="system_tracker",service="cts"} 1`

const quotaSeries = "cloud_quota_(?:limit|remaining|used)"

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig).get(t, "/metrics")
		if got := series(page, quotaSeries); page.Code != http.StatusOK || got != documentsSeries {
			t.Errorf("%d\n%s", page.Code, got)
		}
		if got := series(page, "cloud_quota_exporter_requests"); got != "cloud_quota_exporter_requests 6" {
			t.Errorf("%s, want the six requests of this scrape counted", got)
		}
	})
}

// outOfOrder is a collector of a metric that can't be had.
type outOfOrder struct{}

func (outOfOrder) Describe(chan<- *prometheus.Desc) {}

func (outOfOrder) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(nil), errors.New("out of order"))
}

// TestOneBadMetricLeavesTheQuotas: what can't be gathered of the process is logged, and takes nothing else along.
func TestOneBadMetricLeavesTheQuotas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged strings.Builder
		s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig, func(o *web.Options) {
			o.Process.MustRegister(outOfOrder{})
			o.Logger = log.NewLogfmtLogger(&logged)
		})
		page := s.get(t, "/metrics")
		if got := series(page, quotaSeries); page.Code != http.StatusOK || got != documentsSeries {
			t.Errorf("%d\n%s", page.Code, got)
		}
		if got := logged.String(); !strings.Contains(got, "level=error") || !strings.Contains(got, "out of order") {
			t.Errorf("logged %q, want the error", got)
		}
	})
}

func TestFormats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig)
		for accept, want := range map[string]string{
			"":                             "text/plain; version=0.0.4",
			"application/openmetrics-text": "application/openmetrics-text; version=",
			"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited": "application/vnd.google.protobuf",
		} {
			page := s.get(t, "/metrics", "Accept", accept)
			if got := page.Header().Get("Content-Type"); page.Code != http.StatusOK || !strings.HasPrefix(got, want) {
				t.Errorf("%s: %d, %s", accept, page.Code, got)
			}
		}
		page := s.get(t, "/metrics", "Accept-Encoding", "gzip")
		if got := page.Header().Get("Content-Encoding"); got != "gzip" {
			t.Errorf("Content-Encoding %q", got)
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
		for _, tc := range []struct{ query, up, also string }{
			{"collect[]=dcs", "p0 dcs, p1 dcs, p2 dcs", ""},
			{"collect[]=dcs&collect[]=ces&project[]=p1", "p1 ces, p1 dcs", ""},
			{"project[]=p0&project[]=p2&collect[]=dbss", "p0 dbss, p2 dbss", ""},
			{"project[]=p1", "p1 ces, p1 dbss, p1 dcs, p1 taurusdb", "cloud_quota_exporter_requests"},
			{"collect[]=exporter", "", "cloud_quota_exporter_requests"},
			{"collect[]=exporter&collect[]=ces&project[]=p2", "p2 ces", "cloud_quota_exporter_requests"},
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
			if got := strings.Contains(names(page), "cloud_quota_exporter_"); got != (tc.also != "") {
				t.Errorf("%s: metrics %s", tc.query, names(page))
			}
		}
	})
}

func TestUnknownValuesAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig+"services: {cts: {enabled: false}}")
		for query, want := range map[string]string{
			"collect[]=dc":                        `collect[]="dc" is not known; known are: ces, taurusdb, dcs, dbss, exporter`,
			"collect[]=dcs&collect[]=":            `collect[]="" is not known; known are: ces, taurusdb, dcs, dbss, exporter`,
			"collect[]=cts":                       `collect[]="cts" is not known; known are: ces, taurusdb, dcs, dbss, exporter`,
			"collect=dcs":                         `parameter="collect" is not known; known are: collect[], project[]`,
			"collect[]=%zz":                       `the query can't be read: invalid URL escape "%zz"`,
			"project[]=" + url.QueryEscape("<b>"): `project[]="<b>" is not known; known are: prod`,
		} {
			page := s.get(t, "/metrics?"+query)
			if got := strings.TrimSpace(page.Body.String()); page.Code != http.StatusBadRequest || got != want {
				t.Errorf("%s: %d %s\nwant 400 %s", query, page.Code, got, want)
			}
			if got := page.Header().Get("Content-Type"); !strings.HasPrefix(got, "text/plain") {
				t.Errorf("%s: Content-Type %s", query, got)
			}
		}
		if n := len(s.Requests()); n != 0 {
			t.Errorf("%d requests for refused pages", n)
		}
	})
}

func TestThousandScrapesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig)
		s.Cloud.Inject(cloudtest.Fault{Latency: 50 * time.Millisecond})
		var scrapes sync.WaitGroup
		for range 1000 {
			scrapes.Go(func() {
				if page := s.get(t, "/metrics"); series(page, quotaSeries) != documentsSeries {
					t.Errorf("%d\n%s", page.Code, page.Body)
				}
			})
		}
		scrapes.Wait()
		if got := fmt.Sprint(s.Cloud.ProjectRequests(fleettest.ProjectID)); got != "map[ces:1 cts:1 dbss:2 dcs:1 taurusdb:1]" {
			t.Errorf("requests %s", got)
		}
	})
}
