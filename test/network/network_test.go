package network

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

var services = []string{"ces", "cts", "dbss", "dcs", "taurusdb"}

// trouble is what is wrong with the link of a region, and the reasons for which its services can't be read; none means that they are.
type trouble struct {
	region  string
	poison  func(t *testing.T, l link)
	reasons map[string]string
}

func toxic(stream, kind, attributes string) func(*testing.T, link) {
	return func(t *testing.T, l link) { l.poison(t, stream, kind, attributes) }
}

func all(reason string) map[string]string {
	reasons := map[string]string{}
	for _, service := range services {
		reasons[service] = reason
	}
	return reasons
}

var troubles = []trouble{
	{"net-clear", func(*testing.T, link) {}, nil},
	{"net-latency-jitter", toxic("downstream", "latency", `"latency":150,"jitter":100`), nil},
	{"net-latency-long", toxic("downstream", "latency", `"latency":5000`), all("timeout")},
	{"net-bandwidth", toxic("downstream", "bandwidth", `"rate":4`), map[string]string{"cts": "timeout"}}, // its answer is long
	{"net-sliced", toxic("downstream", "slicer", `"average_size":64,"size_variation":32,"delay":1000`), nil},
	{"net-slow-close", toxic("downstream", "slow_close", `"delay":3000`), nil},
	{"net-reset", toxic("upstream", "reset_peer", `"timeout":0`), all("network")},
	{"net-reset-late", toxic("downstream", "reset_peer", `"timeout":300`), all("network")},
	{"net-cut", toxic("downstream", "limit_data", `"bytes":1500`), all("network")}, // soon in the middle of something
	{"net-partition", func(t *testing.T, l link) {
		l.poison(t, "upstream", "timeout", `"timeout":0`)
		l.poison(t, "downstream", "timeout", `"timeout":0`)
	}, all("timeout")},
	{"net-refused", func(_ *testing.T, l link) { l.proxy.Stop() }, all("network")},
}

// newCloud has a project in each region. CTS has so much to say of one that it takes long where there is little bandwidth.
func newCloud() *cloudtest.Cloud {
	var projects []cloudsim.Project
	for i, region := range troubles {
		p := cloudsim.Project{ID: fmt.Sprintf("%032x", i+1), Name: region.region, AuditInstances: 2}
		if region.region == "net-bandwidth" {
			var trackers []cloudsim.Quota
			for n := range 190 {
				trackers = append(trackers, cloudsim.Quota{Type: fmt.Sprintf("tracker_with_a_long_name_%d", n), Used: 1, Limit: 10})
			}
			p.Quotas = map[string][]cloudsim.Quota{"cts": trackers}
		}
		projects = append(projects, p)
	}
	return cloudtest.New(cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: projects})
}

// TestTroubles has all troubles at once, each on the link of one region.
func TestTroubles(t *testing.T) {
	t.Parallel()
	cloud := newCloud()
	links, caFile := newLinks(t, cloud)
	url := start(t, cloud, links, caFile)
	readable := map[string]string{}
	want := map[string]string{}
	for _, region := range troubles {
		for _, service := range services {
			readable[region.region+" "+service] = ""
			want[region.region+" "+service] = region.reasons[service]
		}
	}
	eventually(t, url, "all is read", 20*time.Second, readable)
	good := scrape(t, url)
	numbersOf(t, good)

	for i, region := range troubles {
		region.poison(t, links[i])
	}
	eventually(t, url, "what must fail does", 20*time.Second, want)
	since := time.Now()
	for time.Since(since) < 3*time.Second { // it goes on like that
		page := scrape(t, url)
		if got := states(page); !same(got, want) {
			t.Errorf("got\n%s", difference(got, want))
		}
		if before, now := numbersOf(t, good), numbersOf(t, page); !slices.Equal(before, now) {
			t.Errorf("%d series of numbers, %d before", len(now), len(before))
		}
		<-time.After(500 * time.Millisecond)
	}

	for _, l := range links {
		l.heal(t)
	}
	eventually(t, url, "all is read again", 40*time.Second, readable)
	if before, now := numbersOf(t, good), numbersOf(t, scrape(t, url)); !slices.Equal(before, now) {
		t.Errorf("%d series of numbers, %d before", len(now), len(before))
	}
	// What was broken off leaves nothing behind, as soon as its timeouts have passed.
	settles(t, url, "process_open_fds", value(t, good, "process_open_fds")+10)
	settles(t, url, "go_goroutines", value(t, good, "go_goroutines")+20)
}

