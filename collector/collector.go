// Package collector turns readings into metrics. It holds every name and HELP of the quota metrics.
package collector

import (
	"iter"

	"github.com/prometheus/client_golang/prometheus"

	"cloud_quota_exporter/internal/fleet"
)

// Collector is the prometheus.Collector of one scrape: it reads the sources when it is collected, and shows what is known of each.
type Collector struct {
	read func() []*fleet.Reading
}

// New returns a Collector of what read returns: readings sorted by project.
func New(read func() []*fleet.Reading) *Collector { return &Collector{read} }

// Describe sends every metric that there may be.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range definitions[:accountUp] {
		ch <- d.desc
	}
}

// emitter takes a metric of a family; labels are the values, in the order of the definition.
type emitter func(f family, value float64, labels ...string)

// sender returns what sends a metric of a family.
func sender(ch chan<- prometheus.Metric) emitter {
	return func(f family, value float64, labels ...string) {
		d := definitions[f]
		m, err := prometheus.NewConstMetric(d.desc, d.kind, value, labels...)
		if err != nil { // this one is lost, not the page; the registry tells which
			m = prometheus.NewInvalidMetric(d.desc, err)
		}
		ch <- m
	}
}

// Collect reads the sources and sends their metrics.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	emit := sender(ch)
	for of := range projects(c.read()) {
		project(of, emit)
	}
}

// projects yields the readings of one project after the other.
func projects(readings []*fleet.Reading) iter.Seq[[]*fleet.Reading] {
	return func(yield func([]*fleet.Reading) bool) {
		for len(readings) > 0 {
			n := 1
			for n < len(readings) && readings[n].Project.Label == readings[0].Project.Label {
				n++
			}
			if !yield(readings[:n]) {
				return
			}
			readings = readings[n:]
		}
	}
}

// project names every metric of a project's readings.
func project(of []*fleet.Reading, emit emitter) {
	p := of[0].Project
	emit(projectInfo, 1, p.Label, p.ID, p.Region, p.Account)
	for _, r := range of {
		metrics(r, emit)
	}
}

// metrics names every metric of a reading.
func metrics(r *fleet.Reading, emit emitter) {
	s := r.State
	emit(fetches, float64(s.Fetches), r.Service, r.Project.Label)
	emit(failed, float64(s.Failures), r.Service, r.Project.Label)
	switch {
	case r.NotOffered: // neither up nor down: there is nothing to read
	case s.Err != nil:
		emit(up, 0, r.Service, r.Project.Label)
		emit(failureReason, 1, r.Service, r.Project.Label, r.Reason())
	case s.Fetches > 0:
		emit(up, 1, r.Service, r.Project.Label)
	}
	if !s.ReadAt.IsZero() {
		emit(lastSuccess, float64(s.ReadAt.UnixMilli())/1000, r.Service, r.Project.Label)
		emit(skipped, float64(s.Value.Skipped.Count), r.Service, r.Project.Label)
	}
	for _, q := range r.Quotas {
		reported := func(f family, value *float64) {
			if value != nil {
				emit(f, *value, r.Service, r.Project.Label, q.ResourceType)
			}
		}
		reported(used, q.Used)
		reported(limit, q.Limit)
		reported(remaining, q.Remaining)
		reported(limitMin, q.Min)
		reported(limitMax, q.Max)
		emit(info, 1, r.Service, r.Project.Label, q.ResourceType, q.Unit)
		for severity, ratio := range q.Thresholds {
			emit(threshold, ratio, r.Service, r.Project.Label, q.ResourceType, severity)
		}
	}
}
