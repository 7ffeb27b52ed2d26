package command_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// TestFaults lets everything go wrong with everything that the exporter asks, one after the other, and compares what was seen with
// docs/reliability.md.
func TestFaults(t *testing.T) {
	dir := secretFiles(t)
	all := targets()
	outcomes := make([]map[string]string, len(all)) // by target, and by the name of the fault
	t.Run("befall", func(t *testing.T) {
		for i, to := range all {
			t.Run(to.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { outcomes[i] = tryAll(t, to, dir) })
			})
		}
	})
	m := matrix{}
	for i, to := range all {
		if outcomes[i] == nil {
			return // it failed, or was not to be run
		}
		for _, f := range faults {
			if outcome := outcomes[i][f.name]; outcome != "" {
				m[f.name] = append(m[f.name], seen{to, outcome})
			}
		}
	}
	m.compare(t)
}

// tryAll lets every fault befall a target, and returns the outcomes.
func tryAll(t *testing.T, to target, dir string) map[string]string {
	outcomes := map[string]string{}
	var x *trial
	for _, f := range faults {
		if !f.befalls(to) {
			continue
		}
		if x == nil || to.first {
			x = newTrial(t, to, dir)
		}
		x.fault = f
		outcomes[f.name] = x.try(t)
		if f.gone[to.name] != nil && outcomes[f.name] == isRead {
			outcomes[f.name] += ", without used and limit"
		}
		if strings.Contains(x.log.String(), "SECRET") || strings.Contains(x.log.String(), "level=error") {
			t.Errorf("a secret or an error shows in the log:\n%s", x.log)
		}
		if t.Failed() {
			t.Fatalf("when it was: %s", f.name)
		}
	}
	return outcomes
}

// trial is an exporter that faults befall.
type trial struct {
	*exporterOf
	target

	cloud *cloudtest.Cloud
	fault wrong
	good  scraped // while nothing is wrong
}

func newTrial(t *testing.T, to target, dir string) *trial {
	cloud := newFaultyCloud()
	x := &trial{exporterOf: newExporterOf(t, cloud, to.yaml, dir), target: to, cloud: cloud}
	if to.first {
		x.good = newExporterOf(t, newFaultyCloud(), to.yaml, dir).scrape(t, time.Now())
	} else {
		x.good = x.scrape(t, time.Now())
	}
	for series, value := range x.good.series {
		if strings.HasPrefix(series, "cloud_quota_up{") && value != "1" {
			t.Fatalf("while nothing is wrong, %s is %s:\n%s", series, value, x.log)
		}
	}
	return x
}

// isHit tells whether a series is of what the fault befalls.
func (x *trial) isHit(series string) bool {
	if x.account != "" && strings.HasPrefix(series, `cloud_quota_account_`) && strings.Contains(series, `account="`+x.account+`"`) {
		return true
	}
	if !strings.Contains(series, `project="prod`) || x.name == discoveryLater {
		return false
	}
	return x.first || slices.ContainsFunc(x.services, func(service string) bool { return strings.Contains(series, `service="`+service+`"`) })
}

// isPaused returns whether a series belongs to something that is not fetched for now, because the target throttles the account or refuses its key.
func (x *trial) isPaused(series string) bool {
	if x.fault.want == "unauthorized" && !x.isHit(series) { // it may have been asked just before
		ofService := x.column == "services" && !isNumber(series) && strings.Contains(series, `service="`+x.services[0]+`"`)
		return ofService || x.name == lookUp && strings.Contains(series, `project="staging"`)
	}
	return x.fault.want == "throttled" && x.column == "services" && !x.isHit(series) &&
		strings.HasPrefix(series, "cloud_quota_last_success_timestamp_seconds{") && strings.Contains(series, `service="`+x.services[0]+`"`)
}

// try lets the fault befall the target, and mends it. It returns what was seen.
func (x *trial) try(t *testing.T) (outcome string) {
	<-time.After(x.later + freshFor + time.Second)
	if x.fault.befallsConnections() {
		<-time.After(2 * time.Minute) // those that are kept are closed by then
	}
	began, logged := time.Now(), len(x.log.String())
	heal := x.fault.inject(x.cloud, x.target)
	bad := x.scrape(t, began)
	if x.services == nil { // a list of projects may take longer than a scrape
		x.wantOthers(t, bad)
		<-time.After(31 * time.Second)
		bad = x.scrape(t, began)
	}
	x.wantOthers(t, bad)
	bad.wantReadable(t)
	outcome = x.outcomeOf(t, bad)
	if want := x.fault.outcome(x.target); outcome != want {
		t.Errorf("the outcome is %q, want %q:\n%s", outcome, want, x.log.String()[logged:])
	}
	x.wantNumbers(t, bad)
	x.wantLogged(t, outcome, x.log.String()[logged:])
	logged = len(x.log.String())
	again := x.scrape(t, began)
	x.wantOthers(t, again)
	if changed := differences(bad, again, x.isHit); len(changed) > 0 || again.took > 0 || len(x.log.String()) > logged {
		t.Errorf("the next scrape took %s, logged %q and differs:\n%s", again.took, x.log.String()[logged:], strings.Join(changed, "\n"))
	}
	heal()
	<-time.After(max(x.recovers+x.fault.asks, freshFor+time.Second))
	x.scrape(t, began) // which has it asked again, and waits for nothing that failed
	<-time.After(time.Second)
	good := x.scrape(t, began)
	isFailures := func(series string) bool {
		return strings.HasPrefix(series, "cloud_quota_fetch_failures_total{") && (x.isHit(series) || x.isPaused(series))
	}
	if changed := differences(x.good, good, func(series string) bool { return !isFailures(series) }); len(changed) > 0 {
		t.Errorf("when it was mended:\n%s", strings.Join(changed, "\n"))
	}
	x.good = good
	return outcome
}

// wantOthers asserts that nothing else notices.
func (x *trial) wantOthers(t *testing.T, p scraped) {
	t.Helper()
	if changed := differences(x.good, p, func(series string) bool { return !x.isHit(series) && !x.isPaused(series) }); len(changed) > 0 {
		t.Errorf("others notice:\n%s", strings.Join(changed, "\n"))
	}
}
