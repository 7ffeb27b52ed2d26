package docs_test

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"

	"cloud_quota_exporter/docs"
)

// TestRunbooksAddress runs the command of alerts.md on the shipped files, with each of the addresses in its table. Each link to a runbook then links
// to the page of an alert at that address.
func TestRunbooksAddress(t *testing.T) {
	text, err := os.ReadFile("alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`(?m)^sed -i .*$`).FindAllString(string(text), -1)
	addresses := regexp.MustCompile("(?m)^\\| `(https://[^`]+/runbooks)` \\|").FindAllStringSubmatch(string(text), -1)
	if len(command) != 1 || len(addresses) != 2 || !strings.Contains(command[0], addresses[0][1]) {
		t.Fatalf("commands %q, addresses %q", command, addresses)
	}
	for _, address := range addresses {
		dir := t.TempDir()
		if err := os.CopyFS(filepath.Join(dir, "deploy"), os.DirFS("../deploy")); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time, there is nothing to change
			c := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(command[0], addresses[0][1], address[1], 1))
			c.Dir = dir
			if out, err := c.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		checkLinks(t, os.DirFS(dir), address[1])
	}
}

// checkLinks checks the links to runbooks in all files.
func checkLinks(t *testing.T, files fs.FS, address string) {
	t.Helper()
	runbooks, err := docs.Runbooks()
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`[^\s"]*/runbooks(?:/(\w+)\.md)?\b`)
	found := map[string]int{} // by kind of file
	err = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if name == "deploy/helm" { // it has a value for the address, which test/k8s tests
			return fs.SkipDir
		}
		if err != nil || d.IsDir() || name == "deploy/k8s/runbooks.yaml" {
			return err
		}
		text, err := fs.ReadFile(files, name)
		for _, m := range link.FindAllStringSubmatch(strings.ReplaceAll(string(text), `"^docs/runbooks/"`, ""), -1) {
			found[filepath.Ext(name)]++
			want := address
			if m[1] != "" {
				want += "/" + m[1] + ".md"
			}
			if m[0] != want || m[1] != "" && runbooks[m[1]] == "" {
				t.Errorf("%s has a link to %s, want one to a page at %s", name, m[0], address)
			}
		}
		return err
	})
	if err != nil || found[".yml"] < len(runbooks) || found[".yaml"] != found[".yml"] || found[".json"] != 6 || found[".tmpl"] != 1 {
		t.Errorf("%v: links %v, want those of %d alerts, three of each dashboard and one of the template", err, found, len(runbooks))
	}
}

var update = flag.Bool("update", false, "write the HTML of the runbooks")

// TestRunbooksAreRendered compares the HTML of each runbook with its Markdown. Names of other alerts are links there. Every link is to a page that
// the exporter serves.
func TestRunbooksAreRendered(t *testing.T) {
	markdown, err := filepath.Glob("runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range markdown {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		alert := strings.TrimSuffix(filepath.Base(file), ".md")
		body, titled := bytes.CutPrefix(text, []byte("# "+alert+"\n"))
		var rendered bytes.Buffer
		if err := goldmark.New(goldmark.WithExtensions(extension.Table)).Convert(body, &rendered); err != nil || !titled {
			t.Fatalf("%s: %v, or its title is not the alert", file, err)
		}
		html := filepath.Join("runbooks", "html", alert+".html")
		if *update {
			if err := os.WriteFile(html, rendered.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(html); err != nil || !bytes.Equal(got, rendered.Bytes()) {
			t.Errorf("%v: %s is not that of %s: run go test ./docs -update", err, html, file)
		}
		for _, link := range regexp.MustCompile(`href="([^"]+)"`).FindAllSubmatch(rendered.Bytes(), -1) {
			if _, err := os.Stat(filepath.Join("runbooks", string(link[1]))); err != nil || strings.Contains(string(link[1]), "/") {
				t.Errorf("%s has a link to %s, which the exporter does not serve", file, link[1])
			}
		}
	}
	if served, err := docs.Runbooks(); err != nil || len(served) != len(markdown) {
		t.Errorf("%v: %d runbooks are served, want %d", err, len(served), len(markdown))
	}
}
