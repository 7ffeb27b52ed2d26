package collector

import (
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"cloud_quota_exporter/internal/fleet"
)

// Page makes the same output as a registry with a Collector, but several times as fast, because it keeps the finished metrics of a
// project until one of its readings is replaced. Readings are sorted by project, with unique label sets. The zero Page is ready to
// use and safe for concurrent use.
type Page struct {
	mu       sync.Mutex
	of       []*fleet.Reading // shown by families
	families []*dto.MetricFamily
	projects map[string]finished // by label
}

// finished holds the metrics of a project, by family, and their readings. It is immutable because pages share it.
type finished struct {
	of      []*fleet.Reading
	metrics *[accountUp][]*dto.Metric
}

// Families returns the metrics of all readings, which are sorted by project. The result is shared until a reading is replaced, and must
// not be changed.
func (p *Page) Families(readings []*fleet.Reading) []*dto.MetricFamily {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.of, readings) {
		p.of, p.families = slices.Clone(readings), join(p.finish(readings))
	}
	return p.families
}

// Part returns the metrics of some of the readings, sorted by project. It reuses the finished metrics of Families, and adds new ones to
// them. known holds the sorted labels of all projects. Other projects are removed.
func (p *Page) Part(readings []*fleet.Reading, known []string) []*dto.MetricFamily {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.projects == nil {
		p.projects = map[string]finished{}
	}
	var all []*[accountUp][]*dto.Metric
	parts := newShared()
	for _, of := range projects(readings) {
		label := of[0].Project.Label
		done := p.projects[label]
		if !done.shows(of) {
			of := done.with(of)
			done = finished{of, parts.render(of)}
			p.projects[label], p.of, p.families = done, nil, nil
		}
		all = append(all, done.only(of))
	}
	if len(p.projects) > len(known) {
		maps.DeleteFunc(p.projects, func(label string, _ finished) bool {
			_, is := slices.BinarySearch(known, label)
			return !is
		})
	}
	return join(all)
}

// shows reports whether f includes the metrics of these readings of a project.
func (f finished) shows(of []*fleet.Reading) bool {
	isNew := func(r *fleet.Reading) bool { return !slices.Contains(f.of, r) }
	return !slices.ContainsFunc(of, isNew) && f.of[0].Project == of[0].Project
}

// with returns newer readings, and the readings in f of other services of the project.
func (f finished) with(newer []*fleet.Reading) []*fleet.Reading {
	all := slices.Clone(newer)
	for _, r := range f.of {
		if r.Project == newer[0].Project && !slices.ContainsFunc(newer, func(n *fleet.Reading) bool { return n.Service == r.Service }) {
			all = append(all, r)
		}
	}
	return all
}

// only returns the metrics of some of the readings.
func (f finished) only(of []*fleet.Reading) *[accountUp][]*dto.Metric {
	if len(of) == len(f.of) {
		return f.metrics
	}
	wanted := make(map[string]bool, len(of))
	for _, r := range of {
		wanted[r.Service] = true
	}
	var metrics [accountUp][]*dto.Metric
	for f, all := range f.metrics {
		at := definitions[f].service
		metrics[f] = make([]*dto.Metric, 0, len(all))
		for _, m := range all {
			if at < 0 || wanted[m.GetLabel()[at].GetValue()] {
				metrics[f] = append(metrics[f], m)
			}
		}
	}
	return &metrics
}

// join merges the metrics of all projects into families.
func join(all []*[accountUp][]*dto.Metric) []*dto.MetricFamily {
	var families []*dto.MetricFamily
	of := make([][]*dto.Metric, len(all))
	for f := range accountUp {
		for i, done := range all {
			of[i] = done[f]
		}
		metrics := slices.Concat(of...)
		if len(metrics) == 0 {
			continue
		}
		if f == projectInfo { // the only family whose first label is not the project
			slices.SortFunc(metrics, compare)
		}
		d := &definitions[f]
		families = append(families, &dto.MetricFamily{Name: &d.name, Help: &d.help, Type: d.kind.ToDTO(), Metric: metrics})
	}
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return families
}

// finish returns the finished metrics of each project, and forgets projects that no longer exist.
func (p *Page) finish(readings []*fleet.Reading) []*[accountUp][]*dto.Metric {
	next := make(map[string]finished, len(p.projects))
	var all []*[accountUp][]*dto.Metric
	parts := newShared()
	for _, of := range projects(readings) {
		label := of[0].Project.Label
		done := p.projects[label]
		if len(done.of) != len(of) || !done.shows(of) {
			done = finished{slices.Clone(of), parts.render(of)}
		}
		next[label] = done
		all = append(all, done.metrics)
	}
	p.projects = next
	return all
}

// render makes the metrics of one project. Each family is in the order in which the registry sorts it.
func (s *shared) render(of []*fleet.Reading) *[accountUp][]*dto.Metric {
	var metrics [accountUp][]*dto.Metric
	sets := map[labelSet][]*dto.LabelPair{}
	project(of, func(f family, value float64, labels ...string) {
		v := metricValue{definitions[f].kind, math.Float64bits(value)}
		same := s.values[v]
		if same == nil {
			same = v.metric()
			s.values[v] = same
		}
		metrics[f] = append(metrics[f], &dto.Metric{Label: s.labels(sets, definitions[f].labels, labels), Gauge: same.Gauge, Counter: same.Counter})
	})
	for f := range metrics {
		metrics[f] = append([]*dto.Metric(nil), metrics[f]...) // without what append has reserved
		slices.SortFunc(metrics[f], compare)
	}
	return &metrics
}

// metricValue is a value of a metric, by its bits.
type metricValue struct {
	kind prometheus.ValueType
	bits uint64
}

// metric returns a metric with the value alone.
func (v metricValue) metric() *dto.Metric {
	value := math.Float64frombits(v.bits)
	if v.kind == prometheus.CounterValue {
		return &dto.Metric{Counter: &dto.Counter{Value: &value}}
	}
	return &dto.Metric{Gauge: &dto.Gauge{Value: &value}}
}

// shared are parts that the metrics of several projects share: most metrics have one of few values, such as 1. It is not kept after a
// scrape, so that it does not grow. The label sets of a project are shared by its families. Allocating all these takes most of the time of
// a page.
type shared struct {
	pairs  map[[2]string]*dto.LabelPair
	values map[metricValue]*dto.Metric
}

func newShared() *shared {
	return &shared{pairs: map[[2]string]*dto.LabelPair{}, values: map[metricValue]*dto.Metric{}}
}

const maxLabels = 4

// labelSet holds names and values of labels, in the order of a definition.
type labelSet struct{ names, values [maxLabels]string }

// labels returns the pairs of a label set, sorted by name. sets are those that the project has already.
func (s *shared) labels(sets map[labelSet][]*dto.LabelPair, names, values []string) []*dto.LabelPair {
	var key labelSet
	copy(key.names[:], names)
	copy(key.values[:], values)
	set := sets[key]
	if set != nil {
		return set
	}
	for i, name := range names {
		pair := s.pairs[[2]string{name, values[i]}]
		if pair == nil {
			pair = &dto.LabelPair{Name: &names[i], Value: &values[i]}
			s.pairs[[2]string{name, values[i]}] = pair
		}
		set = append(set, pair)
	}
	slices.SortFunc(set, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	sets[key] = set
	return set
}

// compare orders metrics of a family by label values.
func compare(a, b *dto.Metric) int {
	return slices.CompareFunc(a.GetLabel(), b.GetLabel(), func(a, b *dto.LabelPair) int { return strings.Compare(a.GetValue(), b.GetValue()) })
}
