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
	// usualAge is the maximum age of values without faults: cache_ttl, until the next scrape, and the fetch. The rest is for slow machines.
	usualAge = soakTTL + soakInterval + soakTimeout + 4*time.Second
	// recovery is how long a fault can have effects afterwards: until a fetch that it affected ends, the pause, until the next scrape, and the fetch.
	recovery = soakTimeout + soakPause + soakInterval + soakTimeout + 8*time.Second

	// The same for lists of projects, whose fetch takes up to 30 seconds, and whose pause doubles up to refresh_interval.
	usualAgeOfList = soakRefresh + 2*soakInterval + 5*time.Second
	listRecovery   = 30*time.Second + soakRefresh + 2*soakInterval + 5*time.Second
)

// verdict compares the stored samples of the servers with the record.
type verdict struct {
	t            *testing.T
	record       *record
	since, ended time.Time

	figures    figures
	complaints map[string]int // by format
}

// figures count what the verdict checked.
type figures struct {
	Scrapes, Failed         int
	Longest                 float64 // of the scrapes, in seconds
	Samples                 int
	Gaps                    int // of a series, explained by faults
	Unread                  int // samples missing before the first fetch of a new project or an enabled service
	Calls, MostCalls, Lists int
	Suspended               float64 // the machine was suspended, in seconds
	Memory                  string  // resident bytes in the thirds of the time
}

// complain shows the first findings of each kind.
func (v *verdict) complain(format string, args ...any) {
	v.t.Helper()
	if v.complaints[format]++; v.complaints[format] <= 10 {
		v.t.Errorf(format, args...)
	}
}

// stored returns the samples of a range as scraped, because PromQL bridges gaps with the previous sample.
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

// server checks everything that a server stored.
func (v *verdict) server(name string, p *prometheus) {
	scrapes := v.scraped(name, p)
	v.growth(name, p)
	lives := map[string][]*life{}
	for _, l := range v.record.lives {
		lives[l.label] = append(lives[l.label], l)
	}
	for _, s := range v.at(p, fmt.Sprintf("count by (project) (count_over_time(cloud_quota_fetches_total[%dms]))", v.ended.Sub(v.since).Milliseconds()), v.ended) {
		if label := s.Metric["project"]; lives[label] == nil {
			v.complain("%s: the project %s never existed", name, label)
		}
	}
	for _, label := range slices.Sorted(maps.Keys(lives)) {
		seen := v.seen(p, label)
		v.belongs(name, lives[label], seen)
		for _, l := range lives[label] {
			of := &ofProject{verdict: v, life: l, server: name, scrapes: scrapes, seen: seen}
			if !l.isAccount() {
				of.info.service = l.project.ID
			}
			of.info.metric = "cloud_quota_project_info"
			of.shown()
			for _, s := range l.services() {
				of.source(s)
			}
			if l.keeps {
				before := v.record.before(l)
				of.kept(before, v.seen(p, before.label))
			}
		}
	}
}

// seen returns what a server stored about a label.
func (v *verdict) seen(p *prometheus, label string) map[seriesID]map[float64]float64 {
	const names = "cloud_quota_(used|limit|remaining|up|fetches_total|last_success_timestamp_seconds|project_info)"
	return seenSeries(v.stored(p, fmt.Sprintf(`{__name__=~%q,project=%q}`, names, label)))
}

// belongs checks that a label has no series of other services or resource types, and none while it is not exposed.
func (v *verdict) belongs(server string, of []*life, seen map[seriesID]map[float64]float64) {
	exposed := map[float64]bool{}
	for id, values := range seen {
		for at := range values {
			exposed[at] = exposed[at] || id.metric == "cloud_quota_project_info"
		}
	}
	for id, values := range seen {
		has := func(s soakedService) bool {
			return s.name == id.service && (id.resourceType == "" || slices.Contains(s.types, id.resourceType))
		}
		isOfLabel := id.metric == "cloud_quota_project_info" || slices.ContainsFunc(of[0].services(), has)
		for at, value := range values {
			if !isOfLabel || !exposed[at] {
				v.complain("%s: %v of %s is %g at %.3f, but does not belong there", server, id, of[0].label, value, at)
			}
		}
	}
}

// seriesID is a series of a project. In a project's own series, service is its ID; in a source's own, resourceType is empty.
type seriesID struct{ metric, service, resourceType string }

// seenSeries returns values by time.
func seenSeries(all []series) map[seriesID]map[float64]float64 {
	seen := map[seriesID]map[float64]float64{}
	for _, s := range all {
		values := make(map[float64]float64, len(s.Values))
		for _, v := range s.Values {
			values[v.at], _ = strconv.ParseFloat(v.value, 64) // Prometheus always writes numbers
		}
		seen[seriesID{s.Metric["__name__"], s.Metric["service"] + s.Metric["project_id"], s.Metric["resource_type"]}] = values
	}
	return seen
}

