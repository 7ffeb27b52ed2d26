package strictyaml

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Errors are all problems of a file, ordered by line, each as "FILE:LINE: KEY.PATH: what is wrong; what would be right". They
// hold no value of the file.
type Errors []string

// Error returns one problem per line.
func (e Errors) Error() string { return strings.Join(e, "\n") }

// Problems collects what is wrong with a file, in the order in which it is found.
type Problems struct {
	file string
	all  []problem
}

type problem struct {
	line int // 0: of no line
	text string
}

// NewProblems returns an empty collection; file names the file in errors.
func NewProblems(file string) *Problems { return &Problems{file: file} }

// Add adds a problem. Line 0 stands for no line, an empty path for no key. The text must quote no value of the file.
func (p *Problems) Add(line int, path, text string) {
	if path != "" {
		text = path + ": " + text
	}
	p.all = append(p.all, problem{line, text})
}

// Any returns whether there is a problem.
func (p *Problems) Any() bool { return len(p.all) > 0 }

// Err returns the problems as Errors, or nil if there are none.
func (p *Problems) Err() error {
	if !p.Any() {
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

// unknownKey says that a key is not one of known. The key itself is not shown: it may be a secret.
func unknownKey(shown bool, known []string) string {
	text := "unknown key"
	if !shown {
		text = "an unknown key (not shown: it may be a secret)"
	}
	if len(known) == 0 {
		return text + "; no key is known here, want {}"
	}
	return text + "; known here: " + strings.Join(known, ", ")
}
