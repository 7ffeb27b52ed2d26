package fleet_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

// manyEntries are n similar services, as one entry of the catalogue each.
func manyEntries(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "s%02d: {product: P, title: T, cache_ttl: 15m, api: {path: \"/v1/{project_id}/s%02d\"}}\n", i, i)
	}
	return b.String()
}

// times counts calls by the minute since it was made.
type times struct {
	start time.Time
	mu    sync.Mutex
	calls []int
}

func (c *times) note(int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	minute := int(time.Since(c.start) / time.Minute)
	c.calls = append(c.calls, make([]int, max(0, minute+1-len(c.calls)))...)
	c.calls[minute]++
	return true
}

// TestNoStampede: the sources of forty-four services are fetched together and expire together. They are never all in flight, and their fetches spread over
// the cache TTL within the first hour.
func TestNoStampede(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const services, projects, perHost, hours = 44, 6, 16, 4
		const all = services * projects
		cloud := cloudtest.Scale(projects)
		c := &times{start: time.Now()}
		cloud.Inject(cloudtest.Fault{Latency: 100 * time.Millisecond, Status: 200, Body: exampleOf("list"), When: c.note})
		yaml := fleettest.AccountOf(cloud, gateway(perHost)) + "services: {defaults: {enabled: true}}\n"
		w := fleettest.NewOf(t, servicesOf(t, manyEntries(services)), cloud, yaml)
		for range hours * 60 {
			if got := outcomes(w.Scrape(t, 10*time.Second)); strings.Count(got, ": ok") != all {
				t.Fatalf("outcomes\n%s", got)
			}
			pass(time.Minute - time.Since(c.start)%time.Minute)
		}
		sum := 0
		for _, n := range c.calls {
			sum += n
		}
		if want := all * hours * 4; sum < want || sum > want*11/10 {
			t.Errorf("%d calls, want %d and up to a tenth more", sum, want)
		}
		if n := cloud.MaxInFlight(); n != perHost {
			t.Errorf("%d requests at a time, want %d", n, perHost)
		}
		for _, hour := range []struct{ number, most int }{{1, 75}, {2, 10}, {4, 10}} {
			from := (hour.number-1)*60 + 1
			if most := slices.Max(c.calls[from : from+59]); 100*most > hour.most*all {
				t.Errorf("hour %d: %d calls in one minute, want at most %d %% of %d: %v", hour.number, most, hour.most, all, c.calls)
			}
		}
	})
}

// TestOldestIsFetchedFirst: with one slot in each region, sources whose values expire together are fetched in the order of their last fetch.
func TestOldestIsFetchedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.Scale(80)
		cloud.Inject(cloudtest.Fault{Latency: time.Second})
		w := fleettest.New(t, cloud, fleettest.AccountOf(cloud, unencrypted)+ctsAlone("max_in_flight: 1"))
		order := func() map[string][]string {
			pass(6 * time.Minute)
			readings := w.Scrape(t, 2*time.Minute)
			slices.SortFunc(readings, func(a, b *fleet.Reading) int { return a.State.ReadAt.Compare(b.State.ReadAt) })
			labels := map[string][]string{}
			for _, r := range readings {
				labels[r.Project.Region] = append(labels[r.Project.Region], r.Project.Label)
			}
			return labels
		}
		w.Read(timeout(t, time.Minute), fleet.Filter{Projects: w.Projects()[20:60]}) // so that the overall order is not that of their labels
		first := order()
		if slices.IsSorted(first["ap-southeast-3"]) {
			t.Errorf("fetched in the order of labels, want those first that were never fetched: %v", first)
		}
		if second := order(); !reflect.DeepEqual(first, second) {
			t.Errorf("fetched in the order\n%v\nand then\n%v", first, second)
		}
	})
}
