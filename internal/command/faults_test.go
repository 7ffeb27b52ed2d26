package command_test

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// TestFaults injects every fault into everything that the exporter requests, one after the other, and compares the outcomes with docs/reliability.md.
func TestFaults(t *testing.T) {
	dir := secretFiles(t)
	all := targets()
	outcomes := make([]map[string]string, len(all)) // by target, and by the name of the fault
	t.Run("affected", func(t *testing.T) {
		for i, to := range all {
			t.Run(to.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { outcomes[i] = tryAll(t, to, faultsOf(i), dir) })
			})
		}
	})
	if slices.ContainsFunc(outcomes, func(of map[string]string) bool { return of == nil }) {
		return // one failed, or was not run
	}
	if testing.Short() {
		return // the table needs all faults
	}
	generated(t, "../../docs/reliability.md", "faults: what TestFaults saw", "end of faults", faultTable(all, outcomes))
}

// faultTable has a row for each fault: the outcome of most targets of a column, and the targets with another outcome.
func faultTable(all []target, outcomes []map[string]string) string {
	var b strings.Builder
	b.WriteString("\n| Fault | Services | IAM | Credentials |\n|---|---|---|---|\n")
	tried := 0
	for _, f := range faults {
		fmt.Fprintf(&b, "| %s |", f.name)
		for _, column := range []string{"services", "IAM", "credentials"} {
			var seen []string
			names := map[string][]string{}
			for i, to := range all {
				if outcome := outcomes[i][f.name]; outcome != "" && to.column == column {
					if names[outcome] == nil {
						seen = append(seen, outcome)
					}
					names[outcome] = append(names[outcome], to.name)
					tried++
				}
			}
			slices.SortStableFunc(seen, func(a, b string) int { return cmp.Compare(len(names[b]), len(names[a])) })
			cell := "-"
			for i, outcome := range seen {
				if i == 0 {
					cell = outcome
				} else {
					cell += fmt.Sprintf("; %s: %s", strings.Join(names[outcome], ", "), outcome)
				}
			}
			fmt.Fprintf(&b, " %s |", cell)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "\nFaults: %d. Targets: %d. Tried: %d. Survived: %d. Series of others lost or changed: 0.\n\n", len(faults), len(all), tried, tried)
	return b.String()
}

// faultsOf returns the faults to try on the i-th target: all, or with -short, one in five.
func faultsOf(i int) (some []wrong) {
	if !testing.Short() {
		return faults
	}
	for k := i % 5; k < len(faults); k += 5 {
		some = append(some, faults[k])
	}
	return some
}

// tryAll tries faults on a target, and returns the outcomes.
func tryAll(t *testing.T, to target, some []wrong, dir string) map[string]string {
	outcomes := map[string]string{}
	x := newTrial(t, to, dir)
	good := x.scrape(t, time.Now())
	for series, value := range good.series {
		if strings.HasPrefix(series, "cloud_quota_up{") && value != "1" {
			t.Fatalf("without a fault, %s is %s:\n%s", series, value, x.log)
		}
	}
	x.good = good
	for _, f := range some {
		if !f.affects(to) {
			continue
		}
		if to.first {
			x = newTrial(t, to, dir)
			x.good = good
		}
		x.fault = f
		outcomes[f.name] = x.try(t)
		if f.gone[to.name] != nil && outcomes[f.name] == isRead {
			outcomes[f.name] += ", without used and limit"
		}
		if strings.Contains(x.log.String(), "SECRET") || strings.Contains(x.log.String(), "level=error") {
			t.Errorf("the log contains a secret or an error:\n%s", x.log)
		}
		if t.Failed() {
			t.Fatalf("with the fault: %s", f.name)
		}
	}
	return outcomes
}

// trial is an exporter for trying faults.
type trial struct {
	*exporterOf
	target

	cloud *cloudtest.Cloud
	fault wrong
	good  scraped // without a fault
}

func newTrial(t *testing.T, to target, dir string) *trial {
	cloud := newFaultyCloud()
	return &trial{exporterOf: newExporterOf(t, cloud, to.yaml, dir), target: to, cloud: cloud}
}

// inject injects the fault, wherever it is.
func (x *trial) inject(t *testing.T) (heal func()) {
	switch {
	case x.fault.proxy != nil:
		x.refuses.Store(&x.fault.proxy)
		return func() { x.refuses.Store(nil) }
	case x.fault.files != nil:
		return x.spoil(t, x.fault.files)
	default:
		return x.fault.inject(x.cloud, x.target)
	}
}

// isHit reports whether a series belongs to what the fault affects.
func (x *trial) isHit(series string) bool {
	if x.account != "" && strings.HasPrefix(series, `cloud_quota_account_`) && strings.Contains(series, `account="`+x.account+`"`) {
		return true
	}
	if project := label(series, "project"); x.name == discoveryLater || project != x.project() && !strings.HasPrefix(project, "prod/") {
		return false
	}
	return x.first || slices.ContainsFunc(x.services, func(service string) bool { return strings.Contains(series, `service="`+service+`"`) })
}

// isPaused reports whether a series belongs to something that is not fetched for now, because the target throttles the account or rejects its key.
func (x *trial) isPaused(series string) bool {
	if x.fault.refusesKey() && !x.isHit(series) { // it might have been requested just before
		ofService := x.column == "services" && !isNumber(series) && strings.Contains(series, `service="`+x.services[0]+`"`)
		return ofService || x.name == lookUp && strings.Contains(series, `project="staging"`)
	}
	return x.fault.fault.Status == http.StatusTooManyRequests && x.column == "services" && !x.isHit(series) &&
		strings.HasPrefix(series, "cloud_quota_last_success_timestamp_seconds{") && strings.Contains(series, `service="`+x.services[0]+`"`)
}

// try injects the fault and heals it. It returns the outcome.
func (x *trial) try(t *testing.T) (outcome string) {
	<-time.After(x.later + freshFor + time.Second)
	if x.fault.befallsConnections() {
		<-time.After(2 * time.Minute) // idle connections are closed by then
	}
	began, logged := time.Now(), len(x.log.String())
	heal := x.inject(t)
	bad := x.scrape(t, began)
	if x.fault.lasts > 0 {
		x.wantOthers(t, bad)
		if got := x.outcomeOf(bad); got != isRead {
			t.Errorf("at first: %s", got)
		}
		x.good = bad
		<-time.After(x.fault.lasts)
		bad = x.scrape(t, began)
	}
	if x.services == nil { // a list of projects can take longer than a scrape
		x.wantOthers(t, bad)
		<-time.After(31 * time.Second)
		bad = x.scrape(t, began)
	}
	x.wantOthers(t, bad)
	if x.fault.body != nil {
		parser := expfmt.NewTextParser(model.UTF8Validation)
		if _, err := parser.TextToMetricFamilies(strings.NewReader(bad.text)); err != nil {
			t.Error(err)
		}
	}
	outcome = x.outcomeOf(bad)
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
	x.scrape(t, began) // triggers the next fetch, and waits for nothing that failed
	<-time.After(time.Second)
	good := x.scrape(t, began)
	isFailures := func(series string) bool {
		return strings.HasPrefix(series, "cloud_quota_fetch_failures_total{") && (x.isHit(series) || x.isPaused(series))
	}
	if changed := differences(x.good, good, func(series string) bool { return !isFailures(series) }); len(changed) > 0 {
		t.Errorf("after recovery:\n%s", strings.Join(changed, "\n"))
	}
	x.good = good
	return outcome
}

// wantOthers asserts that nothing else is affected.
func (x *trial) wantOthers(t *testing.T, p scraped) {
	t.Helper()
	if changed := differences(x.good, p, func(series string) bool { return !x.isHit(series) && !x.isPaused(series) }); len(changed) > 0 {
		t.Errorf("others notice:\n%s", strings.Join(changed, "\n"))
	}
}

var loggedFailure = regexp.MustCompile(`level=warn account=(\w+)(?: project=\S+ service=(\w+))? msg="Failed to (?:fetch quotas|discover projects)" reason=(\w+)`)

// outcomeOf returns what the page shows: the failure reason, the same for each source, or that all fetches succeeded.
func (x *trial) outcomeOf(p scraped) string {
	if x.services == nil { // no metric has the reason of a discovery; the log has it
		if p.series[`cloud_quota_account_up{account="`+x.account+`"}`] == "1" {
			return isRead
		}
		failures := loggedFailure.FindAllStringSubmatch(x.log.String(), -1)
		return failures[len(failures)-1][3]
	}
	var all []string
	for _, service := range x.services {
		of := `project="` + x.project() + `",service="` + service + `"}`
		outcome := "neither up nor down"
		switch up, skipped := p.series[`cloud_quota_up{`+of], p.series[`cloud_quota_resources_skipped{`+of]; {
		case up == "1" && skipped == "0":
			outcome = isRead
		case up == "1":
			outcome = fmt.Sprintf("read, %s skipped", skipped)
		case up == "0":
			outcome = "down without a reason"
			for series := range p.series {
				if strings.HasPrefix(series, "cloud_quota_last_failure_reason{") && label(series, "project") == x.project() && label(series, "service") == service {
					outcome = label(series, "reason")
				}
			}
		}
		if !slices.Contains(all, outcome) {
			all = append(all, outcome)
		}
	}
	if x.account != "" && all[0] == "credentials" && p.series[`cloud_quota_account_up{account="`+x.account+`"}`] != "0" {
		all = append(all, "the account is up")
	}
	return strings.Join(all, ", ")
}

// wantNumbers asserts that the last good values are still exposed with their age, or that there are none if there never were any.
func (x *trial) wantNumbers(t *testing.T, p scraped) {
	t.Helper()
	known, lost := 0, 0
	for series, want := range x.good.series {
		isAge := strings.HasPrefix(series, "cloud_quota_last_success_timestamp_seconds{")
		isDown := p.series[`cloud_quota_up{project="`+label(series, "project")+`",service="`+label(series, "service")+`"}`] != "1"
		if !x.isHit(series) || !isAge && !isNumber(series) || isAge && !isDown {
			continue
		}
		if gone := x.fault.gone[x.name]; gone != nil && gone.MatchString(series) || x.first && isDown {
			want = ""
			lost++
		}
		known++
		if got := p.series[series]; got != want {
			t.Errorf("%s is %q, want %q", series, got, want)
		}
	}
	if known == 0 && x.name != discoveryLater || lost > 0 && lost == known && !x.first {
		t.Errorf("%d of %d values are lost", lost, known)
	}
	if more := p.types(x.isHit) - x.good.types(x.isHit); more > x.fault.new {
		t.Errorf("%d new resource types, want %d at most", more, x.fault.new)
	}
}

// wantLogged asserts that the log contains the cause once for each source, and nothing else.
func (x *trial) wantLogged(t *testing.T, outcome, logged string) {
	t.Helper()
	var want []string
	switch {
	case x.name == discoveryLater && outcome == isRead && x.fault.skipsProject:
		want = []string{`level=warn account=main msg="Skipped projects with invalid entries in IAM's list" count=1`}
	case outcome == isRead && x.fault.gone[x.name] == nil:
	case x.services == nil:
		want = []string{"level=warn account=main msg=\"Failed to discover projects\" reason=" + outcome}
	default:
		message := `msg="Failed to fetch quotas" reason=` + outcome
		if outcome == isRead {
			message = `msg="Quotas are incomplete"`
		} else if n, isLeftOut := strings.CutPrefix(outcome, "read, "); isLeftOut {
			message = `msg="Skipped resources" count=` + strings.TrimSuffix(n, " skipped")
		}
		for _, service := range x.services {
			want = append(want, "level=warn account=main project="+x.project()+" service="+service+" "+message)
		}
	}
	if outcome == "credentials" {
		want = append(want, "level=warn account=main from=") // that the credentials failed to load
	}
	cause := x.fault.says
	if x.column == "credentials" && (x.fault.body != nil || x.fault.fault.Status/100 == 2) {
		cause = "the response|no token|token of the metadata service|gzip|flate" // nothing of which may be shown
	}
	lines := slices.Collect(strings.Lines(logged))
	if x.fault.refusesKey() { // the other project of the account can be fetched before or after
		isOfStaging := func(line string) bool {
			return strings.Contains(line, "account=main project=staging ") && strings.Contains(line, "401 Unauthorized")
		}
		lines = slices.DeleteFunc(lines, isOfStaging)
	}
	if outcome == isRead {
		isList := func(line string) bool {
			return strings.Contains(line, `level=info account=main msg="Discovered projects"`)
		}
		lines = slices.DeleteFunc(lines, isList) // there are more or fewer than before
	}
	for _, line := range want {
		i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, line) })
		if i < 0 || !regexp.MustCompile(cause).MatchString(lines[i]) {
			t.Fatalf("the log lacks\n%s ... %s\nin\n%s", line, cause, logged)
		}
		lines = slices.Delete(lines, i, i+1)
	}
	if len(lines) > 0 {
		t.Errorf("also logged:\n%s", strings.Join(lines, ""))
	}
}

