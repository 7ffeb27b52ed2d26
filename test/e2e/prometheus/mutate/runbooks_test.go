package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestQueriesOfDocumentsParse parses each block of PromQL in the documents about alerts, one query each.
func TestQueriesOfDocumentsParse(t *testing.T) {
	files, err := filepath.Glob("../../../../docs/runbooks/*.md")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	block := regexp.MustCompile("(?s)```promql\n(.*?)```")
	for _, file := range append(files, "../../../../docs/alerts.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		queries := block.FindAllSubmatch(text, -1)
		if len(queries) == 0 {
			t.Errorf("%s has no query that confirms the alert", file)
		}
		for _, query := range queries {
			if _, err := promQL.ParseExpr(string(query[1])); err != nil {
				t.Errorf("%s: %s%v", file, query[1], err)
			}
		}
	}
}
