package web_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

func TestAnswersBeforePrometheusGivesUp(t *testing.T) {
	for _, tc := range []struct {
		timeout string
		want    time.Duration
	}{
		{"", 9500 * time.Millisecond},
		{"5", 4500 * time.Millisecond},
		{"5.25", 4750 * time.Millisecond},
		{"0.5", 250 * time.Millisecond}, // half, where the offset would leave nothing
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

func TestScrapeEndsWhenTheClientGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig)
		s.Cloud.Inject(cloudtest.Fault{Service: "dcs", Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		s.handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/metrics", http.NoBody))
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %s, want to end with the client's patience of 1s", took)
		}
	})
}

func TestHangingServiceIsAbsentThenDownThenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig)
		heal := s.Cloud.Inject(cloudtest.Fault{Service: "dcs", Hang: true})
		scrape := func() *httptest.ResponseRecorder {
			return s.get(t, "/metrics?collect%5B%5D=dcs", "X-Prometheus-Scrape-Timeout-Seconds", "5")
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
			t.Errorf("after it healed:\n%s", got)
		}
	})
}
