package main

import (
	"slices"
	"testing"
)

func TestChangesOfAnExpression(t *testing.T) {
	for expr, want := range map[string][]string{
		`a >= 5`:            {`a > 5`, `a < 5`, `a >= 4`, `a >= 6`},
		`a == 0`:            {`a != 0`, `a == -1`, `a == 1`},
		`a < 0.5`:           {`a <= 0.5`, `a >= 0.5`, `a < 0.45`, `a < 0.55`},
		`max by (x, y) (a)`: {`min by (x, y) (a)`, `max by (y) (a)`, `max by (x) (a)`},
		`a{x="1"}`:          {`a`, `a{x!="1"}`},
		`rate(a[2m])`:       {`rate(a[1m])`, `rate(a[4m])`},
		`a and on (x) b`:    {`a unless on (x) b`, `a`, `a and on () b`},
		`a unless b`:        {`a and b`, `a`},
		`a or b`:            {`a and b`, `a`, `b`},
		`-a / b`:            {`-a * b`, `a / b`},
		`max_over_time(a[2m:1m])`: {
			`min_over_time(a[2m:1m])`, `max_over_time(a[1m:1m])`, `max_over_time(a[4m:1m])`, `max_over_time(a[2m:30s])`, `max_over_time(a[2m:2m])`,
		},
	} {
		changes, err := exprChanges(expr)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range changes {
			got = append(got, c.expr)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\ngot  %q\nwant %q", expr, got, want)
		}
	}
}
