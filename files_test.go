package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud_quota_exporter/internal/files/filestest"
)

// TestWhatIsNoFileEndsWithOneLine: at once, whoever would read it, and whatever else it would read.
func TestWhatIsNoFileEndsWithOneLine(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		syscall.Mkfifo(in("pipe"), 0o600), os.Symlink("pipe", in("link")), os.Symlink("/dev/zero", in("device")),
		os.WriteFile(in("large"), nil, 0o600), os.Truncate(in("large"), 100<<20),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	const noPipe, noDevice = "it is a named pipe, not a regular file; ", "it is a device, not a regular file; "
	web := func(files string) string { return writeFile(t, "tls_server_config: "+files+"\n") }
	certificate := web("{cert_file: " + in("pipe") + ", key_file: key}")
	key := web("{cert_file: " + writeFile(t, "x") + ", key_file: " + in("device") + "}")
	client := web("{client_ca_file: " + in("large") + "}")
	for _, tc := range []struct {
		env, flag, says string
	}{
		{"", "--config.file=" + in("pipe"), "read the configuration: " + in("pipe") + ": " + noPipe},
		{"", "--config.file=" + in("link"), "read the configuration: " + in("link") + ": " + noPipe},
		{"", "--config.file=" + in("device"), "read the configuration: " + in("device") + ": " + noDevice},
		{"", "--config.file=" + in("large"), "read the configuration: " + in("large") + ": larger than 1048576 bytes; "},
		{"", "--config.file=/proc/sys/kernel/ostype", "/proc/sys/kernel/ostype:1: is a single value; "},
		{"", "--web.config.file=" + in("link"), "--web.config.file=" + in("link") + " can't be used: " + noPipe},
		{"", "--web.config.file=/dev/zero", "--web.config.file=/dev/zero can't be used: " + noDevice},
		{"", "--web.config.file=" + in("large"), "can't be used: larger than 1048576 bytes; "},
		{"", "--web.config.file=" + certificate, "can't be used: cert_file " + in("pipe") + ": " + noPipe},
		{"", "--web.config.file=" + key, "can't be used: key_file " + in("device") + ": " + noDevice},
		{"", "--web.config.file=" + client, "can't be used: client_ca_file " + in("large") + ": larger than 1048576 bytes; "},
		{"SSL_CERT_FILE=" + in("pipe"), "--web.telemetry-path=/metrics", "SSL_CERT_FILE=" + in("pipe") + ": " + noPipe},
	} {
		start := time.Now()
		code, stdout, stderr := run(t, []string{"HW_REGION_NAME=cn-north-4", tc.env}, "--web.listen-address=127.0.0.1:0", tc.flag)
		if code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "cloud_quota_exporter: ") || !strings.Contains(stderr, tc.says) {
			t.Errorf("%s %s: exit code %d\n%s%swant %q", tc.env, tc.flag, code, stdout, stderr, tc.says)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s took %s", tc.flag, took)
		}
	}
}

// TestSIGTERMEndsAStartThatHangs: the first one, and at once.
func TestSIGTERMEndsAStartThatHangs(t *testing.T) {
	file := writeFile(t, "services: {}\n")
	web := writeFile(t, "{}\n")
	for hung, args := range map[string][]string{
		file: {"--config.file=" + file},
		web:  {"--web.config.file=" + web},
	} {
		hanging := filestest.Hang(t, hung)
		p := startProcess(t, []string{"HW_REGION_NAME=cn-north-4"}, append(args, "--web.listen-address=127.0.0.1:0")...)
		hanging.WaitForReader(t)
		start := time.Now()
		p.terminate(t)
		<-p.ended
		if took := time.Since(start); took > 2*time.Second || p.cmd.ProcessState.ExitCode() != 0 {
			t.Errorf("%s: it ended after %s with %s:\n%s", args, took, p.cmd.ProcessState, p.lines())
		}
	}
}
