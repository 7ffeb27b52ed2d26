package command

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"golang.org/x/term"

	"cloud_quota_exporter/internal/printable"
)

// Terminal is where a command for people writes. Into a pipe or a file it writes plainly.
type Terminal struct {
	Out, Err io.Writer
	Width    int  // columns of Out; 0: unknown, and nothing is fitted to it
	Colour   bool // of Out
	Live     bool // whether Err shows a line that is overwritten
}

// NewTerminal looks at what stdout and stderr are. NO_COLOR turns colour off. TERM=dumb is a terminal that knows no escape sequence. Without
// TERM, it is not known what the terminal can do.
func NewTerminal(stdout, stderr *os.File) Terminal {
	name := os.Getenv("TERM")
	dumb := name == "dumb" || name == "" && runtime.GOOS != "windows" // which has no such variable
	t := Terminal{Out: stdout, Err: stderr, Live: !dumb && term.IsTerminal(int(stderr.Fd()))}
	if width, _, err := term.GetSize(int(stdout.Fd())); err == nil {
		t.Width = width
		t.Colour = !dumb && os.Getenv("NO_COLOR") == ""
	}
	return t
}

// Output writes until an error, keeps the error and drops the rest. The caller checks Err at its end; the library of the flags would panic.
type Output struct {
	io.Writer

	Err error
}

// Write returns no error.
func (o *Output) Write(b []byte) (int, error) {
	if o.Err == nil {
		_, o.Err = o.Writer.Write(b)
	}
	return len(b), nil
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
		cells[i] = printable.Text(cell)
	}
	*t = append(*t, cells)
}

// width returns how many columns of a terminal a column of the table takes.
func (t table) width(column int) int {
	widest := 0
	for _, row := range t {
		widest = max(widest, printable.Width(row[column]))
	}
	return widest
}

// blanks fill what a cell leaves of so many columns of a terminal.
func blanks(columns int, cell string) string {
	return strings.Repeat(" ", columns-printable.Width(cell))
}

// alignRight aligns a column of numbers.
func (t table) alignRight(column int) {
	width := t.width(column)
	for _, row := range t {
		row[column] = blanks(width, row[column]) + row[column]
	}
}

// lines returns a line for each row. All but the last cells are padded.
func (t table) lines() []string {
	lines := make([]string, len(t))
	for column := range t[0] {
		width := t.width(column) + 2
		for i, row := range t {
			lines[i] += row[column]
			if column < len(row)-1 {
				lines[i] += blanks(width, row[column])
			}
		}
	}
	return lines
}

// write shows the rows below an empty line.
func (t table) write(w io.Writer) {
	_, _ = fmt.Fprintln(w)
	for _, line := range t.lines() {
		_, _ = fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}
