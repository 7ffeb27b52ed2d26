package files_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/files"
)

// open makes a directory that everybody may enter.
func open(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "cloud_quota_exporter-test-") //nolint:usetesting // directories of tests are closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	chmod(t, dir, 0o755)
	return dir
}

func chmod(t *testing.T, name string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, name string) {
	t.Helper()
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
}

func TestCheckSecret(t *testing.T) {
	dir := open(t)
	file := filepath.Join(dir, "key")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	link(t, "key", filepath.Join(dir, "link"))
	for mode, open := range map[os.FileMode]bool{
		0o400: false, 0o600: false, 0o640: false, 0o660: false, 0o711: false, 0o444: true, 0o644: true, 0o604: true, 0o602: true,
	} {
		chmod(t, file, mode)
		for _, name := range []string{file, filepath.Join(dir, "link")} {
			err := files.CheckSecret(t.Context(), name)
			if (err != nil) != open {
				t.Errorf("%s, mode %o: %v", filepath.Base(name), mode, err)
			}
		}
	}
	chmod(t, file, 0o644)
	if err := files.CheckSecret(t.Context(), file); err == nil || err.Error() != file+" is open to every user of this machine (mode 0644); chmod o= "+file {
		t.Errorf("got %v", err)
	}
	chmod(t, dir, 0o750)
	if err := files.CheckSecret(t.Context(), file); err != nil {
		t.Errorf("in a closed directory: %v", err)
	}
	if err := files.CheckSecret(t.Context(), filepath.Join(dir, "missing")); err != nil {
		t.Errorf("a missing file: %v", err)
	}
	t.Chdir(dir)
	chmod(t, dir, 0o755)
	if err := files.CheckSecret(t.Context(), "key"); err == nil || !strings.HasPrefix(err.Error(), "key is open") {
		t.Errorf("a relative name: %v", err)
	}
}

// TestCheckSecretInKubernetes lays a file out as the volume of a Secret is, with the mode that it has by default.
func TestCheckSecretInKubernetes(t *testing.T) {
	dir := open(t)
	version := filepath.Join(dir, "..2026_01_31_12_00_00.1234567890")
	if err := os.Mkdir(version, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(version, "secret_key"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	chmod(t, filepath.Join(version, "secret_key"), 0o644)
	link(t, filepath.Base(version), filepath.Join(dir, "..data"))
	link(t, "..data/secret_key", filepath.Join(dir, "secret_key"))
	if err := files.CheckSecret(t.Context(), filepath.Join(dir, "secret_key")); err != nil {
		t.Errorf("got %v", err)
	}
}
