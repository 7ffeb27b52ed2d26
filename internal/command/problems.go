package command

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cloud_quota_exporter/internal/fleet"
)

// writeProblems tells what readings lack, why, and what to do. What there was no answer to comes last: why may stand before it.
func (o *outcome) writeProblems(t Terminal) {
	order := []string{fleet.Unfinished, fleet.NotAsked} // behind all others, which are at -1
	problems := fleet.Problems(o.accounts, o.readings, o.failure)
	slices.SortStableFunc(problems, func(a, b *fleet.Problem) int {
		return cmp.Compare(slices.Index(order, a.Reason), slices.Index(order, b.Reason))
	})
	for _, p := range problems {
		cause, _ := p.Cause()
		_, _ = fmt.Fprintf(t.Out, "\n%s %s\n  %s\n", t.paint(red, p.Reason+":"), printable(p.Where()),
			strings.ReplaceAll(cause.What, "\n", "\n  "))
		if p.Remedy != "" {
			_, _ = fmt.Fprintf(t.Out, "  %s\n", t.paint(yellow, "-> "+p.Remedy))
		}
	}
}
