package collector_test

import (
	"errors"
	"math"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"cloud_quota_exporter/collector"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/refresh"
	"cloud_quota_exporter/providers"
)

type state = refresh.State[providers.Result]

var warning = map[string]float64{"warning": 0.8}

// readings has one reading of each kind: successful, without a limit, failing with values, with values that are too old, never
// successful, never fetched, not offered, and with a project ID looked up in IAM. Usage 0 is shown, unknown values are absent. Some
// have no cache.
func readings() []*fleet.Reading {
	prod := fleet.Project{Label: "prod", ID: "0250cb8a", Region: "ap-southeast-3", Account: "main"}
	lost := fleet.Project{Label: "lost", Region: "nowhere-1", Account: "main"}
	read := time.UnixMilli(1_700_000_000_250)
	known := lost
	known.ID = "10537"
	refused := &huaweicloud.APIError{Status: http.StatusForbidden}
	return []*fleet.Reading{
		{Account: "main", Service: "cts", Project: lost, State: &state{Err: refused, Fetches: 4, Failures: 4}},
		{Account: "main", Service: "ces", Project: lost, CacheTTL: 15 * time.Minute, State: &state{}},
		{
			Account: "main", Service: "taurusdb", Project: lost, CacheTTL: 1500 * time.Millisecond, TooOld: true,
			State: &state{ReadAt: read, Err: errors.New("no route to host"), Fetches: 9, Failures: 8},
		},
		{Account: "main", Service: "dbss", Project: known, CacheTTL: 5 * time.Minute, NotOffered: true, State: &state{Err: errors.New("no such host"), Fetches: 1, Failures: 1}},
		{
			Account: "main", Service: "cts", Project: prod, CacheTTL: 5 * time.Minute, State: &state{ReadAt: read, Fetches: 1},
			Quotas: []fleet.Quota{
				{Quota: providers.Quota{ResourceType: "data_tracker", Used: new(0.0)}},
				{Quota: providers.Quota{ResourceType: "system_tracker"}},
			},
		},
		{
			Account: "main", Service: "dcs", Project: prod, State: &state{ReadAt: read, Fetches: 2},
			Quotas: []fleet.Quota{
				{Quota: providers.Quota{ResourceType: "instance", Used: new(3.0), Limit: new(10.0), Remaining: new(7.0), Min: new(1.0), Max: new(10.0)}, Thresholds: warning},
				{Quota: providers.Quota{ResourceType: "ram", Unit: "GB", Used: new(22.0), Limit: new(800.0), Remaining: new(778.0), Min: new(1.0), Max: new(800.0)}, Thresholds: warning},
			},
		},
		{
			Account: "main", Service: "taurusdb", Project: prod,
			State:  &state{ReadAt: read, Err: refused, Fetches: 3, Failures: 1, Value: providers.Result{Skipped: providers.Skipped{Count: 2}}},
			Quotas: []fleet.Quota{{Quota: providers.Quota{ResourceType: "instance", Used: new(4.0), Limit: new(math.Inf(1)), Remaining: new(math.Inf(1))}, Thresholds: warning}},
		},
		{
			Account: "main", Service: "dbss", Project: prod, State: &state{ReadAt: read, Fetches: 1},
			Quotas: []fleet.Quota{{Quota: providers.Quota{ResourceType: "ram", Unit: "MB", Remaining: new(1622016.0)}}},
		},
	}
}

func TestWholePage(t *testing.T) {
	accounts := func() []fleet.Account {
		return []fleet.Account{
			{Name: "good", Asked: true, Up: true, Projects: 3},
			{Name: "bad", Asked: true, Projects: 1, Skipped: []string{"a", "b"}, Unreadable: providers.Skipped{Count: 3}, Beyond: 4},
			{Name: "new", Up: true, KeysExpire: time.Unix(1800000000, 250e6)},
		}
	}
	for golden, c := range map[string]prometheus.Collector{"page": collector.New(readings), "accounts": collector.NewAccounts(accounts)} {
		want, err := os.Open("testdata/" + golden + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		defer want.Close()
		if err := testutil.CollectAndCompare(c, want); err != nil {
			t.Error(err)
		}
		if problems, err := testutil.CollectAndLint(c); err != nil || len(problems) != 0 {
			t.Errorf("%v %v", problems, err)
		}
	}
}

func TestReadsOnlyWhenCollected(t *testing.T) {
	read := 0
	c := collector.New(func() []*fleet.Reading { read++; return nil })
	prometheus.NewRegistry().MustRegister(c)
	if read != 0 {
		t.Error("reading started at registration")
	}
	if got := testutil.CollectAndCount(c); got != 0 || read != 1 {
		t.Errorf("%d metrics of no readings, read %d times", got, read)
	}
}

// TestBadMetricDoesNotAffectOthers: providers reject such a type, but if one got through, the error would be reported and only its
// metrics lost.
func TestBadMetricDoesNotAffectOthers(t *testing.T) {
	bad := readings()
	bad[5].Quotas[0].ResourceType = "no UTF-8: \xff"
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector.New(func() []*fleet.Reading { return bad }))
	families, err := registry.Gather()
	if err == nil || !strings.Contains(err.Error(), "is not valid UTF-8") {
		t.Errorf("got %v, want an error about the label", err)
	}
	metrics := 0
	for _, f := range families {
		metrics += len(f.GetMetric())
	}
	if all := testutil.CollectAndCount(collector.New(readings)); metrics != all-7 {
		t.Errorf("%d metrics, want %d minus 7 of the bad quota", metrics, all)
	}
}
