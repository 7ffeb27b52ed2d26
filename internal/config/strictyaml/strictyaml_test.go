package strictyaml_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/config/strictyaml"
)

// found returns the problems one per line, without the name of the file.
func found(t *testing.T, problems *strictyaml.Problems) string {
	t.Helper()
	err := problems.Err()
	if _, ok := errors.AsType[strictyaml.Errors](err); err != nil && !ok {
		t.Fatalf("got %T", err)
	}
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), "f.yml:", "")
}

// TestReaders gives each reader a right value, one of a wrong kind, none, one out of range, and a key that is not stated, which is only reported if it is needed.
func TestReaders(t *testing.T) {
	type node = strictyaml.Node
	const (
		list, single = "[SECRET]", "SECRET" // of a wrong kind
		empty        = "is empty: give it a value or remove the key"
		mapping      = "a mapping of keys to values"
	)
	kinds := map[string]string{list: "a list", single: "a single value"}
	for name, tc := range map[string]struct {
		read        func(node) (any, bool)
		right       string
		value       any
		kind, want  string
		wide, isOut string
	}{
		"text":     {func(n node) (any, bool) { return n.Text() }, "a b", "a b", list, "a single text", "''", empty},
		"optional": {func(n node) (any, bool) { return n.OptionalText() }, "''", "", list, "a single text", "!!binary ''", empty},
		"matching": {
			func(n node) (any, bool) { return n.Matching(regexp.MustCompile("^[a-z]$"), "a letter") },
			"x", "x", list, "a single text", "SECRET", "not of the right form; want a letter",
		},
		"flag": {
			func(n node) (any, bool) { return n.Flag() },
			"true", true, list, "true or false", "SECRET", "neither true nor false; want true or false",
		},
		"number": {
			func(n node) (any, bool) { return n.Number(1, 9) },
			"9", 9, list, "a whole number from 1 to 9", "8.5", "not a whole number, or out of range; want a whole number from 1 to 9",
		},
		"decimal": {
			func(n node) (any, bool) { return n.Decimal(0, 1, "a ratio") },
			"0.5", 0.5, list, "a ratio", ".nan", "not a number, or out of range; want a ratio",
		},
		"duration": {
			func(n node) (any, bool) { return n.Duration(0, time.Hour) },
			"5m", 5 * time.Minute, list, "a duration such as 5m", "61m", "out of range; want 0 to 1h",
		},
		"unit": {
			func(n node) (any, bool) { return n.Duration(0, time.Hour) },
			"0", time.Duration(0), list, "a duration such as 5m", "300", "a number without a unit; write 300s or 5m for five minutes",
		},
		"list": {
			func(n node) (any, bool) { items := n.List(); return len(items), items != nil },
			"[a, b]", 2, single, "a list", "{SECRET: 1}", "is a mapping of keys to values; want a list",
		},
		"entries": {
			func(n node) (any, bool) { e, ok := n.Entries(func(string) bool { return false }); return len(e), ok },
			"{a: 1}", 1, single, mapping, list, "is a list; want a mapping of keys to values",
		},
		"fields": {
			func(n node) (any, bool) { f, ok := n.Fields("a"); return f.Get("a").Path(), ok },
			"{a: 1}", "right.a", single, mapping, list, "is a list; want a mapping of keys to values",
		},
	} {
		t.Run(name, func(t *testing.T) {
			problems := strictyaml.NewProblems("f.yml")
			text := fmt.Sprintf("right: %s\nkind: %s\nnone:\nwide: %s\n", tc.right, tc.kind, tc.wide)
			f, ok := strictyaml.Parse([]byte(text), problems).Fields("right", "kind", "none", "wide", "absent")
			if value, usable := tc.read(f.Get("right")); !ok || !usable || value != tc.value || problems.Err() != nil {
				t.Errorf("got %v, %t, %t, want %v; %v", value, usable, ok, tc.value, problems.Err())
			}
			for _, n := range []node{f.Get("kind"), f.Get("none"), f.Get("wide"), f.Get("absent"), f.Need("needed", "want it")} {
				if _, ok := tc.read(n); ok {
					t.Errorf("%s can be used", n.Path())
				}
			}
			want := fmt.Sprintf("1: needed: missing: want it\n2: kind: is %s; want %s\n"+
				"3: none: has no value: give it one or remove the key\n4: wide: %s", kinds[tc.kind], tc.want, tc.isOut)
			if got := found(t, problems); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// TestDocuments reads a document as a mapping of the known keys a, b and name, and shows what it states and what is wrong with it.
func TestDocuments(t *testing.T) {
	const (
		quoteIt = "; a value that begins with * or & must be quoted"
		hidden  = "1: an unknown key (not shown: it may be a secret); known here: a, b, name"
	)
	for name, tc := range map[string]struct{ text, stated, problems string }{
		"nothing":          {"# a comment\n", "", ""},
		"null":             {"~", "", ""},
		"top":              {"[SECRET]", "", "1: is a list; want a mapping of keys to values"},
		"lines":            {"b: x\n\na:\n  y\n", "a:3=y b:1=x", ""},
		"alias":            {"a: &x y\nb: *x", "a:1=y b:2=y", ""},
		"merge":            {"<<: &m {a: x, b: y}\nb: z", "a:1=x b:2=z", ""},
		"merged list":      {"<<: [{a: x}, {a: y, b: z}]", "a:1=x b:1=z", ""},
		"merge of a text":  {"a: x\n<<: SECRET", "a:1=x", "2: << merges something else than mappings; want an alias such as *name, or a list of them"},
		"merge of itself":  {"&m\na: x\n<<: *m", "a:2=x", ""},
		"twice":            {"a: x\nb: y\na: SECRET", "a:1=x b:2=y", "3: a: a key that stands twice, first in line 1; keep one of them"},
		"twice, hidden":    {"S3CRET: x\nS3CRET: y", "", hidden + "\n2: a key that stands twice, first in line 1; keep one of them"},
		"misspelt":         {"namee: SECRET", "", "1: namee: unknown key; known here: a, b, name"},
		"key of a list":    {"[SECRET]: x", "", hidden},
		"second document":  {"a: x\n---\nb: SECRET", "a:1=x", "2: a second document; want one: remove the line --- and what follows"},
		"no anchor":        {"a: x\nb: *SECRET", "", "2: an alias (*) without its anchor (&)" + quoteIt},
		"no name":          {"a: x\nb: *+SECRET", "", "2: not YAML: a name is missing behind * or &" + quoteIt},
		"no YAML":          {"a: [SECRET\nb: {", "", "1: not YAML: did not find expected ',' or ']'; look at the indentation and the quotes there"},
		"tag of no number": {"a: !!int SECRET", "a:1=", "1: a: does not fit its tag (!); want a text"},
	} {
		t.Run(name, func(t *testing.T) {
			problems := strictyaml.NewProblems("f.yml")
			var stated []string
			if top := strictyaml.Parse([]byte(tc.text), problems); top.Stated() {
				f, _ := top.Fields("a", "b", "name")
				for _, key := range []string{"a", "b", "name"} {
					if n := f.Get(key); n.Stated() {
						text, _ := n.Text()
						stated = append(stated, fmt.Sprintf("%s:%d=%s", n.Path(), n.Line(), text))
					}
				}
			}
			if got := strings.Join(stated, " "); got != tc.stated {
				t.Errorf("got %s, want %s", got, tc.stated)
			}
			if got := found(t, problems); got != tc.problems {
				t.Errorf("got\n%s\nwant\n%s", got, tc.problems)
			}
		})
	}
}
