package collector_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

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

// comparePages asserts that a page is byte for byte what the registry writes of the plain Collector, in every format.
func comparePages(t *testing.T, page *collector.Page, readings []*fleet.Reading) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector.New(func() []*fleet.Reading { return readings }))
	want, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := page.Families(readings)
	for _, format := range formats {
		if got, want := encode(t, got, format), encode(t, want, format); !bytes.Equal(got, want) {
			t.Fatalf("%s: the page is\n%s\nwant\n%s", format, got, want)
		}
	}
}

func TestPageIsThatOfTheRegistry(t *testing.T) {
	page := new(collector.Page)
	comparePages(t, page, readings())
	comparePages(t, page, nil)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, seed))
	var all []*fleet.Reading
	for range 25 {
		all = change(random, all)
		comparePages(t, page, all)
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
}

// change replaces some readings by others, and adds and removes projects. What it returns is sorted as the fleet sorts it.
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

// TestPagesAtTheSameTime is for the race detector.
func TestPagesAtTheSameTime(t *testing.T) {
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

// TestUnchangedProjectsAreNotMadeAnew holds the promise that makes a warm scrape cheap: a new reading costs its own project, and no other.
func TestUnchangedProjectsAreNotMadeAnew(t *testing.T) {
	page := new(collector.Page)
	var all []*fleet.Reading
	for i := range 100 {
		for _, r := range readings()[4:] {
			r.Project.Label = fmt.Sprintf("p%03d", i)
			all = append(all, r)
		}
	}
	page.Families(all)
	few := testing.AllocsPerRun(10, func() { page.Families(all) })
	other := readings()[4:]
	for _, r := range other {
		r.Project.Label = "p042"
	}
	one := testing.AllocsPerRun(10, func() {
		changed := *other[0]
		all[42*len(other)] = &changed
		page.Families(all)
	})
	if few > 0 || one > 600 { // of a hundred projects with 50 metrics each
		t.Errorf("%.0f allocations where nothing changed, %.0f where one project did", few, one)
	}
}
