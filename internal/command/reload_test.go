package command_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/command"
	"cloud_quota_exporter/internal/files/filestest"
)

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
	r := serving(t, "", "")
	contains(t, r.get(t, "/metrics"), `cloud_quota_fetches_total{project="prod",service="cts"} 1`)

	rewrite(t, r.file, func(text string) string { return strings.Replace(text, "name: prod", "name: renamed", 1) })
	contains(t, r.post(t, "/-/reload"), "200\nConfiguration loaded.")
	page := r.get(t, "/metrics")
	contains(t, page, `cloud_quota_fetches_total{project="renamed",service="cts"} 1`, `cloud_quota_used{project="renamed",resource_type="ram",service="dcs"} 22`)
	if strings.Contains(page, `project="prod"`) {
		t.Error("the project still exists with its previous label")
	}
	if n := r.cloud.ProjectRequests(projectID)["cts"]; n != 1 {
		t.Errorf("%d requests, want no more than without the reload", n)
	}

	rewrite(t, r.file, func(text string) string { return text + "service: {}\n" })
	contains(t, r.post(t, "/-/reload"), "500\nthe previous configuration is still active:\n", "config.yml:8: service: unknown key; known here: accounts, services, limits, thresholds")
	contains(t, r.get(t, "/metrics"), "\ncloud_quota_exporter_config_last_reload_successful 0\n",
		`cloud_quota_used{project="renamed",resource_type="ram",service="dcs"} 22`)
	contains(t, r.log.String(), `level=error`, `msg="Failed to load configuration; keeping the previous one"`)

	rewrite(t, r.file, func(text string) string {
		return strings.Replace(text, "service: {}\n", "services: {cts: {enabled: false}}\n", 1)
	})
	r.hangup <- os.Interrupt
	r.hangup <- os.Interrupt // taken when the first is done
	contains(t, r.get(t, "/metrics"), "\ncloud_quota_exporter_config_last_reload_successful 1\n")
	contains(t, r.get(t, "/metrics?collect%5B%5D=cts"), "400\n")
}

const reloads = 30

