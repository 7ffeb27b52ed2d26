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

// storms are faults of requests. A 404 is not among them: it means that a region lacks the service, which is then not fetched for an hour. Nor is a
// 401: a service that rejects a proven key is not fetched for five minutes. Rotations of keys cause 401s, and end them sooner. Throttling affects the
// whole account: see throttlings.
var storms = []cloudtest.Fault{
	{Reset: true},                        // connection reset before the response
	{CutBody: true},                      // connection reset in the middle of the body
	{Hang: true},                         // no response
	{Latency: soakTimeout + time.Second}, // a response after the timeout
	{Latency: soakTimeout / 4},           // a slow response
	{Drip: time.Second},                  // a body by one byte a second
	status(http.StatusBadRequest),
	status(http.StatusForbidden),
	status(http.StatusRequestTimeout),
	status(http.StatusConflict),
	status(http.StatusInternalServerError),
	{Status: http.StatusBadGateway, Body: []byte("<html><body><h1>Bad Gateway</h1></body></html>")}, // 502 with a page of HTML
	status(http.StatusServiceUnavailable),
	{Status: http.StatusFound, Header: http.Header{"Location": {"https://elsewhere.example.com/"}}}, // 302 to another host
	{Status: http.StatusNoContent},
	body(""),
	body("{oops}"),
	body(`{"data":[1,"2",{}],"ok":true}`), // JSON of another shape
	body(`{"quotas":{"resources":[{"type":"instance","used":`),                            // JSON that is cut off
	body(`{"cpu":NaN,"quotas":{"resources":[{"type":"instance","used":NaN,"quota":1}]}}`), // NaN for a number
	body(strings.Repeat(" ", 2<<20)),
	body(strings.Repeat("[", 20_000)),                                                              // nested 20,000 deep
	{Status: http.StatusOK, Header: http.Header{"Content-Encoding": {"gzip"}}, Body: []byte("{}")}, // plain text declared as gzip
}

// retryAfter is the Retry-After of one of the throttlings.
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

// injectFor injects a fault for a time from least to most.
func (s *storm) injectFor(chance *rand.Rand, f cloudtest.Fault, least, most time.Duration, all ...scope) {
	var heals []func()
	var outages []outage
	for _, to := range all {
		t, heal := s.inject(f, to)
		outages, heals = append(outages, t), append(heals, heal)
	}
	s.faults.Add(1)
	s.wait(chance, least, most)
	for i, heal := range heals {
		heal()
		outages[i].until = unix(time.Now())
		if f.Header.Get("Retry-After") != "" {
			outages[i].until += (retryAfter - soakPause).Seconds() // the usual pause counts in any case
		}
		s.note(outages[i])
	}
}

// inject injects a fault, and counts the requests that it affects.
func (s *storm) inject(f cloudtest.Fault, to scope) (t outage, heal func()) {
	affected := &s.affected
	t = outage{scope: to, from: unix(time.Now())}
	switch {
	case to.service == "iam":
		affected = &s.affectedLists
	case f.Reset:
		t.resets = new(atomic.Int64)
	}
	f.Service, f.Host, f.ProjectID = to.service, s.doors[to.account].address, to.project
	if to.project == cloudsim.ID(to.account) {
		f.ProjectID, f.DomainID = "", to.project
	}
	if f.Status == http.StatusForbidden && to.service == "dbss" { // only the list can be forbidden, and its values are omitted then
		f.Path = "/v2/{project_id}/audit/quota"
	}
	f.When = func(int) bool {
		affected.Add(1)
		if t.resets != nil {
			t.resets.Add(1)
		}
		return true
	}
	return t, s.cloud.Inject(f)
}

// disturbed repeatedly injects faults into a service of a project, a whole project, or a service of an account.
func (s *storm) disturbed(chance *rand.Rand) {
	for s.wait(chance, 100*time.Millisecond, 4*time.Second) {
		f := storms[chance.IntN(len(storms))]
		there := s.there("")
		l := there[chance.IntN(len(there))]
		services := l.services()
		to := scope{l.account, l.project.ID, services[chance.IntN(len(services))].name}
		switch n := chance.IntN(20); {
		case n < 3: // the whole project
			var all []scope
			for _, of := range services {
				all = append(all, scope{to.account, to.project, of.name})
			}
			s.injectFor(chance, f, time.Second, 8*time.Second, all...)
		case n < 5 && !f.Reset: // requests that are reset are retried once, and counted by project
			s.injectFor(chance, f, time.Second, 8*time.Second, scope{to.account, "", to.service})
		case n < 6:
			f = throttlings[chance.IntN(len(throttlings))]
			s.injectFor(chance, f, time.Second, 8*time.Second, scope{to.account, "", to.service})
		default:
			s.injectFor(chance, f, time.Second, 8*time.Second, to)
		}
	}
}

// outlasted repeatedly makes a service of a project fail for longer than max_stale.
func (s *storm) outlasted(chance *rand.Rand) {
	for s.wait(chance, 100*time.Millisecond, 10*time.Second) {
		there := s.there(stated)
		l := there[chance.IntN(len(there))]
		services := l.services()
		to := scope{stated, l.project.ID, services[chance.IntN(len(services))].name}
		f := storms[chance.IntN(len(storms))]
		if f.Latency < soakTimeout && f.Latency > 0 { // not a failure
			f = status(http.StatusInternalServerError)
		}
		s.injectFor(chance, f, soakStale+10*time.Second, soakStale+30*time.Second, to)
	}
}

// unlisted repeatedly makes IAM fail to list the projects of the account with discovery. Not from the beginning: the next list might come minutes
// later, and until then the expected projects would be unknown.
func (s *storm) unlisted(chance *rand.Rand) {
	for more := s.wait(chance, 90*time.Second, 100*time.Second); more; more = s.wait(chance, time.Minute, 5*time.Minute) {
		if chance.IntN(3) == 0 {
			s.refuse(chance, discovered)
			continue
		}
		f := storms[chance.IntN(len(storms))]
		if chance.IntN(4) == 0 {
			f = throttlings[0]
		}
		s.injectFor(chance, f, 5*time.Second, 40*time.Second, scope{account: discovered, service: "iam"})
	}
}