// ofProject is what a server stored about a project, or about an account, while it had a label.
type ofProject struct {
	*verdict
	*life

	server  string
	scrapes []float64
	seen    map[seriesID]map[float64]float64 // of the label, which other projects might have had too
	info    seriesID                         // it exists while the project is exposed
	arrival outage                           // a new project is not a fault once it is shown
}

// shown checks when the project was exposed: from the first list or configuration that contained it to the last.
func (o *ofProject) shown() {
	lists := o.record.of(o.account, "", "iam", listRecovery)
	first := math.Inf(1)
	for _, at := range o.scrapes {
		_, is := o.seen[o.info][at]
		if is {
			first = min(first, at)
		}
		early, must, gone := at < o.from, at > o.shownBy && at+soakInterval.Seconds() < o.until, o.goneBy > 0 && at > o.goneBy
		if o.isDiscovered() {
			listed := lists.well(at) - usualAgeOfList.Seconds() // the state at that time is known
			must, gone = at < o.until && (o.from < listed || first < at), o.until < listed
		} else {
			early = at < o.from-soakInterval.Seconds() // a scrape that started before the reload can have its result
		}
		if is && (early || gone) || !is && must {
			o.complain("%s: %s (%s) is exposed at %.3f: %t; it existed from %.3f to %.3f, goneBy %.3f", o.server, o.label, o.project.ID, at, is, o.from, o.until, o.goneBy)
		}
	}
	o.arrival = outage{from: o.from, until: first}
}

// moment is what a scrape shows about a source.
type moment struct {
	at, read float64 // the age of the values; NaN before the first fetch
	late     bool    // they are older than possible
}

// source checks a service of the project: the age of its values, and then each of them. A service that was disabled starts from scratch.
func (o *ofProject) source(of soakedService) {
	more := []outage{o.arrival}
	first := o.record.lives[slices.IndexFunc(o.record.lives, func(l *life) bool { return l.project.ID == o.project.ID })]
	if o.keeps { // the project arrived earlier
		more = []outage{{from: first.from, until: first.shownBy}}
	}
	for _, b := range o.record.breaks[of.name] { // once it is enabled, the usual time
		more = append(more, outage{from: b.from, until: b.backBy + (usualAge - recovery).Seconds()})
	}
	outages := o.record.of(o.account, o.project.ID, of.name, recovery, more...)
	var moments []moment
	for _, at := range o.scrapes {
		_, is := o.seen[o.info][at]
		isOff, isKnown, since := o.record.isOff(of.name, at)
		switch {
		case isKnown && isOff:
			o.absent(of, at)
			continue
		case !is || !isKnown:
			continue
		}
		read, isRead := o.seen[seriesID{"cloud_quota_last_success_timestamp_seconds", of.name, ""}][at]
		well := outages.well(at)
		m := moment{at: at, read: read, late: at < o.until && (isRead && read < well-usualAge.Seconds() || !isRead && well > max(o.from, since))}
		if !isRead {
			m.read = math.NaN()
		}
		fetches := o.seen[seriesID{"cloud_quota_fetches_total", of.name, ""}][at]
		if begun := max(first.from, since); fetches > 2+(at+soakInterval.Seconds()-begun)/(0.9*soakTTL.Seconds()) {
			o.complain("%s: %s of %s (%s) was fetched %g times by %.3f, but exists or is enabled only since %.3f",
				o.server, of.name, o.label, o.project.ID, fetches, at, begun)
		}
		if m.late || isRead && read < since {
			o.complain("%s: %s of %s (%s) was fetched at %.3f when scraped at %.3f, without a fault at %.3f, and enabled since %.3f; faults: %.3f",
				o.server, of.name, o.label, o.project.ID, m.read, at, well, since, outages)
		}
		moments = append(moments, m)
	}
	for _, resourceType := range of.types {
		for _, metric := range metricsOfNumbers {
			o.numbers(moments, quotaID{o.project.ID, of.name, resourceType}, metric)
		}
	}
}

// kept checks that a project that the configuration renames keeps its state: its counters continue.
func (o *ofProject) kept(before *life, old map[seriesID]map[float64]float64) {
	for _, s := range o.services() {
		id := seriesID{"cloud_quota_fetches_total", s.name, ""}
		last, first := 0.0, math.Inf(1)
		for at := range old[id] {
			if at <= o.from {
				last = max(last, at)
			}
		}
		for at := range o.seen[id] {
			first = min(first, at)
		}
		isOff, isKnown, since := o.record.isOff(s.name, first)
		if was, is := old[id][last], o.seen[id][first]; last > before.shownBy && first < o.until && !isOff && isKnown && since < last && is < was {
			o.complain("%s: %s of %s was fetched %g times at %.3f, and %g times as %s at %.3f", o.server, s.name, before.label, was, last, is, o.label, first)
		}
	}
}

