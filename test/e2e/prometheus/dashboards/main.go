// Command dashboards measures the cost of the dashboards' queries in a large installation. It writes a week of samples of an exporter with that many
// projects and services, and evaluates each query as Grafana sends it, with Prometheus's own engine and its default limits:
//
//	go -C test/e2e/prometheus run -tags remove_all_sd ./dashboards -projects 500 -services 20
//
// It is in the module of Prometheus, because it needs its storage and its engine. The samples need about 1 GB in the temporary directory.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb"
)

// Numbers of points that Grafana queries: for a graph as wide as the screen without a limit, and for an annotation.
const (
	graphWidth = 1000
	markPoints = 100
)

func main() {
	projects := flag.Int("projects", 500, "number of projects")
	services := flag.Int("services", 20, "number of services of each project")
	scrape := flag.Duration("scrape", time.Minute, "scrape interval")
	shipped := flag.String("dashboards", "../../../deploy/grafana/dashboards", "`directory` of the dashboards")
	flag.Parse()
	if err := run(*shipped, fleet{*projects, *services, *scrape, time.Now().Truncate(time.Minute)}); err != nil {
		fmt.Fprintln(os.Stderr, "dashboards:", err)
		os.Exit(1)
	}
}

// run measures each dashboard with the samples of a fleet.
func run(shipped string, f fleet) (err error) {
	dir, err := os.MkdirTemp("", "dashboards-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	series, err := f.write(dir)
	if err != nil {
		return err
	}
	db, err := tsdb.Open(dir, promslog.NewNopLogger(), nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	fmt.Printf("%d projects, %d services, %d quotas, %d series, scraped every %s\n\n", f.projects, f.services, f.projects*f.services, series, f.scrape)
	files, err := filepath.Glob(filepath.Join(shipped, "*.json"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no dashboards in %s: %w", shipped, err)
	}
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 50e6, Timeout: 2 * time.Minute, LookbackDelta: 5 * time.Minute, EnableAtModifier: true, EnableNegativeOffset: true,
		Parser: parser.NewParser(parser.Options{}),
	})
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var d dashboard
		if err := json.Unmarshal(b, &d); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := d.measure(measurement{engine, db, f.end}, f.names()); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// dashboard is the part of a dashboard that this program uses.
type dashboard struct {
	Title       string
	Time        struct{ From string }
	Panels      []panel
	Annotations struct {
		List []struct {
			Name   string
			Target query
		}
	}
	Templating struct {
		List []struct {
			Name, AllValue string
			Query          any
			Current        struct{ Value any }
		}
	}
}

type panel struct {
	Title         string
	MaxDataPoints int
	Targets       []query
	Repeat        string
	Panels        []panel // of a collapsed row

	closed bool // in a collapsed row: its queries are not sent before it is expanded
}

type query struct {
	Expr, Interval string
	Instant        bool
}

// measure prints a line for each panel and annotation. Everything is selected: all is a list of the names of projects, as Grafana writes it.
func (d dashboard) measure(m measurement, projects string) error {
	back, err := time.ParseDuration(map[string]string{"now-7d": "168h", "now-24h": "24h"}[d.Time.From])
	if err != nil {
		return fmt.Errorf("time range %s: %w", d.Time.From, err)
	}
	values := []string{"$__range", fmt.Sprintf("%ds", int(back.Seconds())), "$__rate_interval", "20m", "$project", projects, "$worst", worst(projects)}
	for _, v := range d.Templating.List {
		value := v.AllValue
		if text, ok := v.Current.Value.(string); ok {
			value = text
		}
		values = append(values, "$"+v.Name, cmp.Or(value, ".+"))
	}
	replacer := strings.NewReplacer(values...)
	fmt.Printf("| %s | queries | points | series | s |\n|---|---|---|---|---|\n", d.Title)
	open, closed := cost{}, cost{}
	for _, p := range d.all() {
		c, err := m.panel(p, back, replacer)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Title, err)
		}
		fmt.Printf("| %s | %d | %d | %d | %.2f |\n", p.Title, c.queries, c.points, c.series, c.took.Seconds())
		total := &open
		if p.closed {
			total = &closed
		}
		total.queries, total.series, total.took = total.queries+c.queries, total.series+c.series, total.took+c.took
	}
	fmt.Printf("| all expanded | %d | | %d | %.2f |\n", open.queries, open.series, open.took.Seconds())
	fmt.Printf("| all collapsed | %d | | %d | %.2f |\n\n", closed.queries, closed.series, closed.took.Seconds())
	return nil
}

