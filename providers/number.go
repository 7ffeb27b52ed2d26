package providers

import (
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
	digits := string(raw)
	if digits == "null" {
		return nil
	}
	if raw[0] == '"' {
		if json.Unmarshal(raw, &digits) != nil { // the decoder has checked it already
			digits = ""
		}
		digits = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(digits), ","))
	}
	value, err := strconv.ParseFloat(digits, 64)
	if err == nil && !strings.ContainsFunc(digits, notInJSONNumber) {
		n.value = &value
	} else {
		n.wrong = string(raw)
	}
	return nil
}

// notInJSONNumber finds what ParseFloat takes and JSON doesn't: Inf, NaN, hexadecimals, underscores.
func notInJSONNumber(r rune) bool { return !strings.ContainsRune("+-.0123456789eE", r) }

// amount returns the number, or an error where it isn't one that an amount can have. name is the API's.
func (n number) amount(name string) (*float64, error) {
	if n.wrong != "" {
		return nil, fmt.Errorf("%s is %.40q, want a number", name, n.wrong)
	}
	if n.value != nil && *n.value < 0 {
		return nil, fmt.Errorf("%s is %g, and the document gives negative numbers no meaning", name, *n.value)
	}
	return n.value, nil
}
