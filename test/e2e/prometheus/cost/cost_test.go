//go:build unix

// Package cost_test measures the cost of one evaluation of the rules, with Prometheus's own engine and storage:
//
//	go -C test/e2e/prometheus test -tags remove_all_sd -run '^$' -bench . -benchtime 10x ./cost
package cost_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

const (
	rulesFile = "../../../../deploy/prometheus/rules.yml"
	interval  = 2 * time.Minute // of evaluations
)

var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// BenchmarkEvaluation evaluates all rules, and reports the CPU time of each group.
func BenchmarkEvaluation(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // on idle cores, the garbage collector takes more CPU time than it needs
	for _, size := range []struct {
		projects, services int // with five quotas each
	}{
		{100, 10},
		{500, 20},
	} {
		b.Run(fmt.Sprintf("quotas=%d", 5*size.projects*size.services), func(b *testing.B) {
			if testing.Short() && size.projects > 100 {
				b.Skip("the larger one takes a minute and 3 GB of memory")
			}
			measure(b, exposed(size.projects, size.services))
		})
	}
}

func measure(b *testing.B, raw []series) {
	s := newServer(b)
	s.remember(recordedOnce(b, raw))
	for t := now.Add(-40 * time.Minute); !t.After(now); t = t.Add(time.Minute) {
		s.append(raw, t)
	}
	s.evaluate(now.Add(-interval)) // from now on, the data is in memory
	clear(s.spent)
	spent := map[string][]time.Duration{} // by group
	t := now
	for b.Loop() {
		for name, d := range s.evaluate(t) {
			spent[name] = append(spent[name], d)
		}
		b.StopTimer()
		s.append(raw, t.Add(interval/2))
		t = t.Add(interval)
		s.append(raw, t)
		b.StartTimer()
	}
	for name, all := range spent {
		b.ReportMetric((total(all) / time.Duration(len(all))).Seconds(), "cpu-s/"+name)
	}
	fmt.Println(s.costs(b.N)) // b.Log shows ten lines
}

func total(all []time.Duration) (sum time.Duration) {
	for _, d := range all {
		sum += d
	}
	return sum
}

// cpu is the CPU time of this process.
func cpu() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// server has the storage and the rules of a Prometheus.
type server struct {
	tb     testing.TB
	db     *tsdb.DB
	groups []*rules.Group
	spent  map[string]time.Duration // by query
}

func newServer(tb testing.TB) *server {
	tb.Helper()
	options := tsdb.DefaultOptions()
	options.RetentionDuration, options.WALSegmentSize = 0, -1 // no WAL
	db, err := tsdb.Open(tb.TempDir(), nil, nil, options, tsdb.NewDBStats())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	db.DisableCompactions()
	promQL := parser.NewParser(parser.Options{})
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: math.MaxInt, Timeout: time.Hour, Parser: promQL})
	s := &server{tb: tb, db: db, spent: map[string]time.Duration{}}
	query := rules.EngineQueryFunc(engine, db)
	manager := rules.NewManager(&rules.ManagerOptions{
		QueryFunc: func(ctx context.Context, q string, t time.Time) (promql.Vector, error) {
			before := cpu()
			defer func() { s.spent[q] += cpu() - before }()
			return query(ctx, q, t)
		},
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {},
		Appendable: db, Queryable: db, Logger: slog.New(slog.DiscardHandler), Parser: promQL,
	})
	groups, errs := manager.LoadGroups(interval, labels.EmptyLabels(), "", nil, false, rulesFile)
	if len(errs) > 0 {
		tb.Fatal(errs)
	}
	s.groups = slices.SortedFunc(maps.Values(groups), func(a, b *rules.Group) int { return cmp.Compare(a.Interval(), b.Interval()) })
	return s
}

// evaluate evaluates all groups, and returns the CPU time of each.
func (s *server) evaluate(t time.Time) map[string]time.Duration {
	s.tb.Helper()
	all := map[string]time.Duration{}
	for _, g := range s.groups {
		before := cpu()
		g.Eval(s.tb.Context(), t)
		all[g.Name()] = cpu() - before
		for _, r := range g.Rules() {
			if r.LastError() != nil {
				s.tb.Fatalf("%s: %v", r.Name(), r.LastError())
			}
		}
	}
	return all
}

// costs lists the cost of the queries of each rule in an evaluation. The rest is the cost of storing recorded samples.
func (s *server) costs(evaluations int) string {
	names, byRule := map[string]string{}, map[string]time.Duration{}
	for _, g := range s.groups {
		for _, r := range g.Rules() {
			names[r.Query().String()] = r.Name()
		}
	}
	for query, d := range s.spent {
		byRule[cmp.Or(names[query], "texts of alerts")] += d
	}
	var b strings.Builder
	for _, name := range slices.SortedFunc(maps.Keys(byRule), func(a, b string) int { return cmp.Compare(byRule[b], byRule[a]) }) {
		fmt.Fprintf(&b, "\n%6.0f ms  %s", (byRule[name]/time.Duration(evaluations)).Seconds()*1000, name)
	}
	return b.String()
}

// series is a series and its value.
type series struct {
	labels labels.Labels
	value  float64
	ref    storage.SeriesRef // in the storage; 0: unknown
}

