package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// exported selects every series of the exporter, and none of those that Prometheus writes about a scrape.
const exported = `{job="cloud_quota",__name__!~"up|scrape_.*"}`

func TestRestartLosesNoSeries(t *testing.T) {
	t.Parallel()
	e := startExporter(t, newCloud(), "{defaults: {cache_ttl: 1s}}")
	p := startPrometheus(t, scraping(e.at, 2*time.Second))
	p.becomes(t, numbersOfQuotas, numbers(""))
	since := time.Now()
	p.becomes(t, "count(cloud_quota_fetches_total >= 3)", " 10")
	before := p.names(t, exported)

	e.terminate(t)
	p.becomes(t, "up", "up 0")
	p.is(t, exported, "") // down is down: nothing of it lingers
	e.run(t, e.at)
	p.becomes(t, "up", "up 1")
	p.becomes(t, "count(cloud_quota_fetches_total >= 2)", " 10")

	if after := p.names(t, exported); after != before {
		t.Errorf("series before and after: -after +before\n%s", difference(after, before))
	}
	p.is(t, numbersOfQuotas, numbers(""))
	p.complete(t, exported, since)
	p.is(t, changesOfNumbers, " 0")
	p.is(t, "resets(cloud_quota_fetches_total[10m])", sources("", always("1")))
	for _, s := range p.overTime(t, "increase(cloud_quota_fetches_total[6s])", since) {
		for _, v := range s.Values {
			if strings.HasPrefix(v.value, "-") {
				t.Errorf("the increase of %s is %s", write(s.Metric), v.value)
			}
		}
	}
}

// names returns the series that there are now, one a line.
func (p *prometheus) names(t *testing.T, selector string) string {
	t.Helper()
	var all []string
	for _, s := range p.now(t, selector) {
		all = append(all, write(s.Metric))
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// complete asserts that since a moment each of these series was in every scrape of its target that succeeded, and in no other. The
// samples are looked at as they were scraped: anything that Prometheus evaluates would bridge a gap by the sample before.
func (p *prometheus) complete(t *testing.T, selector string, since time.Time) {
	t.Helper()
	scrapes := map[string][]float64{} // by target
	sampled := map[string][]float64{}
	for _, s := range p.now(t, `{job="cloud_quota"}[10m]`) { // one query, so that no scrape comes between
		for _, v := range s.Values {
			switch target := s.Metric["instance"]; {
			case v.at < unix(since):
			case s.Metric["__name__"] != "up":
				sampled[write(s.Metric)] = append(sampled[write(s.Metric)], v.at)
			case v.value == "1":
				scrapes[target] = append(scrapes[target], v.at)
			}
		}
	}
	selected := p.now(t, selector)
	if len(selected) == 0 {
		t.Fatalf("there is nothing of %s", selector)
	}
	for _, s := range selected {
		name, want := write(s.Metric), scrapes[s.Metric["instance"]]
		if len(want) < 3 {
			t.Fatalf("only %d scrapes of %s succeeded", len(want), s.Metric["instance"])
		}
		if !slices.Equal(sampled[name], want) {
			t.Errorf("%s was scraped at %.3f, want %.3f", name, sampled[name], want)
		}
	}
}
