package strictyaml

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Fields are the values of a mapping with known keys. The zero Fields is empty.
type Fields struct {
	Node

	values map[string]Node
}

// Get returns the value of key, or the place where it would be.
func (f Fields) Get(key string) Node {
	if value, ok := f.values[key]; ok {
		return value
	}
	return Node{path: join(f.path, key), line: f.line, found: f.found}
}

// Need is Get for a mandatory key. It reports a problem if the key is missing.
func (f Fields) Need(key, what string) Node {
	n := f.Get(key)
	if !n.Stated() {
		n.Fail("missing; %s", what)
	}
	return n
}

// keyForm is the format of unknown keys that may be shown. Access keys and tokens have upper-case letters or digits.
var keyForm = regexp.MustCompile(`^[a-z][a-z_]{0,31}$`)

// IsPlain reports whether a key may be shown, even if it is unknown.
func IsPlain(key string) bool { return keyForm.MatchString(key) }

// Fields reads n as a mapping and reports each unknown key. It returns true if n is a mapping, even with unknown keys.
func (n Node) Fields(known ...string) (Fields, bool) {
	shown := func(key string) bool { return slices.Contains(known, key) || IsPlain(key) }
	entries, ok := n.Entries(shown)
	if !ok {
		return Fields{Node: n}, false
	}
	values := make(map[string]Node)
	for _, e := range entries {
		if slices.Contains(known, e.Key) {
			values[e.Key] = e.Node
		} else {
			e.FailUnknown(known, "")
		}
	}
	return Fields{n, values}, true
}

// Entry is a key and its value. The key may be a secret by mistake, so it must be checked before it is shown.
type Entry struct {
	Key string
	Node

	shown bool
}

// Show returns the entry with its key in its path, for a key that is not a secret.
func (e Entry) Show() Entry {
	if !e.shown {
		e.path, e.shown = join(e.path, e.Key), true
	}
	return e
}

// FailUnknown reports that the key is not one of known. also describes other valid keys, if any.
func (e Entry) FailUnknown(known []string, also string) {
	text, near := "unknown key", e.Key
	if !e.shown {
		text, near = "an unknown key (not shown because it may be a secret)", ""
	}
	if len(known) == 0 {
		text += "; no key is allowed here, expected {}"
	} else {
		text += "; known here: " + NamesNear(known, near) + also
	}
	e.Fail("%s", cmp.Or(findBlank(blankAnywhere, e.Key), text))
}

// NamesNear lists names. If there are many, it lists the ten most similar to a text, which may be misspelled; for an empty text, the
// first ten.
func NamesNear(names []string, text string) string {
	const many, most = 20, 10
	if len(names) <= many {
		return strings.Join(names, ", ")
	}
	names = slices.Clone(names)
	if text != "" {
		text = text[:min(len(text), 64)] // no name is longer
		edits := make(map[string]int)
		for _, name := range names {
			edits[name] = countEdits(name, text)
		}
		slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(edits[a], edits[b]) })
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// countEdits returns the number of bytes to insert, remove, replace, or swap with the next one to turn one text into the other.
func countEdits(a, b string) int {
	edits := make([][]int, len(a)+1) // from each prefix of a to each prefix of b
	for i := range edits {
		edits[i] = make([]int, len(b)+1)
		for j := range edits[i] {
			if i == 0 || j == 0 {
				edits[i][j] = i + j
				continue
			}
			replace := edits[i-1][j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			edits[i][j] = min(replace, edits[i-1][j]+1, edits[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				edits[i][j] = min(edits[i][j], edits[i-2][j-2]+1)
			}
		}
	}
	return edits[len(a)][len(b)]
}

// Peek returns the value of a key of a mapping, without reporting anything.
func (n Node) Peek(key string) Node {
	quiet := n
	quiet.found = NewProblems("")
	entries, _ := quiet.Entries(func(string) bool { return true })
	for _, e := range entries {
		if e.Key == key {
			e.found = n.found
			return e.Node
		}
	}
	return Node{}
}

// Entries reads n as a mapping and returns its entries in the order of the file, with merged ones (<<) last. A key is part of the
// path only if shown returns true for it.
func (n Node) Entries(shown func(key string) bool) ([]Entry, bool) {
	if !n.is(yaml.MappingNode, kinds[yaml.MappingNode]) {
		return nil, false
	}
	c := collector{of: n, shown: shown, taken: make(map[string]bool), visited: make(map[*yaml.Node]bool)}
	c.add(n.value)
	return c.entries, true
}

// collector gathers the entries of a mapping and of those that it merges. The first value of a key is used.
type collector struct {
	of      Node
	shown   func(key string) bool
	entries []Entry
	taken   map[string]bool
	visited map[*yaml.Node]bool // a second visit is pointless, and a mapping can merge itself
}

func (c *collector) add(mapping *yaml.Node) {
	if c.visited[mapping] {
		return
	}
	c.visited[mapping] = true
	var merged []Node
	first := make(map[string]int) // the line of each key
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key := resolve(mapping.Content[i])
		e := Entry{key.Value, Node{resolve(mapping.Content[i+1]), c.of.path, mapping.Content[i].Line, c.of.found}, c.shown(key.Value)}
		if e.shown {
			e.path = join(c.of.path, e.Key)
		}
		switch {
		case key.Kind != yaml.ScalarNode:
			c.entries = append(c.entries, e)
			continue
		case first[e.Key] > 0:
			e.Fail("a duplicate key, first set in line %d; remove one of them", first[e.Key])
			continue
		case key.ShortTag() == "!!merge":
			merged = append(merged, e.Node)
		case !c.taken[e.Key]:
			c.taken[e.Key] = true
			c.entries = append(c.entries, e)
		}
		first[e.Key] = e.line
	}
	for _, n := range merged {
		c.merge(n)
	}
}

// merge adds a merged value: a mapping or a list of mappings.
func (c *collector) merge(n Node) {
	mappings := []*yaml.Node{n.value}
	if n.value.Kind == yaml.SequenceNode {
		mappings = n.value.Content
	}
	for _, m := range mappings {
		if m = resolve(m); m.Kind != yaml.MappingNode {
			n.Fail("<< merges something other than mappings; expected an alias such as *name, or a list of them")
			return
		}
		c.add(m)
	}
}

// resolve returns the value of an alias.
func resolve(value *yaml.Node) *yaml.Node {
	if value.Kind == yaml.AliasNode {
		return value.Alias
	}
	return value
}

func join(path, key string) string { return strings.TrimPrefix(path+"."+key, ".") }
