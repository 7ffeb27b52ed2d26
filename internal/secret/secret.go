// Package secret holds text that must never show: keys, tokens, passwords.
package secret

// Text is a secret. Only Reveal returns it; whatever prints, logs or encodes a Text, or a structure that holds one, shows a placeholder or an
// address. The zero Text is empty.
type Text struct {
	// fmt does not call the methods of a field that is not exported. It follows a pointer to a structure, but not one to a pointer.
	value **value
}

type value struct {
	text   string
	starts []string // spellings of its beginning, which Hide looks for in every answer
}

const placeholder = "<secret>"

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

// IsEmpty returns whether there is no secret.
func (t Text) IsEmpty() bool { return t.value == nil }

// String returns a placeholder, or nothing if there is no secret.
func (t Text) String() string {
	if t.IsEmpty() {
		return ""
	}
	return placeholder
}

// GoString is String: %#v shows no secret either.
func (t Text) GoString() string { return t.String() }

// MarshalText is String: encoders show no secret either.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText takes text as the secret.
func (t *Text) UnmarshalText(text []byte) error {
	*t = New(string(text))
	return nil
}
