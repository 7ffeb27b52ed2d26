package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/fleet/fleettest"
	"cloud_quota_exporter/providers/providerstest"
)

// counted reports when a connection is closed.
type counted struct {
	net.Conn
	closed func()
}

func (c counted) Close() error {
	c.closed()
	return c.Conn.Close()
}

// TestConnectionsAreKeptUntilAReload: the connections of the maximum number of concurrent requests are reused, also those of two services at one
// host. A reload opens new ones, and closes the old ones.
func TestConnectionsAreKeptUntilAReload(t *testing.T) {
	const slots = 20
	cloud, pipe := cloudtest.Scale(slots/2), cloudsim.NewPipe()
	t.Cleanup(cloudsim.ServePlain(cloud, pipe).Close)
	var dials, open atomic.Int64
	f := fleet.New(fleet.Options{
		Getenv: os.Getenv,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := pipe.Dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			dials.Add(1)
			open.Add(1)
			return counted{conn, sync.OnceFunc(func() { open.Add(-1) })}, nil
		},
	})
	c := parse(t, fleettest.AccountOf(cloud, "    endpoints: {default: 'http://gateway.example.com'}\n")+fmt.Sprintf(`services:
  defaults: {cache_ttl: 0, max_in_flight: %d}
  ces: {cache_ttl: 0}
  taurusdb: {enabled: false}
  dcs: {enabled: false}
  dbss: {enabled: false}
`, slots/2))
	f.Load(c)
	f.Read(t.Context(), fleet.Filter{}) // proves the key
	f.Load(c)
	dials.Store(0)
	var arrived atomic.Int64
	together := make(chan struct{})
	cloud.Inject(cloudtest.Fault{When: func(int) bool {
		if arrived.Add(1)%slots == 0 { // all are in flight at the same time
			for range slots - 1 {
				together <- struct{}{}
			}
		} else {
			<-together
		}
		return false
	}})
	for range 2 {
		if got := outcomes(f.Read(t.Context(), fleet.Filter{})); strings.Count(got, ": ok") != slots {
			t.Errorf("outcomes\n%s", got)
		}
	}
	if n := dials.Load(); n != slots {
		t.Errorf("%d dials for two rounds of %d requests, want %d", n, slots, slots)
	}
	f.Load(c)
	if n := open.Load(); n != 0 {
		t.Errorf("%d connections are open after a reload, want 0", n)
	}
}

// parse parses a configuration with endpoints.
func parse(t *testing.T, yaml string) *config.Config {
	t.Helper()
	c, err := config.Parse("test.yml", []byte(yaml), providerstest.Five(), os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestHosts records the hosts of requests in the dialer, without a network.
func TestHosts(t *testing.T) {
	const keys = "credentials: {static: {access_key: AK, secret_key: SK}}"
	for _, tc := range []struct{ name, account, want string }{
		{
			"by default", "projects: [{id: p, region: ap-southeast-3, name: prod}]",
			"ces.ap-southeast-3.myhuaweicloud.com:443 cts.ap-southeast-3.myhuaweicloud.com:443 dbss.ap-southeast-3.myhuaweicloud.com:443 " +
				"dcs.ap-southeast-3.myhuaweicloud.com:443 gaussdb.ap-southeast-3.myhuaweicloud.com:443",
		},
		{
			"in a region where TaurusDB has another name", "projects: [{id: p, region: tr-west-1, name: prod}]",
			"ces.tr-west-1.myhuaweicloud.com:443 cts.tr-west-1.myhuaweicloud.com:443 dbss.tr-west-1.myhuaweicloud.com:443 " +
				"dcs.tr-west-1.myhuaweicloud.com:443 gaussdbformysql.tr-west-1.myhuaweicloud.com:443",
		},
		{
			"in Europe, ID looked up", "projects: [{region: eu-west-101}]", "iam.eu-west-101.myhuaweicloud.eu:443",
		},
		{
			"another cloud", "cloud: otc.t-systems.com\n    projects: [{id: p, region: eu-de, name: prod}]",
			"ces.eu-de.otc.t-systems.com:443 cts.eu-de.otc.t-systems.com:443 dbss.eu-de.otc.t-systems.com:443 " +
				"dcs.eu-de.otc.t-systems.com:443 gaussdb-mysql.eu-de.otc.t-systems.com:443",
		},
		{
			"endpoints", `endpoints:
      taurusdb: https://db.{region}.example.com/
      cts: {eu-de: "http://trace.example.com:8080", default: "https://cts.{region}.example.com"}
      dcs: {eu-nl: "https://elsewhere.example.com"}
      ces: "HTTP://ces.example.com/gateway/{project_id}?x=y"
      dbss: "http://10.0.0.1?project={project_id}"
    projects: [{id: p, region: eu-de, name: prod}]`,
			"10.0.0.1:80 ces.example.com:80 db.eu-de.example.com:443 dcs.eu-de.myhuaweicloud.com:443 trace.example.com:8080",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var mu sync.Mutex
			var dialed []string
			f := fleet.New(fleet.Options{
				Getenv: os.Getenv,
				Dial: func(_ context.Context, _, address string) (net.Conn, error) {
					mu.Lock()
					defer mu.Unlock()
					dialed = append(dialed, address)
					return nil, errors.New("nowhere")
				},
			})
			f.Load(parse(t, "accounts:\n  - "+keys+"\n    "+tc.account))
			f.Read(t.Context(), fleet.Filter{})
			slices.Sort(dialed)
			if got := strings.Join(dialed, " "); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// TestPaths records the paths of requests. An endpoint can be a host, a gateway with a path in front of the documented one, or a whole URL.
func TestPaths(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.URL.String()+" by "+r.UserAgent())
		http.NotFound(w, r)
	}))
	defer server.Close()
	f := fleet.New(fleet.Options{UserAgent: "test", Getenv: os.Getenv, Dial: new(net.Dialer).DialContext})
	f.Load(parse(t, `accounts:
  - credentials: {static: {access_key: AK, secret_key: SK}}
    endpoints: {cts: "`+server.URL+`/", ces: "`+server.URL+`/gateway", dcs: "`+server.URL+`/own/{project_id}?x=y"}
    projects: [{id: p, region: eu-de, name: prod}]
services: {taurusdb: {enabled: false}, dbss: {enabled: false}}
`))
	f.Read(t.Context(), fleet.Filter{})
	slices.Sort(asked)
	if got := strings.Join(asked, ", "); got != "/gateway/V1.0/p/quotas by test, /own/p?x=y by test, /v3/p/quotas by test" {
		t.Errorf("requested %s", got)
	}
}
