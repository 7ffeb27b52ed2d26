package providers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// number is a JSON number as these services really write it: 4, "4" and, in TaurusDB's own example, "4,". Missing and null are not
// reported. What is none of these is remembered, so that the resource can be left out with a reason.
type number struct {
	value *float64
	wrong string // what stands there instead of a number
}

// UnmarshalJSON never fails: one wrong number must not take the rest of the answer along.
func (n *number) UnmarshalJSON(raw []byte) error {
	*n = number{}
	if string(raw) == "null" {
		return nil
	}
	if value, err := parse(raw); err == nil {
		n.value = &value
	} else {
		n.wrong = string(raw)
	}
	return nil
}

// parse reads a number, as it is or written as text. What is no text has the form of a number, or of no number at all: the decoder has
// checked it.
func parse(raw []byte) (float64, error) {
	if raw[0] != '"' {
		return strconv.ParseFloat(string(raw), 64)
	}
	digits := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(unquote(raw)), ","))
	if strings.ContainsFunc(digits, notInJSONNumber) {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseFloat(digits, 64)
}

// notInJSONNumber finds what ParseFloat takes and JSON doesn't: Inf, NaN, hexadecimals, underscores.
func notInJSONNumber(r rune) bool { return !strings.ContainsRune("+-.0123456789eE", r) }

// unquote returns the text of a JSON string, which the decoder has checked, but for its UTF-8; empty if it is something else. Nearly all
// are written without a backslash, and need no json.Unmarshal, which would take longer than all the rest.
func unquote(raw []byte) string {
	if raw[0] != '"' {
		return ""
	}
	if text := raw[1 : len(raw)-1]; !bytes.ContainsRune(text, '\\') {
		return string(text)
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return ""
	}
	return text
}

// maxAmount is far beyond any amount. The sum of larger ones could be +Inf, which would say that there is no limit.
const maxAmount = 1e300

// amount returns the number, or an error where it isn't one that an amount can have. name is the API's.
func (n number) amount(name string) (*float64, error) {
	if n.wrong != "" {
		return nil, fmt.Errorf("%s is %.40q, want a number", name, n.wrong)
	}
	if n.value != nil && *n.value > maxAmount {
		return nil, fmt.Errorf("%s is %g, want a number that can be added to another", name, *n.value)
	}
	if n.value != nil && *n.value < 0 {
		return nil, fmt.Errorf("%s is %g, and the document gives negative numbers no meaning", name, *n.value)
	}
	return n.value, nil
}
