package command_test

import (
	"context"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/command"
)

func TestDemo(t *testing.T) {
	t.Setenv("TMPDIR", "/missing") // as in the container image, which has no place to write
	hints := newOutput()
	r := start(t, "", func(ctx context.Context, logs command.Logs, s command.Serving) error {
		return command.Demo(ctx, logs, s, hints)
	})
	page := r.get(t, "/metrics")
	contains(t, page, "200\n",
		`cloud_quota_limit{project="dev",resource_type="instance",service="taurusdb"} +Inf`,
		`cloud_quota_used{project="prod",resource_type="ram",service="dcs"} 7`,
		`cloud_quota_limit{project="prod",resource_type="ram",service="dcs"} 800`,
		`cloud_quota_up{project="staging",service="dbss"} 1`,
	)
	if n := strings.Count(page, "\ncloud_quota_up{"); n != 15 {
		t.Errorf("%d sources, want 15", n)
	}
	hints.waitFor(t, "Ctrl-C ends it.")
	contains(t, hints.String(), "Open:\n\n  "+r.url+"/metrics ", "Ctrl-C ends it.")
	if err := r.stop(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}
