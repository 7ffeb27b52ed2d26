package command_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var loggedFailure = regexp.MustCompile(`level=warn account=(\w+)(?: project=\S+ service=(\w+))? msg="(?:quotas|projects) can't be (?:read|discovered)" reason=(\w+)`)

var lastFailure = regexp.MustCompile(`^cloud_quota_last_failure_reason{project="prod",reason="(\w+)",service="(\w+)"}$`)

// outcomeOf tells what the page shows: the reason of what fails, the same for each source, or that all is read.
func (x *trial) outcomeOf(t *testing.T, p scraped) string {
	t.Helper()
	if x.services == nil { // no metric has the reason of a discovery: the log does
		if p.series[`cloud_quota_account_up{account="`+x.account+`"}`] == "1" {
			return isRead
		}
		failures := loggedFailure.FindAllStringSubmatch(x.log.String(), -1)
		return failures[len(failures)-1][3]
	}
	var all []string
	for _, service := range x.services {
		of := `project="prod",service="` + service + `"}`
		outcome := "neither up nor down"
		switch up, skipped := p.series[`cloud_quota_up{`+of], p.series[`cloud_quota_resources_skipped{`+of]; {
		case up == "1" && skipped == "0":
			outcome = isRead
		case up == "1":
			outcome = fmt.Sprintf("read, %s left out", skipped)
		case up == "0":
			outcome = "down without a reason"
			for series := range p.series {
				if m := lastFailure.FindStringSubmatch(series); m != nil && m[2] == service {
					outcome = m[1]
				}
			}
		}
		if !slices.Contains(all, outcome) {
			all = append(all, outcome)
		}
	}
	if x.account != "" && p.series[`cloud_quota_account_up{account="`+x.account+`"}`] != "0" {
		all = append(all, "the account is up")
	}
	return strings.Join(all, ", ")
}

// wantNumbers asserts that the last good numbers stay and say how old they are, and that there are none where none were ever read.
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
		t.Errorf("%d of %d numbers are lost", lost, known)
	}
	if more := p.types(x.isHit) - x.good.types(x.isHit); more > x.fault.new {
		t.Errorf("%d new resource types, want %d at most", more, x.fault.new)
	}
}

// wantLogged asserts that the log names the cause once for each source, and nothing else.
func (x *trial) wantLogged(t *testing.T, outcome, logged string) {
	t.Helper()
	var want []string
	switch {
	case outcome == isRead && x.fault.gone[x.name] == nil:
	case x.services == nil:
		want = []string{"level=warn account=main msg=\"projects can't be discovered\" reason=" + outcome}
	default:
		message := `msg="quotas can't be read" reason=` + outcome
		if outcome == isRead {
			message = `msg="quotas are incomplete"`
		} else if n, isLeftOut := strings.CutPrefix(outcome, "read, "); isLeftOut {
			message = `msg="resources are left out" count=` + strings.TrimSuffix(n, " left out")
		}
		for _, service := range x.services {
			want = append(want, "level=warn account=main project=prod service="+service+" "+message)
		}
	}
	if x.column == "credentials" && x.name != "static" && outcome != isRead {
		want = append(want, "level=warn account=main from=") // that the credentials can't be had
	}
	cause := x.fault.says
	if x.column == "credentials" && (x.fault.body != nil || x.fault.fault.Status/100 == 2) {
		cause = "the answer|no token|token of the metadata service|gzip|flate" // of which nothing may be shown
	}
	lines := slices.Collect(strings.Lines(logged))
	if x.fault.want == "unauthorized" { // the other project of the account may be asked before or after
		isOfStaging := func(line string) bool {
			return strings.Contains(line, "account=main project=staging ") && strings.Contains(line, "401 Unauthorized")
		}
		lines = slices.DeleteFunc(lines, isOfStaging)
	}
	if outcome == isRead {
		isList := func(line string) bool {
			return strings.Contains(line, `level=info account=main msg="projects are discovered"`)
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
		t.Errorf("logged besides:\n%s", strings.Join(lines, ""))
	}
}
