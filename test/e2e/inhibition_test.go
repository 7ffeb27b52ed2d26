package e2e

import (
	"cmp"
	"strings"
	"testing"
	"time"
)

// silencing has alerts that fire at once, and the alertname of what silences each: from the start, and where it differs, once an exporter
// is down.
var silencing = []struct{ alert, by, whileDown string }{
	{"CloudQuotaExhausted critical project=prod service=dcs resource_type=ram", "", ""},
	{"CloudQuotaNearlyExhausted critical project=prod service=dcs resource_type=ram", "CloudQuotaExhausted", ""},
	{"CloudQuotaNearlyExhausted warning project=prod service=dcs resource_type=ram", "CloudQuotaExhausted", ""},
	{"CloudQuotaExhaustionForecast warning project=prod service=dcs resource_type=ram", "CloudQuotaExhausted", ""},
	{"CloudQuotaLimitLowered warning project=prod service=dcs resource_type=ram", "", ""}, // perhaps why it is exhausted

	{"CloudQuotaNearlyExhausted critical project=prod service=ces resource_type=alarm", "", ""},
	{"CloudQuotaNearlyExhausted warning project=prod service=ces resource_type=alarm", "CloudQuotaNearlyExhausted", ""},
	{"CloudQuotaNearlyExhausted info project=prod service=ces resource_type=alarm", "CloudQuotaNearlyExhausted", ""},
	{"CloudQuotaExhaustionForecast warning project=prod service=ces resource_type=alarm", "CloudQuotaNearlyExhausted", ""},

	// Each is like one above in all but one label.
	{"CloudQuotaNearlyExhausted warning project=dev service=dcs resource_type=ram", "", ""},
	{"CloudQuotaNearlyExhausted warning project=prod service=dbss resource_type=ram", "", ""},
	{"CloudQuotaNearlyExhausted warning project=prod service=dcs resource_type=instance", "", ""},
	{"CloudQuotaExhaustionForecast warning project=prod service=dcs resource_type=instance", "", ""},
	{"CloudQuotaNearlyExhausted warning project=dev service=ces resource_type=alarm", "", ""},

	{"CloudQuotaReadFailing warning project=prod service=ces", "", "CloudQuotaExporterDown"},
	{"CloudQuotaStale warning project=prod service=ces", "CloudQuotaReadFailing", ""},
	{"CloudQuotaStale warning project=prod service=cts", "", "CloudQuotaExporterDown"},
	{"CloudQuotaStale warning project=dev service=ces", "", "CloudQuotaExporterDown"},
	{"CloudQuotaAccountDown warning account=main", "", "CloudQuotaExporterDown"},
	{"CloudQuotaProjectsMissing warning account=main", "", "CloudQuotaExporterDown"},
	{"CloudQuotaConfigReloadFailed warning job=cloud_quota instance=one:10133", "", "CloudQuotaExporterDown"},
	{"CloudQuotaConfigReloadFailed warning job=cloud_quota instance=two:10133", "", ""},
	{"CloudQuotaConfigReloadFailed warning job=other instance=one:10133", "", ""},
	{"CloudQuotaLabelsRenamed warning job=cloud_quota", "", ""},
	{"SomethingElse critical project=dev service=dcs resource_type=ram", "", ""},
}

func TestWhatSilencesWhat(t *testing.T) {
	t.Parallel()
	const down = "CloudQuotaExporterDown critical job=cloud_quota instance=one:10133"
	a := startAlertmanager(t, time.Second)
	fire := func(name string) alert {
		return alert{Labels: labelled(name), StartsAt: time.Now(), EndsAt: time.Now().Add(time.Hour)}
	}
	line := func(name, by string) string { return strings.TrimSuffix(name+" < "+by, " < ") }
	var fired []alert
	var before []string
	after := []string{down}
	for _, s := range silencing {
		fired = append(fired, fire(s.alert))
		before = append(before, line(s.alert, s.by))
		after = append(after, line(s.alert, cmp.Or(s.whileDown, s.by)))
	}
	a.post(t, fired)
	a.has(t, before...)
	a.post(t, []alert{fire(down)})
	a.has(t, after...)
}
