package fleet_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/fleet/fleettest"
	"cloud_quota_exporter/internal/huaweicloud"
)

// gateway has all services and IAM at one host, with a limit of concurrent requests.
func gateway(slots int) string {
	return fmt.Sprintf(`    endpoints: {default: "http://gateway.example.com", iam: "http://gateway.example.com"}
    max_in_flight_per_host: %d
`, slots)
}

// busy returns how many readings wait for a host.
func busy(readings []*fleet.Reading) int {
	n := 0
	for _, r := range readings {
		if r.Waits() != nil {
			n++
		}
	}
	return n
}

// TestMaxInFlightPerHost: the number of concurrent requests to one host is limited, for any service and project. A fetch that waits has its full
// timeout after that, and a scrape that ends in the meantime reports what it waits for.
func TestMaxInFlightPerHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.Scale(40)
		cloud.Inject(cloudtest.Fault{Latency: time.Second})
		yaml := fleettest.AccountOf(cloud, gateway(3)) + "services: {defaults: {timeout: 1500ms, max_in_flight: 64}, dbss: {timeout: 2500ms}"
		w := fleettest.New(t, cloud, yaml+"}\n")
		readings := w.Scrape(t, 10*time.Second+500*time.Millisecond)
		waiting := busy(readings)
		if want := 200 - strings.Count(outcomes(readings), ": ok") - 3; waiting < want-3 || waiting > want {
			t.Errorf("%d sources wait for the host, want about %d", waiting, want)
		}
		const says = "request not sent yet: the account has reached its limit of concurrent requests to gateway.example.com, 3; increase max_in_flight_per_host of the account"
		for _, r := range readings {
			if why := r.Waits(); why != nil && (!strings.HasPrefix(why.Error(), says) || fleet.Reason(why) != fleet.NotAsked) {
				t.Errorf("the error is %v, reason %s", why, fleet.Reason(why))
			}
		}
		if got := outcomes(w.Scrape(t, 3*time.Minute)); strings.Count(got, ": ok") != 200 {
			t.Errorf("at the end\n%s", got)
		}
		if n := cloud.MaxInFlight(); n != 3 {
			t.Errorf("%d requests at a time, want 3", n)
		}
		if got := loggedOf(w, "increase max_in_flight_per_host"); strings.Count(got, "\n") != 0 || !strings.HasPrefix(got, "main: Scrapes are waiting") {
			t.Errorf("logged\n%s\nwant it once", got)
		}
		w.Configure(t, strings.Replace(yaml, "_host: 3", "_host: 200", 1)+", cts: {cache_ttl: 0}}\n")
		if w.Scrape(t, time.Minute); cloud.MaxInFlight() != 40 {
			t.Errorf("%d requests at a time after a reload that allows for 200, want all 40", cloud.MaxInFlight())
		}
	})
}

// TestWaitForAHostIsLogged, also if a scrape gets everything in time, but only after a long wait for the host.
func TestWaitForAHostIsLogged(t *testing.T) {
	for slots, want := range map[int]string{1: "main: Scrapes are waiting", 40: ""} {
		synctest.Test(t, func(t *testing.T) {
			cloud := cloudtest.Scale(4)
			cloud.Inject(cloudtest.Fault{Latency: 300 * time.Millisecond})
			w := fleettest.New(t, cloud, fleettest.AccountOf(cloud, gateway(slots)))
			if got := outcomes(w.Scrape(t, time.Minute)); strings.Count(got, ": ok") != 20 {
				t.Errorf("%d slots: outcomes\n%s", slots, got)
			}
			if got := loggedOf(w, "increase max_in_flight_per_host"); !strings.HasPrefix(got, want) || (got == "") != (want == "") {
				t.Errorf("%d slots: logged %q, want %q", slots, got, want)
			}
		})
	}
}

// TestOneRequestAtATime: the list of projects, ID lookups, and both requests of DBSS work with one slot for all, and a service that hangs does not
// block the others.
func TestOneRequestAtATime(t *testing.T) {
	for _, projects := range []string{"discovery: {}", "projects: [{region: ap-southeast-3}]"} {
		synctest.Test(t, func(t *testing.T) {
			w := fleettest.New(t, organization(), strings.Replace(mainAccount, "    ca_file: CA\n", gateway(1), 1)+"    "+projects+"\n")
			heal := w.Cloud.Inject(cloudtest.Fault{Service: "cts", Hang: true})
			w.Scrape(t, 2*time.Minute)
			readings := settled(t, w)
			for _, r := range readings {
				if failed := r.Reason() == "timeout"; failed != (r.Service == "cts") {
					t.Errorf("%s: %s/%s: %q", projects, r.Service, r.Project.Label, r.Reason())
				}
			}
			heal()
			pass(5 * time.Minute)
			got, most := outcomes(settled(t, w)), w.Cloud.MaxInFlight() // 2 if the cloud notices the end of a request later than the client
			if strings.Count(got, ": ok") != len(readings) || len(readings) == 0 || most > 2 {
				t.Errorf("%s: %d requests at a time, outcomes\n%s", projects, most, got)
			}
		})
	}
}

