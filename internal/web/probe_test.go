package web_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

// twoProjects is a site with the projects prod and dev.
func twoProjects(t *testing.T) *site {
	t.Helper()
	cloud := cloudtest.New(cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: []cloudsim.Project{
		{ID: fleettest.ProjectID, Name: "ap-southeast-3"}, {ID: "5bd2d60ff638ccd9a8a28114eab086e7", Name: "ap-southeast-1"},
	}})
	return newSite(t, cloud, fleettest.DocumentsConfig+"      - {region: ap-southeast-1, name: dev & test}\n")
}

func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig)
		page := s.get(t, "/probe?target=prod")
		if got := series(page, "cloud_quota_used"); page.Code != http.StatusOK || strings.Count(got, "\n") != 6 {
			t.Errorf("%d\n%s", page.Code, got)
		}
		if got := names(page); strings.Contains(got, "cloud_quota_exporter_") || !strings.Contains(got, "cloud_quota_project_info") {
			t.Errorf("metrics %s, want the project's alone", got)
		}
		for query, want := range map[string]string{
			"":                         `target="" is not known; known are: prod`,
			"?target=":                 `target="" is not known; known are: prod`,
			"?target=x":                `target="x" is not known; known are: prod`,
			"?target=prod&target=prod": `target="" is not known; known are: prod`,
			"?project[]=prod":          `parameter="project[]" is not known; known are: target`,
		} {
			page := s.get(t, "/probe"+query)
			if got := strings.TrimSpace(page.Body.String()); page.Code != http.StatusBadRequest || got != want {
				t.Errorf("%s: %d %s, want 400 %s", query, page.Code, got, want)
			}
		}
	})
}

func TestServiceDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := twoProjects(t)
		s.get(t, "/probe?target=dev+%26+test") // IAM tells the id
		page := s.get(t, "/sd", "Host", "ignored.example.com")
		var groups []struct {
			Targets []string
			Labels  map[string]string
		}
		if err := json.Unmarshal(page.Body.Bytes(), &groups); err != nil || page.Header().Get("Content-Type") != "application/json" {
			t.Fatalf("%v: %s", err, page.Body)
		}
		var got []string
		for _, g := range groups {
			got = append(got, fmt.Sprint(g.Targets, g.Labels))
		}
		want := `[example.com] map[__meta_cloud_quota_account:main __meta_cloud_quota_project:dev & test __meta_cloud_quota_project_id:5bd2d60ff638ccd9a8a28114eab086e7 __meta_cloud_quota_region:ap-southeast-1 __metrics_path__:/probe __param_target:dev & test instance:dev & test]
[example.com] map[__meta_cloud_quota_account:main __meta_cloud_quota_project:prod __meta_cloud_quota_project_id:0250cb8a80c24c0b9f20f557cb159aad __meta_cloud_quota_region:ap-southeast-3 __metrics_path__:/probe __param_target:prod instance:prod]`
		if strings.Join(got, "\n") != want {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
		}
	})
}

// TestHostIsAnAddress: Prometheus will scrape what is told, and so nothing is told but what can be an address.
func TestHostIsAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig)
		for host, code := range map[string]int{
			"example.com": http.StatusOK, "quota-exporter:10133": http.StatusOK, "quota_exporter.monitoring.svc:80": http.StatusOK,
			"10.0.0.1:10133": http.StatusOK, "[2001:db8::1]:10133": http.StatusOK, "[::ffff:10.0.0.1]": http.StatusOK,
			"": http.StatusBadRequest, ":10133": http.StatusBadRequest, "a b": http.StatusBadRequest, "user@host": http.StatusBadRequest, "host/path": http.StatusBadRequest,
			"host:port": http.StatusBadRequest, "a,b": http.StatusBadRequest, "host\r\nX: y": http.StatusBadRequest, "host\n": http.StatusBadRequest,
			"${HOME}": http.StatusBadRequest, "<script>": http.StatusBadRequest, "2001:db8::1": http.StatusBadRequest, "[x]:1": http.StatusBadRequest,
		} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/sd", http.NoBody)
			r.Host = host
			w := httptest.NewRecorder()
			s.handler.ServeHTTP(w, r)
			if w.Code != code || (code == http.StatusOK) != strings.Contains(w.Body.String(), `"targets":["`+host+`"]`) {
				t.Errorf("%q: %d %s, want %d", host, w.Code, w.Body, code)
			}
			if code == http.StatusOK && w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%q: headers %v", host, w.Header())
			}
		}
	})
}

