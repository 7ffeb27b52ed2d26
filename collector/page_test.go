package collector_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"
	"weak"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"cloud_quota_exporter/collector"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/providers"
)

var formats = []expfmt.Format{
	expfmt.NewFormat(expfmt.TypeTextPlain),
	expfmt.NewFormat(expfmt.TypeOpenMetrics),
	expfmt.NewFormat(expfmt.TypeProtoDelim),
}

// encode writes families in a format.
func encode(t *testing.T, families []*dto.MetricFamily, format expfmt.Format) []byte {
	t.Helper()
	var page bytes.Buffer
	encoder := expfmt.NewEncoder(&page, format)
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			t.Fatal(err)
		}
	}
	return page.Bytes()
}

// comparePages asserts that families equal the registry's output for the plain Collector, byte for byte, in every format.
func comparePages(t *testing.T, got []*dto.MetricFamily, readings []*fleet.Reading) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector.New(func() []*fleet.Reading { return readings }))
	want, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range formats {
		if got, want := encode(t, got, format), encode(t, want, format); !bytes.Equal(got, want) {
			t.Fatalf("%s: the page is\n%s\nwant\n%s", format, got, want)
		}
	}
}

func TestPageEqualsTheRegistry(t *testing.T) {
	page := new(collector.Page)
	comparePages(t, page.Families(readings()), readings())
	comparePages(t, page.Families(nil), nil)
	comparePages(t, page.Part(nil, nil), nil)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, seed))
	var all []*fleet.Reading
	for range 25 {
		all = change(random, all)
		for range 3 {
			some := part(random, all)
			comparePages(t, page.Part(some, labels(all)), some)
		}
		if random.IntN(2) == 0 {
			comparePages(t, page.Families(all), all)
		}
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
}

// change replaces some readings, and adds and removes projects. The result is sorted like that of the fleet.
func change(random *rand.Rand, before []*fleet.Reading) []*fleet.Reading {
	known := map[string]*fleet.Reading{}
	for _, r := range before {
		known[r.Project.Label+" "+r.Service] = r
	}
	var after []*fleet.Reading
	for i := range 8 {
		label := fmt.Sprintf("p%d", i)
		if random.IntN(10) == 0 {
			continue
		}
		project := fleet.Project{Label: label, ID: fmt.Sprint(random.IntN(3)), Region: "r", Account: fmt.Sprint("a", 8-i)}
		for _, service := range []string{"cts", "ces", "taurusdb", "dcs", "dbss"} {
			r := known[label+" "+service]
			if r == nil || random.IntN(5) == 0 {
				r = randomReading(random, project, service)
			}
			after = append(after, r)
		}
	}
	return after
}

// part returns the readings of some services, and of some projects.
func part(random *rand.Rand, all []*fleet.Reading) []*fleet.Reading {
	left := map[string]bool{}
	for _, name := range []string{"cts", "ces", "taurusdb", "dcs", "dbss", "p1", "p2", "p3"} {
		left[name] = random.IntN(3) == 0
	}
	return slices.DeleteFunc(slices.Clone(all), func(r *fleet.Reading) bool { return left[r.Service] || left[r.Project.Label] })
}

// labels returns the labels of the projects.
func labels(all []*fleet.Reading) []string {
	var labels []string
	for _, r := range all {
		labels = append(labels, r.Project.Label)
	}
	return slices.Compact(labels)
}