// exposed returns the series that one exporter exposes, and those that Prometheus adds. One of fifty quotas is used by more than 80 %, some have no
// limit.
func exposed(projects, services int) []series {
	var all []series
	add := func(value float64, name string, pairs ...string) {
		pairs = append(pairs, labels.MetricName, name, "job", "cloud_quota", "instance", "exporter:10133")
		all = append(all, series{labels: labels.FromStrings(pairs...), value: value})
	}
	add(1, "up")
	add(1, "cloud_quota_exporter_build_info", "version", "1")
	add(1, "cloud_quota_exporter_config_last_reload_successful")
	add(1, "cloud_quota_account_up", "account", "main")
	add(float64(projects), "cloud_quota_account_projects", "account", "main")
	add(0, "cloud_quota_account_projects_skipped", "account", "main")
	for p := range projects {
		project := fmt.Sprintf("project-%d", p)
		add(1, "cloud_quota_project_info", "project", project, "project_id", fmt.Sprintf("%032d", p), "region", "ap-southeast-3", "account", "main")
		for s := range services {
			source := []string{"project", project, "service", fmt.Sprintf("service_%d", s)}
			add(1, "cloud_quota_up", source...)
			add(float64(now.Unix()), "cloud_quota_last_success_timestamp_seconds", source...)
			add(300, "cloud_quota_cache_ttl_seconds", source...)
			add(9, "cloud_quota_fetches_total", source...)
			add(0, "cloud_quota_fetch_failures_total", source...)
			add(0, "cloud_quota_resources_skipped", source...)
			for r := range 5 {
				quota := append(slices.Clip(source), "resource_type", fmt.Sprintf("type_%d", r))
				used, limit := float64((p*services*5+s*5+r)%50*16+20), 1000.0
				if r == 4 && s%4 == 0 {
					limit = math.Inf(1)
				}
				if r != 3 || s != 0 { // otherwise only the remaining amount is known
					add(used, "cloud_quota_used", quota...)
					add(limit, "cloud_quota_limit", quota...)
					add(2*limit, "cloud_quota_limit_max", quota...)
				}
				add(limit-used, "cloud_quota_remaining", quota...)
				add(1, "cloud_quota_info", append(slices.Clip(quota), "unit", "GB")...)
				add(0.8, "cloud_quota_threshold_ratio", append(slices.Clip(quota), "severity", "warning")...)
				add(0.95, "cloud_quota_threshold_ratio", append(slices.Clip(quota), "severity", "critical")...)
			}
		}
	}
	return all
}

// recordedOnce returns the series that a first evaluation records.
func recordedOnce(tb testing.TB, raw []series) []series {
	tb.Helper()
	s := newServer(tb)
	s.append(slices.Clone(raw), now)
	s.evaluate(now)
	q, err := s.db.Querier(now.UnixMilli(), now.UnixMilli())
	if err != nil {
		tb.Fatal(err)
	}
	defer q.Close()
	var all []series
	found := q.Select(tb.Context(), false, nil, labels.MustNewMatcher(labels.MatchRegexp, labels.MetricName, ".+:.+"))
	for found.Next() {
		one := series{labels: found.At().Labels()}
		samples := found.At().Iterator(nil)
		for samples.Next() != 0 {
			_, one.value = samples.At()
		}
		all = append(all, one)
		if one.labels.Get(labels.MetricName) == "quota:cloud_quota_consumption:max1d" { // it is only recorded after a day
			one.labels = labels.NewBuilder(one.labels).Set(labels.MetricName, "quota:cloud_quota_consumption:delta1d").Labels()
			all = append(all, one)
		}
	}
	if found.Err() != nil {
		tb.Fatal(found.Err())
	}
	return all
}

// remember stores the samples of recorded series that rules read, as if they had been evaluated for a week. Consumption grows.
func (s *server) remember(recorded []series) {
	all := map[string][]series{}
	for _, one := range recorded {
		name := one.labels.Get(labels.MetricName)
		all[name] = append(all[name], one)
	}
	steps, read := map[string]time.Duration{}, map[string][]period{}
	for _, g := range s.groups {
		for _, r := range g.Rules() {
			steps[r.Name()] = g.Interval()
			addPeriods(read, r.Query())
		}
	}
	steps["quota:cloud_quota_monitored:info"] = 6 * time.Hour // by its expression
	for t := now.Add(-9 * 24 * time.Hour); t.Before(now.Add(-interval)); t = t.Add(interval) {
		for name, recorded := range all {
			isRead := func(p period) bool { return !t.Before(p.from) && !t.After(p.to) }
			if steps[name] == 0 || t.Sub(now)%steps[name] != 0 || !slices.ContainsFunc(read[name], isRead) {
				continue
			}
			if strings.HasPrefix(name, "quota:cloud_quota_consumption:") {
				for i := range recorded {
					recorded[i].value += 1.0 / 1024
				}
			}
			s.append(recorded, t)
		}
	}
}

type period struct{ from, to time.Time }

// addPeriods adds the times of the samples that an expression reads in the next hour, by the name of the series.
func addPeriods(all map[string][]period, expr parser.Expr) {
	parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		offset, window := selector.OriginalOffset, 10*time.Minute
		for _, above := range path {
			switch above := above.(type) {
			case *parser.MatrixSelector:
				window += above.Range
			case *parser.SubqueryExpr:
				offset, window = offset+above.OriginalOffset, window+above.Range
			}
		}
		all[selector.Name] = append(all[selector.Name], period{now.Add(-offset - window), now.Add(-offset + time.Hour)})
		return nil
	})
}

func (s *server) append(all []series, t time.Time) {
	a := s.db.Appender(s.tb.Context())
	for i := range all {
		var err error
		if all[i].ref, err = a.Append(all[i].ref, all[i].labels, t.UnixMilli(), all[i].value); err != nil {
			s.tb.Fatalf("%s: %v", all[i].labels, err)
		}
	}
	if err := a.Commit(); err != nil {
		s.tb.Fatal(err)
	}
}
