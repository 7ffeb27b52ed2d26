package web

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// age is a time in the past, for people and for programs; both are empty for one that never was.
type age struct{ At, Text string }

func newAge(now, at time.Time) age {
	if at.IsZero() {
		return age{}
	}
	text := ""
	switch d := max(now.Sub(at), 0); {
	case d < time.Minute:
		text = fmt.Sprintf("%.0f s ago", d.Truncate(time.Second).Seconds())
	case d < time.Hour:
		text = fmt.Sprintf("%d min ago", d/time.Minute)
	case d < 48*time.Hour:
		text = fmt.Sprintf("%d h ago", d/time.Hour)
	default:
		text = fmt.Sprintf("%d days ago", d/(24*time.Hour))
	}
	return age{at.UTC().Format(time.RFC3339), text}
}

// amount writes a number of a quota with its unit.
func amount(n *float64, unit string) string {
	switch {
	case n == nil:
		return "unknown"
	case math.IsInf(*n, 1):
		return "unlimited"
	case unit == "":
		return number(*n)
	default:
		return number(*n) + " " + unit
	}
}

// number writes a number with commas between its thousands.
func number(n float64) string {
	text := strconv.FormatFloat(math.Abs(n), 'f', -1, 64)
	whole, fraction, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction != "" {
		whole += "." + fraction
	}
	if n < 0 {
		whole = "-" + whole
	}
	return whole
}
