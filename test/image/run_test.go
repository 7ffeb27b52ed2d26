// Package image builds the container image with buildah and runs it with podman, without a registry. It needs root and the Debian packages buildah,
// podman, runc, and busybox-static:
//
//	go -C test/image test -count=1 ./...
//
// In place of the Go image of the Dockerfile, it uses busybox, the machine's certificates, and the machine's own Go.
package image

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/democloud"
)

const (
	built     = "cloud_quota_exporter" // the image under test
	goImage   = "golang:1.26"          // name in the Dockerfile
	version   = "9.8.7"
	revision  = "0123456789abcdef0123456789abcdef01234567"
	buildDate = "2026-01-31T00:00:00Z"
)

var (
	storage []string // flags of buildah and podman that keep all images in a directory of the tests
	cloud   *cloudtest.Server
	cloudAt string // its URL; the substitute trusts its certificate
)

func TestMain(m *testing.M) {
	code := 1
	dir, err := os.MkdirTemp("", "image-")
	if err == nil {
		err = prepare(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
		cloud.Close()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// prepare creates the substitute and the image.
func prepare(dir string) error {
	storage = []string{"--root", filepath.Join(dir, "storage"), "--runroot", filepath.Join(dir, "run"), "--storage-driver", "vfs"}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	cloud = cloudtest.Serve(cloudtest.Scale(1), listener)
	cloudAt = "https://" + listener.Addr().String()
	base := filepath.Join(dir, "base")
	if err := makeBase(base, cloud.CA()); err != nil {
		return err
	}
	if _, err := command("buildah", "bud", "--pull-never", "--isolation=chroot", "--file=testdata/golang.Dockerfile", "--tag="+goImage, base); err != nil {
		return err
	}
	return build("../..", built)
}

// makeBase creates the directory tree of the substitute, which trusts one more authority.
func makeBase(dir string, authority []byte) error {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return err
	}
	shell, err := os.ReadFile(busybox)
	if err != nil {
		return err
	}
	trusted, err := os.ReadFile(certificates)
	if err != nil {
		return err
	}
	return errors.Join(
		os.MkdirAll(filepath.Join(dir, "bin"), 0o755),
		os.MkdirAll(filepath.Join(dir, "tmp"), 0o777),
		os.MkdirAll(filepath.Join(dir, filepath.Dir(certificates)), 0o755),
		os.WriteFile(filepath.Join(dir, "bin/sh"), shell, 0o755),
		os.WriteFile(filepath.Join(dir, certificates), append(trusted, authority...), 0o644),
	)
}

// build runs the Dockerfile of a directory.
func build(dir, tag string, more ...string) error {
	flags, err := buildFlags()
	if err != nil {
		return err
	}
	args := append([]string{"bud", "--tag=" + tag, "--build-arg=VERSION=" + version, "--build-arg=REVISION=" + revision}, flags...)
	_, err = command("buildah", append(append(args, more...), dir)...)
	return err
}

// buildFlags are the flags of each build: without a registry, with the machine's Go and module cache, and with a fixed time.
func buildFlags() ([]string, error) {
	flags := []string{
		"--pull-never", "--isolation=chroot", "--network=host", "--timestamp=1769817600",
		"--build-arg=BUILDPLATFORM=linux/" + runtime.GOARCH, "--build-arg=BUILD_DATE=" + buildDate,
	}
	for variable, at := range map[string]string{"GOROOT": "/usr/local/go", "GOMODCACHE": "/go/pkg/mod", "GOCACHE": "/go/cache"} {
		host, err := exec.Command("go", "env", variable).Output()
		if err != nil {
			return nil, err
		}
		flags = append(flags, "--volume="+strings.TrimSpace(string(host))+":"+at)
	}
	return flags, nil
}

// command runs buildah or podman on the images of the tests, and returns the output.
func command(program string, args ...string) (string, error) {
	c := exec.Command(program, append(slices.Clip(storage), args...)...)
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", program, args[0], err, out, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// confined are the flags to run the image with as few privileges as possible. The ulimits are not above the machine's own.
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
			t.Errorf("output\n%s\nwant %q", out, want)
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

// TestServe fetches quotas over TLS, with a configuration mounted as in docs/docker.md.
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
		t.Errorf("%d services of 5 were fetched:\n%s", n, page)
	}
}

// start runs the image until the test ends, checks that it is confined and ready, and returns its URL.
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
	t.Fatalf("the container ended: %s", strings.Join(said, "\n"))
	return ""
}

// stop ends the container as Kubernetes does, and checks that it exits with 0.
func stop(t *testing.T, c *exec.Cmd, log <-chan string) {
	t.Helper()
	if err := c.Process.Signal(syscall.SIGTERM); err != nil { // podman forwards it
		t.Error(err)
	}
	var said []string
	for line := range log {
		said = append(said, line)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("the container ended with %v:\n%s", err, strings.Join(said, "\n"))
	}
}

// checkConfined checks the privileges of the process in /proc.
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
		t.Errorf("its root file system is not read-only:\n%s", mounts)
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
