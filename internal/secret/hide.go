package secret

import (
	"html"
	"strconv"
	"strings"
)

const hidden = "<hidden>"

// Hide returns text with every one of the secrets replaced, also where they are spelled as JSON, URLs or HTML spell them: a server may echo
// what it was sent in any of these.
func Hide(text string, secrets ...Text) string {
	for _, s := range secrets {
		if s.IsEmpty() {
			continue
		}
		text = strings.ReplaceAll(text, s.Reveal(), hidden)
		if strings.ContainsAny(text, `\%&`) {
			text = hideSpelled(text, s.Reveal())
		}
	}
	return text
}

func hideSpelled(text, secret string) string {
	var b strings.Builder
	for len(text) > 0 {
		n := spelledLength(text, secret)
		if n > 0 {
			b.WriteString(hidden)
		} else {
			b.WriteByte(text[0])
			n = 1
		}
		text = text[n:]
	}
	return b.String()
}

// spelledLength is how many bytes the secret takes at the beginning of text; 0 if it isn't there.
func spelledLength(text, secret string) int {
	n := 0
	for i := range len(secret) {
		taken := spellingOf(secret[i], text[n:])
		if taken == 0 {
			return 0
		}
		n += taken
	}
	return n
}

const (
	maxBackslashes = 16 // in a row: JSON within JSON within JSON
	maxEntity      = 10 // bytes of one such as &quot;
)

// spellingOf returns how many bytes one byte of a secret takes at the beginning of text, in another spelling or as itself; 0 if another is
// there.
func spellingOf(want byte, text string) int {
	n := 0
	switch {
	case text == "":
	case text[0] == '%':
		n = numbered(want, text, 1, 2)
	case text[0] == '&':
		end := strings.IndexByte(text[:min(len(text), maxEntity)], ';') + 1
		if html.UnescapeString(text[:end]) == string(rune(want)) {
			n = end
		}
	case text[0] == '\\':
		n = escaped(want, text)
	}
	if n == 0 && text != "" && text[0] == want {
		return 1
	}
	return n
}

// escaped is spellingOf for text that begins with backslashes.
func escaped(want byte, text string) int {
	n := 1
	for n < len(text) && n < maxBackslashes && text[n] == '\\' {
		n++
	}
	switch {
	case n == len(text):
		return 0
	case text[n] == want:
		return n + 1
	case text[n] == 'u':
		return numbered(want, text, n+1, 4)
	}
	return 0
}

// numbered returns the length of text up to the end of so many hexadecimal digits, if they are the number of the byte.
func numbered(want byte, text string, from, digits int) int {
	end := from + digits
	if end > len(text) {
		return 0
	}
	if n, err := strconv.ParseUint(text[from:end], 16, 16); err != nil || n != uint64(want) {
		return 0
	}
	return end
}
