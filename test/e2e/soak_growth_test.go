package e2e

import (
	"fmt"
	"strconv"
	"time"
)

// scraped returns when a server scraped with success, and asserts that each scrape succeeded: that its page came before the timeout. The
// duration that Prometheus stores counts what it does with the page besides.
func (v *verdict) scraped(name string, p *prometheus) (scrapes []float64) {
	took := map[float64]float64{}
	for _, s := range v.stored(p, "scrape_duration_seconds") {
		for _, sample := range s.Values {
			took[sample.at], _ = strconv.ParseFloat(sample.value, 64) // what Prometheus writes is a number
		}
	}
	for _, s := range v.stored(p, "up") {
		v.scrapes += len(s.Values)
		for _, sample := range s.Values {
			isUp := sample.value == "1"
			if isUp {
				scrapes = append(scrapes, sample.at)
				v.longest = max(v.longest, took[sample.at])
			}
			if !isUp {
				v.failed++
			}
			if !isUp && !v.stood(sample.at) {
				v.complain("%s: the scrape at %.3f failed after %.3f s", name, sample.at, took[sample.at])
			}
		}
	}
	still := time.Duration(v.record.stood(unix(v.since), unix(v.ended)) * float64(time.Second))
	if n, want := len(scrapes), int(v.ended.Sub(v.since)/soakInterval); n > want+1 || n < want-1-2*int((still+soakInterval-1)/soakInterval) {
		v.complain("%s: %d scrapes in %s, want %d", name, n, v.ended.Sub(v.since), want)
	}
	return scrapes
}

// stood tells whether the machine stood still when a scrape began, or before it had to be over.
func (v *verdict) stood(scrape float64) bool {
	return v.record.stood(scrape-1, scrape+soakInterval.Seconds()+1) > 0
}

// growths are what must not grow: of the last third of the time, so much more than in the middle third at most. Memory has garbage that the
// runtime has not collected yet. Connections are kept for 90 seconds, as many as there were requests at a time, and those of before a reload
// besides: in minutes they may still become more, up to some 250. Each takes a descriptor and two goroutines; of other goroutines, there are
// few in quiet moments.
var growths = []struct {
	what, over   string
	factor, more float64
}{
	{"process_resident_memory_bytes", "avg", 1.1, 16 << 20},
	{"go_goroutines - 2 * process_open_fds", "min", 1, 20},
	{"process_open_fds", "min", 1.25, 250},
	{"scrape_samples_scraped", "max", 1.1, 100},
}

func (v *verdict) growth(name string, p *prometheus) {
	third := v.ended.Sub(v.since) / 3
	v.grown = ""
	for _, g := range growths {
		var of [3]float64
		for i := range of {
			all := v.at(p, fmt.Sprintf("%s_over_time((%s)[%dms:%s])", g.over, g.what, third.Milliseconds(), soakInterval), v.since.Add(time.Duration(i+1)*third))
			if len(all) != 1 {
				v.t.Fatalf("%s: %d series of %s", name, len(all), g.what)
			}
			of[i], _ = strconv.ParseFloat(all[0].Value.value, 64) // what Prometheus writes is a number
		}
		v.grown += fmt.Sprintf("%s %s %.0f, %.0f, %.0f; ", g.over, g.what, of[0], of[1], of[2])
		if of[2] > of[1]*g.factor+g.more {
			v.complain("%s: %s of %s grows: %.0f by thirds of the time", name, g.over, g.what, of)
		}
	}
}

// asked is what the cloud was asked so far, by the ids of projects and the services; lists of projects have an empty id.
func (s *storm) asked() map[string]map[string]int {
	counts := map[string]map[string]int{"": {"iam": s.cloud.Requests()["GET /v3/projects"]}}
	for _, l := range s.lives {
		counts[l.project.ID] = s.cloud.ProjectRequests(l.project.ID)
	}
	return counts
}

// calls compares what the cloud was asked with what cache_ttl and refresh_interval imply. A source is asked again no sooner than cache_ttl
// less a tenth after its last fetch began, and 15 seconds after one that failed, which is later: in a time there begin time/(0.9 cache_ttl) + 1
// fetches at most, and one may have begun before. A fetch is one request, two of DBSS. A request that is reset on a connection that was used
// before is sent once more by net/http. A project that is gone counts as if it were there. A list of projects that fails is asked for again sooner than one that is read, so that these are extra.
func (v *verdict) calls(s *storm, before, after map[string]map[string]int) {
	for label, l := range s.lives {
		existed := v.ended.Sub(v.since).Seconds()
		if l.from > unix(v.since) {
			existed = unix(v.ended) - l.from
		}
		for _, q := range soaked {
			requests := after[l.project.ID][q.service] - before[l.project.ID][q.service]
			budget := int(existed/(0.9*soakTTL.Seconds())) + 2
			if q.service == "dbss" {
				budget *= 2
			}
			for _, t := range s.troubles {
				if t.resets != nil && t.project == label && t.service == q.service {
					budget += int(t.resets.Load())
				}
			}
			v.requests, v.budget = v.requests+requests, v.budget+budget
			if requests > budget {
				v.complain("%s of %s was asked %d times in %.0f s, want %d at most", q.service, label, requests, existed, budget)
			}
		}
	}
	v.lists = after[""]["iam"] - before[""]["iam"]
	if budget := int(v.ended.Sub(v.since)/soakRefresh) + 2 + int(s.befallenLists.Load()); v.lists > budget {
		v.complain("%d lists of projects, want %d at most", v.lists, budget)
	}
}
