package e2e

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// record changes a cloud and remembers its quotas and faults over time. Times are Unix timestamps in seconds, as in Prometheus.
type record struct {
	cloud *cloudtest.Cloud

	mu      sync.Mutex
	serial  int
	lives   map[string]*life // of projects, by label
	quotas  map[quotaID][]held
	outages []outage
	stalls  []outage // times at which the machine was suspended
}

// quotaID is a quota by the labels of its series.
type quotaID struct{ project, service, resourceType string }

// held is what the cloud reported about a quota for a time. A value that it did not report is NaN.
type held struct {
	from, until            float64
	used, limit, remaining float64
}

// life is the lifetime of a project.
type life struct {
	account     string
	project     cloudsim.Project
	from, until float64
}

// soaked are the quotas of each project.
var soaked = []struct {
	service string
	types   []string
}{
	{"cts", []string{"data_tracker", "system_tracker"}},
	{"ces", []string{"alarm"}},
	{"taurusdb", []string{"instance"}},
	{"dcs", []string{"instance", "ram"}},
	{"dbss", []string{"audit_instance", "cpu", "ram"}},
}

func newRecord(accounts ...cloudsim.Account) *record {
	return &record{cloud: cloudtest.New(accounts...), lives: map[string]*life{}, quotas: map[quotaID][]held{}}
}

// add adds a project to an account. prefix is what its label has in front of its name.
func (r *record) add(account, prefix string, chance *rand.Rand) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serial++
	p := cloudsim.Project{
		ID: fmt.Sprintf("%032x", r.serial), Name: fmt.Sprintf("ap-southeast-3_p%04d", r.serial), Region: "ap-southeast-3",
		Quotas: map[string][]cloudsim.Quota{}, AuditInstances: chance.IntN(50),
	}
	label, now := prefix+p.Name, unix(time.Now())
	r.lives[label] = &life{account: account, project: p, from: now, until: math.Inf(1)}
	for _, s := range soaked {
		for _, resourceType := range s.types {
			q := cloudsim.Quota{Type: resourceType}
			q.Used, q.Limit = someNumbers(s.service, chance)
			p.Quotas[s.service] = append(p.Quotas[s.service], q)
			id := quotaID{label, s.service, resourceType}
			r.quotas[id] = []held{newHeld(id, p, q.Used, q.Limit, now)}
		}
	}
	r.cloud.AddProject(account, p)
}

// remove removes a project.
func (r *record) remove(label string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lives[label]
	r.cloud.RemoveProject(l.project.ID)
	l.until = unix(time.Now())
	for id, all := range r.quotas {
		if id.project == label {
			all[len(all)-1].until = l.until
		}
	}
}

// change changes a quota of an existing project.
func (r *record) change(chance *rand.Rand) {
	there := r.there("")
	s := soaked[chance.IntN(len(soaked))]
	id := quotaID{there[chance.IntN(len(there))], s.service, s.types[chance.IntN(len(s.types))]}
	used, limit := someNumbers(id.service, chance)
	r.mu.Lock()
	defer r.mu.Unlock()
	l, all := r.lives[id.project], r.quotas[id]
	if !math.IsInf(l.until, 1) {
		return
	}
	from := unix(time.Now())
	r.cloud.SetQuota(l.project.ID, id.service, id.resourceType, used, limit)
	all[len(all)-1].until = unix(time.Now())
	r.quotas[id] = append(all, newHeld(id, l.project, used, limit, from))
}

// life returns the lifetime of the project with a label.
func (r *record) life(label string) *life {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lives[label]
}

// there returns the labels of an account's existing projects, sorted; of all accounts if it is empty.
func (r *record) there(account string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var labels []string
	for label, l := range r.lives {
		if math.IsInf(l.until, 1) && (account == "" || l.account == account) {
			labels = append(labels, label)
		}
	}
	slices.Sort(labels)
	return labels
}

// someNumbers are hardly ever the same twice, so that a value identifies its quota and time.
func someNumbers(service string, chance *rand.Rand) (used, limit int64) {
	limit = 1 + chance.Int64N(1e12)
	used = chance.Int64N(limit)
	if service == "taurusdb" && chance.IntN(4) == 0 {
		limit = -1
	}
	return used, limit
}

