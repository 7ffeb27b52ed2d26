package fleet_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

// TestThrottlingHitsAllAlike: where the cloud lets through far fewer calls than there are projects, it is not always the same that are read.
func TestThrottlingHitsAllAlike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const projects, passing, period = 40, 15, 5 * time.Minute
		cloud := cloudtest.Scale(projects)
		var mu sync.Mutex
		var passed []time.Time
		cloud.Inject(cloudtest.Fault{Status: http.StatusTooManyRequests, Body: []byte(`{}`), When: func(int) bool {
			mu.Lock()
			defer mu.Unlock()
			if len(passed) >= passing && time.Since(passed[len(passed)-passing]) < period {
				return true
			}
			passed = append(passed, time.Now())
			return false
		}})
		w := fleettest.New(t, cloud, strings.Replace(scaleConfig(cloud, ctsAlone("")), "    ca_file: CA\n", unencrypted, 1))
		for range 6 * 60 {
			w.Scrape(t, 10*time.Second)
			pass(time.Minute)
		}
		for _, r := range w.Scrape(t, 10*time.Second) {
			if r.State.ReadAt.IsZero() || time.Since(r.State.ReadAt) > 2*time.Hour {
				t.Errorf("%s was read at %s, in six hours", r.Project.Label, r.State.ReadAt)
			}
		}
	})
}
