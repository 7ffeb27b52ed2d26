package credentials_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/credentials"
	"cloud_quota_exporter/internal/huaweicloud"
)

// fortyAgencies returns the sources of forty accounts with an agency, which have these base credentials by turns.
func fortyAgencies(t *testing.T, w *world, bases ...string) (all []credentials.Source) {
	t.Helper()
	for i := range 40 {
		all = append(all, source(t, w.deps, bases[i%len(bases)]+strings.ReplaceAll(quotas, "24h", "1h")))
	}
	return all
}

const base = "static: {access_key: BASE, secret_key: SECRET}"

// grantAll calls all sources at once, and returns how many have keys.
func grantAll(t *testing.T, sources []credentials.Source) (granted int) {
	t.Helper()
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, s := range sources {
		asking.Go(func() {
			if _, err := s.Grant(t.Context(), huaweicloud.Scope{}); err == nil {
				mu.Lock()
				defer mu.Unlock()
				granted++
			}
		})
	}
	asking.Wait()
	return granted
}

// TestManyAgencies: forty accounts request keys from IAM, eight at a time, and renew them at different times.
func TestManyAgencies(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dir)
		w.write("ak", "BASE")
		all := fortyAgencies(t, w, base, "static: {access_key_file: "+dir+"/ak, secret_key: SECRET}")
		w.Inject(cloudtest.Fault{Path: keysPath, Latency: 100 * time.Millisecond})
		if granted, most := grantAll(t, all), w.MaxInFlight(); granted != 40 || most != 8 {
			t.Errorf("%d have keys, with %d requests at a time, want 40 and 8", granted, most)
		}
		var renewals []int // in each half minute
		for start := time.Now(); time.Since(start) < 56*time.Minute; {
			before := w.Issued()["assume_role"]
			if granted := grantAll(t, all); granted != 40 {
				t.Errorf("%d have keys after %s", granted, time.Since(start))
			}
			<-time.After(30 * time.Second)
			renewals = append(renewals, w.Issued()["assume_role"]-before)
		}
		if most := slices.Max(renewals); w.Issued()["assume_role"] != 80 || most > 20 {
			t.Errorf("%d renewals in half a minute, want them spread over five; %v", most, renewals)
		}
	})
}

// TestThrottledAgencies: IAM throttles those who assume the agencies. None of them sends another request before IAM allows it, and others continue.
func TestThrottledAgencies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		all, other := fortyAgencies(t, w, base), source(t, w.deps, byPassword)
		heal := w.Inject(cloudtest.Fault{Path: keysPath, Latency: 100 * time.Millisecond, Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"600"}}})
		for range 9 * 4 {
			grantAll(t, all)
			<-time.After(15 * time.Second)
		}
		if n := w.Requests()["POST "+keysPath]; n > 8 {
			t.Errorf("%d requests within the pause that IAM requested, want 8 at most", n)
		}
		for _, s := range all {
			if s.Status().Err == nil {
				t.Error("a source without keys has no error")
			}
		}
		heal()
		w.wantRead(t, other, "with another base", allRead)
		w.wantRead(t, all[39], "while IAM throttles the base", noKeys)
		all = append(all, source(t, w.deps, base+quotas)) // as a reload does
		if granted := grantAll(t, all); granted != 0 {
			t.Errorf("%d have keys while IAM throttles", granted)
		}
		<-time.After(time.Minute)
		if granted := grantAll(t, all); granted != len(all) {
			t.Errorf("%d have keys after the pause", granted)
		}
	})
}
