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
	lives   []*life
	quotas  map[quotaID][]held
	outages []outage
	stalls  []outage         // times at which the machine was suspended
	breaks  map[string][]off // by service
}

// quotaID is a quota. Its owner is the ID of a project or of an account.
type quotaID struct{ owner, service, resourceType string }

// held is what the cloud reported about a quota for a time. A value that it did not report is NaN.
type held struct {
	from, until            float64
	used, limit, remaining float64
}

// life is the time for which a project, or an account, has a label. A project that is renamed lives on with the same ID. One that is recreated has
// another ID with the same label.
type life struct {
	account, label string
	project        cloudsim.Project
	from, until    float64

	// What the configuration determines changes during a reload, which starts at from or until, and ends at shownBy or goneBy.
	shownBy, goneBy float64
	keeps           bool // the configuration renames the project, so values stay
}

func (l *life) isAccount() bool { return l.project.ID == cloudsim.ID(l.account) }

// isDiscovered reports whether a list of the cloud determines when the project is exposed.
func (l *life) isDiscovered() bool { return l.account == discovered && !l.isAccount() }

// services returns the services whose quotas it has.
func (l *life) services() []soakedService {
	return slices.DeleteFunc(slices.Clone(soaked), func(s soakedService) bool { return s.ofAccount != l.isAccount() })
}

// soakedService is a service with its quotas.
type soakedService struct {
	name    string
	types   []string
	section string // of the configuration; the interval and timeouts are added

	ofAccount bool
	unlimited bool // a limit of -1 means that there is none
	switched  bool // reloads disable and enable it
}

// soaked are the five services that are enabled by default, fifteen others of the catalog in all shapes (list, map, pairs), three of the account, and
// two of the user's own. No two of them have the same path, because each account has one address.
var soaked = []soakedService{
	{name: "cts", types: []string{"data_tracker", "system_tracker"}},
	{name: "ces", types: []string{"alarm"}},
	{name: "taurusdb", types: []string{"instance"}, unlimited: true},
	{name: "dcs", types: []string{"instance", "ram"}, switched: true},
	{name: "dbss", types: []string{"audit_instance", "cpu", "ram"}},

	{name: "ecs", types: []string{"instances", "cores", "ram"}, unlimited: true},
	{name: "evs", types: []string{"volumes", "gigabytes"}, unlimited: true, switched: true},
	{name: "vpc", types: []string{"publicIp", "subnet"}, unlimited: true},
	{name: "elb", types: []string{"loadbalancer"}, unlimited: true},
	{name: "cce", types: []string{"cluster"}},
	{name: "nat", types: []string{"gateway"}, switched: true},
	{name: "ims", types: []string{"image"}},
	{name: "as", types: []string{"scaling_Group"}},
	{name: "dms", types: []string{"kafkaInstance"}},
	{name: "sfsturbo", types: []string{"shares", "capacity"}},
	{name: "kms", types: []string{"CMK"}},
	{name: "functiongraph", types: []string{"fgs_func_num"}},
	{name: "er", types: []string{"er_instance"}, unlimited: true},
	{name: "swr", types: []string{"namespace"}},
	{name: "bms", types: []string{"instances", "cores"}, unlimited: true, switched: true},

	{name: "eps", types: []string{"enterprise_project"}, ofAccount: true, switched: true},
	{name: "cdn", types: []string{"domain"}, ofAccount: true},
	{name: "geip", types: []string{"geip"}, ofAccount: true},

	{
		name: "my_jobs", types: []string{"batch", "stream"}, unlimited: true, switched: true,
		section: `api: {host: my-jobs, path: "/v1/{project_id}/my-jobs", list: quotas, type: "{quota_key}", limit: quota_limit, no_limit: -1}`,
	},
	{
		name: "my_seats", types: []string{"seat"}, ofAccount: true, switched: true,
		section: `api: {level: account, host: my-seats, path: "/v1/{domain_id}/my-seats", list: quotas.resources}`,
	},
}

// newRecord returns a record of a cloud with these accounts, which have quotas of their own.
func newRecord(chance *rand.Rand, accounts ...cloudsim.Account) *record {
	r := &record{cloud: cloudtest.New(accounts...), quotas: map[quotaID][]held{}, breaks: map[string][]off{}}
	host := func(string) string { return "own" }
	r.cloud.Publish(
		cloudsim.API{
			Service: "my_jobs", Path: "/v1/{project_id}/my-jobs", Host: host,
			Shape: cloudsim.Shape{List: "quotas", Type: "{quota_key}", Used: "used", Limit: "quota_limit"},
		},
		cloudsim.API{
			Service: "my_seats", Path: "/v1/{domain_id}/my-seats", Host: host, Account: true,
			Shape: cloudsim.Shape{List: "quotas.resources", Type: "{type}", Used: "used", Limit: "quota"},
		},
	)
	for _, a := range accounts {
		now := unix(time.Now())
		l := &life{account: a.Name, label: a.Name, project: cloudsim.Project{ID: cloudsim.ID(a.Name)}, from: now, until: math.Inf(1), shownBy: now}
		quotas := r.someQuotas(l, chance)
		r.cloud.Update(a.Name, func(a *cloudsim.Account) { a.Quotas = quotas })
		r.lives = append(r.lives, l)
	}
	return r
}

