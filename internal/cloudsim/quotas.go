package cloudsim

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// showQuotas answers a quota API.
func (c *Cloud) showQuotas(q Call) Answer {
	quotas, stated := q.project.Quotas[q.Service]
	if !stated {
		return Answer{Status: http.StatusOK, Body: q.api.Example}
	}
	return Answer{Status: http.StatusOK, Body: q.api.Shape.encode(quotas, time.Since(c.started))}
}

// Shape is how quotas are written. Names of fields may have dots.
type Shape struct {
	List  string // path to the list, the map or the object; empty: top level
	Type  string // field of the type; "{key}": the members of a map are the types
	Pairs []Pair // if one object holds several resources

	Used, Limit, Remaining, Unit, Min, Max string // fields; empty: not written
}

// Pair names the fields of one resource in an object that holds several; empty: not written.
type Pair struct{ Type, Used, Limit, Remaining string }

const keyIsType = "{key}"

// check returns why quotas can't be written in this shape.
func (s Shape) check(quotas []Quota) error {
	if len(s.Pairs) == 0 {
		if s.Type == "" || s.Type != keyIsType && strings.ContainsAny(s.Type, "{}") {
			return fmt.Errorf("the type %q is not a single field", s.Type)
		}
		return nil
	}
	for _, q := range quotas {
		if s.pair(q.Type) < 0 {
			return fmt.Errorf("there is no field for the type %q", q.Type)
		}
	}
	return nil
}

func (s Shape) pair(resourceType string) int {
	return slices.IndexFunc(s.Pairs, func(p Pair) bool { return p.Type == resourceType })
}

// encode writes an answer. check must have accepted the quotas.
func (s Shape) encode(quotas []Quota, elapsed time.Duration) []byte {
	var list any
	switch {
	case len(s.Pairs) > 0:
		object := map[string]any{}
		for _, q := range quotas {
			q.write(object, s.Pairs[s.pair(q.Type)], elapsed)
		}
		list = object
	case s.Type == keyIsType:
		members := map[string]any{}
		for _, q := range quotas {
			members[q.Type] = s.row(q, elapsed)
		}
		list = members
	default:
		rows := make([]any, 0, len(quotas))
		for _, q := range quotas {
			row := s.row(q, elapsed)
			set(row, s.Type, q.Type)
			rows = append(rows, row)
		}
		list = rows
	}
	if s.List == "" {
		return JSON(list)
	}
	body := map[string]any{}
	set(body, s.List, list)
	return JSON(body)
}

// row is one quota without its type.
func (s Shape) row(q Quota, elapsed time.Duration) map[string]any {
	row := map[string]any{}
	q.write(row, Pair{Used: s.Used, Limit: s.Limit, Remaining: s.Remaining}, elapsed)
	if q.Unit != "" {
		set(row, s.Unit, q.Unit)
	}
	if q.Min != 0 || q.Max != 0 {
		set(row, s.Min, q.Min)
		set(row, s.Max, q.Max)
	}
	return row
}

// write sets the numbers of a quota in an object.
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
