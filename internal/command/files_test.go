package command_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cloud_quota_exporter/internal/command"
	"cloud_quota_exporter/internal/files"
	"cloud_quota_exporter/internal/files/filestest"
)

// opening returns how many goroutines wait for a file to open. Each uses a thread.
func opening() int {
	stacks := make([]byte, 8<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "\nos.OpenFile(")
}

// TestCachedKeysDoNotWaitForFiles: keys in memory are used without waiting for the permission check of their file.
func TestCachedKeysDoNotWaitForFiles(t *testing.T) {
	r := serving(t, "", "services: {defaults: {cache_ttl: 0, timeout: 3s}, ces: {cache_ttl: 0}}") // the token is in the configuration
	r.log.waitFor(t, `msg="Credentials loaded"`)
	var readers sync.WaitGroup
	for i := range 4 { // no more directories are checked
		name := filepath.Join(filepath.Dir(r.file), strconv.Itoa(i))
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		hanging := filestest.Hang(t, name)
		readers.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_, _ = files.Read(ctx, name, 1)
		})
		hanging.WaitForReader(t)
	}
	readers.Wait()
	for range 3 {
		start := time.Now()
		contains(t, r.get(t, "/metrics?collect[]=cts"), `cloud_quota_up{project="prod",service="cts"} 1`)
		if took := time.Since(start); took > 2500*time.Millisecond {
			t.Errorf("a scrape took %s", took)
		}
	}
}

// TestCheckConfigOfFilesThatHang: hanging files are reported for every account, within the time of one.
func TestCheckConfigOfFilesThatHang(t *testing.T) {
	_, endpoints := simulated(t)
	key, ca := write(t, "sk", secretKey), write(t, "ca.pem", "")
	filestest.Hang(t, key)
	filestest.Hang(t, ca)
	file := configuration(t, endpoints, key, "")
	rewrite(t, file, func(text string) string {
		return strings.Replace(text, "    projects:", "    ca_file: "+ca+"\n    projects:", 1)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	start := time.Now()
	got := transcriptOf(func(terminal command.Terminal) error {
		return command.Check{Once: command.Once{Timeout: time.Hour}}.Run(ctx, terminal, file)
	})
	contains(t, got, "no keys:     secret_key_file "+key+": no response from the file system", "unusable:    ca_file "+ca+": no response from the file system", "exit code 1")
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestStopWhileTheConfigurationHangs: a signal ends a command that waits for a file system, and so does its timeout.
func TestStopWhileTheConfigurationHangs(t *testing.T) {
	file := write(t, "config.yml", "services: {}\n")
	filestest.Hang(t, file)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	terminal := command.Terminal{Out: io.Discard, Err: io.Discard}
	for name, run := range map[string]func(context.Context, command.Once) error{
		"query": func(ctx context.Context, o command.Once) error {
			return command.Query{Once: o}.Run(ctx, terminal, file)
		},
		"check-config": func(ctx context.Context, o command.Once) error {
			return command.Check{Once: o}.Run(ctx, terminal, file)
		},
	} {
		if err := run(ctx, command.Once{Timeout: time.Hour}); err == nil || err.Error() != "interrupted while the configuration was read" {
			t.Errorf("%s ended with %v", name, err)
		}
		if err := run(t.Context(), command.Once{Timeout: 100 * time.Millisecond}); err == nil || err.Error() != "timed out after 100ms while the configuration was read" {
			t.Errorf("%s ended with %v", name, err)
		}
	}
}

// TestWebFileThatHangs: the toolkit reads the file for every request. A file that would block it is rejected, without a thread per
// request. Once the file can be read, requests are served.
func TestWebFileThatHangs(t *testing.T) {
	certificate, key := keyPair(t)
	file := write(t, "web.yml", "tls_server_config: {cert_file: "+certificate+", key_file: "+key+"}\n")
	r := serving(t, file, "")
	r.url = strings.Replace(r.url, "http", "https", 1)
	answers := func() bool {
		r.client.CloseIdleConnections()
		resp, err := r.client.Get(r.url + "/-/healthy")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	}
	for hung, requests := range map[string]int{file: 3, certificate: 1, key: 1} {
		if !answers() {
			t.Fatalf("no response before %s hangs", hung)
		}
		hanging := filestest.Hang(t, hung)
		start := time.Now()
		var clients sync.WaitGroup
		for range requests {
			clients.Go(func() {
				if answers() {
					t.Errorf("a response while %s hangs", hung)
				}
			})
		}
		clients.Wait()
		if n := opening(); n != 1 || time.Since(start) > 4*time.Second {
			t.Errorf("%d threads wait for files, after %s", n, time.Since(start))
		}
		hanging.Release()
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if answers() {
		t.Error("a response while the file is a pipe")
	}
	r.log.waitFor(t, "Rejected a connection because --web.config.file cannot be read")
	contains(t, r.log.String(), `err="no response from the file system`, `err="cert_file `+certificate+": no response", `err="key_file `+key+": no response", "it is a named pipe")
}
