package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// storms are faults that befall requests, by name. A 404 is not among them: it says that a region lacks the service, which is then let be for
// an hour. Nor is a 401: a service that refuses a proven key is let be for five minutes. Rotations of keys cause them, and end them sooner.
// Throttling concerns the whole account: see throttling.
var storms = []struct {
	name  string
	fault cloudtest.Fault
}{
	{"connection reset before the answer", cloudtest.Fault{Reset: true}},
	{"connection reset in the middle of the body", cloudtest.Fault{CutBody: true}},
	{"no answer at all", cloudtest.Fault{Hang: true}},
	{"an answer that comes too late", cloudtest.Fault{Latency: soakTimeout + time.Second}},
	{"an answer that comes late", cloudtest.Fault{Latency: soakTimeout / 4}},
	{"a body by one byte a second", cloudtest.Fault{Drip: time.Second}},
	{"400", status(http.StatusBadRequest)},
	{"403", status(http.StatusForbidden)},
	{"408", status(http.StatusRequestTimeout)},
	{"409", status(http.StatusConflict)},
	{"500", status(http.StatusInternalServerError)},
	{"502 with a page of HTML", cloudtest.Fault{Status: http.StatusBadGateway, Body: []byte("<html><body><h1>Bad Gateway</h1></body></html>")}},
	{"503", status(http.StatusServiceUnavailable)},
	{"302 to another host", cloudtest.Fault{Status: http.StatusFound, Header: http.Header{"Location": {"https://elsewhere.example.com/"}}}},
	{"204", cloudtest.Fault{Status: http.StatusNoContent}},
	{"an empty 200", body("")},
	{"invalid JSON", body("{oops}")},
	{"JSON of another shape", body(`{"data":[1,"2",{}],"ok":true}`)},
	{"JSON that is cut off", body(`{"quotas":{"resources":[{"type":"instance","used":`)},
	{"NaN for a number", body(`{"cpu":NaN,"quotas":{"resources":[{"type":"instance","used":NaN,"quota":1}]}}`)},
	{"2 MiB", body(strings.Repeat(" ", 2<<20))},
	{"nested 20,000 deep", body(strings.Repeat("[", 20_000))},
	{"plain text that says to be gzip", cloudtest.Fault{Status: http.StatusOK, Header: http.Header{"Content-Encoding": {"gzip"}}, Body: []byte("{}")}},
}

// retryAfter is how long one of the throttlings asks to be left alone.
const retryAfter = 20 * time.Second

var throttlings = []cloudtest.Fault{
	status(http.StatusTooManyRequests),
	{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {fmt.Sprint(retryAfter.Seconds())}}},
}

func status(code int) cloudtest.Fault {
	return cloudtest.Fault{Status: code, Body: cloudsim.ErrorBody("", code, "no")}
}

func body(text string) cloudtest.Fault {
	return cloudtest.Fault{Status: http.StatusOK, Body: []byte(text)}
}

// scope is what a fault befalls: a service of a project or, where no project is named, of an account.
type scope struct{ account, project, service string }

// befall has a fault in force for a time from least to most.
func (s *storm) befall(chance *rand.Rand, f cloudtest.Fault, least, most time.Duration, all ...scope) {
	var heals []func()
	var troubles []trouble
	for _, to := range all {
		t, heal := s.inject(f, to)
		troubles, heals = append(troubles, t), append(heals, heal)
	}
	s.faults.Add(1)
	s.wait(chance, least, most)
	for i, heal := range heals {
		heal()
		troubles[i].until = unix(time.Now())
		if f.Header.Get("Retry-After") != "" {
			troubles[i].until += (retryAfter - soakPause).Seconds() // the usual pause counts as ever
		}
		s.note(troubles[i])
	}
}

// inject puts a fault in force, and counts the requests that it befalls.
func (s *storm) inject(f cloudtest.Fault, to scope) (t trouble, heal func()) {
	befallen := &s.befallen
	t = trouble{account: to.account, project: to.project, service: to.service, from: unix(time.Now())}
	switch {
	case to.service == "iam":
		befallen = &s.befallenLists
	case f.Reset:
		t.resets = new(atomic.Int64)
	}
	f.Service, f.Host = to.service, s.doors[to.account].address
	if to.project != "" {
		f.ProjectID = s.projectID(to.project)
	}
	if f.Status == http.StatusForbidden && to.service == "dbss" { // the list alone may be forbidden, and what it tells is left out then
		f.Path = "/v2/{project_id}/audit/quota"
	}
	f.When = func(int) bool {
		befallen.Add(1)
		if t.resets != nil {
			t.resets.Add(1)
		}
		return true
	}
	return t, s.cloud.Inject(f)
}

func (r *record) projectID(label string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lives[label].project.ID
}

// troubled has something befall a service of a project, a whole project, or a service of an account, time and again.
func (s *storm) troubled(chance *rand.Rand) {
	for s.wait(chance, 100*time.Millisecond, 4*time.Second) {
		f := storms[chance.IntN(len(storms))].fault
		labels := s.there("")
		to := scope{project: labels[chance.IntN(len(labels))], service: soaked[chance.IntN(len(soaked))].service}
		to.account = s.accountOf(to.project)
		switch n := chance.IntN(20); {
		case n < 3: // the whole project
			var all []scope
			for _, q := range soaked {
				all = append(all, scope{to.account, to.project, q.service})
			}
			s.befall(chance, f, time.Second, 8*time.Second, all...)
		case n < 5 && !f.Reset: // the requests that are reset, which are sent once more, are told by project
			s.befall(chance, f, time.Second, 8*time.Second, scope{to.account, "", to.service})
		case n < 6:
			f = throttlings[chance.IntN(len(throttlings))]
			s.befall(chance, f, time.Second, 8*time.Second, scope{to.account, "", to.service})
		default:
			s.befall(chance, f, time.Second, 8*time.Second, to)
		}
	}
}

func (r *record) accountOf(label string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lives[label].account
}

// outlasted has a service of a project fail for longer than its numbers may be shown, time and again.
func (s *storm) outlasted(chance *rand.Rand) {
	for s.wait(chance, 100*time.Millisecond, 10*time.Second) {
		labels := s.there(stated)
		to := scope{stated, labels[chance.IntN(len(labels))], soaked[chance.IntN(len(soaked))].service}
		f := storms[chance.IntN(len(storms))].fault
		if f.Latency < soakTimeout && f.Latency > 0 { // which is no failure
			f = status(http.StatusInternalServerError)
		}
		s.befall(chance, f, soakStale+10*time.Second, soakStale+30*time.Second, to)
	}
}

// unlisted has IAM fail to list the projects of the account that discovers them, time and again. Not from the beginning: a list that is missed
// may come minutes later, and until then nothing could be said of projects that come and go.
func (s *storm) unlisted(chance *rand.Rand) {
	for more := s.wait(chance, 90*time.Second, 100*time.Second); more; more = s.wait(chance, time.Minute, 5*time.Minute) {
		if chance.IntN(3) == 0 {
			s.refuse(chance, discovered)
			continue
		}
		f := storms[chance.IntN(len(storms))].fault
		if chance.IntN(4) == 0 {
			f = throttlings[0]
		}
		s.befall(chance, f, 5*time.Second, 40*time.Second, scope{account: discovered, service: "iam"})
	}
}