// TestLookupThatWaits: while the lookup of the project's ID waits for its turn, services also wait, and do not fail.
func TestLookupThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.New(cloudsim.Account{
			Name: "main", AccessKey: "AK", SecretKey: "SK",
			Projects: []cloudsim.Project{{ID: prodID, Name: "ap-southeast-3"}, {ID: devID, Name: "ap-southeast-1"}},
		})
		cloud.Inject(cloudtest.Fault{Latency: 3 * time.Second})
		w := fleettest.New(t, cloud, strings.Replace(mainAccount, "    ca_file: CA\n", gateway(1), 1)+"    projects: [{id: "+prodID+
			", region: ap-southeast-3, name: prod}, {region: ap-southeast-1, name: late}]\nservices: {defaults: {timeout: 4s}, dbss: {enabled: false}}\n")
		w.Read(timeout(t, time.Second), fleet.Filter{Projects: []string{"prod"}}) // they are first in line
		synctest.Wait()
		scrapeFor(t, w, time.Minute)
		for _, r := range settled(t, w) {
			if r.Reason() != "" || r.State.Failures > 0 || r.State.Fetches == 0 {
				t.Errorf("%s/%s: %q, %+v", r.Service, r.Project.Label, r.Reason(), r.State)
			}
		}
	})
}

// TestKeyRejectedWhileRequestsWait: requests that wait for a host are not sent if the key is rejected in the meantime, because that would lock it.
func TestKeyRejectedWhileRequestsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.Scale(40)
		w := fleettest.New(t, cloud, fleettest.AccountOf(cloud, gateway(3)))
		w.Scrape(t, time.Minute)
		cloud.Inject(cloudtest.Fault{Latency: time.Second, Status: http.StatusUnauthorized, Body: []byte(`{"error_code":"APIGW.0301"}`)})
		pass(16 * time.Minute)
		w.Scrape(t, time.Minute)
		pass(time.Minute)
		if n := unauthorized(w); n < 3 || n > 5*3 {
			t.Errorf("%d failed signatures, want at most the requests in flight of each service", n)
		}
	})
}

// TestHostsOfAccounts: another account has its own slots, and so does another host.
func TestHostsOfAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.Scale(10)
		cloud.Inject(cloudtest.Fault{Latency: time.Second})
		first := fleettest.AccountOf(cloud, gateway(2))
		_, other, _ := strings.Cut(strings.ReplaceAll(first, "name: ap-", "name: other/ap-"), "accounts:\n")
		other = strings.Replace(strings.Replace(other, "name: main", "name: other", 1), "http://gateway.example.com", "http://{service}.{region}.myhuaweicloud.com", 1)
		w := fleettest.New(t, cloud, first+other)
		if got := outcomes(w.Scrape(t, time.Minute)); strings.Count(got, ": ok") != 100 || cloud.MaxInFlight() != 2+5*2*2 {
			t.Errorf("%d requests at a time, want 2 of one account and 2 for each of the other's hosts in two regions; outcomes\n%s", cloud.MaxInFlight(), got)
		}
	})
}

// TestBusyHostEndsWithTheContext: a request without a fetch waits until its context ends.
func TestBusyHostEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.Scale(2)
		cloud.Inject(cloudtest.Fault{Hang: true})
		w := fleettest.New(t, cloud, fleettest.AccountOf(cloud, gateway(1))+ctsAlone("timeout: 1m"))
		readings := w.Scrape(t, 5*time.Second)
		var why *huaweicloud.BusyError
		if busy(readings) != 1 || !errors.As(readings[1].Waits(), &why) && !errors.As(readings[0].Waits(), &why) || why.Limit != 1 {
			t.Errorf("%d wait, want one of two", busy(readings))
		}
		pass(3 * time.Minute)
		if got := outcomes(settled(t, w)); strings.Count(got, "timeout") != 2 {
			t.Errorf("outcomes\n%s\nwant both to end", got)
		}
	})
}
