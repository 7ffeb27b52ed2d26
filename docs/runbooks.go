// Package docs holds the documents that the exporter itself serves.
package docs

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:embed runbooks/*.md
var files embed.FS

// Runbooks returns the texts of the runbooks, in Markdown, by alert.
func Runbooks() (map[string]string, error) {
	names, err := fs.Glob(files, "runbooks/*.md")
	if err != nil {
		return nil, fmt.Errorf("runbooks: %w", err)
	}
	texts := map[string]string{}
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("runbooks: %w", err)
		}
		texts[strings.TrimSuffix(path.Base(name), ".md")] = string(text)
	}
	return texts, nil
}