// before returns the life of a project before it was renamed.
func (r *record) before(l *life) *life {
	return r.lives[slices.IndexFunc(r.lives, func(b *life) bool { return b.project.ID == l.project.ID && b.until == l.from })]
}

var metricsOfNumbers = []string{"cloud_quota_used", "cloud_quota_limit", "cloud_quota_remaining"}

// absent checks that a scrape has no series of a service that is disabled.
func (o *ofProject) absent(of soakedService, at float64) {
	ids := []seriesID{{"cloud_quota_last_success_timestamp_seconds", of.name, ""}, {"cloud_quota_up", of.name, ""}}
	for _, resourceType := range of.types {
		for _, metric := range metricsOfNumbers {
			ids = append(ids, seriesID{metric, of.name, resourceType})
		}
	}
	for _, id := range ids {
		if value, is := o.seen[id][at]; is {
			o.complain("%s: %v of %s is %g at %.3f, but the service is disabled", o.server, id, o.label, value, at)
		}
	}
}

// isOff reports whether a service is disabled when a scrape starts, since when it is enabled if it was disabled before, and whether that is known: a
// scrape during a reload, or with one before its timeout, can have either state.
func (r *record) isOff(service string, at float64) (is, isKnown bool, since float64) {
	for _, b := range r.breaks[service] {
		switch ends := at + soakInterval.Seconds(); {
		case ends < b.from:
			return false, true, since
		case at > b.backBy:
			since = b.until
		default:
			return true, at > b.by && ends < b.until, since
		}
	}
	return false, true, since
}

// numbers checks the samples of a series. None may be missing unless the last fetch is too long ago, and each must be what the cloud returned at the
// time of the fetch.
func (o *ofProject) numbers(moments []moment, id quotaID, metric string) {
	values := o.seen[seriesID{metric, id.service, id.resourceType}]
	isTold := !math.IsNaN(o.record.quotas[id][0].number(metric))
	inGap := false
	for _, m := range moments {
		value, is := values[m.at]
		age := m.at - m.read
		switch {
		case !is && isTold && m.at < o.until && !(m.read+soakTimeout.Seconds() > o.until): // DBSS needs two requests, and it can be removed in between
			switch {
			case math.IsNaN(m.read):
				o.figures.Unread++
			case !inGap:
				o.figures.Gaps++
			}
			inGap = true
			if (m.late || age < (soakStale-soakInterval).Seconds()) && !o.suspended(m.at) { // a page that waits for something else has an earlier timestamp
				o.complain("%s: no %s of %v at %.3f, which was fetched at %.3f", o.server, metric, id, m.at, m.read)
			}
			continue
		case is:
			o.figures.Samples++
			asked := m.read - soakTimeout.Seconds() - 2
			asked -= o.record.suspended(asked, m.read)
			if math.IsNaN(age) || age > soakStale.Seconds()+0.1 || !o.record.wasHeld(id, metric, value, asked, m.read+0.005) {
				o.complain("%s: %s of %v is %g at %.3f, fetched at %.3f, but the cloud returned another value, or the fetch is too long ago", o.server, metric, id, value, m.at, m.read)
			}
		}
		inGap = false
	}
}

// scraped returns the times of a server's successful scrapes, and asserts that each scrape succeeded: its page came before the timeout. The duration
// that Prometheus stores includes its own processing.
func (v *verdict) scraped(name string, p *prometheus) (scrapes []float64) {
	took := map[float64]float64{}
	for _, s := range v.stored(p, "scrape_duration_seconds") {
		for _, sample := range s.Values {
			took[sample.at], _ = strconv.ParseFloat(sample.value, 64) // Prometheus always writes numbers
		}
	}
	for _, s := range v.stored(p, "up") {
		v.figures.Scrapes += len(s.Values)
		for _, sample := range s.Values {
			if sample.value == "1" {
				scrapes = append(scrapes, sample.at)
				v.figures.Longest = max(v.figures.Longest, took[sample.at])
				continue
			}
			v.figures.Failed++
			if !v.suspended(sample.at) {
				v.complain("%s: the scrape at %.3f failed after %.3f s", name, sample.at, took[sample.at])
			}
		}
	}
	v.figures.Suspended = v.record.suspended(unix(v.since), unix(v.ended))
	still := time.Duration(v.figures.Suspended * float64(time.Second))
	if n, want := len(scrapes), int(v.ended.Sub(v.since)/soakInterval); n > want+1 || n < want-1-2*int((still+soakInterval-1)/soakInterval) {
		v.complain("%s: %d scrapes in %s, want %d", name, n, v.ended.Sub(v.since), want)
	}
	return scrapes
}

