package collector

import (
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"cloud_quota_exporter/internal/fleet"
)

// Page makes what the registry makes of a Collector, for all projects at once and several times as fast: it keeps the finished metrics of a
// project until one of its readings is replaced. The zero Page is ready, and safe for concurrent use.
//
// Readings are sorted by project and have each label set once, so that nothing is left to sort or to check.
type Page struct {
	mu       sync.Mutex
	of       []*fleet.Reading // that families show
	families []*dto.MetricFamily
	projects map[string]finished // by label; of the last page
}

// finished are the metrics of a project, by family, and the readings that they show. They are shared by pages, and never changed.
type finished struct {
	of      []*fleet.Reading
	metrics *[accountUp][]*dto.Metric
}

// Families returns the metrics of readings, which are sorted by project. They are shared by all who ask until a reading is replaced, and not
// to be changed.
func (p *Page) Families(readings []*fleet.Reading) []*dto.MetricFamily {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.of, readings) {
		p.of, p.families = slices.Clone(readings), join(p.finish(readings))
	}
	return p.families
}

// join makes families of the metrics of all projects.
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
		if f == projectInfo { // the one whose first label isn't the project
			slices.SortFunc(metrics, compare)
		}
		d := &definitions[f]
		families = append(families, &dto.MetricFamily{Name: &d.name, Help: &d.help, Type: d.kind.ToDTO(), Metric: metrics})
	}
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return families
}

// finish returns the finished metrics of each project. Those of projects that are gone are forgotten.
func (p *Page) finish(readings []*fleet.Reading) []*[accountUp][]*dto.Metric {
	next := make(map[string]finished, len(p.projects))
	var all []*[accountUp][]*dto.Metric
	for _, of := range projects(readings) {
		label := of[0].Project.Label
		done := p.projects[label]
		if !slices.Equal(done.of, of) {
			done = finished{slices.Clone(of), render(of)}
		}
		next[label] = done
		all = append(all, done.metrics)
	}
	p.projects = next
	return all
}

// render makes the metrics of one project, each family in the order in which the registry sorts it.
func render(of []*fleet.Reading) *[accountUp][]*dto.Metric {
	var metrics [accountUp][]*dto.Metric
	shared := labelSets{pairs: map[[2]string]*dto.LabelPair{}, sets: map[labelSet][]*dto.LabelPair{}}
	project(of, func(f family, value float64, labels ...string) {
		m := &dto.Metric{Label: shared.get(definitions[f].labels, labels)}
		if definitions[f].kind == prometheus.CounterValue {
			m.Counter = &dto.Counter{Value: &value}
		} else {
			m.Gauge = &dto.Gauge{Value: &value}
		}
		metrics[f] = append(metrics[f], m)
	})
	for f := range metrics {
		slices.SortFunc(metrics[f], compare)
	}
	return &metrics
}

// labelSets are the label pairs and the sets of them that the metrics of a project share: most of the time of a page goes into
// reaching for them.
type labelSets struct {
	pairs map[[2]string]*dto.LabelPair
	sets  map[labelSet][]*dto.LabelPair
}

const maxLabels = 4

// labelSet are names and values of labels, in the order of a definition.
type labelSet struct{ names, values [maxLabels]string }

// get returns the pairs of a label set, sorted by name.
func (s labelSets) get(names, values []string) []*dto.LabelPair {
	var key labelSet
	copy(key.names[:], names)
	copy(key.values[:], values)
	set := s.sets[key]
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
	s.sets[key] = set
	return set
}

// compare orders metrics of a family by the values of their labels.
func compare(a, b *dto.Metric) int {
	return slices.CompareFunc(a.GetLabel(), b.GetLabel(), func(a, b *dto.LabelPair) int { return strings.Compare(a.GetValue(), b.GetValue()) })
}
