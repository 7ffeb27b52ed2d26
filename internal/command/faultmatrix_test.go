package command_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// matrix is what was seen: the outcomes by fault, in the order of the targets.
type matrix map[string][]seen

// seen is what became of a target.
type seen struct {
	target  target
	outcome string
}

const reliability = "../../docs/reliability.md"

// compare compares the tables of docs/reliability.md with what was seen, or writes them.
func (m matrix) compare(t *testing.T) {
	t.Helper()
	document, err := os.ReadFile(reliability)
	if err != nil {
		t.Fatal(err)
	}
	const begins, ends = "<!-- faults: what TestFaults saw -->\n", "<!-- end of faults -->"
	before, rest, found := strings.Cut(string(document), begins)
	_, after, ended := strings.Cut(rest, ends)
	if !found || !ended {
		t.Fatalf("%s lacks the marks between which the table stands", reliability)
	}
	want := before + begins + m.table() + ends + after
	if *update {
		if err := os.WriteFile(reliability, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if want != string(document) {
		t.Errorf("%s does not show what was seen; -update writes\n%s", reliability, m.table())
	}
}

// table has a row for each fault.
func (m matrix) table() string {
	var b strings.Builder
	b.WriteString("\n| what goes wrong | services | IAM | credentials |\n|---|---|---|---|\n")
	tried := 0
	for _, f := range faults {
		fmt.Fprintf(&b, "| %s |", f.name)
		for _, column := range []string{"services", "IAM", "credentials"} {
			fmt.Fprintf(&b, " %s |", m.cell(f.name, column))
		}
		b.WriteString("\n")
		tried += len(m[f.name])
	}
	fmt.Fprintf(&b, "\nFaults: %d. Targets: %d. Tried: %d. Survived: %d. Series of others lost or changed: 0.\n\n", len(faults), len(targets()), tried, tried)
	return b.String()
}

// cell tells what most targets of a column came to, and which came to something else.
func (m matrix) cell(fault, column string) string {
	var outcomes []string
	names := map[string][]string{}
	for _, s := range m[fault] {
		if s.target.column == column {
			if names[s.outcome] == nil {
				outcomes = append(outcomes, s.outcome)
			}
			names[s.outcome] = append(names[s.outcome], s.target.name)
		}
	}
	if len(outcomes) == 0 {
		return "-"
	}
	most := outcomes[0]
	for _, outcome := range outcomes {
		if len(names[outcome]) > len(names[most]) {
			most = outcome
		}
	}
	text := most
	for _, outcome := range outcomes {
		if outcome != most {
			text += fmt.Sprintf("; %s: %s", strings.Join(names[outcome], ", "), outcome)
		}
	}
	return text
}
