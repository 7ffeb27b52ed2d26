package providers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// value is the text of one JSON value, without surrounding blanks; nil if there is none. parse has validated the whole response, so
// that its methods need no checks.
type value []byte

// parse returns the value of a whole response. The error is that of encoding/json.
func parse(body []byte) (value, error) {
	if !json.Valid(body) {
		return nil, json.Unmarshal(body, new(any)) // returns the error
	}
	return bytes.TrimSpace(body), nil
}

func (v value) isObject() bool { return len(v) > 0 && v[0] == '{' }
func (v value) isList() bool   { return len(v) > 0 && v[0] == '[' }
func (v value) isString() bool { return len(v) > 0 && v[0] == '"' }
func (v value) isNumber() bool { return len(v) > 0 && (v[0] == '-' || '0' <= v[0] && v[0] <= '9') }
func (v value) isNull() bool   { return len(v) == 0 || v[0] == 'n' }

// each yields the elements of a list, without keys, or the members of an object with their keys, which are JSON strings. v must be a
// list or an object.
func (v value) each(yield func(key, member value) bool) {
	object, rest := v.isObject(), skipPunctuation(v[1:])
	for len(rest) > 1 {
		var key, member value
		if object {
			key, rest = cut(rest)
		}
		member, rest = cut(rest)
		if !yield(key, member) {
			return
		}
	}
}

// len returns the number of elements of a list or members of an object.
func (v value) len() int {
	n := 0
	for range v.each {
		n++
	}
	return n
}

// cut returns the first value, and the rest from the next value on.
func cut(v value) (first, rest value) {
	depth := 0
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '"':
			for i++; v[i] != '"'; i++ {
				if v[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		default:
			if depth > 0 {
				continue
			}
			for i+1 < len(v) && !isPunctuation(v[i+1]) && v[i+1] != '}' && v[i+1] != ']' {
				i++ // to the end of a number, true, false, or null
			}
		}
		if depth == 0 {
			return v[:i+1], skipPunctuation(v[i+1:])
		}
	}
	return v, nil
}

func isPunctuation(c byte) bool { return c <= ' ' || c == ',' || c == ':' }

func skipPunctuation(v value) value {
	for len(v) > 0 && isPunctuation(v[0]) {
		v = v[1:]
	}
	return v
}

// object is a JSON object, split into members once because several fields are looked up. Names are unescaped here: unescaping them
// in each lookup would take seconds for a malicious response of 1 MiB.
type object []member

type member struct{ name, value value } // name is without quotes

// object returns the members of an object, reusing the memory of another object that is no longer needed. Other values have none.
func (v value) object(reuse object) object {
	o := reuse[:0]
	if !v.isObject() {
		return o
	}
	for key, value := range v.each {
		name := key[1 : len(key)-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			name = []byte(key.text())
		}
		o = append(o, member{name, value})
	}
	return o
}

// at returns the value at a dotted path; nil if there is none. The last one of duplicate names is used, as in encoding/json. A list
// of one object on the path counts as the object: tables of some documents have a list where their examples have an object.
func (o object) at(path string) value {
	name, rest, deeper := strings.Cut(path, ".")
	for _, m := range slices.Backward(o) {
		if string(m.name) == name {
			if deeper {
				return m.value.only().object(nil).at(rest)
			}
			return m.value
		}
	}
	return nil
}

// only returns the element of a list of one, and any other value unchanged.
func (v value) only() value {
	if !v.isList() {
		return v
	}
	var first value
	for _, element := range v.each {
		if first != nil {
			return v
		}
		first = element
	}
	return first
}

// text returns the text of a JSON string; empty for other values. Nearly all texts have no backslash, and do not need
// json.Unmarshal, which would take most of the time.
func (v value) text() string {
	if !v.isString() {
		return ""
	}
	if text := v[1 : len(v)-1]; bytes.IndexByte(text, '\\') < 0 {
		return string(text)
	}
	var text string
	_ = json.Unmarshal(v, &text) // validated by parse
	return text
}

// maxAmount is far beyond any amount. The sum of larger ones could be +Inf, which means unlimited.
const maxAmount = 1e300

// number parses a number as these services write it: 4, "4" and, in TaurusDB's example, "4,". Missing values and null count as not
// reported.
func (v value) number() (*float64, error) {
	if v.isNull() {
		return nil, nil
	}
	digits := string(v)
	if v.isString() {
		digits = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(v.text()), ","))
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || strings.ContainsFunc(digits, notInJSONNumber) {
		return nil, fmt.Errorf("is %.40q, expected a number", string(v))
	}
	if n == 0 {
		n = 0 // not -0
	}
	if n > maxAmount {
		return nil, fmt.Errorf("is %g, expected a number that can be summed", n)
	}
	return &n, nil
}

// notInJSONNumber finds characters that ParseFloat accepts but JSON does not: Inf, NaN, hexadecimal digits, underscores.
func notInJSONNumber(r rune) bool { return !strings.ContainsRune("+-.0123456789eE", r) }
