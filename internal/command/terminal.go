package command

import (
	"fmt"
	"io"
	"os"
	"strings"
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

// paint colours text where the terminal shows colours.
func (t Terminal) paint(colour, text string) string {
	if !t.Colour || colour == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// table are rows of cells, the first row being the head. The last column is as long as it comes, so that it may hold colours.
type table struct {
	rows  [][]string
	right map[int]bool // columns of numbers
}

// add takes a row. What the cloud names stays in its cell.
func (t *table) add(cells ...string) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = printable(cell)
	}
	t.rows = append(t.rows, row)
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

// width returns the columns that all but the last cell take.
func (t *table) width() int {
	total := 0
	for _, w := range t.widths() {
		total += w + len(gap)
	}
	return total
}

const gap = "  "

func (t *table) widths() []int {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row[:len(row)-1] {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

func (t *table) write(w io.Writer) {
	widths := t.widths()
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row[:len(row)-1] {
			padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if t.right[i] {
				line.WriteString(padding + cell + gap)
			} else {
				line.WriteString(cell + padding + gap)
			}
		}
		line.WriteString(row[len(row)-1])
		_, _ = fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

// bar draws a ratio in so many columns; beyond 1 it is full.
func (t Terminal) bar(ratio float64, width int) string {
	full, empty := "█", "░"
	if t.Width == 0 {
		full, empty = "#", "-"
	}
	n := int(min(max(ratio, 0), 1)*float64(width) + 0.5)
	return strings.Repeat(full, n) + strings.Repeat(empty, width-n)
}
