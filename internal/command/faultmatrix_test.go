package command_test

import (
	"fmt"
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

// compare compares the table of docs/reliability.md with what was seen, or writes it.
func (m matrix) compare(t *testing.T) {
	t.Helper()
	generated(t, "../../docs/reliability.md", "faults: what TestFaults saw", "end of faults", m.table())
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
