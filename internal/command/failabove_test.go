package command_test

import (
	"math"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/command"
	"cloud_quota_exporter/internal/democloud"
)

func TestFailAboveWantsARatio(t *testing.T) {
	for _, above := range []float64{-1, 90, math.NaN(), math.Inf(1)} {
		err := command.Query{FailAbove: above}.Run(t.Context(), command.Terminal{}, "missing.yml")
		if err == nil || !strings.Contains(err.Error(), "--fail-above is out of range; want a ratio of used to limit such as 0.9") {
			t.Errorf("%g: %v", above, err)
		}
	}
}

// TestQuotaOfNothing: what is in use of a limit of 0 is above any ratio; 0 of 0 is not.
func TestQuotaOfNothing(t *testing.T) {
	p := newPeople(t, 2)
	p.cloud.SetQuota(p.cloud.Projects()[0].ID, "ces", "alarm", 5, 0)
	p.cloud.SetQuota(p.cloud.Projects()[1].ID, "ces", "alarm", 0, 0)
	config := p.config(t, democloud.SecretKey, "")
	golden(t, "query-nothing", p.query(t, config, command.Query{Services: []string{"ces"}, Sort: "usage", FailAbove: 0.9}))
	golden(t, "query-nothing-json", p.query(t, config, command.Query{Services: []string{"ces"}, Output: "json"}))
}
