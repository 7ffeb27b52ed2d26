// Package secret holds text that must never be shown: keys, tokens, passwords.
package secret

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Text is a secret. Only Reveal returns it. Printing, logging, or encoding a Text, or a structure that contains one, shows a
// placeholder or an address. The zero Text is empty.
type Text struct {
	// fmt does not call methods of unexported fields. It follows a pointer to a structure, but not one to a pointer.
	value **value
}

type value struct {
	text   string
	starts []string // spellings of its start, which Hide searches for in every response
}

const (
	placeholder = "<secret>"
	hidden      = "<hidden>"
	enough      = 16 // characters of a longer secret that are hidden by themselves, because an echo may be truncated
)

// New returns text as a secret.
func New(text string) Text {
	if text == "" {
		return Text{}
	}
	v := &value{text, spellings(text, enough)}
	return Text{&v}
}

// Reveal returns the secret itself.
func (t Text) Reveal() string {
	if t.IsEmpty() {
		return ""
	}
	return (*t.value).text
}

// IsEmpty reports whether there is no secret.
func (t Text) IsEmpty() bool { return t.value == nil }

// String returns a placeholder, or nothing if there is no secret.
func (t Text) String() string {
	if t.IsEmpty() {
		return ""
	}
	return placeholder
}

// GoString is String: %#v does not show the secret either.
func (t Text) GoString() string { return t.String() }

// MarshalText is String: encoders do not show the secret either.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// Hide returns text with the secrets replaced. A server may echo the request: as it is, or encoded as URL, JSON, HTML, or base64.
func Hide(text string, secrets ...Text) string {
	for _, s := range secrets {
		if !s.IsEmpty() {
			text = (*s.value).hide(text)
		}
	}
	return text
}

func (v *value) hide(text string) string {
	if !slices.ContainsFunc(v.starts, func(start string) bool { return strings.Contains(text, start) }) {
		return text // the usual case
	}
	var pairs []string
	for _, spelling := range append(spellings(v.text, len(v.text)), v.starts...) { // a Replacer prefers the first
		pairs = append(pairs, spelling, hidden)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

var (
	quotes  = strings.NewReplacer(`\`, `\\`, `"`, `\"`) // as in JSON; some servers do not escape <, > and &
	escapes = regexp.MustCompile(`%[0-9A-F]{2}`)        // in URLs; some servers write them in lower case
)

// spellings returns the possible encodings of the first n characters of a secret.
func spellings(secret string, n int) []string {
	n = min(n, len(secret))
	part := secret[:n]
	encoded, _ := json.Marshal(part) // never fails for a string
	inJSON, inHTML := string(encoded[1:len(encoded)-1]), html.EscapeString(part)
	all := []string{
		part, inJSON, strings.ReplaceAll(inJSON, "/", `\/`), quotes.Replace(part), inHTML, strings.ReplaceAll(inHTML, "&#34;", "&quot;"),
	}
	texts := []string{part}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		encoded := encoding.EncodeToString([]byte(secret))
		if n < len(secret) { // the last character of the part is encoded together with the next
			encoded = encoded[:base64.RawStdEncoding.EncodedLen(n)]
		}
		texts = append(texts, encoded, strings.TrimRight(encoded, "="))
	}
	for _, text := range texts {
		all = append(all, text, strings.ReplaceAll(text, "/", `\/`))
		for _, inURL := range []string{url.QueryEscape(text), url.PathEscape(text)} {
			all = append(all, inURL)
			if strings.Contains(inURL, "%") {
				all = append(all, escapes.ReplaceAllStringFunc(inURL, strings.ToLower))
			}
		}
	}
	slices.SortFunc(all, func(a, b string) int { return strings.Compare(b, a) }) // the longer of two before its prefix
	return slices.Compact(all)
}

// inQuotes matches text in double quotes, up to the end if the second one is missing.
var inQuotes = regexp.MustCompile(`"(?:[^"\\]|\\.)*"?`)

// HideQuoted returns text without what is in double quotes. Errors and log lines of net/http quote responses, which may contain
// unknown secrets.
func HideQuoted(text string) string { return inQuotes.ReplaceAllString(text, `"..."`) }
