package providers

import (
	"regexp"
	"slices"
	"strings"
)

// template is a text with names of fields in braces, cut into pieces: {type}_{mode}.
type template []piece

// piece is a text and the field behind it, if any.
type piece struct{ text, field string }

// keyField is what stands for the key of a map, and for the type of a pair.
const keyField = "key"

var placeholder = regexp.MustCompile(`\{([A-Za-z0-9_.-]+)\}`)

func parseTemplate(text string) template {
	var t template
	from := 0
	for _, at := range placeholder.FindAllStringSubmatchIndex(text, -1) {
		t = append(t, piece{text[from:at[0]], text[at[2]:at[3]]})
		from = at[1]
	}
	if from < len(text) {
		t = append(t, piece{text: text[from:]})
	}
	return t
}

func (t template) uses(field string) bool {
	return slices.ContainsFunc(t, func(p piece) bool { return p.field == field })
}

// fill returns the text with the fields of a resource: strings and, behind the first one, numbers. A field that is missing or null is left
// out with the text before it. Without the first field, or with a field of another kind, the whole text is empty.
func (t template) fill(key string, resource object) string {
	if len(t) == 1 && t[0].text == "" && t[0].field != keyField { // {type}, as in nearly all
		return resource.at(t[0].field).text()
	}
	var filled strings.Builder
	first := true
	for _, p := range t {
		if p.field == "" {
			filled.WriteString(p.text)
			continue
		}
		text := key
		if p.field != keyField || key == "" {
			field := resource.at(p.field)
			if text = field.text(); field.isNumber() && !first {
				text = string(field)
			}
			if text == "" && (first || !field.isNull() && !field.isString()) {
				return ""
			}
		}
		first = false
		if text != "" {
			filled.WriteString(p.text)
			filled.WriteString(text)
		}
	}
	return filled.String()
}
