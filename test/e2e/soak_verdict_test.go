package e2e

import (
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"
)

const (
	// usualAge is how old numbers become where nothing is wrong: cache_ttl, until the next scrape asks, and the fetch. The rest is for slow
	// machines.
	usualAge = soakTTL + soakInterval + soakTimeout + 4*time.Second
	// recovery is how long a trouble that is over may still be felt: a fetch that it befell ends, the pause, until the next scrape asks, and the
	// fetch.
	recovery = soakTimeout + soakPause + soakInterval + soakTimeout + 8*time.Second

	// The same for lists of projects, which have 30 seconds for a fetch, and of which the pause doubles up to refresh_interval.
	usualAgeOfList = soakRefresh + 2*soakInterval + 5*time.Second
	listRecovery   = 30*time.Second + soakRefresh + 2*soakInterval + 5*time.Second
)

// verdict compares what servers stored with what the record says.
type verdict struct {
	t            *testing.T
	record       *record
	since, ended time.Time

	scrapes, failed         int
	samples, complaints     int
	longest                 float64 // of the scrapes, in seconds
	explained, unexplained  int     // gaps of a series: times of which it has no sample
	wrong                   int     // samples with what the cloud had not said, or too long ago
	late                    int     // scrapes of a source with an older reading than could be
	requests, budget, lists int
	grown                   string // what is not to grow, by thirds of the time
}

// complain tells the first of the findings.
func (v *verdict) complain(format string, args ...any) {
	v.t.Helper()
	if v.complaints++; v.complaints <= 20 {
		v.t.Errorf(format, args...)
	}
}

func (v *verdict) figures() string {
	return fmt.Sprintf("%d scrapes, %d failed, the longest %.2f s; %d samples looked at; gaps: %d explained, %d unexplained; wrong values: %d; readings older than could be: %d; "+
		"calls: %d, budget %d, lists of projects %d; the machine stood still for %.1f s; %s", v.scrapes, v.failed, v.longest, v.samples,
		v.explained, v.unexplained, v.wrong, v.late, v.requests, v.budget, v.lists, v.record.stood(unix(v.since), unix(v.ended)), v.grown)
}

// stored returns the samples of a range as they were scraped: anything that Prometheus evaluates would bridge a gap by the sample before.
func (v *verdict) stored(p *prometheus, selector string) []series {
	v.t.Helper()
	return v.at(p, fmt.Sprintf("%s[%dms]", selector, v.ended.Sub(v.since).Milliseconds()), v.ended)
}

// at evaluates an expression at a time.
func (v *verdict) at(p *prometheus, expr string, at time.Time) []series {
	v.t.Helper()
	var data result
	if err := p.get("/api/v1/query", url.Values{"query": {expr}, "time": {seconds(at)}}, &data); err != nil {
		v.t.Fatalf("%s: %v", expr, err)
	}
	return data.Result
}

// server looks at all that a server stored.
func (v *verdict) server(name string, p *prometheus) {
	scrapes := v.scraped(name, p)
	v.growth(name, p)
	for _, s := range v.at(p, fmt.Sprintf("count by (project) (count_over_time(cloud_quota_fetches_total[%dms]))", v.ended.Sub(v.since).Milliseconds()), v.ended) {
		if label := s.Metric["project"]; v.record.lives[label] == nil {
			v.complain("%s: there never was a project %s", name, label)
		}
	}
	for _, label := range slices.Sorted(maps.Keys(v.record.lives)) {
		of := &ofProject{
			verdict: v, life: v.record.lives[label], label: label, server: name, scrapes: scrapes,
			seen: seenSeries(v.stored(p, fmt.Sprintf(`{__name__=~"cloud_quota_(used|limit|remaining|last_success_timestamp_seconds|project_info)",project=%q}`, label))),
		}
		of.shown()
		for _, s := range soaked {
			of.source(s.service, s.types)
		}
	}
}

// seriesID is a series of a project. Of the project's own, service is empty, and of a source's own, resourceType.
type seriesID struct{ metric, service, resourceType string }

// seenSeries returns values by time.
func seenSeries(all []series) map[seriesID]map[float64]float64 {
	seen := map[seriesID]map[float64]float64{}
	for _, s := range all {
		values := make(map[float64]float64, len(s.Values))
		for _, v := range s.Values {
			values[v.at], _ = strconv.ParseFloat(v.value, 64) // what Prometheus writes is a number
		}
		seen[seriesID{s.Metric["__name__"], s.Metric["service"], s.Metric["resource_type"]}] = values
	}
	return seen
}

