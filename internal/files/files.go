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
