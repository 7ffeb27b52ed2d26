package image

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/democloud"
)

// confined is how the image is run: with nothing but what it needs. The ulimits are not above the machine's own.
var confined = []string{
	"run", "--rm", "--runtime=runc", "--network=host", "--pull=never", "--no-healthcheck", "--ulimit=nofile=1024:20000", "--ulimit=nproc=1024:2048",
	"--read-only", "--read-only-tmpfs=false", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--memory=64m",
}

func TestVersion(t *testing.T) {
	out, err := command("podman", append(confined, built, "--version")...)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"version " + version, "revision: " + revision, buildDate} {
		if !strings.Contains(out, want) {
			t.Errorf("it says\n%s\nwant %q", out, want)
		}
	}
}

func TestNoShell(t *testing.T) {
	for _, program := range []string{"/bin/sh", "sh", "busybox", "ls"} {
		if _, err := command("podman", append(confined, "--entrypoint="+program, built)...); err == nil || !strings.Contains(err.Error(), "not found") && !strings.Contains(err.Error(), "no such file") {
			t.Errorf("%s: %v", program, err)
		}
	}
}

func TestDemo(t *testing.T) {
	url := start(t, nil, "demo")
	if page := get(t, url+"/metrics"); strings.Count(page, "\ncloud_quota_used{") == 0 {
		t.Errorf("no quota in\n%s", page)
	}
}

// TestServe reads quotas over TLS, with a configuration mounted as in docs/docker.md.
func TestServe(t *testing.T) {
	p := cloudtest.Scale(1).Projects()[0]
	config := filepath.Join(t.TempDir(), "config.yml")
	text := fmt.Sprintf("accounts:\n  - credentials: {static: {access_key: %s, secret_key: %s}}\n", democloud.AccessKey, democloud.SecretKey) +
		fmt.Sprintf("    endpoints: {default: %q}\n", cloudAt) +
		fmt.Sprintf("    projects: [{id: %s, region: %s, name: prod}]\n", p.ID, p.Region)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	const at = "/etc/cloud_quota_exporter/config.yml"
	url := start(t, []string{"--volume=" + config + ":" + at + ":ro"}, "--config.file="+at)
	page := get(t, url+"/metrics")
	if n := len(regexp.MustCompile(`(?m)^cloud_quota_up\{.*\} 1$`).FindAllString(page, -1)); n != 5 {
		t.Errorf("%d services of 5 were read:\n%s", n, page)
	}
}

// start runs the image until the test ends, sees that it is confined and ready, and returns its URL.
func start(t *testing.T, flags []string, args ...string) string {
	t.Helper()
	pidFile := filepath.Join(t.TempDir(), "pid")
	all := append(append(append([]string{}, storage...), confined...), "--conmon-pidfile="+pidFile+".conmon", "--pidfile="+pidFile)
	all = append(append(append(all, flags...), built, "--web.listen-address=127.0.0.1:0"), args...)
	c := exec.Command("podman", all...)
	stderr, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	log := make(chan string, 1000)
	go func() {
		defer close(log)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			log <- lines.Text()
		}
	}()
	t.Cleanup(func() { stop(t, c, log) })
	listening := regexp.MustCompile(`Listening on" address=(\S+)`)
	var said []string
	for line := range log {
		said = append(said, line)
		if m := listening.FindStringSubmatch(line); m != nil {
			checkConfined(t, pidFile)
			get(t, "http://"+m[1]+"/-/ready")
			return "http://" + m[1]
		}
	}
	t.Fatalf("it ended: %s", strings.Join(said, "\n"))
	return ""
}

// stop ends the container as Kubernetes does, and sees that it ends in order.
func stop(t *testing.T, c *exec.Cmd, log <-chan string) {
	t.Helper()
	if err := c.Process.Signal(syscall.SIGTERM); err != nil { // podman leads it on
		t.Error(err)
	}
	var said []string
	for line := range log {
		said = append(said, line)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("it ended with %v:\n%s", err, strings.Join(said, "\n"))
	}
}

// checkConfined asks the kernel what the process may do.
func checkConfined(t *testing.T, pidFile string) {
	t.Helper()
	pid, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	process := filepath.Join("/proc", strings.TrimSpace(string(pid)))
	status, err := os.ReadFile(filepath.Join(process, "status"))
	mounts, mountsErr := os.ReadFile(filepath.Join(process, "mounts"))
	if err := errors.Join(err, mountsErr); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`Uid:\t65532\t65532\t65532\t65532\n`, `CapBnd:\t0+\n`, `CapEff:\t0+\n`, `NoNewPrivs:\t1\n`} {
		if !regexp.MustCompile(want).Match(status) {
			t.Errorf("no %q in\n%s", want, status)
		}
	}
	if !regexp.MustCompile(`(?m)^\S+ / \S+ ro,`).Match(mounts) {
		t.Errorf("what it sees as / is not read-only:\n%s", mounts)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	client := http.Client{Timeout: time.Minute}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s %v: %s", url, resp.Status, err, body)
	}
	return string(body)
}
