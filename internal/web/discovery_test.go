package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

// TestServiceDiscovery: each project is a target with its own probe, which contains nothing else.
func TestServiceDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := twoProjects(t)
		probe := s.get(t, "/probe?target=dev+%26+test") // IAM returns the ID
		if got := series(probe, "cloud_quota_used"); probe.Code != http.StatusOK || strings.Count(got, `project="dev & test"`) != 7 || strings.Count(got, "project=") != 7 {
			t.Errorf("%d\n%s", probe.Code, got)
		}
		if series(probe, "cloud_quota_exporter_.*") != "" || series(probe, "cloud_quota_project_info") == "" {
			t.Errorf("want only the project's metrics in\n%s", probe.Body)
		}
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

// TestHostIsAnAddress: Prometheus scrapes the listed hosts, so only valid addresses are listed.
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

// TestTargetIsNeverAnAddress: a target is a name to look up, never an address to connect to.
func TestTargetIsNeverAnAddress(t *testing.T) {
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

// TestBeforeDiscovery: a project that might still be discovered is not unknown, and a short list would remove targets. Of many accounts, only those
// that are not discovered yet are named.
func TestBeforeDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := func(name, key string) string {
			return "  - name: " + name + "\n    ca_file: CA\n    discovery: {}\n    credentials: {static: {access_key: " + key + ", secret_key: SK}}\n"
		}
		s := newSite(t, fleettest.Documents(), "accounts:\n"+account("locked", "wrong")+account("good", "AK")+account("lost", "wrong"))
		paths := []string{"/sd", "/probe?target=ap-southeast-4", "/metrics?project%5B%5D=ap-southeast-4"}
		unknown := func(accounts string) {
			t.Helper()
			want := "some projects are not known yet: the first discovery has not succeeded for " + accounts +
				"; see the status page or the log for the reason, and try again later\n"
			for _, path := range paths {
				if page := s.get(t, path); page.Code != http.StatusServiceUnavailable || page.Body.String() != want {
					t.Errorf("%s: %d %s", path, page.Code, page.Body)
				}
			}
		}
		unknown("locked, lost")
		page := s.get(t, "/").Body.String()
		for _, account := range []string{"locked", "lost"} {
			if !strings.Contains(page, "account "+account) {
				t.Errorf("the status page does not show the reason for %s", account)
			}
		}
		heal := s.Cloud.Inject(cloudtest.Fault{Service: "iam", Status: http.StatusServiceUnavailable})
		s.Configure(t, "accounts:\n"+account("main", "AK"))
		unknown("main")
		metrics := s.get(t, "/metrics")
		if got := series(metrics, "cloud_quota_account_up"); metrics.Code != http.StatusOK || got != `cloud_quota_account_up{account="main"} 0` {
			t.Errorf("%d %s", metrics.Code, got)
		}
		heal()
		<-time.After(15 * time.Second)
		s.get(t, "/sd")
		synctest.Wait()
		for _, path := range []string{"/sd", "/probe?target=ap-southeast-3", "/metrics?project%5B%5D=ap-southeast-3"} {
			if page := s.get(t, path); page.Code != http.StatusOK || !strings.Contains(page.Body.String(), "ap-southeast-3") {
				t.Errorf("%s: %d %s", path, page.Code, page.Body)
			}
		}
		if page := s.get(t, "/probe?target=x"); page.Code != http.StatusBadRequest {
			t.Errorf("an unknown target: %d", page.Code)
		}
	})
}

