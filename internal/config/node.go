package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"gopkg.in/yaml.v3"
)

// node is a place in the file and the value that is stated there, if any. Its readers report what is wrong with the value and tell by
// their last result whether it can be used.
type node struct {
	value *yaml.Node // nil: not stated; never an alias
	path  string     // such as accounts[0].name
	line  int        // of the key; where nothing is stated, of what the key is missing in
	found *problems
}

func (n node) stated() bool { return n.value != nil }

// isEmpty returns whether n is left out or a list without items.
func (n node) isEmpty() bool { return !n.stated() || n.isList() && n.len() == 0 }

// isNull returns whether n is a key or an item without a value.
func (n node) isNull() bool { return n.stated() && isNull(n.value) }

// isScalar returns whether n is a single value, which null is too.
func (n node) isScalar() bool { return n.stated() && n.value.Kind == yaml.ScalarNode }

// isList returns whether n is a list.
func (n node) isList() bool { return n.stated() && n.value.Kind == yaml.SequenceNode }

// isMapping returns whether n is a mapping of keys to values.
func (n node) isMapping() bool { return n.stated() && n.value.Kind == yaml.MappingNode }

// len returns the number of items of a list or of keys of a mapping, and 0 for anything else. A merge (<<) counts as one key.
func (n node) len() int {
	switch {
	case n.isList():
		return len(n.value.Content)
	case n.isMapping():
		return len(n.value.Content) / 2
	default:
		return 0
	}
}

// fail reports a problem of n: what is wrong; what would be right. No argument may be a value of the file.
func (n node) fail(format string, args ...any) {
	n.found.add(n.line, n.path, fmt.Sprintf(format, args...))
}

// is checks that n is of one kind; want names it to the user.
func (n node) is(kind yaml.Kind, want string) bool {
	switch {
	case !n.stated():
		n.fail("missing: want %s", want)
	case n.isNull():
		n.fail("has no value: give it one or remove the key")
	case n.value.Kind != kind:
		n.fail("is %s; want %s", kinds[n.value.Kind], want)
	default:
		return true
	}
	return false
}

var kinds = map[yaml.Kind]string{
	yaml.MappingNode:  "a mapping of keys to values",
	yaml.SequenceNode: "a list",
	yaml.ScalarNode:   "a single value",
}

// fields are the values of a mapping whose keys are known.
type fields struct {
	node
	values map[string]node
}

// get returns what is stated under key, or the place where it would be.
func (f fields) get(key string) node {
	if value, ok := f.values[key]; ok {
		return value
	}
	return node{path: join(f.path, key), line: f.line, found: f.found}
}

// keyForm is what an unknown key must look like to be shown: no key of an account does.
var keyForm = regexp.MustCompile(`^[a-z][a-z_]{0,31}$`)

// fields reads n as a mapping with no keys but known.
func (n node) fields(known ...string) (fields, bool) {
	shown := func(key string) bool { return slices.Contains(known, key) || keyForm.MatchString(key) }
	entries, ok := n.entries(shown)
	if !ok {
		return fields{node: n}, false
	}
	values := make(map[string]node)
	for _, e := range entries {
		if slices.Contains(known, e.key) {
			values[e.key] = e.node
		} else {
			e.fail("%s", unknownKey(e.key, shown(e.key), known))
		}
	}
	return fields{n, values}, true
}

// list reads n as a list.
func (n node) list() []node {
	if !n.is(yaml.SequenceNode, "a list") {
		return nil
	}
	var items []node
	for i, item := range n.value.Content {
		items = append(items, node{resolve(item), fmt.Sprintf("%s[%d]", n.path, i), item.Line, n.found})
	}
	return items
}

// text reads n as a text of at least one character.
func (n node) text() (string, bool) {
	var text string
	if !n.is(yaml.ScalarNode, "a single text") {
		return "", false
	}
	if err := n.value.Decode(&text); err != nil {
		n.fail("does not fit its tag (!); want a text")
		return "", false
	}
	if text == "" {
		n.fail("is empty: give it a value or remove the key")
	}
	return text, text != ""
}

// optionalText reads n as a text, which may be empty.
func (n node) optionalText() (string, bool) {
	if n.isScalar() && n.value.ShortTag() == "!!str" && n.value.Value == "" {
		return "", true
	}
	return n.text()
}

// matching reads n as a text of a form; want describes the form to the user.
func (n node) matching(form *regexp.Regexp, want string) (string, bool) {
	text, ok := n.text()
	if ok && !form.MatchString(text) {
		n.fail("not of the right form; want %s", want)
		return "", false
	}
	return text, ok
}

// flag reads n as true or false.
func (n node) flag() (value, ok bool) {
	const want = "true or false"
	if !n.is(yaml.ScalarNode, want) {
		return false, false
	}
	if err := n.value.Decode(&value); err != nil {
		n.fail("neither true nor false; want %s", want)
		return false, false
	}
	return value, true
}

// number reads n as a whole number from least to most.
func (n node) number(least, most int) (value int, ok bool) {
	want := fmt.Sprintf("a whole number from %d to %d", least, most)
	if !n.is(yaml.ScalarNode, want) {
		return 0, false
	}
	// The library would cut 8.5 down to 8.
	if n.value.ShortTag() != "!!int" || n.value.Decode(&value) != nil || value < least || value > most {
		n.fail("not a whole number, or out of range; want %s", want)
		return 0, false
	}
	return value, true
}

// decimal reads n as a number from least to most; want describes it to the user.
func (n node) decimal(least, most float64, want string) (value float64) {
	if !n.is(yaml.ScalarNode, want) {
		return 0
	}
	tag := n.value.ShortTag()
	if tag != "!!int" && tag != "!!float" || n.value.Decode(&value) != nil || !(value >= least && value <= most) {
		n.fail("not a number, or out of range; want %s", want)
		return 0
	}
	return value
}

// duration reads n as a duration from least to most.
func (n node) duration(least, most time.Duration) (value time.Duration, ok bool) {
	const want = "a duration such as 5m"
	if !n.is(yaml.ScalarNode, want) {
		return 0, false
	}
	text, ok := n.text()
	if !ok {
		return 0, false
	}
	value, err := time.ParseDuration(text)
	switch _, isNumber := strconv.ParseFloat(text, 64); {
	case err != nil && isNumber == nil:
		n.fail("a number without a unit; write 300s or 5m for five minutes")
	case err != nil:
		n.fail("not a duration; want one such as 5m, 1h30m or 8s")
	case value < least || value > most:
		n.fail("out of range; want %s to %s", Short(least), Short(most))
	default:
		return value, true
	}
	return 0, false
}

var zeroUnits = regexp.MustCompile(`([hm])0[ms](0s)?$`)

// Short writes a duration as users do: 5m, not 5m0s.
func Short(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	return zeroUnits.ReplaceAllString(d.String(), "$1")
}
