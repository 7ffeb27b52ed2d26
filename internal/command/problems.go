package command

import (
	"fmt"
	"strings"

	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/huaweicloud"
)

// writeProblems tells what readings lack, why, and what to do.
func writeProblems(t Terminal, f *fleet.Fleet, readings []*fleet.Reading) {
	for _, p := range fleet.Problems(f.Accounts(), readings, huaweicloud.ErrPaused) {
		cause, _ := p.Cause()
		_, _ = fmt.Fprintf(t.Out, "\n%s %s\n  %s\n", t.paint(red, p.Reason+":"), printable(p.Where()),
			strings.ReplaceAll(cause.What, "\n", "\n  "))
		if p.Remedy != "" {
			_, _ = fmt.Fprintf(t.Out, "  %s\n", t.paint(yellow, "-> "+p.Remedy))
		}
	}
}
