package main

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/tsdb"
)

// scenario is a test group of promtool.
type scenario struct {
	Name        string
	Interval    model.Duration
	Start       time.Time                         `yaml:"start_timestamp"`
	InputSeries []struct{ Series, Values string } `yaml:"input_series"`
	Alerts      []check                           `yaml:"alert_rule_test"`
	Exprs       []check                           `yaml:"promql_expr_test"`

	file       string
	evaluation time.Duration // interval
}

// check is one test.
type check struct {
	EvalTime  model.Duration `yaml:"eval_time"`
	Alertname string
	Expr      string
}

// checks are the tests by time, alerts before expressions.
func (s *scenario) checks() []check {
	all := slices.Concat(s.Alerts, s.Exprs)
	slices.SortStableFunc(all, func(a, b check) int {
		return int(a.EvalTime/model.Duration(time.Second) - b.EvalTime/model.Duration(time.Second))
	})
	return all
}

// cost is about proportional to the duration.
func (s *scenario) cost() int64 {
	var last model.Duration
	for _, c := range s.checks() {
		last = max(last, c.EvalTime)
	}
	return int64(time.Duration(last)/s.evaluation) * int64(10+len(s.InputSeries))
}

// looksAt reports whether a test checks one of these rules, possibly among all alerts.
func (c check) looksAt(names []string) bool {
	if c.Alertname != "" {
		return slices.Contains(names, c.Alertname)
	}
	return strings.Contains(c.Expr, "ALERTS") && !strings.Contains(c.Expr, "alertname=\"") || strings.Contains(c.Expr, "__name__") ||
		slices.ContainsFunc(names, func(name string) bool { return strings.Contains(c.Expr, name) })
}

// see evaluates rules, and returns what the tests check about the names. It ends early if the result differs from the expected one.
func (s *scenario) see(groups *rulefmt.RuleGroups, names, want []string) ([]string, error) {
	checks := slices.DeleteFunc(s.checks(), func(c check) bool { return !c.looksAt(names) })
	p, err := s.start(groups)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	var seen []string
	for t := s.epoch(); len(seen) < len(checks); t = t.Add(s.evaluation) {
		if err := p.evaluate(t); err != nil {
			return nil, err
		}
		for len(seen) < len(checks) {
			c := checks[len(seen)]
			at := s.epoch().Add(time.Duration(c.EvalTime))
			if !at.Before(t.Add(s.evaluation)) {
				break
			}
			text, err := p.look(c, at)
			if err != nil {
				return nil, err
			}
			seen = append(seen, text)
			if i := len(seen) - 1; i < len(want) && text != want[i] {
				return seen, nil
			}
		}
	}
	return seen, nil
}

func (s *scenario) epoch() time.Time {
	if s.Start.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return s.Start
}

// server has the storage and the rules of a Prometheus.
type server struct {
	dir    string
	db     *tsdb.DB
	query  rules.QueryFunc
	groups []*rules.Group
	input  []input
}

// input is a series and its samples that are not stored yet.
type input struct {
	labels labels.Labels
	next   time.Time
	step   time.Duration
	values []parser.SequenceValue
}

func (s *scenario) start(groups *rulefmt.RuleGroups) (*server, error) {
	p := &server{}
	for _, one := range s.InputSeries {
		l, values, err := promQL.ParseSeriesDesc(one.Series + " " + one.Values)
		if err != nil {
			return nil, err
		}
		step := time.Duration(s.Interval)
		if step == 0 {
			step = s.evaluation
		}
		p.input = append(p.input, input{l, s.epoch(), step, values})
	}
	var err error
	if p.dir, err = os.MkdirTemp("", "mutate-"); err != nil {
		return nil, err
	}
	options := tsdb.DefaultOptions()
	options.RetentionDuration, options.WALSegmentSize = 0, -1 // no WAL
	if p.db, err = tsdb.Open(p.dir, nil, nil, options, tsdb.NewDBStats()); err != nil {
		return nil, err
	}
	p.db.DisableCompactions()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: math.MaxInt, Timeout: time.Minute, Parser: promQL})
	p.query = rules.EngineQueryFunc(engine, p.db)
	loaded, errs := rules.NewManager(&rules.ManagerOptions{
		QueryFunc: p.query, NotifyFunc: func(context.Context, string, ...*rules.Alert) {},
		Appendable: p.db, Queryable: p.db, Logger: slog.New(slog.DiscardHandler), Parser: promQL, GroupLoader: loader{groups},
	}).LoadGroups(time.Minute, labels.EmptyLabels(), "", nil, false, rulesFile)
	if len(errs) > 0 {
		p.stop()
		return nil, errs[0]
	}
	for _, g := range groups.Groups { // in the order of group_eval_order
		p.groups = append(p.groups, loaded[rules.GroupKey(rulesFile, g.Name)])
	}
	for _, g := range p.groups {
		for _, r := range g.AlertingRules() {
			r.SetRestored(true)
		}
	}
	return p, nil
}

func (p *server) stop() {
	_ = p.db.Close()
	_ = os.RemoveAll(p.dir)
}

// loader loads rules that are not in a file.
type loader struct{ groups *rulefmt.RuleGroups }

func (l loader) Load(string, bool, model.ValidationScheme) (*rulefmt.RuleGroups, []error) {
	return l.groups, nil
}

func (loader) Parse(query string) (parser.Expr, error) { return promQL.ParseExpr(query) }

func (p *server) evaluate(t time.Time) error {
	if err := p.store(t); err != nil {
		return err
	}
	for _, g := range p.groups {
		g.Eval(context.Background(), t)
		for _, r := range g.Rules() {
			if r.LastError() != nil {
				return fmt.Errorf("%s: %w", r.Name(), r.LastError())
			}
		}
	}
	return nil
}

// store stores the samples until a time.
func (p *server) store(until time.Time) error {
	a := p.db.Appender(context.Background())
	for i := range p.input {
		for in := &p.input[i]; len(in.values) > 0 && !in.next.After(until); in.next, in.values = in.next.Add(in.step), in.values[1:] {
			if in.values[0].Omitted {
				continue
			}
			if _, err := a.Append(0, in.labels, in.next.UnixMilli(), in.values[0].Value); err != nil {
				return err
			}
		}
	}
	return a.Commit()
}

// look returns the firing alerts, or the result of an expression.
func (p *server) look(c check, at time.Time) (string, error) {
	var lines []string
	if c.Alertname == "" {
		if err := p.store(at); err != nil {
			return "", err
		}
		found, err := p.query(context.Background(), c.Expr, at)
		if err != nil {
			return "", err
		}
		for _, sample := range found {
			lines = append(lines, fmt.Sprint(sample.Metric, sample.F))
		}
	}
	for _, g := range p.groups {
		for _, r := range g.AlertingRules() {
			for _, a := range r.ActiveAlerts() {
				if r.Name() == c.Alertname && a.State == rules.StateFiring {
					lines = append(lines, fmt.Sprint(a.Labels, a.Annotations))
				}
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n"), nil
}
