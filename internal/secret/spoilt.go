package secret

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	byteOrderMark = '\uFEFF'
	quoteMarks    = "\"'`“”„‘’‚«»"
)

// Trim removes white space and byte order marks at both ends, which editors, echo, and Secrets add.
func Trim(text string) string {
	return strings.TrimFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == byteOrderMark })
}

// Spoilt returns what is wrong with a pasted text, and the remedy: it is in quotes, or contains an invisible character. Both are
// empty if nothing is wrong. They quote nothing of the text except the number of such a character.
func Spoilt(text string) (what, remedy string) {
	first, size := utf8.DecodeRuneInString(text)
	last, _ := utf8.DecodeLastRuneInString(text)
	if len(text) > size && strings.ContainsRune(quoteMarks, first) && strings.ContainsRune(quoteMarks, last) {
		return "has quotes around it", "remove the quotes"
	}
	for _, r := range text {
		if isInvisible(r) {
			return Invisible(r)
		}
	}
	return "", ""
}

// Invisible is what Spoilt returns for an invisible character.
func Invisible(r rune) (what, remedy string) {
	return fmt.Sprintf("contains an invisible character (%U)", r), "remove it, or type the text again"
}

// HasQuote reports whether a text starts or ends with a quotation mark, which no key does: it is half a pair, or was escaped by a
// shell.
func HasQuote(text string) bool { return strings.Trim(text, quoteMarks) != text }

// isInvisible reports whether a character has no shape. White space is visible because it separates others.
func isInvisible(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) && !unicode.IsSpace(r) ||
		r == utf8.RuneError
}