// TestNothingOfTheClientIsFetched: a target is a name to look up, never an address to go to.
func TestNothingOfTheClientIsFetched(t *testing.T) {
	victim := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { victim <- r.URL.String() }))
	defer server.Close()
	s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig)
	for _, path := range []string{"/probe?target=", "/metrics?project[]=", "/metrics?collect[]=", "/?project=", "/?service=", "/sd?x="} {
		for _, target := range []string{server.URL, strings.TrimPrefix(server.URL, "http://"), server.URL + "#prod"} {
			page := s.get(t, path+url.QueryEscape(target), "X-Forwarded-Host", target, "Forwarded", "host="+target, "Referer", target)
			if page.Code != http.StatusBadRequest && path != "/sd?x=" {
				t.Errorf("%s%s: %d", path, target, page.Code)
			}
		}
	}
	if n := len(s.Requests()); n != 0 {
		t.Errorf("%d requests of the fleet", n)
	}
	if len(victim) != 0 {
		t.Errorf("fetched %s", <-victim)
	}
}

// TestBeforeDiscovery: a project that may still be discovered is not unknown, and a short list would cost targets.
func TestBeforeDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, fleettest.Documents(), strings.Replace(fleettest.DocumentsConfig, "    projects:\n      - {id: "+fleettest.ProjectID+", region: ap-southeast-3, name: prod}\n", "    discovery: {}\n", 1))
		heal := s.Cloud.Inject(cloudtest.Fault{Service: "iam", Status: http.StatusServiceUnavailable})
		paths := []string{"/sd", "/probe?target=ap-southeast-3", "/metrics?project%5B%5D=ap-southeast-3"}
		for _, path := range paths {
			if page := s.get(t, path); page.Code != http.StatusServiceUnavailable || !strings.Contains(page.Body.String(), "the first discovery has not succeeded") {
				t.Errorf("%s: %d %s", path, page.Code, page.Body)
			}
		}
		page := s.get(t, "/metrics")
		if got := series(page, "cloud_quota_account_up"); page.Code != http.StatusOK || got != `cloud_quota_account_up{account="main"} 0` {
			t.Errorf("%d %s", page.Code, got)
		}
		heal()
		<-time.After(15 * time.Second)
		s.get(t, "/sd")
		synctest.Wait()
		for _, path := range paths {
			if page := s.get(t, path); page.Code != http.StatusOK || !strings.Contains(page.Body.String(), "ap-southeast-3") {
				t.Errorf("%s: %d %s", path, page.Code, page.Body)
			}
		}
		if page := s.get(t, "/probe?target=x"); page.Code != http.StatusBadRequest {
			t.Errorf("an unknown target: %d", page.Code)
		}
	})
}

// TestWhoseProjectsAreMissing: of many accounts, those that hold up the others are named.
func TestWhoseProjectsAreMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		yaml := fleettest.DocumentsConfig
		for _, name := range []string{"locked", "good", "lost"} {
			key := map[string]string{"good": "AK, secret_key: SK"}[name]
			yaml += "  - name: " + name + "\n    ca_file: CA\n    discovery: {}\n    credentials: {static: {access_key: " + cmp.Or(key, "wrong, secret_key: wrong") + "}}\n"
		}
		s := newSite(t, fleettest.Documents(), yaml)
		const want = "not every account's projects are known yet: the first discovery has not succeeded for locked, lost; " +
			"the status page (/) and the log tell why, ask again later\n"
		for _, path := range []string{"/sd", "/probe?target=x", "/metrics?project%5B%5D=x"} {
			if page := s.get(t, path); page.Code != http.StatusServiceUnavailable || page.Body.String() != want {
				t.Errorf("%s: %d %s", path, page.Code, page.Body)
			}
		}
		page := s.get(t, "/").Body.String()
		for _, account := range []string{"locked", "lost"} {
			if !strings.Contains(page, "account "+account) {
				t.Errorf("the status page doesn't tell why of %s", account)
			}
		}
	})
}

// TestPagesThatNeedNoList: a hanging IAM keeps neither a known project nor the exporter's own metrics waiting, and no page longer than
// Prometheus waits.
func TestPagesThatNeedNoList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig+"    discovery: {}\n")
		s.Cloud.Inject(cloudtest.Fault{Service: "iam", Hang: true})
		s.get(t, "/probe?target=prod") // proves the key, a second later, as IAM does not
		for path, want := range map[string]time.Duration{
			"/probe?target=prod":              0,
			"/metrics?project%5B%5D=prod":     0,
			"/metrics?collect%5B%5D=exporter": 0,
			"/metrics":                        1500 * time.Millisecond,
			"/probe?target=other":             1500 * time.Millisecond,
			"/metrics?project%5B%5D=other":    1500 * time.Millisecond,
			"/sd":                             1500 * time.Millisecond,
		} {
			start := time.Now()
			page := s.get(t, path, "X-Prometheus-Scrape-Timeout-Seconds", "2")
			if took := time.Since(start); took != want {
				t.Errorf("%s: %d after %s, want %s", path, page.Code, took, want)
			}
		}
		<-time.After(time.Minute)
	})
}
