package web

import (
	"regexp"
	"strings"
)

// block is a part of a text in Markdown, as far as the runbooks use that: a paragraph (p), code (pre), a list (ul, ol) or a table.
type block struct {
	Kind string
	Rows [][]string // cells, in Markdown; those of a list and a paragraph have one
	Code string
}

var (
	listItem   = regexp.MustCompile(`^(?:(-)|\d+\.) +(.*)`)
	tableRuler = regexp.MustCompile(`^\|[-:| ]+$`)
	span       = regexp.MustCompile("`([^`]+)`" + `|\*\*([^*]+)\*\*|\*([^*]+)\*|\[([^\][]+)\]\(([^()\s]+)\)|\b[A-Z]\w+`)
)

// blocks splits a text. What is of no other kind is a paragraph.
func blocks(text string) (all []block) {
	open := "" // kind of the block that the next line may continue
	begin := func(kind string, cells ...string) {
		if kind != open || kind == "p" {
			all, open = append(all, block{Kind: kind}), kind
		}
		all[len(all)-1].Rows = append(all[len(all)-1].Rows, cells)
	}
	for line := range strings.SplitSeq(text, "\n") {
		trimmed := strings.TrimSpace(line)
		item := listItem.FindStringSubmatch(line)
		switch {
		case open == "pre" && trimmed == "```", open != "pre" && trimmed == "":
			open = ""
		case open == "pre":
			all[len(all)-1].Code += line + "\n"
		case open == "table" && tableRuler.MatchString(trimmed):
			// the line below the head
		case strings.HasPrefix(trimmed, "```"):
			begin("pre")
		case strings.HasPrefix(trimmed, "|"):
			cells := strings.Split(strings.ReplaceAll(strings.Trim(trimmed, "|"), `\|`, "\x00"), "|")
			for i := range cells {
				cells[i] = strings.ReplaceAll(cells[i], "\x00", "|")
			}
			begin("table", cells...)
		case item != nil && item[1] != "":
			begin("ul", item[2])
		case item != nil:
			begin("ol", item[2])
		case open == "" || open == "table":
			begin("p", line)
		default:
			rows := all[len(all)-1].Rows
			rows[len(rows)-1][0] += "\n" + trimmed
		}
	}
	return all
}

// piece is a part of a line: an HTML element, or text if there is none. Link is where an a leads.
type piece struct{ Element, Text, Link string }

// Pieces finds what is marked in a text, and the names of other runbooks. A link to a document that the exporter does not serve is its text.
func (r runbook) Pieces(text string) (all []piece) {
	shown := 0
	for _, at := range span.FindAllStringSubmatchIndex(text, -1) {
		group := func(i int) string {
			if at[2*i] < 0 {
				return ""
			}
			return text[at[2*i]:at[2*i+1]]
		}
		p := piece{Text: group(4), Link: group(5)}
		switch {
		case group(1) != "":
			p = piece{Element: "code", Text: group(1)}
		case group(2) != "":
			p = piece{Element: "strong", Text: group(2)}
		case group(3) != "":
			p = piece{Element: "em", Text: group(3)}
		case p.Link == "":
			p = piece{Text: group(0), Link: group(0)}
		}
		if name := strings.TrimSuffix(p.Link, ".md"); r.known[name] != "" && name != r.Alert {
			p.Element, p.Link = "a", name
		} else if strings.HasPrefix(p.Link, "https://") {
			p.Element = "a"
		}
		all, shown = append(all, piece{Text: text[shown:at[0]]}, p), at[1]
	}
	return append(all, piece{Text: text[shown:]})
}
