package bench_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/democloud"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

// TestSlowService has one service take 30 seconds for each call, from the start or when its numbers are due again, and scrapes ten times.
// Time is simulated, hence exact.
func TestSlowService(t *testing.T) {
	for _, projects := range []int{1, 100} {
		for _, numbers := range []string{"none", "old"} {
			name := fmt.Sprintf("SlowService/projects=%d/numbers=%s", projects, numbers)
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cloud := cloudtest.Scale(projects)
					handler := pageOf(t, fleettest.New(t, cloud, scaleConfig(cloud)))
					if numbers == "old" {
						get(t, handler)
						<-time.After(5 * time.Minute)
					}
					cloud.Inject(cloudtest.Fault{Service: "dcs", Latency: 30 * time.Second})
					took := tenScrapes(t, handler, projects)
					p50, p99 := took[len(took)/2], took[len(took)-1]
					report(name, float64(p50), "p50-ns", float64(p99), "p99-ns")
					if p50 > 0 || p99 > 9500*time.Millisecond {
						t.Errorf("%v, want at most one scrape that waits, and none beyond its time", took)
					}
				})
			})
		}
	}
}

// tenScrapes scrapes each 15 seconds, and returns how long that took, sorted. It fails if numbers of the other services are missing.
func tenScrapes(t *testing.T, handler http.Handler, projects int) (took []time.Duration) {
	t.Helper()
	const others = 5 // numbers in use that a project has without DCS
	for range 10 {
		page, d := get(t, handler)
		if n := strings.Count(page, "\ncloud_quota_used{"); n < others*projects {
			t.Errorf("%d numbers, want %d for each of %d projects", n, others, projects)
		}
		took = append(took, d)
		<-time.After(15*time.Second - d)
	}
	slices.Sort(took)
	return took
}

// scaleConfig serves all projects of a cloud.
func scaleConfig(cloud *cloudtest.Cloud) string {
	var text strings.Builder
	fmt.Fprintf(&text, "accounts:\n  - credentials: {static: {access_key: %s, secret_key: %s}}\n    ca_file: CA\n    projects:\n", democloud.AccessKey, democloud.SecretKey)
	for _, p := range cloud.Projects() {
		fmt.Fprintf(&text, "      - {id: %s, region: %s, name: %s}\n", p.ID, p.Region, p.Name)
	}
	return text.String()
}
