// Package secret holds text that must never show: keys, tokens, passwords.
package secret

// Text is a secret. Only Reveal gives it away; whatever prints, logs or encodes a Text, or a structure that holds one, sees a
// placeholder or an address. The zero Text is empty.
type Text struct {
	// A pointer, since fmt prints the fields of a structure without asking their methods where they are not exported.
	value *string
}

const placeholder = "<secret>"

// New returns value as a secret.
func New(value string) Text {
	if value == "" {
		return Text{}
	}
	return Text{&value}
}

// Reveal returns the secret itself.
func (t Text) Reveal() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// IsEmpty tells whether there is no secret.
func (t Text) IsEmpty() bool { return t.value == nil }

// String returns a placeholder, or nothing where there is no secret.
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
