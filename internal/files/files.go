// Package files reads the files that the user names. They might be anything, and anywhere: a pipe that nobody writes to, a device that never
// ends, or a regular file of a file system that has stopped responding.
//
// No reader waits longer than its context, whatever a file does. A system call that hangs keeps its thread, so a file is read by one goroutine
// at a time, however many ask for it, and few files are read at a time: at most 4 of a directory and 32 in the process. Files elsewhere are
// still read while one directory hangs.
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

	whoMayReadIt = -1 // in place of a number of bytes: another question
)

// NoResponseError is a file system that did not respond before the context ended.
type NoResponseError struct{ Err error }

// Error says how the wait ended.
func (e *NoResponseError) Error() string {
	return fmt.Sprintf("no response from the file system: %v", e.Err)
}

// Unwrap returns the error of the context.
func (e *NoResponseError) Unwrap() error { return e.Err }

// Read returns the contents of a regular file of at most so many bytes. Symbolic links are followed. If ctx ends first, the error is a
// *NoResponseError. Errors do not name the file: the caller does. The contents are shared by all who asked at the same time, so they must
// not be changed.
func Read(ctx context.Context, name string, most int64) ([]byte, error) {
	contents, err := process.ask(ctx, question{name, most}, func() ([]byte, error) { return read(name, most) })
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, path.Err
	}
	return contents, err
}

// read looks before it opens the file, because opening alone might wait for good, and again at what it has opened. The size is only a hint:
// the files of /proc have none.
func read(name string, most int64) ([]byte, error) {
	if err := check(most)(os.Stat(name)); err != nil {
		return nil, err
	}
	file, err := os.Open(name) //nolint:gosec // the user names it
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

// check refuses anything other than a regular file of at most so many bytes.
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

// kind names what is not a regular file.
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

// CheckSecret returns why a file is no place for a secret: every user of this machine may read or change it. A group may, as some services are
// run that way. What can't be looked at, or not before ctx ends, is left to the reader of the file.
//
// Volumes of Kubernetes are left out, although their files have the mode 0644 by default: only the containers of the pod see them.
func CheckSecret(ctx context.Context, name string) error {
	if runtime.GOOS == "windows" { // has no such modes
		return nil
	}
	mode, err := process.ask(ctx, question{name, whoMayReadIt}, func() ([]byte, error) { return openTo(name), nil })
	if err != nil || mode == nil {
		return nil //nolint:nilerr // see above
	}
	return fmt.Errorf("%s is open to every user of this machine (mode %s); chmod o= %s", name, mode, name)
}

// openTo returns the mode of a file that is open to everybody, in digits; nil if it isn't.
func openTo(name string) []byte {
	path, err := filepath.EvalSymlinks(name)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil || strings.Contains(path, "/..") { // Kubernetes links the names in a volume to directories such as ..2026_01_31_12_00_00.123
		return nil
	}
	mode := permissions(path)
	if mode&othersReadOrWrite == 0 {
		return nil
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if permissions(dir)&othersEnter == 0 { // nothing below can be reached
			return nil
		}
		if dir == filepath.Dir(dir) {
			return fmt.Appendf(nil, "%04o", mode)
		}
	}
}

// permissions are none if the file can't be looked at.
func permissions(name string) os.FileMode {
	info, err := os.Stat(name)
	if err != nil {
		return 0
	}
	return info.Mode().Perm()
}
