package command_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// openDirectory is one that every user of the machine may enter.
func openDirectory(t *testing.T) string {
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

// TestOpenFilesAreTold: once when the exporter starts, and again when a file is opened anew; it is served all the same.
func TestOpenFilesAreTold(t *testing.T) {
	_, endpoints := simulated(t)
	dir := openDirectory(t)
	key := filepath.Join(dir, "sk")
	if err := os.WriteFile(key, []byte(secretKey), 0o600); err != nil {
		t.Fatal(err)
	}
	chmod(t, key, 0o644)
	r := serve(t, "", configuration(t, endpoints, key, "services: {defaults: {cache_ttl: 0}}"))
	r.log.waitFor(t, `msg="credentials are there"`)
	told := func(when string, want int) {
		t.Helper()
		contains(t, r.get(t, "/metrics?collect%5B%5D=cts"), `cloud_quota_up{project="prod",service="cts"} 1`)
		const line = `level=warn caller=readlog.go:NN msg="secrets of the account can be read by others" account=main err="`
		log := regexp.MustCompile(`readlog.go:\d+`).ReplaceAllString(r.log.String(), "readlog.go:NN")
		if got := strings.Count(log, line+key+" is open to every user of this machine (mode 0644); chmod o= "+key); got != want {
			t.Errorf("%s: told %d times, want %d:\n%s", when, got, want, log)
		}
	}
	told("at the start", 1)
	told("still open", 1)
	chmod(t, key, 0o600)
	told("closed", 1)
	chmod(t, key, 0o644)
	told("opened again", 2)
}

// TestCheckConfigTellsOpenFiles: the configuration holds a token itself, and its directory is open.
func TestCheckConfigTellsOpenFiles(t *testing.T) {
	_, endpoints := simulated(t)
	text, err := os.ReadFile(configuration(t, endpoints, write(t, "sk", secretKey), ""))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(openDirectory(t), "config.yml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	const says = "not secret:"
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true} {
		chmod(t, file, mode)
		got := check(t, file, false)
		if strings.Contains(got, says) != want || !strings.HasSuffix(got, "--- exit code 0\n") {
			t.Errorf("mode %o:\n%s", mode, got)
		}
		if want {
			contains(t, got, "  not secret:  "+file+" is open to every user of this machine (mode 0644); chmod o= "+file+"\n")
		}
	}
	keysElsewhere := strings.Replace(string(text), "security_token: "+token, "", 1)
	if err := os.WriteFile(file, []byte(keysElsewhere), 0o600); err != nil {
		t.Fatal(err)
	}
	chmod(t, file, 0o644)
	if got := check(t, file, false); strings.Contains(got, says) {
		t.Errorf("without a secret in it:\n%s", got)
	}
}
