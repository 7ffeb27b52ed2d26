package web_test

import (
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet"
)

const (
	manyProjects = 556                // of nine quotas each: a little more than 5,000
	manyRows     = 9*manyProjects + 1 // with the heading of those that are muted

	maxPage  = 2_000_000 // bytes
	maxRatio = 25
)

// TestSizeOfManyQuotas: the page stays small enough for a slow line, also when every source fails.
func TestSizeOfManyQuotas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.Scale(manyProjects)
		s := newSite(t, cloud, scaleConfig(cloud))
		s.Scrape(t, time.Minute)
		good := s.get(t, "/")
		if n := len(rows(good)); n != manyRows || good.Body.Len() > maxPage {
			t.Errorf("%d rows in %d bytes, want %d in %d at most", n, good.Body.Len(), manyRows, maxPage)
		}
		cloud.Inject(cloudtest.Fault{Status: http.StatusForbidden, Body: cloudsim.ErrorBody("dcs", http.StatusForbidden, "no permission")})
		<-time.After(time.Hour)
		s.Scrape(t, time.Minute)
		failing := s.get(t, "/")
		if n := len(rows(failing)); n != manyRows || failing.Body.Len() > maxPage {
			t.Errorf("all failing: %d rows in %d bytes, want %d in %d at most", n, failing.Body.Len(), manyRows, maxPage)
		}
	})
}

// BenchmarkStatusPage compares the page of 5,000 quotas with the same numbers as JSON, so that a slow machine makes no difference.
func BenchmarkStatusPage(b *testing.B) {
	cloud := cloudtest.Scale(manyProjects)
	s := newSite(b, cloud, scaleConfig(cloud))
	readings := s.Scrape(b, time.Minute)
	var page, plain time.Duration
	for b.Loop() {
		start := time.Now()
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", http.NoBody))
		page += time.Since(start)
		if n := len(rows(w)); n != manyRows {
			b.Fatalf("%d rows, want %d", n, manyRows)
		}
		start = time.Now()
		encode(b, readings)
		plain += time.Since(start)
	}
	ratio := float64(page) / float64(plain)
	if ratio > maxRatio {
		b.Errorf("the page takes %.1f times as long as JSON, want at most %d", ratio, maxRatio)
	}
	b.ReportMetric(float64(page.Milliseconds())/float64(b.N), "ms/page")
	b.ReportMetric(ratio, "x-JSON")
}

// encode writes the quotas of readings as query does.
func encode(b *testing.B, readings []*fleet.Reading) {
	b.Helper()
	type quota struct {
		Account, Project, Service, ResourceType, Unit string
		Used, Limit, Remaining                        *float64
		Thresholds                                    map[string]float64
		ReadAt                                        time.Time
	}
	finite := func(n *float64) *float64 {
		if n != nil && math.IsInf(*n, 0) {
			return nil
		}
		return n
	}
	var all []quota
	for _, r := range readings {
		for _, q := range r.Quotas {
			all = append(all, quota{
				r.Account, r.Project.Label, r.Service, q.ResourceType, q.Unit, q.Used, finite(q.Limit), finite(q.Remaining), q.Thresholds, r.State.ReadAt,
			})
		}
	}
	if _, err := json.Marshal(all); err != nil {
		b.Fatal(err)
	}
}
