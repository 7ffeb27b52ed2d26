package command_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud_quota_exporter/internal/command"
	"cloud_quota_exporter/internal/files/filestest"
)

// unfit puts something that is no configuration in place of a file, for each kind. Link targets are files that exist on every Linux.
var unfit = map[string]struct {
	put  func(t *testing.T, name string) error
	says string
}{
	"a pipe":      {func(_ *testing.T, name string) error { return syscall.Mkfifo(name, 0o600) }, "it is a named pipe, not a regular file"},
	"a directory": {func(_ *testing.T, name string) error { return os.Mkdir(name, 0o700) }, "it is a directory, not a regular file"},
	"a device":    {func(_ *testing.T, name string) error { return os.Symlink("/dev/zero", name) }, "it is a device, not a regular file"},
	"a link to a pipe": {func(t *testing.T, name string) error {
		pipe := filepath.Join(t.TempDir(), "pipe")
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			return err
		}
		return os.Symlink(pipe, name)
	}, "it is a named pipe, not a regular file"},
	"a large file": {func(_ *testing.T, name string) error {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			return err
		}
		return os.Truncate(name, 100<<20)
	}, "larger than 1048576 bytes"},
	"a large valid file": {func(_ *testing.T, name string) error {
		return os.WriteFile(name, []byte("services: {}\n"+strings.Repeat("#\n", 1<<19)), 0o600)
	}, "larger than 1048576 bytes"},
	"a file of /proc": {func(_ *testing.T, name string) error { return os.Symlink("/proc/sys/kernel/ostype", name) }, "is a single value; want a mapping"},
	"nothing":         {func(*testing.T, string) error { return nil }, "no such file or directory"},
}

// TestReloadOfWhatIsNoFile: each is refused with one line, by HTTP and by SIGHUP, and the next good file is loaded.
func TestReloadOfWhatIsNoFile(t *testing.T) {
	_, endpoints := simulated(t)
	good := configuration(t, endpoints, write(t, "sk", secretKey), "")
	file := filepath.Join(t.TempDir(), "config.yml")
	if err := os.Symlink(good, file); err != nil {
		t.Fatal(err)
	}
	r, hangup := reloading(t, file, true)
	for name, bad := range unfit {
		os.RemoveAll(file)
		if err := bad.put(t, file); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		body := r.post(t, "/-/reload")
		contains(t, body, "500\nthe configuration before stays in force:\n", file, bad.says)
		if n := strings.Count(body, "\n"); n > 3 || time.Since(start) > 2*time.Second {
			t.Errorf("%s: %d lines after %s:\n%s", name, n, time.Since(start), body)
		}
		hangup <- os.Interrupt
		hangup <- os.Interrupt // taken when the first is done
		contains(t, r.get(t, "/metrics"), "\ncloud_quota_exporter_config_last_reload_successful 0\n", `cloud_quota_up{project="prod",service="cts"} 1`)
		os.RemoveAll(file)
		if err := os.Symlink(good, file); err != nil {
			t.Fatal(err)
		}
		contains(t, r.post(t, "/-/reload"), "200\n")
	}
	contains(t, r.get(t, "/metrics"), "\ncloud_quota_exporter_config_last_reload_successful 1\n")
}

// TestReloadOfAFileThatHangs: it ends in time, so do those that came meanwhile, and the next one finds the file well.
func TestReloadOfAFileThatHangs(t *testing.T) {
	command.SetReloadTimeout(t, 300*time.Millisecond)
	_, endpoints := simulated(t)
	file := configuration(t, endpoints, write(t, "sk", secretKey), "")
	r, hangup := reloading(t, file, true)
	hanging := filestest.Hang(t, file)
	hangup <- os.Interrupt
	hanging.WaitForReader(t)
	answers := make(chan string)
	for range 3 {
		go func() { answers <- r.post(t, "/-/reload") }()
	}
	contains(t, r.get(t, "/metrics"), `cloud_quota_up{project="prod",service="cts"} 1`)
	start := time.Now()
	for range 3 {
		contains(t, <-answers, "500\nthe configuration before stays in force:\n", "context deadline exceeded")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("they took %s", took)
	}
	r.log.waitFor(t, "context deadline exceeded") // of the file, or of the reload before
	hanging.Release()
	contains(t, r.post(t, "/-/reload"), "200\n")
	contains(t, r.get(t, "/metrics"), "\ncloud_quota_exporter_config_last_reload_successful 1\n")
}

// TestStopEndsAReload that waits for a file system.
func TestStopEndsAReload(t *testing.T) {
	_, endpoints := simulated(t)
	file := configuration(t, endpoints, write(t, "sk", secretKey), "")
	r, _ := reloading(t, file, true)
	hanging := filestest.Hang(t, file)
	answer := make(chan string, 1)
	go func() { answer <- r.post(t, "/-/reload") }()
	hanging.WaitForReader(t)
	start := time.Now()
	if err := r.stop(); err != nil || time.Since(start) > 3*time.Second {
		t.Errorf("it ended after %s with %v", time.Since(start), err)
	}
	contains(t, <-answer, "500\n", "no response from the file system: context canceled")
}
