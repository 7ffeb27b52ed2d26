// Package strictyaml reads a YAML document as nodes with path and line, and checks their kinds strictly.
//
// [Parse] returns the root of a document. The readers of a [Node] check and return one value each, or false if it is invalid. They
// add [Problems], so that one pass finds all. Because any value may be a secret by mistake, no problem quotes a value, and an
// unknown key is only shown if it has the format of an ordinary one.
//
// Aliases are replaced by their values, and merges (<<) add the entries of other mappings. A duplicate key and a second document are
// problems.
package strictyaml

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	syntaxes "regexp/syntax"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Node is a place in a file and its value, if any. It is comparable, so it can be a map key.
//
// If a value is invalid, the reader reports that and returns false. If there is no value, it returns false without a report: use
// [Fields.Need] for mandatory values. The zero Node has no value and no file, so Fail must not be called on it.
type Node struct {
	value *yaml.Node // nil: not set; never an alias
	path  string     // such as servers[0].name
	line  int        // of the key; if not set, of the mapping without it
	found *Problems
}

// Stated reports whether n is set. A key without a value counts as set.
func (n Node) Stated() bool { return n.value != nil }

// IsEmpty reports whether n is not set or an empty list.
func (n Node) IsEmpty() bool { return !n.Stated() || n.IsList() && len(n.value.Content) == 0 }

// HasNoEntries reports whether n is an empty mapping.
func (n Node) HasNoEntries() bool { return n.IsMapping() && len(n.value.Content) == 0 }

// IsNull reports whether n is set without a value: nothing, ~ or null.
func (n Node) IsNull() bool { return n.IsScalar() && n.value.ShortTag() == "!!null" }

// IsScalar reports whether n is a single value, including null.
func (n Node) IsScalar() bool { return n.isKind(yaml.ScalarNode) }

// IsList reports whether n is a list.
func (n Node) IsList() bool { return n.isKind(yaml.SequenceNode) }

// IsMapping reports whether n is a mapping of keys to values.
func (n Node) IsMapping() bool { return n.isKind(yaml.MappingNode) }

func (n Node) isKind(kind yaml.Kind) bool { return n.Stated() && n.value.Kind == kind }

// Path returns the path of n, such as servers[0].name. It is empty for the root.
func (n Node) Path() string { return n.path }

// Line returns the line of the key or the list item. If n is not set, it returns the line of the mapping without it.
func (n Node) Line() int { return n.line }

// Fail reports a problem of n: what is wrong; what is expected. No argument may be a value of the file.
func (n Node) Fail(format string, args ...any) {
	n.found.Add(n.line, n.path, fmt.Sprintf(format, args...))
}

