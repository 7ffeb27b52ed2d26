package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSecurityNamesTests: each row of docs/security.md names tests, and all tests named in documents exist.
func TestSecurityNamesTests(t *testing.T) {
	doc, err := os.ReadFile("security.md")
	if err != nil {
		t.Fatal(err)
	}
	documents, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	test := regexp.MustCompile(`\bTest[A-Z]\w*`)
	exist := map[string]bool{}
	err = filepath.WalkDir("..", func(name string, entry fs.DirEntry, err error) error {
		isHidden := name != ".." && strings.HasPrefix(filepath.Base(name), ".")
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (isHidden || entry.Name() == "node_modules"):
			return fs.SkipDir
		case !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(name)
		for _, m := range regexp.MustCompile(`(?m)^func (Test[A-Z]\w*)\(t `).FindAllStringSubmatch(string(text), -1) {
			exist[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range append(documents, "../README.md", "../CONTRIBUTING.md") {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range test.FindAllString(string(text), -1) {
			if !exist[name] {
				t.Errorf("%s: no %s", document, name)
			}
		}
	}
	rows := regexp.MustCompile(`(?m)^\| .*\|$`).FindAllString(string(doc), -1)
	for _, row := range rows[1:] {
		if !test.MatchString(row) {
			t.Errorf("no test shows %s", row)
		}
	}
	if len(rows) < 15 {
		t.Errorf("only %d rows were found", len(rows))
	}
}

// TestReadmeIsShort, because the other documents have the details.
func TestReadmeIsShort(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if lines := strings.Count(string(readme), "\n"); err != nil || lines > 150 {
		t.Errorf("%v: README.md has %d lines, want 150 at most", err, lines)
	}
}
