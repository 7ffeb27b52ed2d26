package e2e

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"sync"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// record changes a cloud and remembers what it held when, and what was wrong with it. Times are seconds since 1970, as Prometheus has them.
type record struct {
	cloud *cloudtest.Cloud

	mu       sync.Mutex
	serial   int
	lives    map[string]*life // of projects, by label
	quotas   map[quotaID][]held
	troubles []trouble
	stalls   []trouble // of the machine, which stood still
}

// quotaID is a quota by the labels of its series.
type quotaID struct{ project, service, resourceType string }

// held is what the cloud said of a quota for a time; a number that it did not say is NaN.
type held struct {
	from, until            float64
	used, limit, remaining float64
}

// life is that of a project.
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

// add gives an account one more project. prefix is what its label has in front of its name.
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

// remove takes a project away.
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

// change has a quota of a project that is there become something else.
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

// there returns the labels of the projects of an account that there are, sorted; of all accounts if it is empty.
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

// someNumbers are hardly ever the same twice, so that a number tells whose it is and of when.
func someNumbers(service string, chance *rand.Rand) (used, limit int64) {
	limit = 1 + chance.Int64N(1e12)
	used = chance.Int64N(limit)
	if service == "taurusdb" && chance.IntN(4) == 0 {
		limit = -1
	}
	return used, limit
}

// newHeld is what is to be exported of what a project's service says from now on. DBSS says only what remains, and how many instances there are.
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

// number returns that of a metric.
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

// wasHeld tells whether the cloud said so at some time in between.
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
