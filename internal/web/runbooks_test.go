package web_test

import (
	"html"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"cloud_quota_exporter/internal/fleet/fleettest"
)

// TestRunbooks compares the pages with the files. Each file is served under the name of its alert and its own name, with the headers of the status
// page. Its text is that of the file, without Markdown.
func TestRunbooks(t *testing.T) {
	s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig, routes(t, "", "/quotas"))
	files, err := filepath.Glob("../../docs/runbooks/*.md")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	headers := s.get(t, "/quotas/").Header()
	index, unknown := s.get(t, "/quotas/runbooks/"), s.get(t, "/quotas/runbooks/CloudQuota%3Cb%3E")
	if index.Code != http.StatusOK || unknown.Code != http.StatusNotFound || !strings.Contains(unknown.Body.String(), "Unknown runbook CloudQuota&lt;b&gt;.") {
		t.Errorf("the list is a %d, an unknown alert a %d\n%s", index.Code, unknown.Code, unknown.Body)
	}
	if page := s.get(t, "/quotas/runbooks"); page.Code != http.StatusFound || page.Header().Get("Location") != "/quotas/runbooks/" {
		t.Errorf("without a slash: %d %v", page.Code, page.Header())
	}
	markdown := regexp.MustCompile("\\[([^\\][]+)\\]\\([^()]+\\)|(?m:^ *```.*$|^\\|[-|]+$|^- |^\\d+\\. )")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		alert := strings.TrimSuffix(filepath.Base(file), ".md")
		for _, list := range []string{index.Body.String(), unknown.Body.String()} {
			if !strings.Contains(list, `<a href="`+alert+`">`+alert+`</a>`) {
				t.Errorf("%s is not in\n%s", alert, list)
			}
		}
		page := s.get(t, "/quotas/runbooks/"+alert)
		body := page.Body.String()
		if !reflect.DeepEqual(page.Header(), headers) || !strings.Contains(body, "<h1>"+alert+"</h1>") {
			t.Errorf("%s: %v\n%s", alert, page.Header(), body)
		}
		shown := html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(regexp.MustCompile(`(?s)<article.*</article>`).FindString(body), " "))
		if want := markdown.ReplaceAllString(string(text), " $1"); page.Code != http.StatusOK || !slices.Equal(wordsOf("# "+alert+" "+shown), wordsOf(want)) {
			t.Errorf("%s: %d\n%q\nwant\n%q", alert, page.Code, wordsOf(shown), wordsOf(want))
		}
		if other := s.get(t, "/quotas/runbooks/"+filepath.Base(file)); other.Code != http.StatusOK || other.Body.String() != body {
			t.Errorf("%s is a %d, or another page than the alert's", file, other.Code)
		}
	}
}

// wordsOf are the words between blanks and marks.
func wordsOf(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("*`|,.:;()", r) })
}