// TestManyReloadsUnderLoad reloads while two servers scrape. No series is missing, no additional requests are sent, and nothing is leaked.
func TestManyReloadsUnderLoad(t *testing.T) {
	cloud := cloudtest.Scale(20)
	cloud.SetMachine(cloudtest.Machine{Account: "demo"})
	at := listen(t, cloud)
	file := filepath.Join(t.TempDir(), "config.yml")
	configure := func(i int) {
		if err := os.WriteFile(file, fmt.Appendf(nil, `accounts:
  - name: demo
    credentials: {instance_metadata: {endpoint: %[1]q}}
    endpoints: {default: %[1]q, iam: %[1]q}
    discovery: {}
services: {defaults: {cache_ttl: %[2]dm, max_in_flight: %[3]d}}
`, at, 30+i%2, 8+i%3), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure(0)
	r := serve(t, "", file, nil)
	want := series(r.get(t, "/metrics"))
	requests, goroutines, heap := cloud.Requests(), runtime.NumGoroutine(), uint64(0)

	for i := range reloads {
		configure(i + 1)
		var scrapes sync.WaitGroup
		for range 2 {
			scrapes.Go(func() {
				if got := series(r.get(t, "/metrics")); got != want {
					t.Errorf("a page has %d series, want %d", got, want)
				}
			})
		}
		contains(t, r.post(t, "/-/reload"), "200\n")
		scrapes.Wait()
		if i == 9 {
			heap = heapInUse()
		}
	}
	if now := cloud.Requests(); !maps.Equal(now, requests) {
		t.Errorf("requests %v, want %v", now, requests)
	}
	r.client.CloseIdleConnections()
	for deadline := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > goroutines+5 && time.Now().Before(deadline); {
		runtime.Gosched()
	}
	if now := runtime.NumGoroutine(); now > goroutines+5 {
		t.Errorf("%d goroutines, %d before the reloads", now, goroutines)
	}
	if now := heapInUse(); now > heap+512<<10 { // a configuration leaked by each reload would be about 40 KiB
		t.Errorf("%d bytes of heap, %d after 10 reloads", now, heap)
	}
}

// series counts the exporter's own series on a page, without those about requests.
func series(page string) int {
	return strings.Count(page, "\ncloud_quota_") - strings.Count(page, "\ncloud_quota_exporter_api_")
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestReloadOfAFileThatHangs: the reload ends in time, like concurrent ones, and the next one succeeds.
func TestReloadOfAFileThatHangs(t *testing.T) {
	command.SetReloadTimeout(t, 300*time.Millisecond)
	r := serving(t, "", "")
	hanging := filestest.Hang(t, r.file)
	r.hangup <- os.Interrupt
	hanging.WaitForReader(t)
	answers := make(chan string)
	for range 3 {
		go func() { answers <- r.post(t, "/-/reload") }()
	}
	contains(t, r.get(t, "/metrics"), `cloud_quota_up{project="prod",service="cts"} 1`)
	start := time.Now()
	for range 3 {
		contains(t, <-answers, "500\nthe previous configuration is still active:\n", "context deadline exceeded")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("they took %s", took)
	}
	r.log.waitFor(t, "context deadline exceeded") // of the file, or of the previous reload
	hanging.Release()
	contains(t, r.post(t, "/-/reload"), "200\n")
	contains(t, r.get(t, "/metrics"), "\ncloud_quota_exporter_config_last_reload_successful 1\n")
}

// TestStopEndsAReload that waits for a file system.
func TestStopEndsAReload(t *testing.T) {
	r := serving(t, "", "")
	hanging := filestest.Hang(t, r.file)
	answer := make(chan string, 1)
	go func() { answer <- r.post(t, "/-/reload") }()
	hanging.WaitForReader(t)
	start := time.Now()
	if err := r.stop(); err != nil || time.Since(start) > 3*time.Second {
		t.Errorf("it ended after %s with %v", time.Since(start), err)
	}
	contains(t, <-answer, "500\n", "no response from the file system: context canceled")
}

// TestOpenFilesAreLogged at the start and at each reload, but not by scrapes. The file is used all the same.
func TestOpenFilesAreLogged(t *testing.T) {
	_, endpoints := simulated(t)
	key := filepath.Join(filestest.OpenDirectory(t), "sk")
	if err := os.WriteFile(key, []byte(secretKey), 0o600); err != nil {
		t.Fatal(err)
	}
	filestest.Chmod(t, key, 0o644)
	r := serve(t, "", configuration(t, endpoints, key, "services: {defaults: {cache_ttl: 0}, ces: {cache_ttl: 0}}"), nil)
	const warning = ` msg="Secrets of the account can be read by all local users" account=main err="`
	open := func(mode string) string {
		return warning + key + " is accessible to all local users (mode " + mode + "); run chmod o= " + key
	}
	r.log.waitFor(t, open("0644"))
	for range 2 {
		contains(t, r.get(t, "/metrics?collect%5B%5D=cts"), `cloud_quota_up{project="prod",service="cts"} 1`)
	}
	if got := strings.Count(r.log.String(), warning); got != 1 {
		t.Errorf("logged %d times after two scrapes, want 1:\n%s", got, r.log)
	}
	contains(t, r.post(t, "/-/reload"), "200\n")
	r.log.waitFor(t, open("0644"), 2)
	filestest.Chmod(t, key, 0o646)
	contains(t, r.post(t, "/-/reload"), "200\n")
	r.log.waitFor(t, open("0646"))
	filestest.Chmod(t, key, 0o600)
	contains(t, r.post(t, "/-/reload"), "200\n")
	r.log.waitFor(t, `msg="Credentials loaded"`, 4)
	if got := strings.Count(r.log.String(), warning); got != 3 {
		t.Errorf("logged %d times, want 3: the file was not readable by others at the last reload:\n%s", got, r.log)
	}
}

// TestCheckConfigReportsOpenFiles: the configuration itself contains a token, and its directory is accessible.
func TestCheckConfigReportsOpenFiles(t *testing.T) {
	_, endpoints := simulated(t)
	text, err := os.ReadFile(configuration(t, endpoints, write(t, "sk", secretKey), ""))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(filestest.OpenDirectory(t), "config.yml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	const says = "not secret:"
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true} {
		filestest.Chmod(t, file, mode)
		got := check(t, file, false)
		if strings.Contains(got, says) != want || !strings.HasSuffix(got, "--- exit code 0\n") {
			t.Errorf("mode %o:\n%s", mode, got)
		}
		if want {
			contains(t, got, "  not secret:  "+file+" is accessible to all local users (mode 0644); run chmod o= "+file+"\n")
		}
	}
	keysElsewhere := strings.Replace(string(text), "security_token: "+token, "", 1)
	if err := os.WriteFile(file, []byte(keysElsewhere), 0o600); err != nil {
		t.Fatal(err)
	}
	filestest.Chmod(t, file, 0o644)
	if got := check(t, file, false); strings.Contains(got, says) {
		t.Errorf("without a secret in it:\n%s", got)
	}
}