// TestPagesWithoutAList: if IAM hangs, known projects and the exporter's own metrics do not wait, and no page takes longer than the patience of
// Prometheus or a person. A request for one service only waits for that service.
func TestPagesWithoutAList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig+"    discovery: {}\n")
		s.Cloud.Inject(cloudtest.Fault{Service: "iam", Hang: true})
		s.get(t, "/probe?target=prod") // proves the key, a second later, because IAM does not
		mustTake := func(path string, code int, want time.Duration) {
			t.Helper()
			start := time.Now()
			page := s.get(t, path, "X-Prometheus-Scrape-Timeout-Seconds", "1")
			if took := time.Since(start).Round(100 * time.Millisecond); page.Code != code || took != want {
				t.Errorf("%s: %d after %s, want %d after %s", path, page.Code, took, code, want)
			}
		}
		const less, page = 500 * time.Millisecond, 3 * time.Second
		mustTake("/probe?target=prod", http.StatusOK, 0)
		mustTake("/metrics?project%5B%5D=prod", http.StatusOK, 0)
		mustTake("/metrics?collect%5B%5D=exporter", http.StatusOK, 0)
		mustTake("/metrics", http.StatusOK, less)
		mustTake("/probe?target=other", http.StatusServiceUnavailable, less)
		mustTake("/metrics?project%5B%5D=other", http.StatusServiceUnavailable, less)
		mustTake("/sd", http.StatusServiceUnavailable, less)
		mustTake("/?service=cts", http.StatusOK, page)
		mustTake("/?project=other", http.StatusServiceUnavailable, page)
		<-time.After(time.Hour) // nothing is fresh
		s.Cloud.Inject(cloudtest.Fault{Service: "dcs", Hang: true})
		mustTake("/?project=prod&service=cts", http.StatusOK, 0)
		mustTake("/?project=prod", http.StatusOK, page)
		<-time.After(time.Minute)
	})
}

func TestRespondsBeforePrometheusGivesUp(t *testing.T) {
	for _, tc := range []struct {
		timeout string
		want    time.Duration
	}{
		{"", 9500 * time.Millisecond},
		{"5", 4500 * time.Millisecond},
		{"5.25", 4750 * time.Millisecond},
		{"0.5", 250 * time.Millisecond}, // half, if the offset would leave nothing
		{"soon", 9500 * time.Millisecond},
		{"-3", 9500 * time.Millisecond},
		{"NaN", 9500 * time.Millisecond},
		{"1e300", 10*time.Minute - 500*time.Millisecond},
	} {
		t.Run(tc.timeout, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig+"services: {dcs: {timeout: 5m}}")
				s.Cloud.Inject(cloudtest.Fault{Service: "dcs", Hang: true})
				s.get(t, "/metrics?collect%5B%5D=cts") // proves the key, which a service that hangs does not
				start := time.Now()
				page := s.get(t, "/metrics", "X-Prometheus-Scrape-Timeout-Seconds", tc.timeout)
				if took := time.Since(start); took != min(tc.want, 5*time.Minute) {
					t.Errorf("took %s, want %s", took, tc.want)
				}
				if page.Code != http.StatusOK || strings.Count(series(page, "cloud_quota_up"), " 1") != 4 {
					t.Errorf("%d\n%s", page.Code, series(page, "cloud_quota_up"))
				}
			})
		})
	}
}

func TestHangingServiceIsAbsentThenDownThenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig)
		heal := s.Cloud.Inject(cloudtest.Fault{Service: "dcs", Hang: true})
		scrape := func() *httptest.ResponseRecorder {
			return s.get(t, "/metrics?collect%5B%5D=dcs", "X-Prometheus-Scrape-Timeout-Seconds", "5")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		s.handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/metrics", http.NoBody))
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %s, want to end with the client's patience of 1s", took)
		}
		state := "cloud_quota_(?:up|last_failure_reason|used|last_success_timestamp_seconds)"
		if got := series(scrape(), state); got != "" {
			t.Errorf("before the first fetch ended:\n%s", got)
		}
		<-time.After(10 * time.Second)
		down := `cloud_quota_last_failure_reason{project="prod",reason="timeout",service="dcs"} 1
cloud_quota_up{project="prod",service="dcs"} 0`
		if got := series(scrape(), state); got != down {
			t.Errorf("after the timeout:\n%s", got)
		}
		heal()
		<-time.After(20 * time.Second)
		scrape()
		synctest.Wait()
		back := `cloud_quota_up{project="prod",service="dcs"} 1
cloud_quota_used{project="prod",resource_type="instance",service="dcs"} 3
cloud_quota_used{project="prod",resource_type="ram",service="dcs"} 22`
		if got := series(scrape(), "cloud_quota_(?:up|last_failure_reason|used)"); got != back {
			t.Errorf("after it recovered:\n%s", got)
		}
	})
}
