package command

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// Terminal is where a command for people writes. Into a pipe or a file it writes plainly.
type Terminal struct {
	Out, Err io.Writer
	Width    int  // columns of Out; 0: unknown, and nothing is fitted to it
	Colour   bool // of Out
	Live     bool // whether Err shows a line that is overwritten
}

// NewTerminal looks at what stdout and stderr are. NO_COLOR turns colour off.
func NewTerminal(stdout, stderr *os.File) Terminal {
	t := Terminal{Out: stdout, Err: stderr, Live: term.IsTerminal(int(stderr.Fd()))}
	if width, _, err := term.GetSize(int(stdout.Fd())); err == nil {
		t.Width = width
		t.Colour = os.Getenv("NO_COLOR") == ""
	}
	return t
}

// The colours of a terminal, by how urgent a thing is.
const (
	green  = "32"
	yellow = "33"
	red    = "31"
	faint  = "2"
)

// paint colours text if the terminal shows colours.
func (t Terminal) paint(colour, text string) string {
	if !t.Colour {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// table are rows of cells, the first row being the head. The last column is as long as it comes, so that it may hold colours.
type table [][]string

// add takes a row. What the cloud names stays in its cell.
func (t *table) add(cells ...string) {
	for i, cell := range cells {
		cells[i] = printable(cell)
	}
	*t = append(*t, cells)
}

// printable returns text without what would begin a line or move the cursor: in front of a terminal, a name with such a character in it could look
// like another part of what is printed.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, text)
}

// alignRight aligns a column of numbers.
func (t table) alignRight(column int) {
	width := 0
	for _, row := range t {
		width = max(width, len(row[column]))
	}
	for _, row := range t {
		row[column] = fmt.Sprintf("%*s", width, row[column])
	}
}

// lines returns a line for each row. All but the last cells are padded.
func (t table) lines() []string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range t {
		_, _ = fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // a builder takes everything
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

// write shows the rows below an empty line.
func (t table) write(w io.Writer) {
	_, _ = fmt.Fprintln(w)
	for _, line := range t.lines() {
		_, _ = fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}
