package config

import "gopkg.in/yaml.v3"

// entry is a key and what is stated under it.
type entry struct {
	key string
	node
}

// entries reads n as a mapping and returns its entries in the order of the file, those that it merges (<<) last. A key is part of a path
// only where shown allows it.
func (n node) entries(shown func(key string) bool) ([]entry, bool) {
	if !n.is(yaml.MappingNode, kinds[yaml.MappingNode]) {
		return nil, false
	}
	c := collector{of: n, shown: shown, taken: make(map[string]bool), visited: make(map[*yaml.Node]bool)}
	c.add(n.value)
	return c.entries, true
}

// collector gathers the entries of one mapping and of what it merges: of a key that stands in several, the first counts.
type collector struct {
	of      node
	shown   func(key string) bool
	entries []entry
	taken   map[string]bool
	visited map[*yaml.Node]bool // a second visit would bring nothing, and a mapping can merge itself
}

func (c *collector) add(mapping *yaml.Node) {
	if c.visited[mapping] {
		return
	}
	c.visited[mapping] = true
	var merged []node
	first := make(map[string]int) // the line of each key
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key := resolve(mapping.Content[i])
		e := entry{key.Value, node{resolve(mapping.Content[i+1]), c.of.path, mapping.Content[i].Line, c.of.found}}
		if c.shown(e.key) {
			e.path = join(c.of.path, e.key)
		}
		isMerge := key.ShortTag() == "!!merge"
		switch {
		case key.Kind != yaml.ScalarNode:
			c.entries = append(c.entries, e)
			continue
		case first[e.key] > 0:
			e.fail("a key that stands twice, first in line %d; keep one of them", first[e.key])
			continue
		case isMerge:
			merged = append(merged, e.node)
		case !c.taken[e.key]:
			c.taken[e.key] = true
			c.entries = append(c.entries, e)
		}
		first[e.key] = e.line
	}
	for _, n := range merged {
		c.merge(n)
	}
}

// merge adds a merged value: a mapping or a list of mappings.
func (c *collector) merge(n node) {
	mappings := []*yaml.Node{n.value}
	if n.value.Kind == yaml.SequenceNode {
		mappings = n.value.Content
	}
	for _, m := range mappings {
		if m = resolve(m); m.Kind != yaml.MappingNode {
			n.fail("<< merges something else than mappings; want an alias such as *name, or a list of them")
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

func isNull(value *yaml.Node) bool {
	return value.Kind == yaml.ScalarNode && value.ShortTag() == "!!null"
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
