// Package collector turns readings into metrics. It defines the names and HELP texts of all quota metrics.
package collector

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"cloud_quota_exporter/internal/fleet"
)

// Collector is a prometheus.Collector of some families. It reads when it is collected.
type Collector struct {
	families []definition
	collect  func(emitter)
}

// New returns the Collector of one scrape. read returns readings sorted by project.
func New(read func() []*fleet.Reading) *Collector {
	return &Collector{definitions[:accountUp], func(emit emitter) {
		for _, of := range projects(read()) {
			project(of, emit)
		}
	}}
}

// NewAccounts returns a Collector of the state of the accounts that read returns.
func NewAccounts(read func() []fleet.Account) *Collector {
	return &Collector{definitions[accountUp:], func(emit emitter) {
		for _, a := range read() {
			account(a, emit)
		}
	}}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.families {
		ch <- d.desc
	}
}

// emitter takes a metric of a family, with label values in the order of the definition.
type emitter func(f family, value float64, labels ...string)

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	c.collect(func(f family, value float64, labels ...string) {
		d := definitions[f]
		m, err := prometheus.NewConstMetric(d.desc, d.kind, value, labels...)
		if err != nil { // only this metric is lost; the registry's error names it
			m = prometheus.NewInvalidMetric(d.desc, err)
		}
		ch <- m
	})
}

// projects groups readings by project.
func projects(readings []*fleet.Reading) (all [][]*fleet.Reading) {
	for len(readings) > 0 {
		n := slices.IndexFunc(readings, func(r *fleet.Reading) bool { return r.Project.Label != readings[0].Project.Label })
		if n < 0 {
			n = len(readings)
		}
		all, readings = append(all, readings[:n]), readings[n:]
	}
	return all
}

// project emits every metric of a project's readings.
func project(of []*fleet.Reading, emit emitter) {
	p := of[0].Project
	emit(projectInfo, 1, p.Label, p.ID, p.Region, p.Account)
	for _, r := range of {
		metrics(r, emit)
	}
}

// metrics emits every metric of a reading.
func metrics(r *fleet.Reading, emit emitter) {
	s := r.State
	if !r.NotOffered {
		emit(cacheTTL, r.CacheTTL.Seconds(), r.Service, r.Project.Label)
		emit(fetches, float64(s.Fetches), r.Service, r.Project.Label)
		emit(failed, float64(s.Failures), r.Service, r.Project.Label)
	}
	switch {
	case r.NotOffered: // neither up nor down: nothing can be fetched
	case s.Err != nil:
		emit(up, 0, r.Service, r.Project.Label)
		emit(failureReason, 1, r.Service, r.Project.Label, r.Reason())
	case !s.ReadAt.IsZero():
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

// account emits every metric of an account.
func account(a fleet.Account, emit emitter) {
	if a.Asked {
		value := 0.0
		if a.Up {
			value = 1
		}
		emit(accountUp, value, a.Name)
	}
	emit(accountProjects, float64(a.Projects), a.Name)
	emit(accountSkipped, float64(len(a.Skipped)+a.Unreadable.Count+a.Beyond), a.Name)
	if !a.KeysExpire.IsZero() {
		emit(credentialsExpiry, float64(a.KeysExpire.UnixMilli())/1000, a.Name)
	}
}
