package files_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cloud_quota_exporter/internal/files"
	"cloud_quota_exporter/internal/files/filestest"
)

const most = 1 << 20

func write(t *testing.T, name, contents string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(contents), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// sparse creates a file that takes no space.
func sparse(t *testing.T, name string, size int64) string {
	t.Helper()
	if err := os.Truncate(write(t, name, ""), size); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	full := strings.Repeat("x", most)
	file := write(t, filepath.Join(dir, "file"), "contents")
	link(t, "file", filepath.Join(dir, "link"))
	link(t, "link", filepath.Join(dir, "link to link"))
	for name, want := range map[string]string{
		file:                               "contents",
		filepath.Join(dir, "link to link"): "contents",
		write(t, filepath.Join(dir, "full"), full): full,
		write(t, filepath.Join(dir, "empty"), ""):  "",
		"/proc/sys/kernel/ostype":                  "Linux\n", // of size 0, according to stat
	} {
		got, err := files.Read(t.Context(), name, most)
		if string(got) != want || err != nil {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	write(t, file, "changed")
	if got, err := files.Read(t.Context(), file, most); string(got) != "changed" || err != nil {
		t.Errorf("changed: %s, %v", got, err)
	}
}

// TestUnreadableFiles: none of these files blocks forever, or takes all memory.
func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	fifo, socket := filepath.Join(dir, "fifo"), filepath.Join(dir, "socket")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	link(t, "fifo", filepath.Join(dir, "link"))
	link(t, "loop", filepath.Join(dir, "loop"))
	for name, want := range map[string]string{
		filepath.Join(dir, "missing"): "no such file or directory",
		filepath.Join(dir, "loop"):    "too many levels of symbolic links",
		dir:                           "it is a directory, not a regular file",
		fifo:                          "it is a named pipe, not a regular file",
		filepath.Join(dir, "link"):    "it is a named pipe, not a regular file",
		socket:                        "it is a socket, not a regular file",
		"/dev/zero":                   "it is a device, not a regular file",
		"/dev/null":                   "it is a device, not a regular file",
		sparse(t, filepath.Join(dir, "large"), 100<<20): "larger than 1048576 bytes",
		sparse(t, filepath.Join(dir, "barely"), most+1): "larger than 1048576 bytes",
	} {
		got, err := files.Read(t.Context(), name, most)
		if err == nil || err.Error() != want || got != nil {
			t.Errorf("%s: %d bytes, %v; want %s", name, len(got), err, want)
		}
	}
	if _, err := files.Read(t.Context(), filepath.Join(dir, "missing"), most); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// TestFileWithoutASize: not more than the limit is read. The kernel's symbols are some megabytes.
func TestFileWithoutASize(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := files.Read(t.Context(), "/proc/kallsyms", 100)
	runtime.ReadMemStats(&after)
	if err == nil || err.Error() != "larger than 100 bytes" || after.TotalAlloc-before.TotalAlloc > 1<<20 {
		t.Errorf("got %v, by %d bytes", err, after.TotalAlloc-before.TotalAlloc)
	}
}

// TestHangingFiles are a hundred real ones. Each call ends in time, they use few threads, and other directories can be read meanwhile. They can be
// read when they respond again.
func TestHangingFiles(t *testing.T) {
	dir := t.TempDir()
	other := write(t, filepath.Join(t.TempDir(), "other"), "other")
	var names []string
	var hanging []*filestest.Hanging
	for i := range 100 {
		name := write(t, filepath.Join(dir, strconv.Itoa(i)), strconv.Itoa(i))
		names, hanging = append(names, name), append(hanging, filestest.Hang(t, name))
	}
	before := threads(t)
	var askers sync.WaitGroup
	for _, name := range names {
		askers.Go(func() {
			if _, err := files.Read(within(t, 300*time.Millisecond), name, most); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	}
	if got, err := files.Read(within(t, 200*time.Millisecond), other, most); string(got) != "other" || err != nil {
		t.Errorf("elsewhere: %s, %v", got, err)
	}
	askers.Wait()
	if now := threads(t); now > before+10 {
		t.Errorf("%d threads, %d before", now, before)
	}
	for _, h := range hanging {
		h.Release()
	}
	for i, name := range names {
		if got, err := files.Read(within(t, 10*time.Second), name, most); string(got) != strconv.Itoa(i) || err != nil {
			t.Errorf("released: %s, %v", got, err)
		}
	}
}

// threads returns how many this process has.
func threads(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(string(regexp.MustCompile(`Threads:\s+(\d+)`).FindSubmatch(status)[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func link(t *testing.T, to, name string) {
	t.Helper()
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
}

func TestCheckSecret(t *testing.T) {
	dir := filestest.OpenDirectory(t)
	file := write(t, filepath.Join(dir, "key"), "x")
	link(t, "key", filepath.Join(dir, "link"))
	for mode, open := range map[os.FileMode]bool{
		0o400: false, 0o600: false, 0o640: false, 0o660: false, 0o711: false, 0o444: true, 0o644: true, 0o604: true, 0o602: true,
	} {
		filestest.Chmod(t, file, mode)
		for _, name := range []string{file, filepath.Join(dir, "link")} {
			err := files.CheckSecret(t.Context(), name)
			if (err != nil) != open {
				t.Errorf("%s, mode %o: %v", filepath.Base(name), mode, err)
			}
		}
	}
	filestest.Chmod(t, file, 0o644)
	if err := files.CheckSecret(t.Context(), file); err == nil || err.Error() != file+" is accessible to all local users (mode 0644); run chmod o= "+file {
		t.Errorf("got %v", err)
	}
	filestest.Chmod(t, dir, 0o750)
	if err := files.CheckSecret(t.Context(), file); err != nil {
		t.Errorf("in an inaccessible directory: %v", err)
	}
	if err := files.CheckSecret(t.Context(), filepath.Join(dir, "missing")); err != nil {
		t.Errorf("a missing file: %v", err)
	}
	t.Chdir(dir)
	filestest.Chmod(t, dir, 0o755)
	if err := files.CheckSecret(t.Context(), "key"); err == nil || !strings.HasPrefix(err.Error(), "key is accessible") {
		t.Errorf("a relative name: %v", err)
	}
}

// TestCheckSecretInKubernetes creates a file like in the volume of a Secret, with its default mode.
func TestCheckSecretInKubernetes(t *testing.T) {
	dir := filestest.OpenDirectory(t)
	version := filepath.Join(dir, "..2026_01_31_12_00_00.1234567890")
	if err := os.Mkdir(version, 0o755); err != nil {
		t.Fatal(err)
	}
	filestest.Chmod(t, write(t, filepath.Join(version, "secret_key"), "x"), 0o644)
	link(t, filepath.Base(version), filepath.Join(dir, "..data"))
	link(t, "..data/secret_key", filepath.Join(dir, "secret_key"))
	if err := files.CheckSecret(t.Context(), filepath.Join(dir, "secret_key")); err != nil {
		t.Errorf("got %v", err)
	}
}
