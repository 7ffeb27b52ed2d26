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

// unknownKey words the problem of a key that is not one of known. Of the key itself it gives away at most which known one it is like.
func unknownKey(key string, shown bool, known []string) string {
	text := "unknown key"
	if !shown {
		text = "an unknown key (not shown: it may be a secret)"
	}
	if len(known) == 0 {
		return text + "; no key is known here, want {}"
	}
	list := strings.Join(known, ", ")
	if like := closest(key, known); like != "" {
		return fmt.Sprintf("%s; did you mean %s? Known here: %s", text, like, list)
	}
	return fmt.Sprintf("%s; known here: %s", text, list)
}

// closest returns the one of known that key is most likely a misspelling of, or nothing.
func closest(key string, known []string) string {
	const tolerated = 2
	if len(key) > 64 { // longer than any key and its slips; spares the comparison with a pasted page
		return ""
	}
	key = strings.ReplaceAll(strings.ToLower(key), "-", "_")
	best, least := "", tolerated+1
	for _, candidate := range known {
		if d := distance(key, candidate); d < least && 2*d < len(candidate) {
			best, least = candidate, d
		}
	}
	return best
}

// distance counts the bytes to insert, remove or replace, and the neighbours to swap, between a and b.
func distance(a, b string) int {
	table := make([][]int, len(a)+1)
	for i := range table {
		table[i] = make([]int, len(b)+1)
		table[i][0] = i
	}
	for j := range table[0] {
		table[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replaced := table[i-1][j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			table[i][j] = min(replaced, table[i-1][j]+1, table[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				table[i][j] = min(table[i][j], table[i-2][j-2]+1)
			}
		}
	}
	return table[len(a)][len(b)]
}
