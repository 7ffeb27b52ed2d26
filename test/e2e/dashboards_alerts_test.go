package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTilesAgreeWithAlerts evaluates tiles and marks of the dashboards with promtool, together with the shipped rules, over days. They must agree
// with the alerts that they name.
func TestTilesAgreeWithAlerts(t *testing.T) {
	t.Parallel()
	quotas, exporter := readDashboards(t)[1], readDashboards(t)[0]
	mark := quotas.Annotations.List[1]
	for _, c := range []struct {
		name, interval string
		series         map[string]string
		expr           string // expected at that time
		alert          string
		at, alertAt    string
		want           string // the services
	}{
		{
			name: "old values", interval: "5m", expr: exporter.expr(t, "Old values", "A"), alert: "CloudQuotaStale", at: "4h", want: "later old never unread",
			series: map[string]string{
				`cloud_quota_last_success_timestamp_seconds{service="fresh"}`: "0+300x48", `cloud_quota_cache_ttl_seconds{service="fresh"}`: "300x48",
				`cloud_quota_last_success_timestamp_seconds{service="old"}`: "0x48", `cloud_quota_cache_ttl_seconds{service="old"}`: "300x48",
				`cloud_quota_last_success_timestamp_seconds{service="later"}`: "0+300x40 12000x8", `cloud_quota_cache_ttl_seconds{service="later"}`: "150x48",
				`cloud_quota_last_success_timestamp_seconds{service="slow"}`: "0x48", `cloud_quota_cache_ttl_seconds{service="slow"}`: "10800x48",
				`cloud_quota_fetches_total{service="never"}`: "0x48", `cloud_quota_cache_ttl_seconds{service="never"}`: "300x48",
				`cloud_quota_fetches_total{service="unread"}`:  "0x48", // of an exporter that does not expose the TTL
				`cloud_quota_fetches_total{service="failing"}`: "1+1x48", `cloud_quota_cache_ttl_seconds{service="failing"}`: "300x48",
			},
		},
		{
			name: "exhausted", interval: "2h", expr: quotas.expr(t, "Exhausted", "A"), alert: "CloudQuotaExhausted", at: "8d", want: "drained full over",
			series: merged(
				quotaSeries("bought", "", "", "0x96", true), quotaSeries("drained", "", "", "5x90 0x6", true), quotaSeries("none", "0x96", "0x96", "0x96", true),
				quotaSeries("over", "1x96", "0x96", "-1x96", true), quotaSeries("full", "9x96", "9x96", "0x96", true), quotaSeries("muted", "9x96", "9x96", "0x96", false),
			),
		},
		{
			name: "full soon", interval: "2h", expr: quotas.expr(t, "Full within 7 days", "A"), alert: "CloudQuotaExhaustionForecast", at: "6d22h", want: "grows",
			series: merged(
				quotaSeries("grows", "10+1x90", "100x90", "90-1x90", true), quotaSeries("muted", "10+1x90", "100x90", "90-1x90", false),
				quotaSeries("half", "0+0.5x90", "83.2x90", "83.2-0.5x90", true), quotaSeries("steps", "50x40 90x50", "100x90", "50x40 10x50", true),
			),
		},
		{
			name: "changed limit", interval: "2h", expr: mark.Target.Expr, alert: "CloudQuotaLimitLowered", at: "2d", alertAt: "2d4h", want: "dcs",
			series: merged(
				quotaSeries("dcs", "5x40", "80x23 60x17", "55x40", true), quotaSeries("dbss", "5x40", "80x23 60x17", "55x40", true),
				quotaSeries("muted", "5x40", "80x23 60x17", "55x40", false), quotaSeries("same", "5x40", "80x40", "75x40", true),
			),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			values := map[string]string{"service": ".*", "project": "(prod)", "__interval": c.interval, "top": "10"}
			services := strings.Fields(c.want)
			shown := expectation{Expr: substitute(t, c.expr, values), EvalTime: c.at, Samples: []expected{{"{}", len(services)}}}
			fired := expectation{Expr: fmt.Sprintf("group by (service) (ALERTS{alertname=%q})", c.alert), EvalTime: c.at}
			for _, s := range services {
				fired.Samples = append(fired.Samples, expected{fmt.Sprintf("{service=%q}", s), 1})
			}
			if c.alertAt != "" { // marks have labels; the alert comes later
				shown.Expr, shown.Samples, fired.EvalTime = "group by (service) ("+shown.Expr+")", fired.Samples, c.alertAt
			}
			promtoolTests(t, c.interval, c.series, []expectation{shown, fired})
		})
	}
}

// quotaSeries returns the series of a quota of a service. An empty value means that it is not reported.
func quotaSeries(service, used, limit, remaining string, hasThreshold bool) map[string]string {
	series := map[string]string{}
	for metric, values := range map[string]string{"used": used, "limit": limit, "remaining": remaining} {
		if values != "" {
			series[fmt.Sprintf("cloud_quota_%s{service=%q,resource_type=%q}", metric, service, "x")] = values
		}
	}
	if hasThreshold {
		series[fmt.Sprintf("cloud_quota_threshold_ratio{service=%q,resource_type=%q,severity=%q}", service, "x", "warning")] = "0.8x100"
	}
	return series
}

func merged(all ...map[string]string) map[string]string {
	one := map[string]string{}
	for _, series := range all {
		for name, values := range series {
			one[name] = values
		}
	}
	return one
}

// expectation and expected are parts of a file of promtool's tests.
type expectation struct {
	Expr     string     `json:"expr"`
	EvalTime string     `json:"eval_time"`
	Samples  []expected `json:"exp_samples"`
}

type expected struct {
	Labels string `json:"labels"`
	Value  int    `json:"value"`
}

// promtoolTests runs promtool's tests of rules; all series are of the project prod.
func promtoolTests(t *testing.T, interval string, series map[string]string, expectations []expectation) {
	t.Helper()
	rules, err := filepath.Abs(shippedRules)
	if err != nil {
		t.Fatal(err)
	}
	var input []map[string]string
	for name, values := range series {
		input = append(input, map[string]string{"series": strings.Replace(name, "{", `{project="prod",`, 1), "values": values})
	}
	file, err := json.Marshal(map[string]any{
		"rule_files": []string{rules}, "evaluation_interval": interval,
		"tests": []any{map[string]any{"interval": interval, "input_series": input, "promql_expr_test": expectations}},
	})
	if err != nil {
		t.Fatal(err)
	}
	name := save(t, filepath.Join(t.TempDir(), "test.yml"), string(file))
	if out, err := exec.CommandContext(t.Context(), promtoolBinary, "test", "rules", name).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
