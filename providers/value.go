package providers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// value is the text of one JSON value, without blanks around it; nil if there is none. parse has checked the whole answer, so that nothing
// here checks it again.
type value []byte

// parse returns the value of a whole answer. The error is that of encoding/json.
func parse(body []byte) (value, error) {
	if !json.Valid(body) {
		return nil, json.Unmarshal(body, new(any)) // it says what is wrong
	}
	return bytes.TrimSpace(body), nil
}

func (v value) isObject() bool { return len(v) > 0 && v[0] == '{' }
func (v value) isList() bool   { return len(v) > 0 && v[0] == '[' }
func (v value) isString() bool { return len(v) > 0 && v[0] == '"' }
func (v value) isNumber() bool { return len(v) > 0 && (v[0] == '-' || '0' <= v[0] && v[0] <= '9') }
func (v value) isNull() bool   { return len(v) == 0 || v[0] == 'n' }

// each yields the elements of a list, without keys, or the members of an object with their keys, which are JSON strings. It is for lists
// and objects alone.
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

// len returns the number of elements or members of a list or an object.
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
				i++ // to the end of a number, true, false or null
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

// object is a JSON object, cut into its members once, since several fields of a resource are looked up. Names are unescaped here: to do so
// for each look-up would take seconds for a hostile answer of 1 MiB.
type object []member

type member struct{ name, value value } // the name without quotes

// object returns the members of an object, in the memory of another object that is no longer needed. Another value has none.
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

// at returns the value at a dotted path; nil if there is none. If a name is there twice, the last one counts, as in encoding/json. On the way,
// a list of one object counts as the object: tables of some documents have a list where their examples have an object.
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

// only returns the element of a list of one, and any other value as it is.
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

// text returns the text of a JSON string; empty if the value is something else. Nearly all texts have no backslash, and need no
// json.Unmarshal, which would take longer than all the rest.
func (v value) text() string {
	if !v.isString() {
		return ""
	}
	if text := v[1 : len(v)-1]; bytes.IndexByte(text, '\\') < 0 {
		return string(text)
	}
	var text string
	_ = json.Unmarshal(v, &text) // parse has checked it
	return text
}

// maxAmount is far beyond any amount. The sum of larger ones could be +Inf, which means that there is no limit.
const maxAmount = 1e300

// number reads a number as these services write it: 4, "4" and, in TaurusDB's own example, "4,". A missing value and null are not reported.
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
		return nil, fmt.Errorf("is %.40q, want a number", string(v))
	}
	if n == 0 {
		n = 0 // and not -0
	}
	if n > maxAmount {
		return nil, fmt.Errorf("is %g, want a number that can be added to another", n)
	}
	return &n, nil
}

// notInJSONNumber finds what ParseFloat accepts and JSON does not: Inf, NaN, hexadecimals, underscores.
func notInJSONNumber(r rune) bool { return !strings.ContainsRune("+-.0123456789eE", r) }