// suspended reports whether the machine was suspended when a scrape started, or before its timeout.
func (v *verdict) suspended(scrape float64) bool {
	return v.record.suspended(scrape-1, scrape+soakInterval.Seconds()+1) > 0
}

// growths are what must not grow: the maximum increase from the middle to the last third of the time. Memory includes garbage that the runtime has
// not collected yet. Connections are kept for 90 seconds, as many as concurrent requests, and those from before a reload in addition. For some
// minutes they can increase to about 250. Each takes a file descriptor and two goroutines. Few other goroutines exist when nothing is in progress.
var growths = []struct {
	what, over   string
	factor, more float64
}{
	{"process_resident_memory_bytes", "avg", 1.1, 16 << 20},
	{"go_goroutines - 2 * process_open_fds", "min", 1, 20},
	{"process_open_fds", "min", 1.25, 250},
	{"scrape_samples_scraped / on (job) count by (job) (cloud_quota_fetches_total)", "max", 1.1, 1}, // services are disabled and enabled
}

func (v *verdict) growth(name string, p *prometheus) {
	third := (v.ended.Sub(v.since) / 3).Truncate(time.Second)
	for _, g := range growths {
		last := fmt.Sprintf("%s_over_time((%s)[%s:%s]", g.over, g.what, third, soakInterval)
		grows := fmt.Sprintf("%s) > bool %s offset %s) * %g + %g", last, last, third, g.factor, g.more)
		if got := text(v.at(p, grows, v.ended)); got != " 0" {
			v.complain("%s: %s grows: %s is %q", name, g.what, grows, got)
		}
	}
	v.figures.Memory = ""
	for ago := 2 * third; ago >= 0; ago -= third {
		v.figures.Memory += text(v.at(p, fmt.Sprintf("avg_over_time(process_resident_memory_bytes[%s])", third), v.ended.Add(-ago)))
	}
}

// asked counts the requests to the cloud so far, by ID of the project or the account, and by service. Lists of projects have an empty ID.
func (s *storm) asked() map[string]map[string]int {
	counts := map[string]map[string]int{"": {"iam": s.cloud.Requests()["GET /v3/projects"]}}
	for _, l := range s.lives {
		counts[l.project.ID] = s.cloud.ProjectRequests(l.project.ID)
	}
	return counts
}

// calls compares the requests to the cloud with cache_ttl and refresh_interval. A source is fetched once per cache_ttl, at fixed times, and 15
// seconds after a failed fetch, which is longer. After a start and after failures, one or two fetches come sooner. The budget is time/(0.9
// cache_ttl) + 1, and one fetch might have started before. A service that is enabled again and a project that has another name in the cloud start
// from scratch. A fetch is one request, or two for DBSS. net/http retries a request once if it is reset on a reused connection. A removed project
// counts as if it existed. A failed list of projects is retried sooner than a successful one is refreshed, so these are extra.
func (v *verdict) calls(s *storm, before, after map[string]map[string]int) {
	lives := map[string][]*life{} // by ID
	for _, l := range s.lives {
		lives[l.project.ID] = append(lives[l.project.ID], l)
	}
	for id, of := range lives {
		existed := min(v.ended.Sub(v.since).Seconds(), unix(v.ended)-of[0].from)
		for _, q := range of[0].services() {
			requests := after[id][q.name] - before[id][q.name]
			budget := int(existed/(0.9*soakTTL.Seconds())) + 1 + len(of) + len(s.breaks[q.name])
			if q.name == "dbss" {
				budget *= 2
			}
			for _, t := range s.outages {
				if t.resets != nil && t.project == id && t.service == q.name {
					budget += int(t.resets.Load())
				}
			}
			v.figures.Calls, v.figures.MostCalls = v.figures.Calls+requests, v.figures.MostCalls+budget
			if requests > budget {
				v.complain("%s of %s was requested %d times in %.0f s, want %d at most", q.name, of[len(of)-1].label, requests, existed, budget)
			}
		}
	}
	lists := after[""]["iam"] - before[""]["iam"]
	v.figures.Lists = lists
	if budget := int(v.ended.Sub(v.since)/soakRefresh) + 2 + int(s.affectedLists.Load()); lists > budget {
		v.complain("%d lists of projects, want %d at most", lists, budget)
	}
}
