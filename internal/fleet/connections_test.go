package fleet_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/fleet/fleettest"
	"cloud_quota_exporter/providers/providerstest"
)

// counted tells when a connection is closed.
type counted struct {
	net.Conn
	closed func()
}

func (c counted) Close() error {
	c.closed()
	return c.Conn.Close()
}

// TestConnectionsAreKeptUntilAReload: the connections of all requests that there may be at a time serve again, those of two services at one
// host too, and a reload, which opens others, closes them.
func TestConnectionsAreKeptUntilAReload(t *testing.T) {
	const slots = 20
	cloud, pipe := cloudtest.Scale(slots/2), cloudsim.NewPipe()
	t.Cleanup(cloudsim.ServePlain(cloud, pipe).Close)
	var dials, open atomic.Int64
	f := fleet.New(fleet.Options{
		Services: providerstest.Five(), Getenv: os.Getenv,
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
		if arrived.Add(1)%slots == 0 { // all are in flight at a time
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
