package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// TestPromtoolFindsNothing has promtool read a page with every metric on it, those of a failure too. startPrometheus has it read every
// configuration.
func TestPromtoolFindsNothing(t *testing.T) {
	t.Parallel()
	cloud := newCloud()
	cloud.Inject(cloudtest.Fault{Service: "ces", Status: http.StatusInternalServerError})
	e := startExporter(t, cloud, "{}")
	resp, err := http.Get("http://" + e.at + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	for _, name := range []string{"used", "limit", "remaining", "last_failure_reason", "exporter_api_requests_total"} {
		if !strings.Contains(string(page), fmt.Sprintf("\ncloud_quota_%s{", name)) {
			t.Errorf("there is no cloud_quota_%s in\n%s", name, page)
		}
	}
	check := exec.CommandContext(t.Context(), promtoolBinary, "check", "metrics")
	check.Stdin = strings.NewReader(string(page))
	if out, err := check.CombinedOutput(); err != nil || len(out) != 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}
