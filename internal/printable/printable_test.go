package printable_test

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"

	"cloud_quota_exporter/internal/printable"
)

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"prod, 客户, é":                   "prod, 客户, é",
		"a\x1b[31mb":                    `a\x1b[31mb`,
		"a\r\n\tb\x00\x7f":              `a\r\n\tb\x00\x7f`,
		"a\u009b1mb\u0085":              `a\u009b1mb\u0085`,
		"a\u202eb\u2066c\u200fd":        `a\u202eb\u2066c\u200fd`,
		"a\u200bb\ufeffc\u2060d\u00ade": `a\u200bb\ufeffc\u2060d\u00ade`,
		"a\u00a0b\u3000c\u2028d":        `a\u00a0b\u3000c\u2028d`,
		"a\u3164b\u115fc":               `a\u3164b\u115fc`,
		"a\ufe0fb\U000e0100c\u2800d":    `a\ufe0fb\U000e0100c\u2800d`,
		"a\U000e0041b\ue000\U0001f600":  `a\U000e0041b\ue000` + "\U0001f600",
		"a\xffb\xed\xa0\x80":            `a\xffb\xed\xa0\x80`,
		`a '"` + "`" + `\ <b>`:          `a '"` + "`" + `\ <b>`,
	} {
		if got := printable.Text(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := printable.Lines("a\x1b\nb\r\nc", "  "); got != "a\\x1b\n  b\\r\n  c" {
		t.Errorf("%q", got)
	}
}

func TestWriter(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                       `"plain"`,
		"a\u202eb\u009b\x7f":          `"a\u202eb\u009b\u007f"`,
		"a\U000e0041\U0001f600\u00a0": `"a\udb40\udc41` + "\U0001f600" + `\u00a0"`,
	} {
		var out bytes.Buffer
		var back string
		if err := json.NewEncoder(printable.Writer{Writer: &out}).Encode(text); err != nil || out.String() != want+"\n" {
			t.Errorf("%q: %s, %v, want %s", text, &out, err, want)
		}
		if err := json.Unmarshal(out.Bytes(), &back); err != nil || back != text {
			t.Errorf("%q comes back as %q, %v", text, back, err)
		}
	}
}

func TestWidth(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "prod": 4, "客户项目": 8, "ｆｕｌｌ": 8, "ﾊﾝｶｸ": 4, "e\u0301te\u0301": 3, "한국": 4, "\u1112\u1161\u11ab": 2, "\U0001f600": 2, "███░": 4, "ก\u0e34": 1,
	} {
		if got := printable.Width(text); got != want {
			t.Errorf("%q: %d columns, want %d", text, got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	for n, want := range map[float64]string{
		0: "0", math.Copysign(0, -1): "0", 12345678: "12,345,678", -20: "-20", -1234.5: "-1,234.5", 0.19999999999999998: "0.2", 0.1 + 0.2: "0.3",
		1e15: "1,000,000,000,000,000", 1 << 50: "1,125,899,906,842,624", 1e300: "1e+300", 9223372036854775807: "9.22337e+18", 5e-324: "4.94066e-324",
		0.000001: "0.000001", 1234567.891: "1,234,567.891", math.Inf(1): "+Inf",
	} {
		if got := printable.Grouped(n); got != want {
			t.Errorf("%g: %s, want %s", n, got, want)
		}
		if got := printable.Number(n); len(got) > 20 {
			t.Errorf("%g: %s is long", n, got)
		}
	}
}

func TestPercent(t *testing.T) {
	for ratio, want := range map[float64]string{
		0: "0.0 %", 0.29: "29.0 %", 2. / 3: "66.7 %", 0.001: "0.1 %", 1. / 100_000: "<0.1 %", 5e-324: "<0.1 %", 0.95: "95.0 %", 0.94996: "94.9 %",
		99_999. / 100_000: "99.9 %", 1 - 1e-16: "99.9 %", 1: "100.0 %", 100_001. / 100_000: "100.1 %", 1.2: "120.0 %", 9.99: "999.0 %", 9.9999: "999.9 %", 12.345: "1234 %",
		99.999: "9999 %", 100: ">9999 %", 1e300: ">9999 %", math.MaxFloat64: ">9999 %",
	} {
		if got := printable.Percent(ratio); got != want {
			t.Errorf("%g: %s, want %s", ratio, got, want)
		}
	}
}

func TestSubtract(t *testing.T) {
	for _, tc := range [][3]float64{{0.8, 0.6, 0.2}, {1_000_000.1, 1_000_000, 0.1}, {0.3, 0.3, 0}, {10, 12, -2}, {1e300, 0.5, 1e300}, {math.Inf(1), 3, math.Inf(1)}, {0.1, 0.3, -0.2}} {
		if got := printable.Subtract(tc[0], tc[1]); got != tc[2] || math.Signbit(got) != math.Signbit(tc[2]) {
			t.Errorf("%g - %g = %g, want %g", tc[0], tc[1], got, tc[2])
		}
	}
}
