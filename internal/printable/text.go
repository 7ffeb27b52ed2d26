// Package printable formats external texts and numbers for people: for terminals, the log, and the status page.
package printable

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// Text returns text in one line, with invisible characters escaped: controls, line breaks, bidirectional and other format
// characters, white space other than a blank, and bytes that are not UTF-8. On a terminal, these could move the cursor, or look like
// another part of the output.
func Text(text string) string {
	if !strings.ContainsFunc(text, hidden) && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case hidden(r):
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteRune(r)
		}
		text = text[size:]
	}
	return b.String()
}

const emptyBraille = '\u2800' // a symbol without a dot

// hidden reports whether r is invisible. Characters such as U+3164, a Hangul filler, count as letters but are invisible.
func hidden(r rune) bool {
	return !unicode.IsPrint(r) || r == emptyBraille || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// Lines is Text for a text of several lines. indent precedes all lines but the first.
func Lines(text, indent string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = Text(line)
	}
	return strings.Join(lines, "\n"+indent)
}

// Writer escapes invisible characters that the encoders of the log and of JSON do not, such as bidirectional ones. It expects whole
// lines, and keeps line ends. The escapes are those of JSON, so that decoding JSON or a quoted logfmt value gives the same text.
type Writer struct{ io.Writer }

// Write writes lines.
func (w Writer) Write(lines []byte) (int, error) {
	text := string(lines)
	if !strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && hidden(r) }) {
		return w.Writer.Write(lines)
	}
	var b []byte
	for _, r := range text {
		if r == '\n' || !hidden(r) {
			b = utf8.AppendRune(b, r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			b = fmt.Appendf(b, `\u%04x`, unit)
		}
	}
	if _, err := w.Writer.Write(b); err != nil {
		return 0, err
	}
	return len(lines), nil
}

// Width returns the number of columns of a Text on a terminal: two for wide characters of Chinese, Japanese, and Korean and for most
// emoji, and none for a mark that combines with the previous character.
func Width(text string) int {
	columns := 0
	for _, r := range text {
		switch kind := width.LookupRune(r).Kind(); {
		case unicode.In(r, unicode.Mn, unicode.Me), r >= 0x1160 && r <= 0x11FF: // the latter are the vowels and finals of a Hangul syllable
		case kind == width.EastAsianWide, kind == width.EastAsianFullwidth:
			columns += 2
		default:
			columns++
		}
	}
	return columns
}
