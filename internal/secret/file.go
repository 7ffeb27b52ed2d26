package secret

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

const (
	othersReadOrWrite = 0o006
	othersEnter       = 0o001
)

// ReadFile reads a regular file of so many bytes at most: anything else might keep the reader waiting for good.
func ReadFile(name string, most int64) ([]byte, error) {
	switch info, err := os.Stat(name); {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("no regular file")
	case info.Size() > most:
		return nil, fmt.Errorf("larger than %d bytes", most)
	}
	return os.ReadFile(name) //nolint:gosec // the user names it
}

// CheckFile tells why a file is no place for a secret: every user of this machine may read or change it. A group may, as some services are
// run; and what can't be looked at is up to who reads it.
//
// Volumes of Kubernetes are let be, although their files have the mode 0644 unless it is stated: only the containers of the pod see them.
func CheckFile(name string) error {
	if runtime.GOOS == "windows" { // has no such modes
		return nil
	}
	path := resolve(name)
	if strings.Contains(path, "/..") { // Kubernetes links the names in a volume to directories such as ..2026_01_31_12_00_00.123
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
			return fmt.Errorf("%s is open to every user of this machine (mode %04o); chmod o= %s", name, mode, name)
		}
	}
}

// resolve returns the absolute name without links, or an empty one where there is no such file.
func resolve(name string) string {
	path, err := filepath.EvalSymlinks(name)
	if err != nil {
		return ""
	}
	if path, err = filepath.Abs(path); err != nil {
		return ""
	}
	return path
}

// permissions are none where the file can't be looked at.
func permissions(name string) os.FileMode {
	info, err := os.Stat(name)
	if err != nil {
		return 0
	}
	return info.Mode().Perm()
}
