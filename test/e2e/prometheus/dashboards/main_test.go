package main

import (
	"testing"
	"time"
)

// TestMeasuresShippedDashboards on a small fleet: every query can be evaluated.
func TestMeasuresShippedDashboards(t *testing.T) {
	if err := run("../../../../deploy/grafana/dashboards", fleet{projects: 12, services: 3, scrape: 15 * time.Minute, end: time.Now().Truncate(time.Minute)}); err != nil {
		t.Fatal(err)
	}
}
