package command_test

import (
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
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

// matrix is what was seen: the outcomes by fault, in the order of the targets.
type matrix map[string][]seen

// seen is what became of a target.
type seen struct {
	target  target
	outcome string
}

// compare compares the table of docs/reliability.md with what was seen, or writes it.
func (m matrix) compare(t *testing.T) {
	t.Helper()
	generated(t, "../../docs/reliability.md", "faults: what TestFaults saw", "end of faults", m.table())
}

// table has a row for each fault.
func (m matrix) table() string {
	var b strings.Builder
	b.WriteString("\n| what goes wrong | services | IAM | credentials |\n|---|---|---|---|\n")
	tried := 0
	for _, f := range faults {
		fmt.Fprintf(&b, "| %s |", f.name)
		for _, column := range []string{"services", "IAM", "credentials"} {
			fmt.Fprintf(&b, " %s |", m.cell(f.name, column))
		}
		b.WriteString("\n")
		tried += len(m[f.name])
	}
	fmt.Fprintf(&b, "\nFaults: %d. Targets: %d. Tried: %d. Survived: %d. Series of others lost or changed: 0.\n\n", len(faults), len(targets()), tried, tried)
	return b.String()
}

// cell returns the outcome of most targets of a column, and the targets with another outcome.
func (m matrix) cell(fault, column string) string {
	var outcomes []string
	names := map[string][]string{}
	for _, s := range m[fault] {
		if s.target.column == column {
			if names[s.outcome] == nil {
				outcomes = append(outcomes, s.outcome)
			}
			names[s.outcome] = append(names[s.outcome], s.target.name)
		}
	}
	if len(outcomes) == 0 {
		return "-"
	}
	most := outcomes[0]
	for _, outcome := range outcomes {
		if len(names[outcome]) > len(names[most]) {
			most = outcome
		}
	}
	text := most
	for _, outcome := range outcomes {
		if outcome != most {
			text += fmt.Sprintf("; %s: %s", strings.Join(names[outcome], ", "), outcome)
		}
	}
	return text
}

// wrong is something that goes wrong with the cloud, and what the exporter is to make of it.
type wrong struct {
	name  string
	fault cloudtest.Fault
	body  func(asked string) string // of a 200, by the service that is asked

	keys bool // the account has another secret key in the cloud

	want string                    // the reason, or read
	but  map[string]string         // what another target makes of it
	says string                    // in the error that is logged, as a regular expression
	gone map[string]*regexp.Regexp // by target: the series that such an answer lacks
	new  int                       // resource types that such an answer adds
	half bool                      // the answer is of resources, of which some can be read

	asks time.Duration // how long the cloud asks to be left alone
}

// isRead is what becomes of an answer that is no trouble.
const isRead = "read"

// faults are all that goes wrong, in the order of the document.
var faults = slices.Concat(connections(), statuses(), unreadable(), halfReadable())

// connections are answers that don't come.
func connections() []wrong {
	return []wrong{
		{name: "connection refused", fault: cloudtest.Fault{Dial: syscall.ECONNREFUSED}, want: "network", says: "connection refused"},
		{
			name: "no such host", fault: cloudtest.Fault{Dial: &net.DNSError{Err: "no such host", Name: "host", IsNotFound: true}},
			want: "network", says: "no such host",
		},
		{name: "connection reset before the answer", fault: cloudtest.Fault{Reset: true}, want: "network", says: "EOF"},
		{name: "connection reset in the middle of the body", fault: cloudtest.Fault{CutBody: true}, want: "network", says: "broke off: unexpected EOF"},
		{name: "certificate of another host", fault: cloudtest.Fault{Certificate: cloudtest.OfAnotherHost}, want: "tls", says: "certificate is valid for another-host"},
		{name: "expired certificate", fault: cloudtest.Fault{Certificate: cloudtest.Expired}, want: "tls", says: "certificate has expired"},
		{name: "no answer at all", fault: cloudtest.Fault{Hang: true}, want: "timeout", says: tooLong},
		{name: "connections that died while they were idle", fault: cloudtest.Fault{Dead: true}, want: isRead},
		{name: "a body by one byte a second", fault: cloudtest.Fault{Drip: time.Second}, want: "timeout", says: tooLong},
	}
}

// tooLong matches the errors of several timeouts.
const tooLong = "deadline exceeded|not had in time|Client.Timeout exceeded"

// statuses are answers other than 200.
func statuses() []wrong {
	var all []wrong
	for _, s := range []struct {
		status int
		want   string
	}{
		{400, "client_error"},
		{401, "unauthorized"},
		{403, "forbidden"},
		{404, "not_found"},
		{408, "timeout"},
		{409, "client_error"},
		{429, "throttled"},
		{500, "server_error"},
		{502, "server_error"},
		{503, "server_error"},
	} {
		name := fmt.Sprint(s.status)
		w := wrong{name: name, want: s.want, says: name + " " + http.StatusText(s.status), fault: cloudtest.Fault{Status: s.status}}
		switch s.status {
		case http.StatusUnauthorized:
			w.fault.Body = cloudsim.ErrorBody("", s.status, "no")
			w.asks = 5 * time.Minute // the service is paused, or the key
		case http.StatusForbidden, http.StatusNotFound:
			w.but = map[string]string{instanceList: isRead}
			w.gone = map[string]*regexp.Regexp{instanceList: regexp.MustCompile("cloud_quota_(used|limit){.*audit_instance")}
		case http.StatusTooManyRequests:
			w.fault.Body = cloudsim.ErrorBody("", s.status, "slow down")
			asks := w
			asks.name += " with Retry-After: 120"
			asks.fault.Header = http.Header{"Retry-After": {"120"}}
			asks.asks = 2 * time.Minute
			all = append(all, asks)
		case http.StatusBadGateway:
			w.name += " with a page of HTML"
			w.fault.Body = []byte("<html><body><h1>Bad Gateway</h1></body></html>")
		default:
			w.fault.Body = cloudsim.ErrorBody("", s.status, "no")
		}
		all = append(all, w)
	}
	elsewhere := http.Header{"Location": {"https://elsewhere.example.com/"}}
	return append(
		all,
		wrong{name: "302 to another host", want: "client_error", says: "302 Found", fault: cloudtest.Fault{Status: http.StatusFound, Header: elsewhere}},
		wrong{name: "another secret key", keys: true, want: "unauthorized", says: "401 Unauthorized APIGW.0301", asks: 5 * time.Minute},
		wrong{name: "101, and the connection stays open", want: "malformed", says: "101 Switching Protocols", fault: cloudtest.Fault{Status: http.StatusSwitchingProtocols}},
		wrong{name: "204", want: "malformed", says: "it is empty", fault: cloudtest.Fault{Status: http.StatusNoContent}},
	)
}

// unreadable are answers of which nothing can be read.
func unreadable() []wrong {
	is := func(body string) func(string) string { return func(string) string { return body } }
	encoded := func(name, encoding, body, says string) wrong {
		fault := cloudtest.Fault{Header: http.Header{"Content-Encoding": {encoding}}}
		return wrong{name: name, want: "malformed", says: says, fault: fault, body: is(body)}
	}
	large := strings.Repeat(" ", 2<<20)
	whole := zipped(usual("cts"))
	bomb := zipped(strings.Repeat(" ", 16<<20))
	return []wrong{
		{name: "an empty 200", want: "malformed", says: "it is empty", body: is("")},
		{name: "invalid JSON", want: "malformed", says: "invalid character", body: is("{oops}")},
		{name: "JSON of another shape", want: "malformed", says: "there are no quotas in it|there is no list", body: is(`{"data":[1,"2",{}],"ok":true}`)},
		{name: "JSON that is cut off", want: "malformed", says: "unexpected end of JSON", body: func(asked string) string {
			whole := usual(asked)
			return whole[:len(whole)/2]
		}},
		{name: "2 MiB", want: "malformed", says: "longer than 1048576 bytes", body: is(large)},
		{name: "nested 20,000 deep", want: "malformed", says: "exceeded max depth", body: is(strings.Repeat("[", 20_000))},
		encoded("gzip that unpacks to 16 MiB", "gzip", bomb, "longer than 1048576 bytes"),
		encoded("gzip within gzip, which nobody asked for", "gzip, gzip", zipped(bomb), "invalid character"),
		encoded("plain text that says to be gzip", "gzip", usual("cts"), "gzip: invalid header"),
		encoded("gzip that is damaged", "gzip", whole[:len(whole)-8]+"checksum", "gzip: invalid checksum"),
		{name: "NaN for a number", want: "malformed", says: "invalid character 'N'", body: func(asked string) string {
			return strings.Replace(usual(asked), "{", `{"x":NaN,`, 1)
		}},
	}
}
