package command_test

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/command"
)

// reloading runs serve, with POST /-/reload or without.
func reloading(t *testing.T, configFile string, lifecycle bool) (r *running, hangup chan<- os.Signal) {
	t.Helper()
	signals := make(chan os.Signal)
	return start(t, "", func(ctx context.Context, logs command.Logs, s command.Serving) error {
		s.EnableLifecycle = lifecycle
		return command.Serve(ctx, logs, s, configFile, signals)
	}), signals
}

func (r *running) post(t *testing.T, path string) string {
	t.Helper()
	resp, err := r.client.Post(r.url+path, "", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

func rewrite(t *testing.T, file string, change func(string) string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(change(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReload(t *testing.T) {
	cloud, endpoints := simulated(t)
	file := configuration(t, endpoints, write(t, "sk", secretKey), "")
	r, hangup := reloading(t, file, true)
	contains(t, r.get(t, "/metrics"), `cloud_quota_fetches_total{project="prod",service="cts"} 1`)

	rewrite(t, file, func(text string) string { return strings.Replace(text, "name: prod", "name: renamed", 1) })
	contains(t, r.post(t, "/-/reload"), "200\nthe configuration is loaded.")
	page := r.get(t, "/metrics")
	contains(t, page, `cloud_quota_fetches_total{project="renamed",service="cts"} 1`, `cloud_quota_used{project="renamed",resource_type="ram",service="dcs"} 22`)
	if strings.Contains(page, `project="prod"`) {
		t.Error("the project is still there under its old label")
	}
	if n := cloud.ProjectRequests(projectID)["cts"]; n != 1 {
		t.Errorf("%d requests, want no more than without the reload", n)
	}

	rewrite(t, file, func(text string) string { return text + "service: {}\n" })
	contains(t, r.post(t, "/-/reload"), "500\nthe configuration before stays in force:\n", "config.yml:8: service: unknown key; known here: accounts, services, limits, thresholds")
	contains(t, r.get(t, "/metrics"), "\ncloud_quota_exporter_config_last_reload_successful 0\n",
		`cloud_quota_used{project="renamed",resource_type="ram",service="dcs"} 22`)
	contains(t, r.log.String(), `level=error`, `msg="the configuration can't be loaded, the one before stays in force"`)

	rewrite(t, file, func(text string) string {
		return strings.Replace(text, "service: {}\n", "services: {cts: {enabled: false}}\n", 1)
	})
	hangup <- os.Interrupt
	hangup <- os.Interrupt // taken when the first is done
	contains(t, r.get(t, "/metrics"), "\ncloud_quota_exporter_config_last_reload_successful 1\n")
	contains(t, r.get(t, "/metrics?collect%5B%5D=cts"), "400\n")
}

// TestReloadMendsAtOnce: who mends the configuration need not wait for the pause after the failure.
func TestReloadMendsAtOnce(t *testing.T) {
	_, endpoints := simulated(t)
	file := configuration(t, endpoints, "/nowhere/sk", "")
	r, _ := reloading(t, file, true)
	contains(t, r.get(t, "/metrics"), `cloud_quota_last_failure_reason{project="prod",reason="credentials",service="cts"} 1`)
	key := write(t, "sk", secretKey)
	rewrite(t, file, func(text string) string { return strings.Replace(text, "/nowhere/sk", key, 1) })
	contains(t, r.post(t, "/-/reload"), "200\n")
	r.get(t, "/metrics") // begins it, and waits for none that is known to fail
	for !strings.Contains(r.log.String(), "service=dbss msg=\"quotas are read again\"") {
		<-r.log.changed
	}
	contains(t, r.get(t, "/metrics"), `cloud_quota_up{project="prod",service="dbss"} 1`)
}

func TestReloadByHTTPIsOffByDefault(t *testing.T) {
	_, endpoints := simulated(t)
	r, _ := reloading(t, configuration(t, endpoints, write(t, "sk", secretKey), ""), false)
	contains(t, r.post(t, "/-/reload"), "403\n", "--web.enable-lifecycle turns it on")
}
