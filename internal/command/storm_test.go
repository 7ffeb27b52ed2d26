package command_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// stormed is a configuration in a storm of reloads, and what it must expose.
type stormed struct {
	yaml    string
	sources []string          // "project/service", sorted
	up      string            // 1 or 0 for each
	used    map[string]string // the usage of data_tracker by label of the project, which no two projects share
}

// newStormed returns one of many configurations. Services, own APIs, projects, and accounts come and go; a project is renamed, and another one is
// recreated with the same label. Each page fetches ces and cdn, and the others only if they are new.
func newStormed(at string, i int) stormed {
	services := []string{"cts", "ces", "taurusdb", "dbss"}
	ofAccount := []string{"cdn"}
	sections := "services:\n  defaults: {max_in_flight: " + fmt.Sprint(2+i%2) + "}\n  ces: {cache_ttl: 0}\n  cdn: {enabled: true, cache_ttl: 0}\n"
	for n, service := range []string{"dcs", "ecs", "evs", "elb", "nat", "my_jobs", "eps"} {
		enabled := (i>>(n%3)+n)%2 == 0
		switch {
		case enabled && service == "eps":
			ofAccount = append(ofAccount, service)
		case enabled:
			services = append(services, service)
		}
		if service != "my_jobs" {
			sections += fmt.Sprintf("  %s: {enabled: %t}\n", service, enabled)
		} else if enabled {
			sections += fmt.Sprintf("  my_jobs: {api: {host: jobs, path: \"/v%d/{project_id}/my-jobs\", list: quotas.resources}}\n", 1+i%2)
		}
	}
	s := stormed{used: map[string]string{}}
	expect := func(label string, services []string) {
		for _, service := range services {
			s.sources = append(s.sources, label+"/"+service)
		}
	}
	account := func(name, rest string) {
		s.yaml += fmt.Sprintf("  - name: %s\n    credentials: {static: {access_key: AK%[1]s, secret_key: SK%[1]s}}\n    endpoints: {default: %[2]q, iam: %[2]q}\n"+
			"    max_in_flight_per_host: 2\n    %s\n", name, at, rest)
		expect(name, ofAccount)
	}
	s.yaml = "accounts:\n"
	projects := "projects:"
	for n, label := range []string{"stays", fmt.Sprintf("renamed-%d", i%3), "recreated", "goes"} {
		switch id := n; {
		case label == "goes" && i%3 == 0:
		case label == "recreated" && i%2 == 1:
			id = 9
			fallthrough
		default:
			projects += fmt.Sprintf("\n      - {id: %q, region: ap-southeast-3, name: %s}", stormedID(id), label)
			s.used[label] = fmt.Sprint(id)
			expect(label, services)
		}
	}
	account("main", projects)
	if i%3 != 1 {
		account("other", "discovery: {}")
		s.used["other/ap-southeast-1"] = "20"
		expect("other/ap-southeast-1", services)
	}
	s.yaml += sections
	slices.Sort(s.sources)
	return s
}

func stormedID(n int) string { return fmt.Sprintf("%032d", n) }

// stormedCloud has everything that the configurations of newStormed fetch.
func stormedCloud() *cloudtest.Cloud {
	project := func(n int, name string) cloudsim.Project {
		return cloudsim.Project{ID: stormedID(n), Name: name, Quotas: map[string][]cloudsim.Quota{"cts": {{Type: "data_tracker", Used: int64(n), Limit: 100}}}}
	}
	main := cloudsim.Account{Name: "main", AccessKey: "AKmain", SecretKey: "SKmain"}
	for _, n := range []int{0, 1, 2, 3, 9} {
		main.Projects = append(main.Projects, project(n, fmt.Sprintf("ap-southeast-3_p%d", n)))
	}
	cloud := cloudtest.New(main, cloudsim.Account{
		Name: "other", AccessKey: "AKother", SecretKey: "SKother", Projects: []cloudsim.Project{project(20, "ap-southeast-1")},
	})
	for _, path := range []string{"/v1/{project_id}/my-jobs", "/v2/{project_id}/my-jobs"} {
		cloud.Publish(cloudsim.API{
			Service: "my_jobs", Path: path, Host: func(string) string { return "jobs" },
			Example: []byte(`{"quotas":{"resources":[{"type":"batch","used":1,"quota":2}]}}`),
		})
	}
	return cloud
}

