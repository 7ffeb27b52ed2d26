// Package systemd runs the shipped unit with a real systemd, in a container with the machine's own /usr, read-only, and nothing else. It needs root
// and systemd-nspawn:
//
//	go -C test/systemd test -count=1 ./...
//
// The binary of the tests is copied into the container, and runs its checks there with a simulated cloud.
package systemd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
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
		t.Fatalf("%v; the console shows\n%s", err, console)
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
		t.Errorf("%d of %d checks succeeded; the console shows\n%s", checked, len(checks), console)
	}
}

// boot starts a container, waits until it has ended, and returns its output.
func boot(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	args = append([]string{
		"--directory=/", "--volatile=yes", "--private-network", "--register=no", "--keep-unit", "--console=pipe",
		fmt.Sprintf("--machine=cloud-quota-exporter-%d", os.Getpid()),
	}, args...)
	c := exec.CommandContext(ctx, "systemd-nspawn", append(args, "--boot", "systemd.unit=check.service", "systemd.firstboot=no")...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) } // halts the container
	c.WaitDelay = 20 * time.Second
	console, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("systemd-nspawn: %v; the console shows\n%s", err, console)
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

const (
	unit      = "cloud_quota_exporter.service"
	exporter  = "http://127.0.0.1:10133" // the default port; the container cannot resolve localhost
	patience  = 30 * time.Second         // time limit of an expected state
	threshold = "--threshold=13"         // of 100, the exposure level of systemd-analyze
)

// checks run in this order, in the container.
var checks = []struct {
	name string
	run  func(cloud *cloudtest.Cloud, cloudURL string) error
}{
	{"the unit has no mistake", verified},
	{"it starts and is ready", starts},
	{"it has no other permissions than it needs", confined},
	{"requests are signed with keys that only root can read", readsQuotas},
	{"a reload adds a new project", reloads},
	{"it stops with exit code 0", stops},
}

// inContainer runs all checks and prints their results.
func inContainer() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println("failed:", err)
		return
	}
	cloud := cloudtest.Scale(2)
	defer cloudsim.ServePlain(cloud, listener).Close()
	for _, check := range checks {
		if err := check.run(cloud, "http://"+listener.Addr().String()); err != nil {
			journal, _ := exec.Command("journalctl", "--no-pager", "--unit="+unit).CombinedOutput()
			fmt.Printf("failed: %s: %v\n%s\n", check.name, err, journal)
			return
		}
		fmt.Println("ok:", check.name)
	}
}

func verified(*cloudtest.Cloud, string) error {
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", unit).CombinedOutput()
	if len(out) > 0 || err != nil {
		return fmt.Errorf("systemd-analyze verify: %s %w", out, err)
	}
	out, err = exec.Command("systemd-analyze", "security", "--no-pager", threshold, unit).CombinedOutput()
	if err != nil {
		return fmt.Errorf("systemd-analyze security: %w\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	fmt.Println(lines[len(lines)-1])
	return nil
}

// starts checks that the first of the cloud's projects is fetched.
func starts(cloud *cloudtest.Cloud, cloudURL string) error {
	if err := configure(cloudURL, cloud.Projects()[:1]); err != nil {
		return err
	}
	if err := systemctl("start"); err != nil {
		return err
	}
	return eventually("/-/ready", func(string) error { return nil })
}

func confined(*cloudtest.Cloud, string) error {
	pid, err := exec.Command("systemctl", "show", "--property=MainPID", "--value", unit).Output()
	if err != nil {
		return err
	}
	status, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/status")
	if err != nil {
		return err
	}
	var wrong []error
	for _, want := range []string{
		`Uid:\t[1-9]\d{4}\t`, // one of systemd's dynamic users
		`CapPrm:\t0+\n`, `CapEff:\t0+\n`, `CapBnd:\t0+\n`, `NoNewPrivs:\t1\n`, `Seccomp:\t2\n`,
	} {
		if !regexp.MustCompile(want).Match(status) {
			wrong = append(wrong, fmt.Errorf("no %q", want))
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%w in\n%s", errors.Join(wrong...), status)
	}
	return nil
}

var succeeded = regexp.MustCompile(`(?m)^cloud_quota_up\{.*\} 1$`)

func readsQuotas(*cloudtest.Cloud, string) error {
	return eventually("/metrics", func(page string) error {
		if n := len(succeeded.FindAllString(page, -1)); n != 5 {
			return fmt.Errorf("%d services of 5 were fetched:\n%s", n, page)
		}
		if !strings.Contains(page, "\nprocess_start_time_seconds ") {
			return fmt.Errorf("no process_start_time_seconds:\n%s", page)
		}
		return nil
	})
}

func reloads(cloud *cloudtest.Cloud, cloudURL string) error {
	if err := configure(cloudURL, cloud.Projects()); err != nil {
		return err
	}
	if err := systemctl("reload"); err != nil {
		return err
	}
	return eventually("/metrics", func(page string) error {
		if n := strings.Count(page, "\ncloud_quota_project_info{"); n != 2 {
			return fmt.Errorf("%d projects, want 2:\n%s", n, page)
		}
		return nil
	})
}

func stops(*cloudtest.Cloud, string) error {
	if err := systemctl("stop"); err != nil {
		return err
	}
	out, err := exec.Command("systemctl", "show", "--property=Result,ExecMainStatus", unit).Output()
	if err != nil {
		return err
	}
	if got := string(out); !strings.Contains(got, "Result=success\n") || !strings.Contains(got, "ExecMainStatus=0\n") {
		return errors.New(got)
	}
	return nil
}

// configure writes the configuration of the unit, with the keys in the directory of systemd.
func configure(cloudURL string, projects []cloudsim.Project) error {
	const credentials = "/run/credentials/" + unit
	var text strings.Builder
	fmt.Fprintf(&text, "accounts:\n  - credentials:\n      static: {access_key_file: %[1]s/access_key, secret_key_file: %[1]s/secret_key}\n", credentials)
	fmt.Fprintf(&text, "    endpoints: {default: %q}\n    projects:\n", cloudURL)
	for _, p := range projects {
		fmt.Fprintf(&text, "      - {id: %s, region: %s, name: %s}\n", p.ID, p.Region, p.Name)
	}
	return os.WriteFile("/etc/cloud_quota_exporter/config.yml", []byte(text.String()), 0o644)
}

func systemctl(verb string) error {
	if out, err := exec.Command("systemctl", verb, unit).CombinedOutput(); err != nil {
		return fmt.Errorf("systemctl %s: %w: %s", verb, err, out)
	}
	return nil
}

// eventually requests a page until it is as expected.
func eventually(path string, check func(page string) error) error {
	for deadline := time.Now().Add(patience); ; <-time.After(100 * time.Millisecond) {
		page, err := get(path)
		if err == nil {
			err = check(page)
		}
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

func get(path string) (string, error) {
	resp, err := http.Get(exporter + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", path, resp.Status, body)
	}
	return string(body), err
}
