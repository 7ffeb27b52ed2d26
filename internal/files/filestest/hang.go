// Package filestest makes files that hang, and directories that every user can enter, for tests.
package filestest

import (
	"os"
	"syscall"
	"testing"
	"time"
)

// Constants that package syscall lacks.
const (
	setLease = 1024 // F_SETLEASE
	getLease = 1025 // F_GETLEASE
)

// Hanging is a file that cannot be opened.
type Hanging struct{ file *os.File }

// Release lets all waiting callers open it.
func (h *Hanging) Release() { _ = h.file.Close() }

// Hang makes every open of a regular file wait, as on a file system that does not respond, until it is released or the test has
// ended. It holds a write lease on the file, which Linux breaks after 45 seconds (/proc/sys/fs/lease-break-time). The file must not
// be open elsewhere.
func Hang(t testing.TB, name string) *Hanging {
	t.Helper()
	file, err := os.OpenFile(name, os.O_RDWR, 0) //nolint:gosec // a file of the test
	if err != nil {
		t.Fatal(err)
	}
	h := &Hanging{file}
	t.Cleanup(h.Release)
	if _, err := h.control(setLease, syscall.F_WRLCK); err != 0 {
		t.Fatalf("no lease on %s: %v", name, err)
	}
	return h
}

// WaitForReader returns when a caller waits for the file.
func (h *Hanging) WaitForReader(t testing.TB) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-time.After(time.Millisecond) {
		if lease, _ := h.control(getLease, 0); lease != syscall.F_WRLCK { // it is being broken
			return
		}
	}
	t.Fatalf("no reader opens %s", h.file.Name())
}

func (h *Hanging) control(command, argument uintptr) (uintptr, syscall.Errno) {
	result, _, err := syscall.Syscall(syscall.SYS_FCNTL, h.file.Fd(), command, argument)
	return result, err
}

// OpenDirectory makes a directory that every local user can enter, until the test has ended.
func OpenDirectory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "cloud_quota_exporter-test-") //nolint:usetesting // directories of tests are closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	Chmod(t, dir, 0o755)
	return dir
}

// Chmod changes the mode of a file.
func Chmod(t testing.TB, name string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}
