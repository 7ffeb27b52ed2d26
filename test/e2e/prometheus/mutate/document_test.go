package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestDocumentHasTheMutants compares the table in the document with the rules, without running a mutant: it fails if the rules have changed and
// the mutation run was not repeated.
func TestDocumentHasTheMutants(t *testing.T) {
	const root = "../../../../"
	groups, err := readRules(root + rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	mutants, err := mutantsOf(groups)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(root + document)
	if err != nil {
		t.Fatal(err)
	}
	for _, tally := range tallies(mutants) {
		if row := fmt.Sprintf("\n| `%s` | %d |", tally.rule, tally.mutants); !strings.Contains(string(text), row) {
			t.Errorf("%s does not have %q: repeat the mutation run", document, row)
		}
	}
	ids := map[string]bool{}
	for _, m := range mutants {
		ids[m.id()] = true
	}
	for id := range survivors {
		if !ids[id] {
			t.Errorf("survivors.go has %q, which is not a mutant", id)
		}
	}
}
