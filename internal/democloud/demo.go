package democloud

import (
	"math"
	"net/http"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/providers"
)

// The keys of the account that Demo and Scale have. They open nothing but a simulated cloud.
const (
	AccessKey = "DEMOACCESSKEY0000001"
	SecretKey = "for-demonstration-only"
)

// Demo returns a cloud to look at: the account "demo" with three projects in two regions, whose numbers move.
//
//   - ap-southeast-3, the production project, is close to its limits: DCS memory between 93 % and 99 % of 800 GB, alarm rules around
//     95 % of 1,000, TaurusDB instances climbing from 60 % to 90 % of 50 and falling back.
//   - ap-southeast-1 has room. Its DBSS fails with 503 in the last minute of every three since Demo.
//   - ap-southeast-1_dev, a sub-project of it, has no limit on TaurusDB instances (-1), and everything else small and lively.
//
// The system tracker is 1 of 1 in all of them, as it is in every real project.
func Demo() *cloudsim.Cloud {
	production := cloudsim.Project{ID: "0250cb8a80c24c0b9f20f557cb159aad", Name: "ap-southeast-3", AuditInstances: 4, Quotas: map[string][]cloudsim.Quota{
		"cts": trackers(wave(62, 4, 11*time.Minute)),
		"ces": {{Type: "alarm", Limit: 1000, Move: wave(950, 8, 7*time.Minute)}},
		"dcs": {
			{Type: "instance", Min: 1, Max: 100, Limit: 100, Move: wave(71, 5, 13*time.Minute)},
			{Type: "ram", Unit: "GB", Min: 1, Max: 1600, Limit: 800, Move: wave(768, 24, 10*time.Minute)},
		},
		"taurusdb": {{Type: "instance", Limit: 50, Move: climb(30, 45, 30*time.Minute)}},
		"dbss":     audit(4, 5),
	}}
	roomy := cloudsim.Project{ID: cloudsim.ID("ap-southeast-1"), Name: "ap-southeast-1", AuditInstances: 1, Quotas: map[string][]cloudsim.Quota{
		"cts": trackers(wave(20, 3, 9*time.Minute)),
		"ces": {{Type: "alarm", Limit: 1000, Move: climb(200, 700, 45*time.Minute)}},
		"dcs": {
			{Type: "instance", Min: 1, Max: 50, Limit: 50, Move: wave(18, 4, 8*time.Minute)},
			{Type: "ram", Unit: "GB", Min: 1, Max: 800, Limit: 400, Move: wave(180, 60, 12*time.Minute)},
		},
		"taurusdb": {{Type: "instance", Limit: 50, Move: wave(12, 3, 15*time.Minute)}},
		"dbss":     audit(1, 3),
	}}
	development := cloudsim.Project{ID: cloudsim.ID("ap-southeast-1_dev"), Name: "ap-southeast-1_dev", Quotas: map[string][]cloudsim.Quota{
		"cts": trackers(wave(5, 2, 5*time.Minute)),
		"ces": {{Type: "alarm", Limit: 100, Move: wave(40, 35, 6*time.Minute)}},
		"dcs": {
			{Type: "instance", Min: 1, Max: 10, Limit: 10, Move: wave(5, 4, 4*time.Minute)},
			{Type: "ram", Unit: "GB", Min: 1, Max: 64, Limit: 64, Move: climb(8, 56, 20*time.Minute)},
		},
		"taurusdb": {{Type: "instance", Limit: -1, Move: wave(9, 5, 10*time.Minute)}},
		"dbss":     audit(0, 1),
	}}
	started := time.Now()
	c := cloudsim.New(APIsOf(providers.All(), NoExample), cloudsim.Account{
		Name: "demo", AccessKey: AccessKey, SecretKey: SecretKey, Projects: []cloudsim.Project{production, roomy, development},
	})
	c.Intercept = func(q cloudsim.Call, next func(cloudsim.Call) cloudsim.Answer) cloudsim.Answer {
		if q.Service == "dbss" && q.ProjectID == roomy.ID && time.Since(started)%(3*time.Minute) >= 2*time.Minute {
			return q.ServiceError(http.StatusServiceUnavailable, "The service is unavailable")
		}
		return next(q)
	}
	return c
}

// trackers is what CTS has, with so many data trackers in use.
func trackers(data func(time.Duration) int64) []cloudsim.Quota {
	return []cloudsim.Quota{{Type: "data_tracker", Limit: 100, Move: data}, {Type: "system_tracker", Used: 1, Limit: 1}}
}

// audit is what DBSS has: so many instances, of which each takes 4 CPUs and 16 GB from what remains.
func audit(instances, limit int64) []cloudsim.Quota {
	return []cloudsim.Quota{
		{Type: "audit_instance", Used: instances, Limit: limit},
		{Type: "cpu", Used: 4 * instances, Limit: 800},
		{Type: "ram", Unit: "MB", Used: 16384 * instances, Limit: 1638400},
	}
}

// wave swings around a middle, once in a period.
func wave(middle, swing float64, period time.Duration) func(time.Duration) int64 {
	return func(elapsed time.Duration) int64 {
		return int64(math.Round(middle + swing*math.Sin(2*math.Pi*elapsed.Seconds()/period.Seconds())))
	}
}

// climb rises evenly and, after a period, begins again.
func climb(from, to float64, period time.Duration) func(time.Duration) int64 {
	return func(elapsed time.Duration) int64 {
		return int64(math.Round(from + (to-from)*(elapsed%period).Seconds()/period.Seconds()))
	}
}