// worst returns ten of the projects, like the variable with the projects of the highest utilization.
func worst(projects string) string {
	names := strings.Split(strings.Trim(projects, "()"), "|")
	return "(" + strings.Join(names[:min(10, len(names))], "|") + ")"
}

// all returns the panels, including those of collapsed rows, and as panels the annotations and the query variables.
func (d dashboard) all() []panel {
	var all []panel
	for _, p := range d.Panels {
		for _, of := range p.Panels {
			for i := range of.Targets { // a repeated row shows one value of its variable: services are named service00 and so on
				of.Targets[i].Expr = strings.ReplaceAll(of.Targets[i].Expr, "$"+p.Repeat+`"`, p.Repeat+`00"`)
			}
			of.closed = true
			all = append(all, of)
		}
		if len(p.Targets) > 0 {
			all = append(all, p)
		}
	}
	for _, v := range d.Templating.List {
		q, _ := v.Query.(map[string]any)
		text, _ := q["query"].(string)
		if expr, ok := strings.CutPrefix(text, "query_result("); ok {
			all = append(all, panel{Title: "variable: " + v.Name, Targets: []query{{Expr: strings.TrimSuffix(expr, ")"), Instant: true}}})
		}
	}
	for _, a := range d.Annotations.List {
		if a.Target.Expr != "" {
			all = append(all, panel{Title: "annotation: " + a.Name, MaxDataPoints: markPoints, Targets: []query{a.Target}})
		}
	}
	return all
}

// measurement evaluates queries at a time.
type measurement struct {
	engine *promql.Engine
	db     *tsdb.DB
	now    time.Time
}

// cost is the cost of the queries of a panel.
type cost struct {
	queries, points, series int
	took                    time.Duration
}

func (m measurement) panel(p panel, back time.Duration, values *strings.Replacer) (cost, error) {
	c := cost{queries: len(p.Targets), points: 1}
	for _, q := range p.Targets {
		step := stepOf(p, q, back)
		intervals := strings.NewReplacer("$__interval_ms", strconv.FormatInt(step.Milliseconds(), 10), "$__interval", step.String())
		expr := values.Replace(intervals.Replace(q.Expr))
		before, err := processorTime()
		if err != nil {
			return c, err
		}
		var query promql.Query
		if q.Instant {
			query, err = m.engine.NewInstantQuery(context.Background(), m.db, nil, expr, m.now)
		} else {
			c.points = int(back / step)
			query, err = m.engine.NewRangeQuery(context.Background(), m.db, nil, expr, m.now.Add(-back), m.now, step)
		}
		if err != nil {
			return c, fmt.Errorf("%.200s: %w", expr, err)
		}
		result := query.Exec(context.Background())
		after, err := processorTime()
		if err != nil {
			return c, err
		}
		c.took += after - before
		if result.Err != nil {
			return c, fmt.Errorf("%.200s: %w", expr, result.Err)
		}
		switch v := result.Value.(type) {
		case promql.Vector:
			c.series += len(v)
		case promql.Matrix:
			c.series += len(v)
		}
		query.Close()
	}
	return c, nil
}

// processorTime is the CPU time of this process. Unlike elapsed time, it does not depend on what else runs.
func processorTime() (time.Duration, error) {
	var usage syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), err
}

// stepOf returns the step that Grafana uses: one point per pixel, but at most one per scrape.
func stepOf(p panel, q query, back time.Duration) time.Duration {
	points := p.MaxDataPoints
	if points == 0 {
		points = graphWidth
	}
	least, err := time.ParseDuration(q.Interval)
	if err != nil {
		least = time.Minute
	}
	return slices.Max([]time.Duration{least, (back / time.Duration(points)).Round(time.Minute)})
}