// shown returns what a page exposes.
func shown(page string) stormed {
	s := stormed{used: map[string]string{}}
	for line := range strings.Lines(page) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		switch {
		case strings.HasPrefix(series, "cloud_quota_fetches_total{"):
			s.sources = append(s.sources, label(series, "project")+"/"+label(series, "service"))
		case strings.HasPrefix(series, "cloud_quota_used{") && label(series, "resource_type") == "data_tracker":
			s.used[label(series, "project")] = value
		case strings.HasPrefix(series, "cloud_quota_up{"):
			s.up += value
		}
	}
	slices.Sort(s.sources)
	return s
}

// isOf reports whether a page exposes exactly the sources of a configuration, no failure, and no numbers of another project. A page that was under way
// during a reload might lack what was never fetched before.
func (s stormed) isOf(c stormed) bool {
	for label, used := range s.used {
		if c.used[label] != used {
			return false
		}
	}
	return slices.Equal(s.sources, c.sources) && strings.Trim(s.up, "1") == ""
}

// isAllOf is isOf for a page that must lack nothing.
func (s stormed) isAllOf(c stormed) bool {
	return s.isOf(c) && len(s.used) == len(c.used) && len(s.up) == len(c.sources)
}

// TestReloadStorm reloads configurations with other services, projects, and accounts while clients read every path. Each page of metrics is that of
// one configuration: nothing is left over, or of another project, and after the reload nothing is missing. Goroutines, file descriptors, and memory are
// then as before.
func TestReloadStorm(t *testing.T) {
	cloud := httptest.NewServer(stormedCloud())
	t.Cleanup(cloud.Close)
	var all []stormed
	for i := range 12 {
		all = append(all, newStormed(cloud.URL, i))
	}
	file := write(t, "config.yml", all[0].yaml)
	r := serve(t, "", file, nil)
	read := func(path string) {
		page := r.get(t, path)
		got := shown(page)
		if !strings.HasPrefix(page, "200\n") || path == "/metrics" && !slices.ContainsFunc(all, got.isOf) {
			t.Errorf("%s shows %+v, which no configuration has:\n%s", path, got, page)
		}
	}
	storm := func() {
		for _, s := range append(all[1:], all[0]) {
			if err := os.WriteFile(file, []byte(s.yaml), 0o600); err != nil {
				t.Fatal(err)
			}
			var clients sync.WaitGroup
			for _, path := range []string{"/metrics", "/metrics", "/metrics?collect%5B%5D=ces", "/probe?target=stays", "/sd", "/"} {
				clients.Go(func() { read(path) })
			}
			contains(t, r.post(t, "/-/reload"), "200\n")
			clients.Wait()
			if page := r.get(t, "/metrics"); !shown(page).isAllOf(s) {
				t.Errorf("%+v\nshows %+v\n%s", s, shown(page), page)
			}
		}
		r.client.CloseIdleConnections()
	}
	storm() // everything was used once
	goroutines, descriptors, heap := settledDown(t, cloud, 0, 0)
	storm()
	if now, open, more := settledDown(t, cloud, goroutines, descriptors); now > goroutines || open > descriptors || more > heap+1<<20 {
		t.Errorf("%d goroutines, %d open file descriptors, and %d bytes of heap; after the first storm %d, %d, and %d", now, open, more, goroutines, descriptors, heap)
	}
}

// settledDown closes all connections to the cloud, and waits until the process has at most as many goroutines and file descriptors, or until their
// numbers have not changed for a time.
func settledDown(t *testing.T, cloud *httptest.Server, maxGoroutines, maxDescriptors int) (goroutines, descriptors int, heap uint64) {
	t.Helper()
	cloud.CloseClientConnections()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for same := 0; same < 300; same++ {
		nowG, nowD := runtime.NumGoroutine(), openDescriptors(t)
		if nowG <= maxGoroutines && nowD <= maxDescriptors {
			return nowG, nowD, heapInUse()
		}
		if nowG != goroutines || nowD != descriptors {
			goroutines, descriptors, same = nowG, nowD, 0
		}
		<-tick.C
	}
	return goroutines, descriptors, heapInUse()
}

// openDescriptors counts the open files and sockets of the process. Without /proc, it returns 0.
func openDescriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil && runtime.GOOS == "linux" {
		t.Fatal(err)
	}
	return len(all)
}
