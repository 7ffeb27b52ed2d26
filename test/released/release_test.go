package main_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	commitTime = "2026-01-31T10:20:30Z"
	prefix     = "cloud_quota_exporter-9.8.7."
)

// shipped are the files of every archive in addition to the program.
var shipped = []string{
	"LICENSE", "config.example.yml", "deploy/alertmanager/alertmanager.yml", "deploy/alertmanager/cloud_quota.tmpl", "deploy/grafana/dashboards/exporter.json",
	"deploy/grafana/dashboards/quotas.json", "deploy/grafana/provisioning/dashboards/cloud_quota.yml",
	"deploy/grafana/provisioning/datasources/prometheus.yml", "deploy/prometheus/rules.yml", "deploy/prometheus/scrape-projects.yml",
	"deploy/prometheus/scrape-secure.yml", "deploy/prometheus/scrape-static.yml",
}

// host is the platform of this machine, whose binary can run here.
var host = runtime.GOOS + "/" + runtime.GOARCH

// TestRelease builds the same commit in two clones. One platform with tar and one with zip are built twice, another once.
func TestRelease(t *testing.T) {
	first := clone(t, "## 9.8.7 / 2026-01-31")
	second := filepath.Join(t.TempDir(), "a", "path", "of", "another", "length")
	git(t, "", "clone", "--quiet", first, second)
	revision := strings.TrimSpace(git(t, first, "rev-parse", "HEAD"))
	other := "darwin/arm64"
	if host == other {
		other = "linux/amd64"
	}
	platforms := []string{host, "windows/amd64", other}
	if out, err := release(first, "-platforms="+strings.Join(platforms, ",")); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := release(second, "-platforms="+strings.Join(platforms[:2], ",")); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	base := prefix + strings.ReplaceAll(host, "/", "-")
	once := prefix + strings.ReplaceAll(other, "/", "-")
	checkFiles(t, filepath.Join(first, "dist"), []string{
		base + ".cdx.json", base + ".tar.gz", once + ".cdx.json", once + ".tar.gz", "sha256sums.txt",
		prefix + "windows-amd64.cdx.json", prefix + "windows-amd64.zip",
	})
	for _, name := range []string{base + ".tar.gz", base + ".cdx.json", prefix + "windows-amd64.zip", prefix + "windows-amd64.cdx.json"} {
		if !bytes.Equal(read(t, first, "dist", name), read(t, second, "dist", name)) {
			t.Errorf("%s differs between two clones of the same commit", name)
		}
	}
	checkTar(t, read(t, first, "dist", base+".tar.gz"), base, revision)
	checkZip(t, read(t, first, "dist", prefix+"windows-amd64.zip"), prefix+"windows-amd64")
	checkMaterials(t, read(t, first, "dist", base+".cdx.json"))
	checkMistakes(t, first)
}

func checkFiles(t *testing.T, dist string, want []string) {
	t.Helper()
	entries, err := os.ReadDir(dist)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	var sums strings.Builder
	for _, e := range entries {
		names = append(names, e.Name())
		if e.Name() != "sha256sums.txt" {
			fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(read(t, dist, e.Name())), e.Name())
		}
	}
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("files %q, want %q", names, want)
	}
	stated := slices.Sorted(strings.Lines(string(read(t, dist, "sha256sums.txt"))))
	if counted := slices.Sorted(strings.Lines(sums.String())); !slices.Equal(stated, counted) {
		t.Errorf("sha256sums.txt has %q, want %q", stated, counted)
	}
}

// checkTar unpacks an archive and runs the program in it.
func checkTar(t *testing.T, data []byte, base, revision string) {
	t.Helper()
	unzipped, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var names []string
	for archive := tar.NewReader(unzipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Uid != 0 || header.Gid != 0 || header.Uname != "" || header.ModTime.UTC().Format(time.RFC3339) != commitTime {
			t.Errorf("%s is of %d:%d and %s, want 0:0 and %s", header.Name, header.Uid, header.Gid, header.ModTime, commitTime)
		}
		names = append(names, strings.TrimPrefix(header.Name, base+"/"))
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, strings.TrimPrefix(header.Name, base+"/"))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, os.FileMode(header.Mode)); err != nil {
			t.Fatal(err)
		}
	}
	want := append([]string{"cloud_quota_exporter"}, shipped...)
	if runtime.GOOS == "linux" {
		want = append(want, "deploy/systemd/cloud_quota_exporter.service", "deploy/systemd/keys.conf")
		checkInstallation(t, dir)
	}
	if !slices.Equal(names, want) {
		t.Errorf("files %q in %s, want %q", names, base, want)
	}
	out, err := exec.Command(filepath.Join(dir, "cloud_quota_exporter"), "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"version 9.8.7 ", "revision: " + revision + ")", commitTime} {
		if !strings.Contains(string(out), part) {
			t.Errorf("--version prints\n%s\nwant %q", out, part)
		}
	}
}

