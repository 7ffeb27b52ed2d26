// Package files reads files named by the user. A file may be anything: a pipe without a writer, an endless device, or a regular file
// on a file system that has stopped responding.
//
// No reader waits longer than its context. Because a system call that hangs blocks its thread, a file is read by one goroutine at a
// time for any number of callers, and few files are read at a time: at most 4 of a directory and 32 in the process. If one directory
// hangs, files elsewhere can still be read.
package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

const (
	othersReadOrWrite = 0o006
	othersEnter       = 0o001

	whoMayReadIt = -1 // instead of a number of bytes: another question
)

// NoResponseError means that a file system did not respond before the context ended.
type NoResponseError struct{ Err error }

// Error returns why the wait ended.
func (e *NoResponseError) Error() string {
	return fmt.Sprintf("no response from the file system: %v", e.Err)
}

// Unwrap returns the error of the context.
func (e *NoResponseError) Unwrap() error { return e.Err }

// Read returns the contents of a regular file of at most so many bytes. It follows symbolic links. If ctx ends first, the error is a
// *NoResponseError. Errors do not contain the name of the file. The contents are shared by concurrent callers and must not be
// changed.
func Read(ctx context.Context, name string, most int64) ([]byte, error) {
	contents, err := process.ask(ctx, question{name, most}, func() ([]byte, error) { return read(name, most) })
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, path.Err
	}
	return contents, err
}

// read checks the file before it opens it, because opening alone might block forever, and again after that. The size is only a hint:
// files in /proc have none.
func read(name string, most int64) ([]byte, error) {
	if err := check(most)(os.Stat(name)); err != nil {
		return nil, err
	}
	file, err := os.Open(name) //nolint:gosec // the user configured it
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	if err := check(most)(file.Stat()); err != nil {
		return nil, err
	}
	contents, err := io.ReadAll(io.LimitReader(file, most+1))
	if int64(len(contents)) > most {
		return nil, tooLarge(most)
	}
	return contents, err
}

// check rejects anything other than a regular file of at most so many bytes.
func check(most int64) func(os.FileInfo, error) error {
	return func(info os.FileInfo, err error) error {
		switch {
		case err != nil:
			return err
		case !info.Mode().IsRegular():
			return fmt.Errorf("it is a %s, not a regular file", kind(info.Mode()))
		case info.Size() > most:
			return tooLarge(most)
		default:
			return nil
		}
	}
}

func tooLarge(most int64) error { return fmt.Errorf("larger than %d bytes", most) }

// kind names a kind of file that is not regular.
func kind(mode os.FileMode) string {
	switch {
	case mode.IsDir():
		return "directory"
	case mode&os.ModeNamedPipe != 0:
		return "named pipe"
	case mode&os.ModeSocket != 0:
		return "socket"
	default:
		return "device"
	}
}

// CheckSecret returns an error if every local user can read or change a file. Access of a group is allowed, because some services
// are run that way. Files that cannot be checked before ctx ends are left to the reader of the file.
//
// Volumes of Kubernetes are exempt, although their files have the mode 0644 by default: only the containers of the pod have access.
func CheckSecret(ctx context.Context, name string) error {
	if runtime.GOOS == "windows" { // it has no such modes
		return nil
	}
	mode, err := process.ask(ctx, question{name, whoMayReadIt}, func() ([]byte, error) { return openTo(name), nil })
	if err != nil || mode == nil {
		return nil //nolint:nilerr // see above
	}
	return fmt.Errorf("%s is accessible to all local users (mode %s); run chmod o= %s", name, mode, name)
}

// openTo returns the octal mode of a file that is accessible to everyone; nil if it is not.
func openTo(name string) []byte {
	path, err := filepath.EvalSymlinks(name)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil || strings.Contains(path, "/..") { // in volumes of Kubernetes, files are links into directories such as ..2026_01_31_12_00_00.123
		return nil
	}
	mode := permissions(path)
	if mode&othersReadOrWrite == 0 {
		return nil
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if permissions(dir)&othersEnter == 0 { // nothing below is accessible
			return nil
		}
		if dir == filepath.Dir(dir) {
			return fmt.Appendf(nil, "%04o", mode)
		}
	}
}

// permissions are none if the file cannot be checked.
func permissions(name string) os.FileMode {
	info, err := os.Stat(name)
	if err != nil {
		return 0
	}
	return info.Mode().Perm()
}
