package command_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// TestEverOtherTypes: a service that sends other types each time makes neither the page nor the memory grow.
func TestEverOtherTypes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newFaultyCloud()
		e := newExporterOf(t, cloud, stated, "")
		const rounds, perAnswer = 60, 200
		var series int
		var size uint64
		for round := range rounds {
			items := make([]string, perAnswer)
			for i := range items {
				items[i] = fmt.Sprintf(`{"type":"type %d of round %d","used":1,"quota":2}`, i, round)
			}
			heal := cloud.Inject(cloudtest.Fault{
				Service: "cts", ProjectID: projectID, Status: http.StatusOK, Body: []byte(`{"resources":[` + strings.Join(items, ",") + `]}`),
			})
			p := e.scrape(t, time.Now())
			isOfCTS := func(series string) bool {
				return label(series, "project") == "prod" && label(series, "service") == "cts"
			}
			if n := p.types(isOfCTS); n != perAnswer || !strings.Contains(p.text, fmt.Sprintf(`"type 7 of round %d"`, round)) {
				t.Fatalf("round %d: %d types, want the %d of the last answer", round, n, perAnswer)
			}
			switch round {
			case 10:
				series, size = len(p.series), heap()
			case rounds - 1:
				if more := int64(heap()) - int64(size); len(p.series) != series || more > 4<<20 {
					t.Errorf("%d series after %d rounds, %d after 10; %d bytes of memory more", len(p.series), rounds, series, more)
				}
			}
			heal()
			<-time.After(freshFor + time.Second)
		}
		if n := strings.Count(e.log.String(), "\n"); n > 0 {
			t.Errorf("%d lines in the log:\n%s", n, e.log)
		}
	})
}

// heap returns how much memory is in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestEverOtherProjects: nor do projects that come and go, and those that fail are named in the log whoever failed before.
func TestEverOtherProjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newFaultyCloud()
		cloud.Inject(cloudtest.Fault{Service: "cts", Host: "cts.eu-de.", Status: http.StatusForbidden})
		e := newExporterOf(t, cloud, strings.Replace(discover, "[ap-southeast-3]", "[eu-de]", 1), "")
		const rounds, perRound = 20, 6
		var series int
		for round := range rounds {
			for i := range perRound {
				cloud.AddProject("main", cloudsim.Project{ID: fmt.Sprintf("id%d-%d", round, i), Name: fmt.Sprintf("eu-de_p%d-%d", round, i)})
			}
			logged := len(e.log.String())
			e.scrape(t, time.Now()) // which looks for projects
			<-time.After(time.Second)
			p := e.scrape(t, time.Now())
			if series = max(series, len(p.series)); round > 0 && len(p.series) != series {
				t.Errorf("round %d: %d series, %d before", round, len(p.series), series)
			}
			news := e.log.String()[logged:]
			if n := strings.Count(news, fmt.Sprintf("project=prod/eu-de_p%d-", round)); n != 6 { // five of them, and that there are more
				t.Errorf("round %d: %d lines about its projects, want 6:\n%s", round, n, news)
			}
			for i := range perRound {
				cloud.RemoveProject(fmt.Sprintf("id%d-%d", round, i))
			}
			<-time.After(16 * time.Minute)
		}
	})
}
