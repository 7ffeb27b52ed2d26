package huaweicloud_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud_quota_exporter/internal/files/filestest"
	"cloud_quota_exporter/internal/huaweicloud"
)

// TestCheckAuthorities: what Go would read for good is refused, and what it can't read is left to it.
func TestCheckAuthorities(t *testing.T) {
	dir := t.TempDir()
	fifo, large, good := filepath.Join(dir, "fifo"), filepath.Join(dir, "large"), filepath.Join(dir, "good")
	for _, err := range []error{
		syscall.Mkfifo(fifo, 0o600), os.WriteFile(large, make([]byte, 4<<20+1), 0o600), os.WriteFile(good, []byte("no certificate"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for file, says := range map[string]string{
		"": "", good: "", filepath.Join(dir, "missing"): "",
		fifo: "it is a named pipe, not a regular file", large: "larger than 4194304 bytes", "/dev/zero": "it is a device, not a regular file",
	} {
		err := huaweicloud.CheckAuthorities(t.Context(), func(name string) string { return map[string]string{"SSL_CERT_FILE": file}[name] })
		if want := "SSL_CERT_FILE=" + file + ": " + says + "; set it to a file"; (err == nil) != (says == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", file, err, says)
		}
	}
	filestest.Hang(t, good)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := huaweicloud.CheckAuthorities(ctx, func(string) string { return good })
	if !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "SSL_CERT_FILE="+good+": no response") {
		t.Errorf("got %v", err)
	}
}