func randomReading(random *rand.Rand, project fleet.Project, service string) *fleet.Reading {
	r := &fleet.Reading{Account: project.Account, Service: service, Project: project, CacheTTL: time.Duration(random.IntN(3)) * time.Minute, State: &state{Fetches: uint64(random.IntN(9))}}
	switch random.IntN(4) {
	case 0:
		r.State.Err = &huaweicloud.APIError{Status: []int{http.StatusForbidden, http.StatusTooManyRequests}[random.IntN(2)]}
	case 1:
		r.NotOffered = true
		return r
	}
	r.State.ReadAt = time.UnixMilli(random.Int64N(2e12))
	for _, resource := range random.Perm(4) {
		q := fleet.Quota{Quota: providers.Quota{ResourceType: fmt.Sprintf("t%d\"\n\\", resource), Unit: []string{"", "GB"}[random.IntN(2)]}}
		for _, number := range []**float64{&q.Used, &q.Limit, &q.Remaining, &q.Min, &q.Max} {
			switch random.IntN(4) {
			case 0:
				*number = new(math.Inf(1))
			case 1, 2:
				*number = new(math.Round(random.ExpFloat64()*1e6) / 8)
			}
		}
		if random.IntN(3) > 0 {
			q.Thresholds = map[string]float64{"warning": 0.8, "critical": 0.95, "info": 0.5}
		}
		r.Quotas = append(r.Quotas, q)
	}
	return r
}

// TestConcurrentPages is for the race detector.
func TestConcurrentPages(t *testing.T) {
	page, all := new(collector.Page), readings()
	want := encode(t, page.Families(all), formats[0])
	results := make(chan []byte)
	for range 8 {
		go func() { results <- encode(t, page.Families(readings()), formats[0]) }()
	}
	for range 8 {
		if got := <-results; !bytes.Equal(got, want) {
			t.Errorf("got\n%s", got)
		}
	}
}

// many returns readings of a number of projects.
func many(projects int) []*fleet.Reading {
	var all []*fleet.Reading
	for i := range projects {
		for _, r := range readings()[4:] {
			r.Project.Label = fmt.Sprintf("p%05d", i)
			all = append(all, r)
		}
	}
	return all
}

// TestUnchangedProjectsAreNotRenderedAgain: a new reading only costs rendering its own project, which keeps warm scrapes cheap.
func TestUnchangedProjectsAreNotRenderedAgain(t *testing.T) {
	page, all := new(collector.Page), many(100)
	page.Families(all)
	few := testing.AllocsPerRun(10, func() { page.Families(all) })
	one := testing.AllocsPerRun(10, func() {
		changed := *all[42*4]
		all[42*4] = &changed
		page.Families(all)
	})
	if few > 0 || one > 600 { // for 100 projects with 50 metrics each
		t.Errorf("%.0f allocations without a change, %.0f with one changed project", few, one)
	}
}

// TestPartSharesMetrics: a page of some services or projects shares the metrics of the whole page, before and after it. The whole
// page reuses metrics that the part rendered. Nothing of removed projects stays in memory.
func TestPartSharesMetrics(t *testing.T) {
	page, all := new(collector.Page), many(10)
	some := slices.DeleteFunc(slices.Clone(all), func(r *fleet.Reading) bool { return r.Service == "dcs" || r.Project.Label == "p00003" })
	shared := func(what string) {
		t.Helper()
		known := map[*dto.Metric]bool{}
		for _, family := range page.Families(all) {
			for _, m := range family.GetMetric() {
				known[m] = true
			}
		}
		for _, family := range page.Part(some, labels(all)) {
			for _, m := range family.GetMetric() {
				if !known[m] {
					t.Fatalf("%s: %s has another metric %v", what, family.GetName(), m)
				}
			}
		}
	}
	shared("at first")
	changed := *some[0]
	all[0], some[0] = &changed, &changed
	before := page.Part(some, labels(all))
	shared("after a change")
	if page.Families(all)[0].GetMetric()[0] != before[0].GetMetric()[0] {
		t.Error("the whole page renders a metric of the part again")
	}
	gone := weak.Make(all[len(all)-1])
	again := changed
	all = append([]*fleet.Reading{&again}, all[1:4]...)
	page.Part(all, labels(all))
	if runtime.GC(); gone.Value() != nil {
		t.Error("a removed project stays in memory")
	}
	runtime.KeepAlive(page)
}
