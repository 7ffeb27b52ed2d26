package command_test

import (
	"os"
	"path/filepath"
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

// TestOpenFilesAreLogged: at the start and at each reload, and not by scrapes. The file serves all the same.
func TestOpenFilesAreLogged(t *testing.T) {
	_, endpoints := simulated(t)
	key := filepath.Join(openDirectory(t), "sk")
	if err := os.WriteFile(key, []byte(secretKey), 0o600); err != nil {
		t.Fatal(err)
	}
	chmod(t, key, 0o644)
	r, _ := reloading(t, configuration(t, endpoints, key, "services: {defaults: {cache_ttl: 0}}"), true)
	const warning = ` msg="secrets of the account can be read by others" account=main err="`
	open := func(mode string) string {
		return warning + key + " is open to every user of this machine (mode " + mode + "); chmod o= " + key
	}
	r.log.waitFor(t, open("0644"))
	for range 2 {
		contains(t, r.get(t, "/metrics?collect%5B%5D=cts"), `cloud_quota_up{project="prod",service="cts"} 1`)
	}
	if got := strings.Count(r.log.String(), warning); got != 1 {
		t.Errorf("logged %d times after two scrapes, want 1:\n%s", got, r.log)
	}
	contains(t, r.post(t, "/-/reload"), "200\n")
	r.log.waitForTimes(t, open("0644"), 2)
	for _, mode := range []os.FileMode{0o600, 0o646} {
		chmod(t, key, mode)
		contains(t, r.post(t, "/-/reload"), "200\n")
	}
	r.log.waitFor(t, open("0646"))
	if got := strings.Count(r.log.String(), warning); got != 3 {
		t.Errorf("logged %d times, want 3: the file was closed at one of the reloads:\n%s", got, r.log)
	}
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
