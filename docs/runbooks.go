// Package docs holds the documents that the exporter itself serves.
package docs

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"
)

// The HTML is made of the Markdown by `go test ./docs -update`, so that the binary needs no parser of Markdown.
//
//go:embed runbooks/html/*.html
var files embed.FS

// Runbooks returns the texts of the runbooks, without their titles, by alert.
func Runbooks() (map[string]template.HTML, error) {
	names, err := fs.Glob(files, "runbooks/html/*.html")
	if err != nil {
		return nil, fmt.Errorf("runbooks: %w", err)
	}
	texts := map[string]template.HTML{}
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("runbooks: %w", err)
		}
		texts[strings.TrimSuffix(path.Base(name), ".html")] = template.HTML(text) //nolint:gosec // it comes with the binary
	}
	return texts, nil
}
