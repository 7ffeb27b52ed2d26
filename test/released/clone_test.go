package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// checkMistakes asserts that what would not be the release of a commit is refused.
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
	refused(`CHANGELOG.md begins with "## 9.8"; want a heading such as`)
	write("CHANGELOG.md", "# Changelog\n")
	refused("CHANGELOG.md has no version")
	write("CHANGELOG.md", "# Changelog\n\n## 9.8.8 / 2026-02-01\n")
	refused("differ from the last commit:\n M CHANGELOG.md\n; commit or remove them")
	write("CHANGELOG.md", "# Changelog\n\n## Unreleased\n")
	if out, err := release(dir, "-platforms="); err == nil || !strings.Contains(out, "version devel, revision ") || !strings.Contains(out, "-modified") ||
		!strings.Contains(out, "want system/processor, such as linux/amd64") {
		t.Errorf("%v:\n%s", err, out)
	}
}

// clone makes a repository of what a release is built from, with a heading of its own in the change log.
func clone(t *testing.T, heading string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"collector", "internal", "providers", "deploy", "test/release", "test/sbom"} {
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

// git runs git without what this machine's user has configured.
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
