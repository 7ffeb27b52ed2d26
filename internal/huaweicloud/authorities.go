package huaweicloud

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"

	"cloud_quota_exporter/internal/files"
)

// CheckAuthorities refuses an environment whose certificate authorities can't be read. Go reads them once, at the first request by TLS: from
// a pipe or a file system that hangs it would do so for good, with every request waiting, and from a device into all of the memory. So they
// are read here, in time. That there is no such file is not for this program to judge.
func CheckAuthorities(ctx context.Context, getenv func(string) string) error {
	file, dir := getenv("SSL_CERT_FILE"), getenv("SSL_CERT_DIR")
	if file == "" && dir == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, caFileTimeout)
	defer cancel()
	if file != "" {
		_, err := files.Read(ctx, file, maxCAFile)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("SSL_CERT_FILE=%s: %w; set it to a file with certificates in PEM, or leave it out", file, err)
		}
	}
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		_, _ = x509.SystemCertPool() // which keeps what it has read
	}()
	select {
	case <-loaded:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("SSL_CERT_DIR=%s: %w; set it to a directory with certificates in PEM, or leave it out", dir, &files.NoResponseError{Err: ctx.Err()})
	}
}
