package bench_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/providers/providerstest"
)

// BenchmarkReload loads configurations of n configured and 2n discovered projects, and divides the time by four times that of a quarter of them. 1 is
// linear, 4 is quadratic.
func BenchmarkReload(b *testing.B) {
	projects := 5000
	if testing.Short() {
		projects = 2000
	}
	quarter, whole := reloads(b, projects/4), reloads(b, projects)
	quarter() // warm up
	var few, many time.Duration
	for b.Loop() {
		for range 4 {
			few += quarter()
		}
		many += whole()
	}
	ratio := float64(many) / float64(few)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(many.Nanoseconds())/float64(b.N), "ns/reload")
	b.ReportMetric(ratio, "time/linear")
	if ratio > 3 {
		b.Errorf("a reload of %d projects takes %.1f times as long as four of a quarter", 3*projects, ratio)
	}
}

// reloads returns a function that reloads a fleet of configured and discovered projects, and how long the first load took.
func reloads(b *testing.B, stated int) func() time.Duration {
	b.Helper()
	var listed []cloudsim.Project
	for i := range 2 * stated {
		listed = append(listed, cloudsim.Project{ID: fmt.Sprintf("d%05d", i), Name: fmt.Sprintf("ap-southeast-3_d%05d", i)})
	}
	cloud := cloudtest.New(cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: listed})
	pipe := cloudsim.NewPipe()
	server := cloudsim.ServePlain(cloud, pipe)
	b.Cleanup(server.Close)
	f := fleet.New(fleet.Options{Dial: pipe.Dial, Getenv: os.Getenv})
	var yaml strings.Builder
	yaml.WriteString("accounts:\n  - name: main\n    credentials: {static: {access_key: AK, secret_key: SK}}\n" +
		"    endpoints: {iam: 'http://iam.example.com'}\n    discovery: {}\n    projects:\n")
	for i := range stated {
		fmt.Fprintf(&yaml, "      - {id: s%05d, region: ap-southeast-3, name: s%05d}\n", i, i)
	}
	c, err := config.Parse("bench", []byte(yaml.String()), providerstest.Five(), os.Getenv)
	if err != nil {
		b.Fatal(err)
	}
	f.Load(c)
	f.Discover(b.Context())
	if n := len(f.Projects()); n != 3*stated {
		b.Fatalf("%d projects, want %d: %v", n, 3*stated, f.Accounts()[0].DiscoveryErr)
	}
	return func() time.Duration {
		start := time.Now()
		f.Load(c)
		return time.Since(start)
	}
}
