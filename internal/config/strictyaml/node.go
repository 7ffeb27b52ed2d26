// Package strictyaml reads a YAML document as nodes that know their path and line, and checks their kinds strictly.
//
// [Parse] returns the top of a document. The readers of a [Node] check one value each and return it, with false if it can't be used. They
// add what is wrong to [Problems], so that one pass finds everything at once. A secret may stand anywhere in a file by mistake: no problem
// quotes a value, and an unknown key is only shown if it has the form of an ordinary one.
//
// Aliases stand for their values, and merges (<<) add the entries of other mappings. A key that stands twice and a second document are
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

// Node is a place in a file and the value that is stated there, if any. It is comparable, so it can be a key of a map.
//
// If a reader can't use the value, it reports that and returns false. It returns false without a report if nothing is stated: [Fields.Need]
// is for what must be. The zero Node is not stated and belongs to no file, so Fail must not be called on it.
type Node struct {
	value *yaml.Node // nil: not stated; never an alias
	path  string     // such as servers[0].name
	line  int        // of the key; if nothing is stated, of what the key is missing in
	found *Problems
}

// Stated returns whether a value stands at n. A key without a value counts as stated.
func (n Node) Stated() bool { return n.value != nil }

// IsEmpty returns whether n is not stated or a list without items.
func (n Node) IsEmpty() bool { return !n.Stated() || n.IsList() && len(n.value.Content) == 0 }

// HasNoEntries returns whether n is a mapping without entries.
func (n Node) HasNoEntries() bool { return n.IsMapping() && len(n.value.Content) == 0 }

// IsNull returns whether n is stated without a value: nothing, ~ or null.
func (n Node) IsNull() bool { return n.IsScalar() && n.value.ShortTag() == "!!null" }

// IsScalar returns whether n is a single value. A null is one, too.
func (n Node) IsScalar() bool { return n.isKind(yaml.ScalarNode) }

// IsList returns whether n is a list.
func (n Node) IsList() bool { return n.isKind(yaml.SequenceNode) }

// IsMapping returns whether n is a mapping of keys to values.
func (n Node) IsMapping() bool { return n.isKind(yaml.MappingNode) }

func (n Node) isKind(kind yaml.Kind) bool { return n.Stated() && n.value.Kind == kind }

// Path returns where n is, such as servers[0].name. It is empty at the top of the document.
func (n Node) Path() string { return n.path }

// Line returns the line of the key or the list item. If n is not stated, it returns the line of the mapping that n is missing in.
func (n Node) Line() int { return n.line }

// Fail reports a problem of n: what is wrong; what would be right. No argument may be a value of the file.
func (n Node) Fail(format string, args ...any) {
	n.found.Add(n.line, n.path, fmt.Sprintf(format, args...))
}

// is checks that n is stated and of one kind; want names it to the user.
func (n Node) is(kind yaml.Kind, want string) bool {
	switch {
	case !n.Stated():
	case n.IsNull():
		n.Fail("has no value: give it one or remove the key")
	case n.value.Kind != kind:
		n.Fail("is %s; want %s", kinds[n.value.Kind], want)
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

// List reads n as a list. It returns nothing if n is not a list or has no items.
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

// Text reads n as a text of more than white space.
func (n Node) Text() (string, bool) {
	var text string
	if !n.is(yaml.ScalarNode, "a single text") {
		return "", false
	}
	if err := n.value.Decode(&text); err != nil {
		n.Fail("does not fit its tag (!); want a text")
		return "", false
	}
	const plain = yaml.Style(0)
	blank := findBlank(blankAtEnd, text)
	switch {
	case blank != "" && n.value.Style == plain:
		n.Fail("%s", blank)
	case text == "":
		n.Fail("is empty: give it a value or remove the key")
	case strings.TrimSpace(text) == "":
		n.Fail("is blank: give it a value or remove the key")
	default:
		return text, true
	}
	return "", false
}

// Unquoted returns whether n is a number, true, false or a date, and reports it: it is likely to be meant for another key. In quotes, it is a text.
func (n Node) Unquoted() bool {
	if !n.IsScalar() || n.IsNull() || n.value.ShortTag() == "!!str" {
		return false
	}
	n.Fail("not a text; want one, in quotes if it looks like a number, a date or true")
	return true
}

// OptionalText reads n as a text that may be empty. A null is not an empty text.
func (n Node) OptionalText() (string, bool) {
	if n.IsScalar() && n.value.ShortTag() == "!!str" && n.value.Value == "" {
		return "", true
	}
	return n.Text()
}

// Matching reads n as a text of a form; want describes the form to the user.
func (n Node) Matching(form *regexp.Regexp, want string) (string, bool) {
	text, ok := n.Text()
	if ok && !form.MatchString(text) {
		n.Fail("not of the right form; want %s", want)
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
		n.Fail("neither true nor false; want true or false")
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
	// The library would cut 8.5 down to 8.
	if n.value.ShortTag() != "!!int" || n.value.Decode(&value) != nil || value < least || value > most {
		n.Fail("not a whole number, or out of range; want %s", want)
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
		n.Fail("not a number, or out of range; want %s", want)
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
		n.Fail("a number without a unit; write 300s or 5m for five minutes")
	case err != nil:
		n.Fail("not a duration; want one such as 5m, 1h30m or 8s")
	case value < least || value > most:
		n.Fail("out of range; want %s to %s", Short(least), Short(most))
	default:
		return value, true
	}
	return 0, false
}

var zeroUnits = regexp.MustCompile(`([hm])0[ms](0s)?$`)

// Short returns a duration as users write it: 5m, not 5m0s.
func Short(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	return zeroUnits.ReplaceAllString(d.String(), "$1")
}

// Pattern returns a regular expression that matches whole texts. An error only has the kind of the mistake: those of regexp quote the
// pattern, which may be a secret.
func Pattern(text string) (*regexp.Regexp, error) {
	_, err := regexp.Compile(text) // by itself: its brackets must not close those of the anchors
	whole, errWhole := regexp.Compile("^(?:" + text + ")$")
	if e, ok := errors.AsType[*syntaxes.Error](cmp.Or(err, errWhole)); ok {
		return nil, errors.New(e.Code.String())
	}
	return whole, nil
}
