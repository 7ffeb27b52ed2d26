package strictyaml

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"
)

// Parse returns the root of the one document in text. It is not set if there is none: for an empty text, only comments, a null, or
// invalid YAML. Parse adds syntax errors and a second document to found; readers add further problems.
func Parse(text []byte, found *Problems) Node {
	if !checkBlanks(text, found) {
		return Node{found: found} // further results would only distract
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var first, second yaml.Node
	err := decoder.Decode(&first)
	if err == nil {
		err = decoder.Decode(&second)
	}
	switch {
	case err == nil:
		found.Add(second.Line, "", "a second document; remove the line --- and the text after it")
	case !errors.Is(err, io.EOF):
		line, what := syntax(err.Error(), text)
		found.Add(line, "", what)
	}
	if len(first.Content) > 0 {
		if top := (Node{value: first.Content[0], line: first.Content[0].Line, found: found}); !top.IsNull() {
			return top
		}
	}
	return Node{found: found}
}

// falseBlank matches white space and invisible characters that YAML does not treat as blanks.
const falseBlank = `[\v\f\x{85}\x{A0}\x{AD}\x{1680}\x{180E}\x{2000}-\x{200F}\x{2028}-\x{202F}\x{205F}-\x{206F}\x{3000}\x{FEFF}]`

var (
	blankNeeded   = regexp.MustCompile(`^[ \t-]*(?:[A-Za-z0-9_.-]+[ \t]*:[ \t]*)?` + falseBlank) // in the indentation, after a dash, or after a colon
	blankAnywhere = regexp.MustCompile(falseBlank)
	blankAtEnd    = regexp.MustCompile(`^` + falseBlank + `|` + falseBlank + `$`)
)

// findBlank returns what is wrong with the first false blank in text; empty if there is none.
func findBlank(where *regexp.Regexp, text string) string {
	match := blankAnywhere.FindString(where.FindString(text))
	if match == "" {
		return ""
	}
	kind, found := "an invisible character", []rune(match)[0]
	switch {
	case found == '\u00A0':
		kind = "a no-break space"
	case unicode.IsSpace(found):
		kind = "white space"
	}
	return fmt.Sprintf("%s (%U) that YAML does not treat as a space; use ordinary spaces (U+0020), also in the indentation", kind, found)
}

// checkBlanks reports whether all blanks that YAML needs are blanks, and adds a problem for each other one.
func checkBlanks(text []byte, found *Problems) bool {
	ok := true
	for i, line := range strings.Split(strings.TrimPrefix(string(text), "\uFEFF"), "\n") {
		if what := findBlank(blankNeeded, line); what != "" {
			found.Add(i+1, "", what)
			ok = false
		}
	}
	return ok
}

var (
	libraryError = regexp.MustCompile(`(?s)^yaml: (?:line ([0-9]+): )?(.*)$`)
	tabIndented  = regexp.MustCompile(`(?m)^ *\t`)
	badAlias     = regexp.MustCompile(`(?s)^unknown anchor '(.*)' referenced$`)
)

// syntax rephrases an error of the YAML library, which quotes pieces of the file, and returns its line if known.
func syntax(text string, file []byte) (line int, what string) {
	const quoteIt = "; quote a value that starts with * or &"
	if m := libraryError.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = m[2]
	}
	if m := badAlias.FindStringSubmatch(text); m != nil {
		before, _, _ := strings.Cut(string(file), "*"+m[1])
		return strings.Count(before, "\n") + 1, "an alias (*) without its anchor (&)" + quoteIt
	}
	if strings.Contains(text, "alphabetic or numeric character") {
		return line, "invalid YAML: a name is missing after * or &" + quoteIt
	}
	if strings.Contains(text, "cannot start any token") && tabIndented.Match(file) {
		return line, "invalid YAML: a tab in the indentation; use ordinary spaces (U+0020)"
	}
	return line, "invalid YAML: " + maskQuoted(text) + "; check the indentation and the quotes"
}

// maskQuoted hides text between quotes, except single characters, which are the library's: expected ',' or ']'.
func maskQuoted(text string) string {
	for _, quote := range []string{"'", `"`, "`"} {
		parts := strings.Split(text, quote)
		for i := 1; i < len(parts); i += 2 {
			if len(parts[i]) > 1 {
				parts[i] = "..."
			}
		}
		text = strings.Join(parts, quote)
	}
	return text
}

// Errors are all problems of a file, ordered by line, in the format "FILE:LINE: KEY.PATH: what is wrong; what is expected". They
// contain no value of the file.
type Errors []string

// Error returns one problem per line.
func (e Errors) Error() string { return strings.Join(e, "\n") }

// Problems collects the problems of a file, in the order in which they are found.
type Problems struct {
	file string
	all  []problem
}

type problem struct {
	line int // 0: none
	text string
}

// NewProblems returns an empty collection; file is the name of the file in errors.
func NewProblems(file string) *Problems { return &Problems{file: file} }

// Add adds a problem. Line 0 means no line, an empty path no key. The text must not quote a value of the file.
func (p *Problems) Add(line int, path, text string) {
	if path != "" {
		text = path + ": " + text
	}
	p.all = append(p.all, problem{line, text})
}

// Err returns the problems as Errors, or nil if there are none.
func (p *Problems) Err() error {
	if len(p.all) == 0 {
		return nil
	}
	slices.SortStableFunc(p.all, func(a, b problem) int { return cmp.Compare(a.line, b.line) })
	var lines Errors
	for _, problem := range p.all {
		place := p.file
		if problem.line > 0 {
			place = fmt.Sprintf("%s:%d", p.file, problem.line)
		}
		lines = append(lines, place+": "+problem.text)
	}
	return lines
}
