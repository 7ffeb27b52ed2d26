package cloudsim

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// showQuotas implements a quota API.
func (c *Cloud) showQuotas(q Call) Answer {
	all := q.project.Quotas
	if q.Account {
		all = c.account(q.caller).Quotas
	}
	quotas, stated := all[q.Service]
	if !stated {
		return Answer{Status: http.StatusOK, Body: q.api.Example}
	}
	return Answer{Status: http.StatusOK, Body: q.api.Shape.encode(quotas, time.Since(c.started))}
}

// Shape is the format of quotas. Names of fields may have dots.
type Shape struct {
	List  string // path to the list, the map or the object; empty: top level
	Type  string // the type with fields in braces: "{type}", "{type}_{mode}"; "{key}" is the key in a map; without fields, there is one object
	Pairs []Pair // if one object holds several resources

	Used, Limit, Remaining, Unit, Min, Max string // fields; empty: not written
}

// Pair names the fields of one resource in an object that holds several; empty: not written.
type Pair struct{ Type, Used, Limit, Remaining string }

const keyField = "key"

// check returns why quotas cannot be written in this shape.
func (s Shape) check(quotas []Quota) error {
	if s.isConstant() && len(quotas) != 1 {
		return fmt.Errorf("there are %d quotas, expected one of the type %q", len(quotas), s.Type)
	}
	for _, q := range quotas {
		if _, fits := s.fields(q.Type); len(s.Pairs) > 0 && s.pair(q.Type) < 0 || len(s.Pairs) == 0 && !fits {
			return fmt.Errorf("there is no field for the type %q", q.Type)
		}
	}
	return nil
}

// isConstant returns whether there is one object without a field for the type.
func (s Shape) isConstant() bool { return len(s.Pairs) == 0 && !strings.Contains(s.Type, "{") }

// fields returns the fields of Type that make a type. None is empty.
func (s Shape) fields(resourceType string) (fields map[string]string, fits bool) {
	before, pieces, _ := strings.Cut(s.Type, "{")
	rest, fits := strings.CutPrefix(resourceType, before)
	fields = map[string]string{}
	for pieces != "" && fits {
		var name, text string
		name, pieces, _ = strings.Cut(pieces, "}")
		text, pieces, _ = strings.Cut(pieces, "{")
		_, size := utf8.DecodeRuneInString(rest)
		first, value := rest[:size], ""
		if rest = rest[size:]; pieces == "" { // the last one has all that is left
			value, fits = strings.CutSuffix(rest, text)
			rest = ""
		} else {
			value, rest, fits = strings.Cut(rest, text)
		}
		fields[name] = first + value
		fits = fits && first != ""
	}
	return fields, fits && rest == "" && resourceType != ""
}

func (s Shape) pair(resourceType string) int {
	return slices.IndexFunc(s.Pairs, func(p Pair) bool { return p.Type == resourceType })
}

// Encode encodes a response. It panics if the quotas do not fit this shape.
func (s Shape) Encode(quotas []Quota) []byte {
	if err := s.check(quotas); err != nil {
		panic(fmt.Sprintf("cloudsim: %v", err))
	}
	return s.encode(quotas, 0)
}

// encode encodes a response. check must have accepted the quotas.
func (s Shape) encode(quotas []Quota, elapsed time.Duration) []byte {
	object, rows := map[string]any{}, []any{}
	for _, q := range quotas {
		if len(s.Pairs) > 0 {
			q.write(object, s.Pairs[s.pair(q.Type)], elapsed)
			continue
		}
		row, key := s.row(q, elapsed)
		if rows = append(rows, row); key != "" {
			object[key] = row
		}
	}
	var list any = rows
	switch {
	case len(s.Pairs) > 0 || strings.Contains(s.Type, "{"+keyField+"}"):
		list = object
	case s.isConstant():
		list = rows[0]
	}
	if s.List == "" {
		return JSON(list)
	}
	body := map[string]any{}
	set(body, s.List, list)
	return JSON(body)
}

// row is one quota, and its key in a map.
func (s Shape) row(q Quota, elapsed time.Duration) (row map[string]any, key string) {
	row = map[string]any{}
	fields, _ := s.fields(q.Type)
	for name, text := range fields {
		if name == keyField {
			key = text
			continue
		}
		set(row, name, text)
	}
	q.write(row, Pair{Used: s.Used, Limit: s.Limit, Remaining: s.Remaining}, elapsed)
	if q.Unit != "" {
		set(row, s.Unit, q.Unit)
	}
	if q.Min != 0 || q.Max != 0 {
		set(row, s.Min, q.Min)
		set(row, s.Max, q.Max)
	}
	return row, key
}

// write sets the values of a quota in an object.
func (q Quota) write(object map[string]any, names Pair, elapsed time.Duration) {
	used, remaining := q.Used, q.Limit
	if q.Move != nil {
		used = q.Move(elapsed)
	}
	if q.Limit >= 0 {
		remaining = q.Limit - used
	}
	set(object, names.Used, used)
	set(object, names.Limit, q.Limit)
	set(object, names.Remaining, remaining)
}

// set sets a field of an object. The name may have dots. If it is empty, set does nothing.
func set(object map[string]any, name string, value any) {
	outer, inner, dotted := strings.Cut(name, ".")
	switch {
	case name == "":
	case !dotted:
		object[name] = value
	default:
		within, exists := object[outer].(map[string]any)
		if !exists {
			within = map[string]any{}
			object[outer] = within
		}
		set(within, inner, value)
	}
}
