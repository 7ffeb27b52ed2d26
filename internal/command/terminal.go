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

// Terminal is the output of a command for people. Pipes and files get plain text.
type Terminal struct {
	Out, Err io.Writer
	Width    int  // columns of Out; 0: unknown, lines are not fitted
	Color    bool // whether Out shows colors
	Live     bool // whether Err can show a line that is overwritten
}

// NewTerminal returns the terminal of stdout and stderr. NO_COLOR disables color. TERM=dumb means no escape sequences, and so does
// an unset TERM.
func NewTerminal(stdout, stderr *os.File) Terminal {
	name := os.Getenv("TERM")
	dumb := name == "dumb" || name == "" && runtime.GOOS != "windows" // Windows has no TERM
	t := Terminal{Out: stdout, Err: stderr, Live: !dumb && term.IsTerminal(int(stderr.Fd()))}
	if width, _, err := term.GetSize(int(stdout.Fd())); err == nil {
		t.Width = width
		t.Color = !dumb && os.Getenv("NO_COLOR") == ""
	}
	return t
}

// Output writes until the first error, keeps the error, and drops the rest. The caller checks Err at the end, because kingpin would
// panic on an error.
type Output struct {
	io.Writer

	Err error
}

// Write never returns an error.
func (o *Output) Write(b []byte) (int, error) {
	if o.Err == nil {
		_, o.Err = o.Writer.Write(b)
	}
	return len(b), nil
}

// Colors of the terminal, by severity.
const (
	green  = "32"
	yellow = "33"
	red    = "31"
	faint  = "2"
)

// paint colors text if the terminal shows colors.
func (t Terminal) paint(color, text string) string {
	if !t.Color {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// table is a list of rows of cells, the first row being the head. The last column is not padded and may contain colors.
type table [][]string

// add adds a row. Text from the cloud is escaped.
func (t *table) add(cells ...string) {
	for i, cell := range cells {
		cells[i] = printable.Text(cell)
	}
	*t = append(*t, cells)
}

// width returns the width of a column on a terminal.
func (t table) width(column int) int {
	widest := 0
	for _, row := range t {
		widest = max(widest, printable.Width(row[column]))
	}
	return widest
}

// blanks returns the padding of a cell to a number of columns on a terminal.
func blanks(columns int, cell string) string {
	return strings.Repeat(" ", columns-printable.Width(cell))
}

// alignRight aligns a column to the right.
func (t table) alignRight(column int) {
	width := t.width(column)
	for _, row := range t {
		row[column] = blanks(width, row[column]) + row[column]
	}
}

// lines returns one line per row. All cells but the last are padded.
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

// write prints an empty line and the rows.
func (t table) write(w io.Writer) {
	_, _ = fmt.Fprintln(w)
	for _, line := range t.lines() {
		_, _ = fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}