// someQuotas returns the first quotas of a project or an account.
func (r *record) someQuotas(l *life, chance *rand.Rand) map[string][]cloudsim.Quota {
	quotas := map[string][]cloudsim.Quota{}
	for _, s := range l.services() {
		for _, resourceType := range s.types {
			q := cloudsim.Quota{Type: resourceType}
			q.Used, q.Limit = someNumbers(s, chance)
			quotas[s.name] = append(quotas[s.name], q)
			id := quotaID{l.project.ID, s.name, resourceType}
			r.quotas[id] = []held{newHeld(id, l.project, q.Used, q.Limit, l.from)}
		}
	}
	return quotas
}

// name returns a name that no project had.
func (r *record) name() string {
	r.serial++
	return fmt.Sprintf("ap-southeast-3_p%04d", r.serial)
}

// create adds a project with a name and label to the cloud. It is not in lives yet.
func (r *record) create(account, name, label string, chance *rand.Rand) *life {
	now := unix(time.Now())
	l := &life{account: account, label: label, from: now, until: math.Inf(1), shownBy: now}
	r.serial++
	l.project = cloudsim.Project{ID: fmt.Sprintf("%032x", r.serial), Name: name, Region: "ap-southeast-3", AuditInstances: chance.IntN(50)}
	l.project.Quotas = r.someQuotas(l, chance)
	r.cloud.AddProject(account, l.project)
	return l
}

// add adds a project to an account. prefix is what its label has in front of its name.
func (r *record) add(account, prefix string, chance *rand.Rand) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := r.name()
	r.lives = append(r.lives, r.create(account, name, prefix+name, chance))
}

// remove removes a project.
func (r *record) remove(l *life) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delete(l)
	l.until = unix(time.Now())
}

func (r *record) delete(l *life) {
	r.cloud.RemoveProject(l.project.ID)
	now := unix(time.Now())
	for id, all := range r.quotas {
		if id.owner == l.project.ID {
			all[len(all)-1].until = now
		}
	}
}

// recreate removes a discovered project, and adds another one with its name.
func (r *record) recreate(l *life, chance *rand.Rand) {
	r.remove(l)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lives = append(r.lives, r.create(l.account, l.project.Name, l.label, chance))
}

// rename gives a discovered project another name in the cloud.
func (r *record) rename(l *life, prefix string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := &life{account: l.account, project: l.project, from: unix(time.Now()), until: math.Inf(1)}
	next.project.Name = r.name()
	next.label = prefix + next.project.Name
	r.cloud.Update(l.account, func(a *cloudsim.Account) {
		i := slices.IndexFunc(a.Projects, func(p cloudsim.Project) bool { return p.ID == l.project.ID })
		a.Projects[i].Name = next.project.Name
	})
	l.until = unix(time.Now())
	r.lives = append(r.lives, next)
}

// successor returns what the next configuration has in place of a project: the same with another label, or another one with its label.
func (r *record) successor(l *life, chance *rand.Rand) *life {
	r.mu.Lock()
	defer r.mu.Unlock()
	if chance.IntN(2) == 0 {
		return r.create(l.account, r.name(), l.label, chance)
	}
	return &life{account: l.account, label: r.name(), project: l.project, until: math.Inf(1), keeps: true}
}

// succeeded remembers that a reload replaced a project by its successor.
func (r *record) succeeded(l, next *life, from, by float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l.until, l.goneBy = from, by
	next.from, next.shownBy = from, by
	r.lives = append(r.lives, next)
	if !next.keeps {
		r.delete(l)
	}
}

// off is a time for which a service is disabled. The reload that disables it starts at from and ends at by; the one that enables it, until and backBy.
type off struct{ from, by, until, backBy float64 }

// switched remembers that a reload disabled or enabled a service.
func (r *record) switched(service string, enabled bool, from, by float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.breaks[service]
	if !enabled {
		r.breaks[service] = append(all, off{from, by, math.Inf(1), math.Inf(1)})
		return
	}
	all[len(all)-1].until, all[len(all)-1].backBy = from, by
}

// change changes a quota of something that exists.
func (r *record) change(chance *rand.Rand) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lives[chance.IntN(len(r.lives))]
	for !math.IsInf(l.until, 1) {
		l = r.lives[chance.IntN(len(r.lives))]
	}
	services := l.services()
	s := services[chance.IntN(len(services))]
	id := quotaID{l.project.ID, s.name, s.types[chance.IntN(len(s.types))]}
	used, limit := someNumbers(s, chance)
	all, from := r.quotas[id], unix(time.Now())
	if s.ofAccount {
		r.cloud.SetAccountQuota(l.account, id.service, id.resourceType, used, limit)
	} else {
		r.cloud.SetQuota(l.project.ID, id.service, id.resourceType, used, limit)
	}
	all[len(all)-1].until = unix(time.Now())
	r.quotas[id] = append(all, newHeld(id, l.project, used, limit, from))
}

// there returns the existing projects of an account; of all accounts, and these themselves, if it is empty.
func (r *record) there(account string) []*life {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*life
	for _, l := range r.lives {
		if math.IsInf(l.until, 1) && (account == "" || l.account == account && !l.isAccount()) {
			all = append(all, l)
		}
	}
	return all
}

// someNumbers are hardly ever the same twice, so that a value identifies its quota and time.
func someNumbers(s soakedService, chance *rand.Rand) (used, limit int64) {
	limit = 1 + chance.Int64N(1e12)
	used = chance.Int64N(limit)
	if s.unlimited && chance.IntN(4) == 0 {
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

// scope is what a fault affects. An empty field matches any. The project is an ID, of an account for its own services. The service iam is the list of
// projects.
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