// ofProject is what a server stored of a project.
type ofProject struct {
	*verdict
	*life

	label, server string
	scrapes       []float64
	seen          map[seriesID]map[float64]float64
	arrival       trouble // a project that came is no trouble once it is shown
}

// shown looks at when the project was served: as soon as a list told of it, and as long as lists did.
func (o *ofProject) shown() {
	lists := o.record.of(o.account, "", "iam", listRecovery)
	first := math.Inf(1)
	for _, at := range o.scrapes {
		_, is := o.seen[seriesID{metric: "cloud_quota_project_info"}][at]
		if is {
			first = min(first, at)
		}
		listed := lists.well(at) - usualAgeOfList.Seconds() // what was so then, is known
		switch isThere := at < o.until; {
		case is && (at < o.from || o.until < listed):
			o.wrong++
			o.complain("%s: %s is served at %.3f, but there from %.3f to %.3f", o.server, o.label, at, o.from, o.until)
		case !is && isThere && (o.account != discovered || o.from < listed || first < at):
			o.unexplained++
			o.complain("%s: %s is not served at %.3f, but there from %.3f to %.3f", o.server, o.label, at, o.from, o.until)
		}
	}
	o.arrival = trouble{from: o.from, until: first}
}

// moment is what a scrape tells of a source.
type moment struct {
	at, read float64 // the age of the numbers; NaN before the first were read
	late     bool    // they are older than could be
}

// source looks at a service of the project: how old its numbers are, and then at each of them.
func (o *ofProject) source(service string, types []string) {
	troubles := o.record.of(o.account, o.label, service, recovery, o.arrival)
	var moments []moment
	for _, at := range o.scrapes {
		if _, is := o.seen[seriesID{metric: "cloud_quota_project_info"}][at]; !is {
			continue
		}
		read, isRead := o.seen[seriesID{"cloud_quota_last_success_timestamp_seconds", service, ""}][at]
		well := troubles.well(at)
		m := moment{at: at, read: read, late: at < o.until && (isRead && read < well-usualAge.Seconds() || !isRead && well > o.from)}
		if !isRead {
			m.read = math.NaN()
		}
		if m.late {
			o.late++
			o.complain("%s: %s of %s was read at %.3f when asked at %.3f, and all was well at %.3f; trouble: %.3f", o.server, service, o.label, m.read, at, well, troubles)
		}
		moments = append(moments, m)
	}
	for _, resourceType := range types {
		for _, metric := range []string{"cloud_quota_used", "cloud_quota_limit", "cloud_quota_remaining"} {
			o.numbers(moments, quotaID{o.label, service, resourceType}, metric)
		}
	}
}

// numbers looks at the samples of a series: none may be missing unless the last reading is too long ago, and each must be what the cloud said
// when it was read.
func (o *ofProject) numbers(moments []moment, id quotaID, metric string) {
	values := o.seen[seriesID{metric, id.service, id.resourceType}]
	isTold := !math.IsNaN(o.record.quotas[id][0].number(metric))
	gap, isExplained := false, true
	end := func() {
		switch {
		case gap && isExplained:
			o.explained++
		case gap:
			o.unexplained++
		}
		gap, isExplained = false, true
	}
	for _, m := range moments {
		value, is := values[m.at]
		age := m.at - m.read
		switch {
		case !is && isTold && m.at < o.until:
			gap = true
			if (m.late || age < (soakStale-soakInterval).Seconds()) && !o.stood(m.at) { // a page that waits for something else is dated back
				isExplained = false
				o.complain("%s: there is no %s of %v at %.3f, which was read at %.3f", o.server, metric, id, m.at, m.read)
			}
			continue
		case is:
			o.samples++
			asked := m.read - soakTimeout.Seconds() - 2
			asked -= o.record.stood(asked, m.read)
			if math.IsNaN(age) || age > soakStale.Seconds()+0.1 || !o.record.wasHeld(id, metric, value, asked, m.read+0.005) {
				o.wrong++
				o.complain("%s: %s of %v is %g at %.3f, read at %.3f, when the cloud said otherwise, or too long ago", o.server, metric, id, value, m.at, m.read)
			}
		}
		end()
	}
	end()
}
