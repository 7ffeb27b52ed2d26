package main

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// exprChange is an expression with one change.
type exprChange struct{ what, expr string }

// exprChanges returns every change of an expression.
func exprChanges(expr string) ([]exprChange, error) {
	root, err := promQL.ParseExpr(expr)
	if err != nil {
		return nil, err
	}
	m := &mutator{root: root}
	m.visit(root, func(e parser.Expr) { m.root = e })
	return m.changes, nil
}

// mutator makes one change of an expression at a time, and reverts it.
type mutator struct {
	root    parser.Expr
	changes []exprChange
}

// try records the expression as it is while a change is made. Results that are not valid expressions are ignored.
func (m *mutator) try(what string, do, undo func()) {
	original := m.root.String()
	do()
	changed := m.root.String()
	undo()
	if _, err := promQL.ParseExpr(changed); err == nil && changed != original {
		m.changes = append(m.changes, exprChange{what, changed})
	}
}

// replace tries other expressions in place of one.
func (m *mutator) replace(what string, e, other parser.Expr, set func(parser.Expr)) {
	m.try(what, func() { set(other) }, func() { set(e) })
}

// visit tries all changes of an expression and its parts. set puts another in its place.
func (m *mutator) visit(e parser.Expr, set func(parser.Expr)) {
	switch e := e.(type) {
	case *parser.NumberLiteral:
		m.number(e)
	case *parser.BinaryExpr:
		m.binary(e, set)
		m.visit(e.LHS, func(x parser.Expr) { e.LHS = x })
		m.visit(e.RHS, func(x parser.Expr) { e.RHS = x })
	case *parser.UnaryExpr:
		m.replace(fmt.Sprintf("%s removed", e.Op), e, e.Expr, set)
		m.visit(e.Expr, func(x parser.Expr) { e.Expr = x })
	case *parser.ParenExpr:
		m.visit(e.Expr, func(x parser.Expr) { e.Expr = x })
	case *parser.AggregateExpr:
		m.aggregate(e)
		m.visit(e.Expr, func(x parser.Expr) { e.Expr = x })
	case *parser.Call:
		m.call(e)
		for i, arg := range e.Args {
			m.visit(arg, func(x parser.Expr) { e.Args[i] = x })
		}
	case *parser.MatrixSelector:
		m.window(&e.Range, "[%s]")
		m.visit(e.VectorSelector, func(x parser.Expr) { e.VectorSelector = x })
	case *parser.SubqueryExpr:
		m.window(&e.Range, "[%s:]")
		m.window(&e.Step, "[:%s]")
		m.visit(e.Expr, func(x parser.Expr) { e.Expr = x })
	case *parser.VectorSelector:
		m.matchers(e)
	default:
		panic(fmt.Sprintf("unsupported expression %T", e))
	}
}

func (m *mutator) number(e *parser.NumberLiteral) {
	original := e.Val
	others := []float64{original * 0.9, original * 1.1}
	if original == float64(int(original)) && original < 10 {
		others = []float64{original - 1, original + 1}
	}
	for _, other := range others {
		what := fmt.Sprintf("%s -> %s", number(original), number(other))
		m.try(what, func() { e.Val = other }, func() { e.Val = original })
	}
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

// others are the operators that can be confused with one.
var others = map[parser.ItemType][]parser.ItemType{
	parser.GTE:     {parser.GTR, parser.LSS},
	parser.GTR:     {parser.GTE, parser.LTE},
	parser.LTE:     {parser.LSS, parser.GTR},
	parser.LSS:     {parser.LTE, parser.GTE},
	parser.EQLC:    {parser.NEQ},
	parser.NEQ:     {parser.EQLC},
	parser.ADD:     {parser.SUB},
	parser.SUB:     {parser.ADD},
	parser.MUL:     {parser.DIV},
	parser.DIV:     {parser.MUL},
	parser.LAND:    {parser.LUNLESS},
	parser.LUNLESS: {parser.LAND},
	parser.LOR:     {parser.LAND},
	parser.MAX:     {parser.MIN},
	parser.MIN:     {parser.MAX},
}

func (m *mutator) binary(e *parser.BinaryExpr, set func(parser.Expr)) {
	op := e.Op
	for _, other := range others[op] {
		m.try(fmt.Sprintf("%s -> %s", op, other), func() { e.Op = other }, func() { e.Op = op })
	}
	switch op {
	case parser.LAND, parser.LUNLESS:
		m.replace(fmt.Sprintf("without %s %s", op, e.RHS), e, e.LHS, set)
	case parser.LOR:
		m.replace(fmt.Sprintf("without %s %s", op, e.RHS), e, e.LHS, set)
		m.replace(fmt.Sprintf("without %s %s", e.LHS, op), e, e.RHS, set)
	}
	if v := e.VectorMatching; v != nil {
		m.labels(&v.MatchingLabels, "matched by")
	}
}

func (m *mutator) aggregate(e *parser.AggregateExpr) {
	op := e.Op
	for _, other := range others[op] {
		m.try(fmt.Sprintf("%s -> %s", op, other), func() { e.Op = other }, func() { e.Op = op })
	}
	m.labels(&e.Grouping, "grouped by")
}

// labels removes one label at a time.
func (m *mutator) labels(names *[]string, what string) {
	original := *names
	for i, name := range original {
		m.try(fmt.Sprintf("not %s %s", what, name), func() { *names = slices.Delete(slices.Clone(original), i, i+1) }, func() { *names = original })
	}
}

func (m *mutator) call(e *parser.Call) {
	if original := e.Func; original.Name == "max_over_time" {
		m.try("max_over_time -> min_over_time", func() { e.Func = parser.Functions["min_over_time"] }, func() { e.Func = original })
	}
}

func (m *mutator) window(d *time.Duration, format string) {
	original := *d
	for _, other := range []time.Duration{original / 2, original * 2} {
		what := fmt.Sprintf(format+" -> "+format, model.Duration(original), model.Duration(other))
		m.try(what, func() { *d = other }, func() { *d = original })
	}
}

// inverse returns the matcher that selects the other series.
var inverse = map[labels.MatchType]labels.MatchType{
	labels.MatchEqual: labels.MatchNotEqual, labels.MatchNotEqual: labels.MatchEqual,
	labels.MatchRegexp: labels.MatchNotRegexp, labels.MatchNotRegexp: labels.MatchRegexp,
}

func (m *mutator) matchers(e *parser.VectorSelector) {
	original := e.LabelMatchers
	undo := func() { e.LabelMatchers = original }
	for i, matcher := range original {
		if matcher.Name == model.MetricNameLabel {
			continue
		}
		m.try(fmt.Sprintf("{%s} removed", matcher), func() { e.LabelMatchers = slices.Delete(slices.Clone(original), i, i+1) }, undo)
		inverted := labels.MustNewMatcher(inverse[matcher.Type], matcher.Name, matcher.Value)
		m.try(fmt.Sprintf("{%s} -> {%s}", matcher, inverted), func() {
			e.LabelMatchers = slices.Clone(original)
			e.LabelMatchers[i] = inverted
		}, undo)
	}
}
