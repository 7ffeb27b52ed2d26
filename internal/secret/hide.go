package secret

import (
	"html"
	"strconv"
	"strings"
)

const (
	hidden = "<hidden>"
	enough = 16 // characters of a longer secret that are hidden alone: an echo may be cut off
)

// Hide returns text with every one of the secrets replaced, also where they are spelled as JSON, URLs or HTML spell them: a server may echo
// what it was sent in any of these.
func Hide(text string, secrets ...Text) string {
	for _, s := range secrets {
		if !s.IsEmpty() {
			text = hide(text, s.Reveal())
		}
	}
	return text
}

func hide(text, secret string) string {
	if !strings.Contains(text, secret[:min(len(secret), enough)]) && !strings.ContainsAny(text, `\%&`) {
		return text
	}
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

// spelledLength is how many bytes the secret, or enough of it, takes at the beginning of text; 0 if it isn't there.
func spelledLength(text, secret string) int {
	n := 0
	for i := range len(secret) {
		taken := spellingOf(secret[i], text[n:])
		if taken == 0 {
			if i >= enough {
				return n
			}
			return 0
		}
		n += taken
	}
	return n
}

const (
	maxBackslashes = 16 // in a row: JSON within JSON within JSON
	maxEntity      = 10 // bytes of one such as &quot;
	digits         = 4  // behind \u
)

// spellingOf returns how many bytes one byte of a secret takes at the beginning of text, in another spelling or as itself; 0 if another is
// there.
func spellingOf(want byte, text string) int {
	if text == "" {
		return 0
	}
	c, n := decode(text)
	if c == '\\' {
		if escaped := escape(want, text); escaped > 0 {
			return escaped
		}
	}
	switch want {
	case c:
		return n
	case text[0]:
		return 1
	}
	return 0
}

// escape is spellingOf for text that begins with backslashes.
func escape(want byte, text string) int {
	c, n := decode(text)
	end := n
	for range maxBackslashes {
		if c, n = decode(text[end:]); c != '\\' {
			break
		}
		end += n
	}
	switch {
	case n > 0 && c == want:
		return end + n
	case c == 'u' && isNumber(want, text[end+n:]):
		return end + n + digits
	}
	return 0
}

// decode returns the byte that text begins with, and how many it takes there: more than one in URLs and HTML.
func decode(text string) (c byte, n int) {
	if text == "" {
		return 0, 0
	}
	switch text[0] {
	case '%':
		if number, err := strconv.ParseUint(text[1:min(len(text), 3)], 16, 8); err == nil && len(text) > 2 {
			return byte(number), 3
		}
	case '&':
		end := strings.IndexByte(text[:min(len(text), maxEntity)], ';') + 1
		if plain := html.UnescapeString(text[:end]); len(plain) == 1 {
			return plain[0], end
		}
	}
	return text[0], 1
}

// isNumber tells whether text begins with the number of the byte, as JSON writes it behind \u.
func isNumber(want byte, text string) bool {
	if len(text) < digits {
		return false
	}
	n, err := strconv.ParseUint(text[:digits], 16, 16)
	return err == nil && n == uint64(want)
}
