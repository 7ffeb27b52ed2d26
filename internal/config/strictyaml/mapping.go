package strictyaml

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Fields are the values of a mapping whose keys are known. In the zero Fields nothing is stated.
type Fields struct {
	Node

	values map[string]Node
}

// Get returns what is stated under key, or the place where it would be.
func (f Fields) Get(key string) Node {
	if value, ok := f.values[key]; ok {
		return value
	}
	return Node{path: join(f.path, key), line: f.line, found: f.found}
}

// Need is Get for a key that must be stated. If it is not, Need reports what is missing.
func (f Fields) Need(key, what string) Node {
	n := f.Get(key)
	if !n.Stated() {
		n.Fail("missing: %s", what)
	}
	return n
}

// keyForm is the form that an unknown key must have to be shown. Access keys and tokens have upper-case letters or digits.
var keyForm = regexp.MustCompile(`^[a-z][a-z_]{0,31}$`)

// IsPlain returns whether a key can be shown, even if it is not known.
func IsPlain(key string) bool { return keyForm.MatchString(key) }

// Fields reads n as a mapping and reports each key that is not known. It returns true if n is a mapping, even with unknown keys.
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

// Entry is a key and what is stated under it. The key may be a secret by mistake: it must have passed a check before it is shown.
type Entry struct {
	Key string
	Node

	shown bool
}

// Show returns the entry with its key in its path: the caller knows that the key is no secret.
func (e Entry) Show() Entry {
	if !e.shown {
		e.path, e.shown = join(e.path, e.Key), true
	}
	return e
}

// FailUnknown reports that the key is not one of known. also says what else could be there, if anything.
func (e Entry) FailUnknown(known []string, also string) {
	text, near := "unknown key", e.Key
	if !e.shown {
		text, near = "an unknown key (not shown: it may be a secret)", ""
	}
	if len(known) == 0 {
		text += "; no key is known here, want {}"
	} else {
		text += "; known here: " + NamesNear(known, near) + also
	}
	e.Fail("%s", cmp.Or(findBlank(blankAnywhere, e.Key), text))
}

// NamesNear lists names. Of many it lists the ten that are nearest to a text, which may be misspelled; of an empty text, the first ten.
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

// countEdits returns how many bytes must be inserted, removed, replaced or swapped with the next one to make one text of the other.
func countEdits(a, b string) int {
	edits := make([][]int, len(a)+1) // from each beginning of a to each beginning of b
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

// Peek returns what is stated under a key of a mapping, without reporting anything.
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

// Entries reads n as a mapping and returns its entries in the order of the file, those that it merges (<<) last. A key is part of a path
// only if shown returns true for it.
func (n Node) Entries(shown func(key string) bool) ([]Entry, bool) {
	if !n.is(yaml.MappingNode, kinds[yaml.MappingNode]) {
		return nil, false
	}
	c := collector{of: n, shown: shown, taken: make(map[string]bool), visited: make(map[*yaml.Node]bool)}
	c.add(n.value)
	return c.entries, true
}

// collector gathers the entries of one mapping and of what it merges: of a key that stands in several, the first counts.
type collector struct {
	of      Node
	shown   func(key string) bool
	entries []Entry
	taken   map[string]bool
	visited map[*yaml.Node]bool // a second visit would bring nothing, and a mapping can merge itself
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
			e.Fail("a key that stands twice, first in line %d; keep one of them", first[e.Key])
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
			n.Fail("<< merges something else than mappings; want an alias such as *name, or a list of them")
			return
		}
		c.add(m)
	}
}

// resolve returns what an alias stands for.
func resolve(value *yaml.Node) *yaml.Node {
	if value.Kind == yaml.AliasNode {
		return value.Alias
	}
	return value
}

func join(path, key string) string { return strings.TrimPrefix(path+"."+key, ".") }