// is checks that n is set and of one kind; want describes it to the user.
func (n Node) is(kind yaml.Kind, want string) bool {
	switch {
	case !n.Stated():
	case n.IsNull():
		n.Fail("has no value; set one or remove the key")
	case n.value.Kind != kind:
		n.Fail("is %s; expected %s", kinds[n.value.Kind], want)
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

// List reads n as a list. It returns nil if n is not a list or is empty.
func (n Node) List() []Node {
	if !n.is(yaml.SequenceNode, "a list") {
		return nil
	}
	var items []Node
	for i, item := range n.value.Content {
		items = append(items, Node{resolve(item), fmt.Sprintf("%s[%d]", n.path, i), item.Line, n.found})
	}
	return items
}

// Text reads n as a text that is not blank.
func (n Node) Text() (string, bool) {
	var text string
	if !n.is(yaml.ScalarNode, "a single text") {
		return "", false
	}
	if err := n.value.Decode(&text); err != nil {
		n.Fail("does not match its tag (!); expected a text")
		return "", false
	}
	const plain = yaml.Style(0)
	blank := findBlank(blankAtEnd, text)
	switch {
	case blank != "" && n.value.Style == plain:
		n.Fail("%s", blank)
	case text == "":
		n.Fail("is empty; set a value or remove the key")
	case strings.TrimSpace(text) == "":
		n.Fail("is blank; set a value or remove the key")
	default:
		return text, true
	}
	return "", false
}

// Unquoted reports whether n is an unquoted number, true, false, or date, and adds a problem: it is probably meant for another key.
func (n Node) Unquoted() bool {
	if !n.IsScalar() || n.IsNull() || n.value.ShortTag() == "!!str" {
		return false
	}
	n.Fail("not a text; expected a text, in quotes if it looks like a number, a date, or true")
	return true
}

// OptionalText reads n as a text that may be empty. A null is not an empty text.
func (n Node) OptionalText() (string, bool) {
	if n.IsScalar() && n.value.ShortTag() == "!!str" && n.value.Value == "" {
		return "", true
	}
	return n.Text()
}

// Matching reads n as a text with a format; want describes the format to the user.
func (n Node) Matching(form *regexp.Regexp, want string) (string, bool) {
	text, ok := n.Text()
	if ok && !form.MatchString(text) {
		n.Fail("invalid format; expected %s", want)
		return "", false
	}
	return text, ok
}

// Flag reads n as true or false.
func (n Node) Flag() (value, ok bool) {
	if !n.is(yaml.ScalarNode, "true or false") {
		return false, false
	}
	if err := n.value.Decode(&value); err != nil {
		n.Fail("not a boolean; expected true or false")
		return false, false
	}
	return value, true
}

// Number reads n as a whole number from least to most.
func (n Node) Number(least, most int) (value int, ok bool) {
	want := fmt.Sprintf("a whole number from %d to %d", least, most)
	if !n.is(yaml.ScalarNode, want) {
		return 0, false
	}
	// The library would truncate 8.5 to 8.
	if n.value.ShortTag() != "!!int" || n.value.Decode(&value) != nil || value < least || value > most {
		n.Fail("not a whole number, or out of range; expected %s", want)
		return 0, false
	}
	return value, true
}

// Decimal reads n as a number from least to most; want describes it to the user.
func (n Node) Decimal(least, most float64, want string) (value float64, ok bool) {
	if !n.is(yaml.ScalarNode, want) {
		return 0, false
	}
	tag := n.value.ShortTag()
	if tag != "!!int" && tag != "!!float" || n.value.Decode(&value) != nil || !(value >= least && value <= most) {
		n.Fail("not a number, or out of range; expected %s", want)
		return 0, false
	}
	return value, true
}

// Duration reads n as a duration from least to most.
func (n Node) Duration(least, most time.Duration) (value time.Duration, ok bool) {
	if !n.is(yaml.ScalarNode, "a duration such as 5m") {
		return 0, false
	}
	text, ok := n.Text()
	if !ok {
		return 0, false
	}
	value, err := time.ParseDuration(text)
	switch _, isNumber := strconv.ParseFloat(text, 64); {
	case err != nil && isNumber == nil:
		n.Fail("a number without a unit; write five minutes as 300s or 5m")
	case err != nil:
		n.Fail("not a duration; expected a duration such as 5m, 1h30m, or 8s")
	case value < least || value > most:
		n.Fail("out of range; expected %s to %s", Short(least), Short(most))
	default:
		return value, true
	}
	return 0, false
}

var zeroUnits = regexp.MustCompile(`([hm])0[ms](0s)?$`)

// Short formats a duration as users write it: 5m, not 5m0s.
func Short(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	return zeroUnits.ReplaceAllString(d.String(), "$1")
}

// Pattern returns a regular expression that matches whole texts. Its error only has the kind of the mistake: errors of regexp quote
// the pattern, which may be a secret.
func Pattern(text string) (*regexp.Regexp, error) {
	_, err := regexp.Compile(text) // by itself: its brackets must not close those of the anchors
	whole, errWhole := regexp.Compile("^(?:" + text + ")$")
	if e, ok := errors.AsType[*syntaxes.Error](cmp.Or(err, errWhole)); ok {
		return nil, errors.New(e.Code.String())
	}
	return whole, nil
}
