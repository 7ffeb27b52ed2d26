package files_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cloud_quota_exporter/internal/files"
)

// TestTogether: two files that are replaced while they are read are read again, whether Kubernetes swaps the directory or the files are written one
// after the other.
func TestTogether(t *testing.T) {
	kubelet, plain := t.TempDir(), t.TempDir()
	for _, version := range []string{"..1", "..2"} {
		if err := os.Mkdir(filepath.Join(kubelet, version), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(kubelet, version, "ak"), "ak"+version[2:])
		write(t, filepath.Join(kubelet, version, "sk"), "sk"+version[2:])
	}
	link(t, "..1", filepath.Join(kubelet, "..data"))
	link(t, filepath.Join("..data", "ak"), filepath.Join(kubelet, "ak"))
	link(t, filepath.Join("..data", "sk"), filepath.Join(kubelet, "sk"))
	write(t, filepath.Join(plain, "ak"), "ak1")
	write(t, filepath.Join(plain, "sk"), "sk1")
	for dir, replace := range map[string]func(){
		kubelet: func() {
			link(t, "..2", filepath.Join(kubelet, "..data_tmp"))
			if err := os.Rename(filepath.Join(kubelet, "..data_tmp"), filepath.Join(kubelet, "..data")); err != nil {
				t.Fatal(err)
			}
		},
		plain: func() {
			for _, name := range []string{"ak", "sk"} {
				later := time.Now().Add(time.Minute) // the file system might not notice at once that it was written again
				if err := os.Chtimes(write(t, filepath.Join(plain, name), name+"2"), later, later); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		names := []string{filepath.Join(dir, "ak"), filepath.Join(dir, "sk")}
		reads := 0
		pair, err := files.Together(t.Context(), names, func(ctx context.Context) (pair string, err error) {
			reads++
			for i, name := range names {
				contents, err := files.Read(ctx, name, most)
				if err != nil {
					return "", err
				}
				pair += string(contents)
				if reads == 1 && i == 0 {
					replace()
				}
			}
			return pair, nil
		})
		if pair != "ak2sk2" || err != nil || reads != 2 {
			t.Errorf("read %s, %v in %d reads, want ak2sk2 in 2", pair, err, reads)
		}
	}
}
