package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"cloud_quota_exporter/internal/fleet/fleettest"
	"cloud_quota_exporter/internal/web"
)

func TestTelemetryPath(t *testing.T) {
	for path, good := range map[string]bool{
		"/metrics": true, "/a/b-c.d_e~1": true, "": false, "metrics": false, "/": false, "/-/ready": false, "/a/": false, "/{x}": false, "/a b": false,
	} {
		_, err := web.NewHandler(web.Options{TelemetryPath: path, Process: prometheus.NewRegistry()})
		if (err == nil) != good {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestOtherPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig)
		for _, tc := range []struct {
			path string
			code int
			says string
		}{
			{"/-/healthy", http.StatusOK, "cloud_quota_exporter is healthy."},
			{"/-/ready", http.StatusOK, "cloud_quota_exporter is ready."},
			{"/nothing", http.StatusNotFound, "404 page not found"},
		} {
			page := s.get(t, tc.path)
			if page.Code != tc.code || !strings.Contains(page.Body.String(), tc.says) {
				t.Errorf("%s: %d\n%s", tc.path, page.Code, page.Body)
			}
		}
		if got := s.get(t, "/-/healthy").Header().Get("Content-Type"); got != "text/plain; charset=utf-8" {
			t.Errorf("/-/healthy: Content-Type %q", got)
		}
		for _, path := range []string{"/metrics", "/-/healthy", "/-/ready", "/"} {
			w := httptest.NewRecorder()
			s.handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, http.NoBody))
			if w.Code != http.StatusMethodNotAllowed {
				t.Errorf("POST %s: %d", path, w.Code)
			}
		}
		if n := len(s.Requests()); n != 0 {
			t.Errorf("%d requests to the cloud for pages that show nothing of it", n)
		}
	})
}

func TestMetricsElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig, func(o *web.Options) { o.TelemetryPath = "/quotas" })
		if page := s.get(t, "/quotas"); page.Code != http.StatusOK || series(page, quotaSeries) != documentsSeries {
			t.Errorf("/quotas: %d\n%s", page.Code, page.Body)
		}
		if page := s.get(t, "/metrics"); page.Code != http.StatusNotFound {
			t.Errorf("/metrics: %d", page.Code)
		}
	})
}