// newHeld returns what must be exported for a project's service from now on. DBSS only reports what remains, and how many instances exist.
func newHeld(id quotaID, p cloudsim.Project, used, limit int64, now float64) held {
	h := held{now, math.Inf(1), float64(used), float64(limit), float64(limit - used)}
	switch {
	case limit == -1:
		h.limit, h.remaining = math.Inf(1), math.Inf(1)
	case id.resourceType == "audit_instance":
		h.used = float64(p.AuditInstances)
		h.limit = h.used + h.remaining
	case id.service == "dbss":
		h.used, h.limit = math.NaN(), math.NaN()
	}
	return h
}

// number returns the value of a metric.
func (h held) number(metric string) float64 {
	switch metric {
	case "cloud_quota_used":
		return h.used
	case "cloud_quota_limit":
		return h.limit
	default:
		return h.remaining
	}
}

// wasHeld reports whether the cloud returned this value at some time in between.
func (r *record) wasHeld(id quotaID, metric string, value, from, until float64) bool {
	all := r.quotas[id]
	i := sort.Search(len(all), func(i int) bool { return all[i].until >= from })
	for ; i < len(all) && all[i].from <= until; i++ {
		if all[i].number(metric) == value {
			return true
		}
	}
	return false
}

// scope is what a fault affects. An empty field matches any. The service iam is the list of projects.
type scope struct{ account, project, service string }

// outage is a fault that affected sources for a time.
type outage struct {
	scope

	from, until float64

	resets *atomic.Int64 // requests that were reset; nil: none
}

// note remembers a fault that is over now.
func (r *record) note(t outage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outages = append(r.outages, t)
}

// during remembers the fault that a function causes.
func (r *record) during(to scope, cause func()) {
	t := outage{scope: to, from: unix(time.Now())}
	cause()
	t.until = unix(time.Now())
	r.note(t)
}

// spans are the times of faults, in order.
type spans [][2]float64

// of returns the times at which a source was affected, including how long the effects can last afterwards.
func (r *record) of(account, project, service string, afterwards time.Duration, more ...outage) spans {
	fits := func(of, is string) bool { return of == "" || of == is }
	var all spans
	for _, t := range slices.Concat(r.outages, r.stalls, more) {
		if fits(t.account, account) && fits(t.project, project) && fits(t.service, service) {
			all = append(all, [2]float64{t.from, t.until + afterwards.Seconds()})
		}
	}
	slices.SortFunc(all, func(a, b [2]float64) int { return int(math.Copysign(1, a[0]-b[0])) })
	var merged spans
	for _, s := range all {
		if n := len(merged); n > 0 && s[0] <= merged[n-1][1] {
			merged[n-1][1] = max(merged[n-1][1], s[1])
		} else {
			merged = append(merged, s)
		}
	}
	return merged
}

// well returns the last moment up to a time without a fault: the time itself, or the start of the fault then.
func (s spans) well(at float64) float64 {
	i := sort.Search(len(s), func(i int) bool { return s[i][1] > at })
	if i < len(s) && s[i][0] <= at {
		return s[i][0]
	}
	return at
}

// watch records when the machine is suspended, as virtual machines sometimes are, until stop is called. Responses are late then.
func (r *record) watch() (stop func()) {
	const tick, late = 50 * time.Millisecond, 500 * time.Millisecond
	over := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for last := time.Now(); ; last = time.Now() {
			select {
			case <-time.After(tick):
			case <-over:
				return
			}
			if time.Since(last) > late {
				r.stalls = append(r.stalls, outage{from: unix(last), until: unix(time.Now())})
			}
		}
	})
	return func() {
		close(over)
		watching.Wait()
	}
}

// suspended returns for how many seconds the machine was suspended, of the times that overlap with a time.
func (r *record) suspended(from, until float64) (seconds float64) {
	for _, t := range r.stalls {
		if t.from <= until && t.until >= from {
			seconds += t.until - t.from
		}
	}
	return seconds
}