// checkInstallation runs the installation commands of the documents, in an unpacked archive and below a directory.
func checkInstallation(t *testing.T, dir string) {
	t.Helper()
	at := t.TempDir()
	for _, name := range []string{"access_key", "secret_key"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("KEY"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, document := range []string{"installation.md", "dashboards.md"} {
		commands := regexp.MustCompile(`(?m)^(?:sudo )?(install -D .*)$`).FindAllStringSubmatch(string(read(t, "../../docs", document)), -1)
		for _, command := range commands {
			c := exec.Command("sh", "-c", regexp.MustCompile(` (/(usr|etc|var)/)`).ReplaceAllString(command[1], " "+at+"$1"))
			c.Dir = dir
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%s: %s: %v\n%s", document, command[1], err, out)
			}
		}
	}
	if without := regexp.MustCompile(`(?m)^sudo cloud_quota_exporter .*`).Find(read(t, "../../docs", "installation.md")); without != nil {
		t.Errorf("%s: sudo does not search /usr/local/bin everywhere", without)
	}
	for name, mode := range map[string]os.FileMode{
		"usr/local/bin/cloud_quota_exporter": 0o755, "etc/cloud_quota_exporter/config.yml": 0o644, "etc/cloud_quota_exporter/secret_key": 0o600,
		"etc/systemd/system/cloud_quota_exporter.service": 0o644, "etc/systemd/system/cloud_quota_exporter.service.d/keys.conf": 0o644,
		"var/lib/grafana/dashboards/cloud_quota/quotas.json": 0o644,
	} {
		if info, err := os.Stat(filepath.Join(at, name)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
}

func checkZip(t *testing.T, data []byte, base string) {
	t.Helper()
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range archive.File {
		names = append(names, f.Name)
		if at := f.Modified.UTC().Format(time.RFC3339); at != commitTime {
			t.Errorf("%s is of %s, want %s", f.Name, at, commitTime)
		}
	}
	want := []string{base + "/cloud_quota_exporter.exe"}
	for _, name := range shipped {
		want = append(want, base+"/"+name)
	}
	if !slices.Equal(names, want) {
		t.Errorf("files %q, want %q", names, want)
	}
}

// checkMaterials compares the bill of materials with the modules of the program.
func checkMaterials(t *testing.T, data []byte) {
	t.Helper()
	var bill struct {
		BOMFormat, SerialNumber string
		Metadata                struct {
			Timestamp string
			Component struct{ Name, Version string }
		}
		Components []struct{ Name, Version string }
	}
	if err := json.Unmarshal(data, &bill); err != nil {
		t.Fatal(err)
	}
	if c := bill.Metadata.Component; bill.BOMFormat != "CycloneDX" || c.Name != "cloud_quota_exporter" || c.Version != "9.8.7" {
		t.Errorf("a bill in %s of %+v", bill.BOMFormat, c)
	}
	if bill.SerialNumber != "" || bill.Metadata.Timestamp != "" {
		t.Errorf("serial number %q and time %q, which differ in each build", bill.SerialNumber, bill.Metadata.Timestamp)
	}
	required := string(read(t, "../../go.mod"))
	found := map[string]bool{}
	for _, c := range bill.Components {
		found[c.Name] = true
		if c.Name != "std" && !strings.Contains(required, "\t"+c.Name+" "+c.Version) {
			t.Errorf("%s %s is not in go.mod", c.Name, c.Version)
		}
	}
	for _, name := range []string{"std", "github.com/prometheus/client_golang", "github.com/alecthomas/kingpin/v2", "golang.org/x/net"} {
		if !found[name] {
			t.Errorf("%s is missing", name)
		}
	}
}

// checkMistakes asserts that a state which is not a commit is rejected.
func checkMistakes(t *testing.T, dir string) {
	t.Helper()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(want string) {
		if out, err := release(dir, "-platforms="+host); err == nil || !strings.Contains(out, want) {
			t.Errorf("%v:\n%s\nwant an error with %q", err, out, want)
		}
	}
	write("CHANGELOG.md", "# Changelog\n\n## 9.8\n\n## 9.7.0 / 2026-01-01\n")
	refused(`CHANGELOG.md starts with "## 9.8"; expected a heading such as`)
	write("CHANGELOG.md", "# Changelog\n")
	refused("CHANGELOG.md has no version")
	write("CHANGELOG.md", "# Changelog\n\n## 9.8.8 / 2026-02-01\n")
	refused("differ from the last commit:\n M CHANGELOG.md\n; commit or remove them")
	write("CHANGELOG.md", "# Changelog\n\n## Unreleased\n")
	if out, err := release(dir, "-platforms="); err == nil || !strings.Contains(out, "version devel, revision ") || !strings.Contains(out, "-modified") ||
		!strings.Contains(out, "expected system/processor, such as linux/amd64") {
		t.Errorf("%v:\n%s", err, out)
	}
}

// clone creates a repository with what a release is built from, and a heading in the change log.
func clone(t *testing.T, heading string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"collector", "docs", "internal", "providers", "deploy", "test/release", "test/sbom"} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join("../..", name))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum", "main.go", "LICENSE", "config.example.yml", ".gitignore"} {
		if err := os.WriteFile(filepath.Join(dir, name), read(t, "../..", name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "CHANGELOG.md"), []byte("# Changelog\n\n"+heading+"\n\n## 0.0.1 / 2025-01-01\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "init", "--quiet")
	git(t, dir, "add", ".")
	git(t, dir, "commit", "--quiet", "--message=a release")
	return dir
}

// git runs git without the configuration of this machine's user.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	c := exec.Command("git", append([]string{"-c", "user.name=Test", "-c", "user.email=test@example.com"}, args...)...)
	c.Dir = dir
	c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_AUTHOR_DATE="+commitTime, "GIT_COMMITTER_DATE="+commitTime)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", args[0], err, out)
	}
	return string(out)
}

// release runs the program in a clone.
func release(dir string, args ...string) (string, error) {
	c := exec.Command("go", append([]string{"run", "./test/release"}, args...)...)
	c.Dir = dir
	out, err := c.CombinedOutput()
	return string(out), err
}

func read(t *testing.T, path ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
