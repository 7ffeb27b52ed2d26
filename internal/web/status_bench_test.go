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
	manyProjects = 556      // of nine quotas each: 5,004
	manyRows     = 5000 + 1 // what is shown of them, with the heading of those that are muted

	maxPage  = 2_000_000 // bytes
	maxRatio = 25
)

// TestSizeOfManyQuotas: the page stays small enough for a slow line, also when every source fails.
func TestSizeOfManyQuotas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.Scale(manyProjects)
		s := newSite(t, cloud, scaleConfig(cloud))
		s.Scrape(t, time.Minute)
		small := func(page *httptest.ResponseRecorder) {
			t.Helper()
			if n := len(rows(page)); n != manyRows || page.Body.Len() > maxPage {
				t.Errorf("%d rows in %d bytes, want %d in %d at most", n, page.Body.Len(), manyRows, maxPage)
			}
			says(t, page, "5,004 quotas", "The first 5,000 of 5,004 quotas are here. Choose a project or a service to see the others.")
		}
		small(s.get(t, "/"))
		cloud.Inject(cloudtest.Fault{Status: http.StatusForbidden, Body: cloudsim.ErrorBody("dcs", http.StatusForbidden, "no permission")})
		<-time.After(time.Hour)
		s.Scrape(t, time.Minute)
		small(s.get(t, "/"))
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

// encode writes the quotas of readings as JSON.
func encode(b *testing.B, readings []*fleet.Reading) {
	b.Helper()
	var all [][]any
	for _, r := range readings {
		for _, q := range r.Quotas {
			limit := q.Limit
			if limit != nil && math.IsInf(*limit, 0) {
				limit = nil
			}
			all = append(all, []any{r.Account, r.Project.Label, r.Service, q.ResourceType, q.Unit, q.Used, limit, q.Remaining, q.Thresholds, r.State.ReadAt})
		}
	}
	if _, err := json.Marshal(all); err != nil {
		b.Fatal(err)
	}
}
