package files

import (
	"context"
	"fmt"
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

// CheckSecret returns why a file is no place for a secret: every user of this machine may read or change it. A group may, as some services are
// run that way. What can't be looked at, or not before ctx ends, is left to whoever reads the file.
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
