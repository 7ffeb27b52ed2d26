package providers_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cloud_quota_exporter/providers"
)

// TestEntriesAreDocumented compares the tables of CONTRIBUTING.md with the keys that the errors of unknown keys list.
func TestEntriesAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	for title, text := range map[string]string{
		"### Keys of an entry\n": "a: {zz: 1}",
		"### Keys of `api`\n":    "a: {product: A, title: T, api: {zz: 1}}",
	} {
		_, section, _ := strings.Cut(string(doc), title)
		section, _, _ = strings.Cut(section, "\n#")
		var documented []string
		for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(section, -1) {
			documented = append(documented, row[1])
		}
		_, err := providers.ReadCatalogue([]byte(text))
		m := regexp.MustCompile(`\.zz: unknown key; known here: (.*)`).FindStringSubmatch(err.Error())
		if m == nil {
			t.Fatalf("%s: %v", text, err)
		}
		if known := strings.Split(m[1], ", "); !slices.Equal(documented, known) {
			t.Errorf("%s documents %s, want %s", strings.TrimSpace(title), documented, known)
		}
	}
}
