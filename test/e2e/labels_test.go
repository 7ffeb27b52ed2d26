package e2e

import (
	"fmt"
	"maps"
	"testing"
)

// TestLabels scrapes the exporter in the ways in which a target can have a label service of its own, as every ServiceMonitor gives it
// one.
func TestLabels(t *testing.T) {
	t.Parallel()
	e := startExporter(t, newCloud(), "{}")
	p := startPrometheus(t, fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: no_label
    static_configs: [{targets: [%[1]q]}]
  - job_name: honored
    honor_labels: true
    static_configs: [{targets: [%[1]q], labels: {service: kube}}]
  - job_name: not_honored
    static_configs: [{targets: [%[1]q], labels: {service: kube}}]
  - job_name: dropped
    static_configs: [{targets: [%[1]q], labels: {service: kube}}]
    relabel_configs: [{action: labeldrop, regex: service}]
`, e.at))
	for job, services := range map[string]map[string]string{
		"no_label":    {"service": "dcs"},
		"honored":     {"service": "dcs"},
		"not_honored": {"service": "kube", "exported_service": "dcs"},
		"dropped":     {"service": "dcs"},
	} {
		want := map[string]string{
			"__name__": "cloud_quota_used", "job": job, "instance": e.at, "project": examples, "resource_type": "ram",
		}
		maps.Copy(want, services)
		eventually(t, job, func() (string, bool) {
			all, err := p.query(fmt.Sprintf(`cloud_quota_used{job=%q,project=%q,resource_type="ram"}`, job, examples))
			if err != nil || len(all) != 1 {
				return fmt.Sprint(all, err), false
			}
			return "got  " + write(all[0].Metric) + "\nwant " + write(want), maps.Equal(all[0].Metric, want)
		})
	}
}