// TestPartitionFromTheStart: an exporter that can't reach the cloud when it starts is ready, answers, and reads as soon as it can.
func TestPartitionFromTheStart(t *testing.T) {
	t.Parallel()
	cloud := newCloud()
	links, caFile := newLinks(t, cloud)
	apart, together := map[string]string{}, map[string]string{}
	for i, l := range links {
		l.poison(t, "upstream", "timeout", `"timeout":0`)
		for _, service := range services {
			apart[troubles[i].region+" "+service] = "timeout"
			together[troubles[i].region+" "+service] = ""
		}
	}
	url := start(t, cloud, links, caFile)
	eventually(t, url, "nothing is read", 20*time.Second, apart)
	if strings.Contains(scrape(t, url), "cloud_quota_used{") {
		t.Error("there are numbers that nobody has read")
	}
	for _, l := range links {
		l.heal(t)
	}
	eventually(t, url, "all is read", 40*time.Second, together)
	numbersOf(t, scrape(t, url))
}

var state = regexp.MustCompile(`(?m)^cloud_quota_(?:up{project="([^"]+)",service="(\w+)"} 1|last_failure_reason{project="([^"]+)",reason="(\w+)",service="(\w+)"} 1)$`)

// states returns the reason of each source that was read or failed; it is empty where the source was read.
func states(page string) map[string]string {
	all := map[string]string{}
	for _, m := range state.FindAllStringSubmatch(page, -1) {
		all[m[1]+m[3]+" "+m[2]+m[5]] = m[4]
	}
	return all
}

// numbersOf returns the series of all quotas, with their values.
func numbersOf(t *testing.T, page string) []string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^cloud_quota_(?:used|limit|remaining){.*$`).FindAllString(page, -1)
	if len(found) < 23*len(troubles) { // as many as the documents' examples have for each
		t.Fatalf("%d numbers:\n%s", len(found), page)
	}
	return found
}

// value returns that of a series without labels.
func value(t *testing.T, page, name string) float64 {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("there is no %s", name)
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// eventually scrapes until all sources are as wanted.
func eventually(t *testing.T, url, what string, limit time.Duration, want map[string]string) {
	t.Helper()
	since := time.Now()
	var got map[string]string
	for time.Since(since) < limit {
		if got = states(scrape(t, url)); same(got, want) {
			t.Logf("%s after %s", what, time.Since(since).Round(time.Second/10))
			return
		}
		<-time.After(300 * time.Millisecond)
	}
	t.Fatalf("%s: not within %s:\n%s", what, limit, difference(got, want))
}

// settles scrapes until a value has come down.
func settles(t *testing.T, url, name string, most float64) {
	t.Helper()
	since := time.Now()
	for {
		got := value(t, scrape(t, url), name)
		if got <= most {
			return
		}
		if time.Since(since) > 20*time.Second {
			t.Fatalf("%s is %g, want %g at most", name, got, most)
		}
		<-time.After(time.Second)
	}
}

func same(got, want map[string]string) bool { return difference(got, want) == "" }

// difference has a line for each source that is not as wanted.
func difference(got, want map[string]string) string {
	var lines []string
	for source, reason := range want {
		if is, there := got[source]; !there || is != reason {
			lines = append(lines, fmt.Sprintf("%s: %q (known: %t), want %q", source, is, there, reason))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
