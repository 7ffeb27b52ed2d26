// Package systemd has a real systemd run the unit that is shipped, in a container of which /usr is the machine's own, read-only, and all
// else is empty. It needs root and systemd-nspawn:
//
//	go -C test/systemd test -count=1 ./...
//
// The binary of the tests goes into the container and makes its checks there, in front of a simulated cloud.
package systemd

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud_quota_exporter/internal/democloud"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "in-container" {
		inContainer()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestUnit(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "bin/cloud_quota_exporter")
	if out, err := exec.Command("go", "build", "-C", "../..", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatal(string(out))
	}
	driver, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "etc/access_key"), 0o600, []byte(democloud.AccessKey))
	write(t, filepath.Join(dir, "etc/secret_key"), 0o600, []byte(democloud.SecretKey))
	write(t, filepath.Join(dir, "check/driver"), 0o755, read(t, driver))
	shipped := absolute(t, "../../deploy/systemd")
	console := boot(t,
		"--bind-ro="+filepath.Join(shipped, unit)+":/etc/systemd/system/"+unit,
		"--bind-ro="+filepath.Join(shipped, "keys.conf")+":/etc/systemd/system/"+unit+".d/keys.conf",
		"--bind-ro="+absolute(t, "testdata/check.service")+":/etc/systemd/system/check.service",
		"--bind-ro="+filepath.Join(dir, "bin")+":/usr/local/bin",
		"--bind="+filepath.Join(dir, "etc")+":/etc/cloud_quota_exporter",
		"--bind="+filepath.Join(dir, "check")+":/check",
	)
	output, err := os.ReadFile(filepath.Join(dir, "check/output"))
	if err != nil {
		t.Fatalf("%v; the console says\n%s", err, console)
	}
	checked := 0
	for line := range strings.Lines(string(output)) {
		t.Log(strings.TrimSuffix(line, "\n"))
		switch {
		case strings.HasPrefix(line, "ok: "):
			checked++
		case strings.HasPrefix(line, "failed: "):
			t.Error("this check failed")
		}
	}
	if checked != len(checks) {
		t.Errorf("%d of %d checks succeeded; the console says\n%s", checked, len(checks), console)
	}
}

// boot starts a container, waits until it has ended, and returns what it said.
func boot(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	args = append([]string{
		"--directory=/", "--volatile=yes", "--private-network", "--register=no", "--keep-unit", "--console=pipe",
		fmt.Sprintf("--machine=cloud-quota-exporter-%d", os.Getpid()),
	}, args...)
	c := exec.CommandContext(ctx, "systemd-nspawn", append(args, "--boot", "systemd.unit=check.service", "systemd.firstboot=no")...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) } // which halts the container
	c.WaitDelay = 20 * time.Second
	console, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("systemd-nspawn: %v; the console says\n%s", err, console)
	}
	return string(console)
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func write(t *testing.T, file string, mode os.FileMode, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, mode); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
