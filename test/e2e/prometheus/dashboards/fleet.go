package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/index"
)

// fleet is the content of an exporter: a quota of each service of each project.
type fleet struct {
	projects, services int
	scrape             time.Duration
	end                time.Time
}

func (f fleet) project(i int) string { return fmt.Sprintf("main/ap-southeast-3_team-%03d", i) }

// names returns all projects as Grafana writes them in an expression.
func (f fleet) names() string {
	var names []string
	for i := range f.projects {
		names = append(names, strings.ReplaceAll(regexp.QuoteMeta(f.project(i)), `\`, `\\`))
	}
	return "(" + strings.Join(names, "|") + ")"
}

// series is one series.
type series struct {
	labels labels.Labels
	course
}

// course describes how a value changes. Series with the same name have the same samples, which are encoded once.
type course struct {
	name string
	at   func(seconds float64) float64 // since the first sample
}

func constant(v float64) course {
	return course{fmt.Sprint(v), func(float64) float64 { return v }}
}

// adds is a function that adds a series with a name and pairs of labels.
type adds func(c course, name string, pairs ...string)

// all returns the series of the exporter, and those of the recording rules that the dashboards read.
func (f fleet) all() []series {
	var all []series
	add := func(c course, name string, pairs ...string) {
		all = append(all, series{labels.FromStrings(append([]string{"__name__", name, "instance", "exporter:10133", "job", "cloud_quota"}, pairs...)...), c})
	}
	add(constant(1), "up")
	add(constant(1), "cloud_quota_exporter_build_info", "version", "1.0.0", "revision", "abc", "goversion", "go1.26")
	add(constant(1), "target:cloud_quota_page:up")
	add(course{"CPU", func(s float64) float64 { return s / 50 }}, "process_cpu_seconds_total")
	for p := range f.projects {
		project := f.project(p)
		add(constant(1), "cloud_quota_project_info", "project", project, "project_id", fmt.Sprintf("%032d", p), "region", "ap-southeast-3", "account", "main")
		for s := range f.services {
			service, n := fmt.Sprintf("service%02d", s), float64(p*f.services+s)
			source := []string{"project", project, "service", service}
			f.source(add, n, source)
			f.quota(add, n, append(source, "resource_type", "instance"))
		}
	}
	return all
}

// source adds the series of a service of a project. One in a hundred fails.
func (f fleet) source(add adds, n float64, source []string) {
	start := float64(f.end.Add(-week).Unix())
	isUp := min(1, math.Mod(n, 100))
	add(constant(isUp), "cloud_quota_up", source...)
	add(course{"last success", func(s float64) float64 { return start + s - math.Mod(s, 300) }}, "cloud_quota_last_success_timestamp_seconds", source...)
	fetches := course{"fetches", func(s float64) float64 { return math.Floor(s / 300) }}
	failures := fetches
	if isUp == 1 {
		failures = constant(0)
	}
	add(fetches, "cloud_quota_fetches_total", source...)
	add(failures, "cloud_quota_fetch_failures_total", source...)
	add(constant(0), "cloud_quota_resources_skipped", source...)
	add(constant(300), "cloud_quota_cache_ttl_seconds", source...)
	add(course{"age", func(s float64) float64 { return math.Mod(s, 300) }}, "service:cloud_quota_age:min", source...)
	add(constant(300), "service:cloud_quota_cache_ttl:max", source...)
	add(constant(isUp), "service:cloud_quota_up:max", source...)
	if isUp == 0 {
		add(constant(1), "cloud_quota_last_failure_reason", append(source, "reason", "timeout")...)
	}
}

// quota adds the series of a quota. The usage differs by quota, and changes every hour.
func (f fleet) quota(add adds, n float64, quota []string) {
	kind := math.Mod(n, 97)
	at := func(s float64) float64 { return max(0, math.Floor(kind+3*math.Sin(math.Floor(s/3600)+kind))) }
	used := course{fmt.Sprint("used ", kind), at}
	remaining := course{fmt.Sprint("remaining ", kind), func(s float64) float64 { return 100 - at(s) }}
	add(used, "cloud_quota_used", quota...)
	add(constant(100), "cloud_quota_limit", quota...)
	add(remaining, "cloud_quota_remaining", quota...)
	add(constant(1000), "cloud_quota_limit_max", quota...)
	add(constant(1), "cloud_quota_info", append(quota, "unit", "")...)
	add(constant(0.8), "cloud_quota_threshold_ratio", append(quota, "severity", "warning")...)
	add(constant(0.95), "cloud_quota_threshold_ratio", append(quota, "severity", "critical")...)
	add(course{fmt.Sprint("ratio ", kind), func(s float64) float64 { return at(s) / 100 }}, "quota:cloud_quota_utilization:ratio", quota...)
	add(remaining, "quota:cloud_quota_remaining:min", quota...)
	add(constant(0.8), "quota:cloud_quota_threshold:ratio", append(quota, "severity", "warning")...)
	if math.Mod(n, 20) == 0 {
		add(constant(n/100), "quota:cloud_quota_days_to_full:forecast", quota...)
	}
	if kind >= 80 {
		add(constant(1), "ALERTS", append(quota, "alertname", "CloudQuotaNearlyExhausted", "alertstate", "firing", "severity", "warning")...)
	}
}

const (
	week     = 7 * 24 * time.Hour
	perChunk = 120                          // samples, as Prometheus has them
	blockID  = "01ARZ3NDEKTSV4RRFFQ69G5FAV" // any name of this form
)

// write writes the samples as a block of Prometheus's storage, and returns the number of series.
func (f fleet) write(dir string) (n int, err error) {
	all := f.all()
	slices.SortFunc(all, func(a, b series) int { return labels.Compare(a.labels, b.labels) })
	block := filepath.Join(dir, blockID)
	chunkWriter, err := chunks.NewWriter(filepath.Join(block, "chunks"))
	if err != nil {
		return 0, err
	}
	indexWriter, err := index.NewWriter(context.Background(), filepath.Join(block, "index"))
	if err != nil {
		return 0, err
	}
	for _, symbol := range symbols(all) {
		if err := indexWriter.AddSymbol(symbol); err != nil {
			return 0, err
		}
	}
	encoded := map[string][]chunks.Meta{}
	for i, s := range all {
		if encoded[s.name] == nil {
			if encoded[s.name], err = f.chunks(s.course); err != nil {
				return 0, err
			}
		}
		metas := slices.Clone(encoded[s.name]) // the writer stores the references in them
		if err := errors.Join(chunkWriter.WriteChunks(metas...), indexWriter.AddSeries(storage.SeriesRef(i), s.labels, metas...)); err != nil {
			return 0, err
		}
	}
	meta := fmt.Sprintf(`{"version": 1, "ulid": %[1]q, "minTime": %[2]d, "maxTime": %[3]d, "compaction": {"level": 1, "sources": [%[1]q]}}`,
		blockID, f.end.Add(-week).UnixMilli(), f.end.UnixMilli()+1)
	return len(all), errors.Join(chunkWriter.Close(), indexWriter.Close(), os.WriteFile(filepath.Join(block, "meta.json"), []byte(meta), 0o600))
}

// chunks returns the samples of a course.
func (f fleet) chunks(c course) ([]chunks.Meta, error) {
	var metas []chunks.Meta
	var appender chunkenc.Appender
	start := f.end.Add(-week)
	for i := 0; ; i++ {
		at := start.Add(time.Duration(i) * f.scrape)
		if at.After(f.end) {
			return metas, nil
		}
		if i%perChunk == 0 {
			chunk := chunkenc.NewXORChunk()
			var err error
			if appender, err = chunk.Appender(); err != nil {
				return nil, err
			}
			metas = append(metas, chunks.Meta{Chunk: chunk, MinTime: at.UnixMilli()})
		}
		appender.Append(0, at.UnixMilli(), c.at(at.Sub(start).Seconds()))
		metas[len(metas)-1].MaxTime = at.UnixMilli()
	}
}

// symbols returns all label names and values, sorted.
func symbols(all []series) []string {
	set := map[string]bool{}
	for _, s := range all {
		s.labels.Range(func(l labels.Label) { set[l.Name], set[l.Value] = true, true })
	}
	sorted := make([]string, 0, len(set))
	for symbol := range set {
		sorted = append(sorted, symbol)
	}
	slices.Sort(sorted)
	return sorted
}
