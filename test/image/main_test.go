// Package image builds the container image by buildah and runs it by podman, without a registry. It needs root and, from Debian, the
// packages buildah, podman, runc and busybox-static:
//
//	go -C test/image test -count=1 ./...
//
// The image of Go that the Dockerfile begins with is stood in for by busybox, the machine's certificates and the machine's own Go.
package image

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

const (
	built     = "cloud_quota_exporter" // the image under test
	goImage   = "golang:1.26"          // as the Dockerfile names it
	version   = "9.8.7"
	revision  = "0123456789abcdef0123456789abcdef01234567"
	buildDate = "2026-01-31T00:00:00Z"
)

var (
	storage []string // flags of buildah and podman that keep all images in a directory of the tests'
	cloud   *cloudtest.Server
	cloudAt string // its URL; its certificate is among those of the stand-in
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

// prepare makes the stand-in and the image.
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

// makeBase makes the tree of the stand-in, which trusts one more authority.
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
	args := []string{
		"bud", "--pull-never", "--isolation=chroot", "--network=host", "--tag=" + tag, "--timestamp=1769817600",
		"--build-arg=BUILDPLATFORM=linux/" + runtime.GOARCH,
		"--build-arg=VERSION=" + version, "--build-arg=REVISION=" + revision, "--build-arg=BUILD_DATE=" + buildDate,
	}
	for variable, at := range map[string]string{"GOROOT": "/usr/local/go", "GOMODCACHE": "/go/pkg/mod", "GOCACHE": "/go/cache"} {
		host, err := exec.Command("go", "env", variable).Output()
		if err != nil {
			return err
		}
		args = append(args, "--volume="+strings.TrimSpace(string(host))+":"+at)
	}
	_, err := command("buildah", append(append(args, more...), dir)...)
	return err
}

// command runs buildah or podman on the images of the tests, and returns what it prints.
func command(program string, args ...string) (string, error) {
	c := exec.Command(program, append(storage[:len(storage):len(storage)], args...)...)
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", program, args[0], err, out, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}
