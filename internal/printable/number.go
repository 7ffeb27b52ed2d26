package printable

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

const (
	digits     = 15      // decimal digits that a float64 always preserves
	maxInteger = 1 << 53 // a float64 represents each integer up to it
)

// Number formats an amount for people, in at most about 20 characters: 0.2 for 0.19999999999999998, 1e+300 for a very long number.
func Number(n float64) string {
	switch size := math.Abs(n); {
	case size == 0:
		return "0" // not -0
	case size <= maxInteger && size == math.Trunc(size):
		return strconv.FormatFloat(n, 'f', -1, 64)
	case size >= 1e15 || size < 1e-6:
		return strconv.FormatFloat(n, 'g', 6, 64)
	default:
		return strconv.FormatFloat(decimal(n), 'f', -1, 64)
	}
}

// Grouped is Number with commas between the thousands.
func Grouped(n float64) string {
	text := Number(n)
	if strings.ContainsAny(text, "eI") { // 1e+300, +Inf
		return text
	}
	whole, fraction, broken := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if broken {
		whole += "." + fraction
	}
	if n < 0 {
		whole = "-" + whole
	}
	return whole
}

// Unit formats a unit after a number: "count" is omitted.
func Unit(unit string) string {
	if strings.EqualFold(unit, "count") {
		return ""
	}
	return unit
}

// Percent formats a ratio in at most 7 characters, up to 1000 % with one decimal. It does not round up to a whole percentage,
// because thresholds are whole, nor to 0 or 100 from either side: 99,999 of 100,000 is 99.9 %.
func Percent(ratio float64) string {
	exact := decimal(ratio * 1000)
	tenths := math.Round(exact)
	switch {
	case ratio > 0 && exact < 1:
		return "<0.1 %"
	case ratio >= 100:
		return ">9999 %"
	case ratio >= 10:
		return fmt.Sprintf("%.0f %%", math.Floor(exact/10))
	case ratio > 1 && tenths <= 1000:
		tenths = 1001
	case math.Mod(tenths, 10) == 0 && (tenths > exact || ratio < 1 && tenths == 1000):
		tenths--
	}
	return fmt.Sprintf("%.1f %%", tenths/10)
}

// Subtract returns a - b in decimal arithmetic: 0.8 - 0.6 is 0.2, with no more decimals than a and b have.
func Subtract(a, b float64) float64 {
	difference := a - b
	if math.IsInf(difference, 0) || a == math.Trunc(a) && b == math.Trunc(b) {
		return difference
	}
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(difference, 'f', max(decimals(a), decimals(b)), 64), 64)
	if err != nil || rounded == 0 {
		return 0 // not -0
	}
	return rounded
}

func decimals(n float64) int {
	_, fraction, _ := strings.Cut(strconv.FormatFloat(n, 'f', -1, 64), ".")
	return len(fraction)
}

// decimal returns the number with few digits that n represents: 0.2 for 0.19999999999999998.
func decimal(n float64) float64 {
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(n, 'g', digits, 64), 64)
	if err != nil {
		return n
	}
	return rounded
}