// TestChangingTypesAndProjects: if a service sends new types each time, or projects come and go, the page and the memory do not grow.
func TestChangingTypesAndProjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newFaultyCloud()
		e := newExporterOf(t, cloud, strings.Replace(discover, "[ap-southeast-3]", "[eu-de]", 1), "")
		const rounds, perRound = 25, 6
		var series int
		var size uint64
		for round := range rounds {
			for i := range perRound {
				cloud.AddProject("main", cloudsim.Project{ID: fmt.Sprintf("id%dx%d", round, i), Name: fmt.Sprintf("eu-de_p%d-%d", round, i)})
			}
			heal := cloud.Inject(cloudtest.Fault{
				ProjectID: devID, Service: "cts", Status: http.StatusOK, Body: []byte(usual("cts", numbered(fmt.Sprintf("round%d-", round), "cts", 198)...)),
			})
			e.scrape(t, time.Now()) // triggers discovery
			<-time.After(time.Second)
			p := e.scrape(t, time.Now())
			types := strings.Count(p.text, fmt.Sprintf(`cloud_quota_used{project="dev",resource_type="round%d-`, round))
			projects := strings.Count(p.text, fmt.Sprintf(`cloud_quota_up{project="prod/eu-de_p%d-`, round))
			if types != 198 || projects != len(shapes)*perRound {
				t.Fatalf("round %d: %d types and %d sources of it", round, types, projects)
			}
			switch round {
			case 10:
				series, size = len(p.series), heapInUse()
			case rounds - 1:
				if more := int64(heapInUse()) - int64(size); len(p.series) != series || more > 1<<20 {
					t.Errorf("%d series after %d rounds, %d after 10; %d bytes of memory more", len(p.series), rounds, series, more)
				}
			}
			heal()
			for i := range perRound {
				cloud.RemoveProject(fmt.Sprintf("id%dx%d", round, i))
			}
			<-time.After(16 * time.Minute)
		}
	})
}
