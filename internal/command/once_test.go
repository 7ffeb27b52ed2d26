package command_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/command"
	"cloud_quota_exporter/internal/democloud"
)

// network is a simulated cloud in a bubble. The hosts are those of the services and regions.
type network struct {
	*cloudtest.Cloud

	pipe   *cloudsim.Pipe
	config string
}

// inBubble runs a test with a cloud, and a configuration with all its projects, followed by more.
func inBubble(t *testing.T, cloud *cloudtest.Cloud, more string, test func(*testing.T, *network)) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{Cloud: cloud, pipe: cloudsim.NewPipe()}
		defer cloudsim.ServePlain(n.Cloud, n.pipe).Close()
		n.config = write(t, "config.yml", allProjects(n.Cloud, democloud.SecretKey, hosts)+more)
		test(t, n)
		<-time.After(10 * time.Minute) // fetches that are running when a command ends
	})
}

const hosts = `{iam: "http://iam.{region}.sim", default: "http://{service}.{region}.sim"}`

// once connects a command to the cloud, and ends it after a time.
func (n *network) once(timeout time.Duration) command.Once {
	return command.Once{Timeout: cmp.Or(timeout, time.Hour), Dial: n.pipe.Dial}
}

// query runs query, and returns its output and duration.
func (n *network) query(ctx context.Context, q command.Query) (text string, took time.Duration) {
	start := time.Now()
	text = transcriptOf(func(terminal command.Terminal) error { return q.Run(ctx, terminal, n.config) })
	return text, time.Since(start)
}

func (n *network) check(ctx context.Context, timeout time.Duration) (text string, took time.Duration) {
	start := time.Now()
	text = transcriptOf(func(terminal command.Terminal) error {
		return command.Check{Once: n.once(timeout), Online: true}.Run(ctx, terminal, n.config)
	})
	return text, time.Since(start)
}

// interrupted returns a context that is canceled after a time.
func interrupted(t *testing.T, after time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(after, cancel)
	return ctx
}

// answer is the output of query --output json.
type answer struct {
	Quotas   []struct{ Project, Service string }
	Failures []struct{ Project, Service, Reason, Error string }
}

// parse extracts JSON from the output of a command.
func parse(t *testing.T, text string) (a answer) {
	t.Helper()
	stdout, _, _ := strings.Cut(text, "--- stderr\n")
	if err := json.Unmarshal([]byte(stdout), &a); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return a
}

// reasons counts the failures of a service by their reason.
func (a answer) reasons(service string) map[string]int {
	count := map[string]int{}
	for _, f := range a.Failures {
		if f.Service == service {
			count[f.Reason]++
		}
	}
	return count
}

// read returns how many projects have quotas of a service.
func (a answer) read(service string) int {
	projects := map[string]bool{}
	for _, q := range a.Quotas {
		if q.Service == service {
			projects[q.Project] = true
		}
	}
	return len(projects)
}

// ending is the end of a command's output, after the problems.
func ending(text string) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(lines[max(len(lines)-3, 0):], "")
}

// TestServiceThatHangs in one of two regions, with 80 projects in each. The exporter needs one timeout to detect it, and the other region is not
// affected.
func TestServiceThatHangs(t *testing.T) {
	inBubble(t, cloudtest.Scale(160), "services: {defaults: {timeout: 1s}}\n", func(t *testing.T, n *network) {
		n.Inject(cloudtest.Fault{Host: "dcs.ap-southeast-1.", Hang: true})
		text, took := n.query(t.Context(), command.Query{Once: n.once(0), Output: "json"})
		a := parse(t, text)
		for service, want := range map[string]int{"cts": 160, "ces": 160, "taurusdb": 160, "dbss": 160, "dcs": 80} {
			if a.read(service) != want {
				t.Errorf("%s: %d projects were fetched, want %d", service, a.read(service), want)
			}
		}
		late, notAsked := a.reasons("dcs")["timeout"], a.reasons("dcs")["not asked"]
		if took > 2500*time.Millisecond || late > 9 || late+notAsked != 80 || len(a.Failures) != 80 { // one of them might have started before the others, to prove the key
			t.Errorf("after %s, %d timed out and %d were not started; want 8 timeouts", took, late, notAsked)
		}
		for _, f := range a.Failures {
			if !strings.HasPrefix(f.Project, "ap-southeast-1_") ||
				f.Reason == "not asked" && f.Error != "not started because max_in_flight fetches in a row timed out; check the network, or increase services.dcs.timeout" {
				t.Fatalf("%s: %s", f.Project, f.Error)
			}
		}
		if got := ending(text); got != fmt.Sprintf("cloud_quota_exporter: %d of 800 fetches failed, %d were not started\n--- exit code 1\n", late, notAsked) {
			t.Errorf("it ends with\n%s", got)
		}
	})
}

// TestTimeoutOfACommand: no fetch fails, but the timeout is too short for all, which would take 9 s.
func TestTimeoutOfACommand(t *testing.T) {
	inBubble(t, cloudtest.Scale(160), "services: {defaults: {timeout: 1s}}\n", func(t *testing.T, n *network) {
		n.Inject(cloudtest.Fault{Latency: 900 * time.Millisecond})
		text, took := n.query(t.Context(), command.Query{Once: n.once(5 * time.Second), Output: "json", Services: []string{"cts", "dcs"}})
		a := parse(t, text)
		for _, service := range []string{"cts", "dcs"} {
			got := a.reasons(service)
			if n := a.read(service); n < 64 || n > 66 || got["unfinished"] != 16 || n+got["unfinished"]+got["not asked"] != 160 {
				t.Errorf("%s: %d and %v; want four times 8 in each region after the key was proven, and 8 under way", service, n, got)
			}
		}
		want := fmt.Sprintf("--- stderr\ncloud_quota_exporter: timed out after 5s: %d of 320 fetches finished\n--- exit code 1\n", a.read("cts")+a.read("dcs"))
		if !strings.HasSuffix(text, want) || took != 5*time.Second {
			t.Errorf("after %s, it ends with\n%s", took, ending(text))
		}
	})
}

// oneSlot has one project of DCS in each region in progress, and the others queued.
const oneSlot = "services: {dcs: {max_in_flight: 1, timeout: %s}}\n"

var (
	nameOrID = regexp.MustCompile(`ap-southeast-\d_p\d{4}|\b[0-9a-f]{32}\b`)
	rows     = regexp.MustCompile(`(?m)(^X +X .*\n)+`)
)

// anonymous removes what differs between runs: which project has the slot.
func anonymous(text string) string {
	text = regexp.MustCompile(`request ID [0-9a-f]+`).ReplaceAllString(text, "request ID ID")
	text = nameOrID.ReplaceAllStringFunc(text, func(found string) string { return "X" + strings.Repeat(" ", len(found)-1) })
	text = rows.ReplaceAllStringFunc(text, func(block string) string {
		return strings.Join(slices.Sorted(strings.Lines(block)), "")
	})
	return regexp.MustCompile(` +(/| and |\n)`).ReplaceAllString(text, "$1")
}

// online removes the output of check-config about the configuration.
func online(text string) string { return text[strings.LastIndex(text, "\nPROJECT "):] }

func TestTimedOutForPeople(t *testing.T) {
	inBubble(t, cloudtest.Scale(5), fmt.Sprintf(oneSlot, "1s"), func(t *testing.T, n *network) {
		n.Inject(cloudtest.Fault{Service: "dcs", Host: "dcs.ap-southeast-1.", Hang: true})
		text, _ := n.check(t.Context(), 0)
		golden(t, "check-online-hangs", anonymous(online(text)))
		n.Inject(cloudtest.Fault{Service: "dcs", Status: http.StatusTooManyRequests, Latency: 500 * time.Millisecond})
		text, _ = n.check(t.Context(), 0)
		golden(t, "check-online-throttled", anonymous(online(text)))
	})
}

func TestInterrupted(t *testing.T) {
	inBubble(t, cloudtest.Scale(5), fmt.Sprintf(oneSlot, "1m"), func(t *testing.T, n *network) {
		n.Inject(cloudtest.Fault{Service: "dcs", Hang: true})
		n.Inject(cloudtest.Fault{Host: "ces.ap-southeast-1.", Status: http.StatusForbidden, Body: cloudsim.ErrorBody("ces", 403, "no")})
		text, took := n.check(interrupted(t, 2*time.Second), 0)
		golden(t, "check-online-interrupted", anonymous(online(text)))
		if took != 2*time.Second {
			t.Errorf("check-config took %s", took)
		}
		text, _ = n.check(t.Context(), 2*time.Second)
		if got, want := ending(text), "cloud_quota_exporter: timed out after 2s: 20 of 25 fetches finished, 2 of them failed\n--- exit code 1\n"; got != want {
			t.Errorf("it ends with\n%s\nwant\n%s", got, want)
		}
		both := []string{"dcs", "ces"}
		for name, q := range map[string]command.Query{
			"query-interrupted":       {Services: both},
			"query-interrupted-above": {Services: both, Sort: "usage", FailAbove: 0.4},
			"query-timed-out":         {Services: []string{"dcs"}, Once: n.once(2 * time.Second)},
		} {
			ctx := t.Context()
			if q.Timeout == 0 {
				q.Once, ctx = n.once(time.Minute), interrupted(t, 2*time.Second)
			}
			text, took := n.query(ctx, q)
			golden(t, name, anonymous(text))
			if took != 2*time.Second {
				t.Errorf("%s took %s", name, took)
			}
		}
	})
}

// TestTimeoutThatIsJustEnough for the request that proves the key and for the others: everything is fetched.
func TestTimeoutThatIsJustEnough(t *testing.T) {
	inBubble(t, cloudtest.Scale(5), "", func(t *testing.T, n *network) {
		n.Inject(cloudtest.Fault{Service: "cts", Latency: 2 * time.Second})
		text, took := n.query(t.Context(), command.Query{Once: n.once(4*time.Second + 1), Services: []string{"cts"}})
		if !strings.HasSuffix(text, "--- stderr\n--- exit code 0\n") || took != 4*time.Second {
			t.Errorf("after %s:\n%s", took, text)
		}
	})
}

// TestInterruptedWhileProjectsAreDiscovered: IAM hangs, and configured projects do not wait for it.
func TestInterruptedWhileProjectsAreDiscovered(t *testing.T) {
	inBubble(t, cloudtest.Scale(2), "    discovery: {regions: [ap-southeast-1]}\nservices: {dcs: {timeout: 1m}}\n", func(t *testing.T, n *network) {
		n.Inject(cloudtest.Fault{Service: "iam", Hang: true})
		text, _ := n.check(interrupted(t, 2*time.Second), 0)
		golden(t, "check-online-undiscovered", online(text))
		for name, q := range map[string]command.Query{
			"query-undiscovered":      {Projects: []string{n.Projects()[0].Name}},
			"query-undiscovered-json": {Projects: []string{"later"}, Output: "json"},
		} {
			q.Once, q.Services = n.once(2*time.Second), []string{"ces"}
			text, took := n.query(t.Context(), q)
			golden(t, name, text)
			if took != 2*time.Second {
				t.Errorf("%s took %s", name, took)
			}
		}
	})
}

// TestProgressOfAnInterruptedCommand: the progress line counts, and is erased before anything else is printed. Later fetches are not counted.
func TestProgressOfAnInterruptedCommand(t *testing.T) {
	inBubble(t, cloudtest.Scale(40), "services: {defaults: {timeout: 1s}}\n", func(t *testing.T, n *network) {
		n.Inject(cloudtest.Fault{Latency: 870 * time.Millisecond})
		var stdout, stderr bytes.Buffer
		err := command.Query{Once: n.once(0), Services: []string{"cts"}}.Run(interrupted(t, 2*time.Second), command.Terminal{Out: &stdout, Err: &stderr, Live: true}, n.config)
		<-time.After(time.Minute)
		want := regexp.MustCompile(`^(\r0 of 40 fetched)+(\r[12] of 40 fetched)+(\r1[78] of 40 fetched)+\r\x1b\[K\nunfinished: cts in `) // one or two prove the key
		if got := stderr.String(); !want.MatchString(got) || strings.Count(got, "\r") > 25 {
			t.Errorf("progress %q", got)
		}
		if err == nil || !regexp.MustCompile(`^interrupted after 1[78] of 40 fetches$`).MatchString(err.Error()) {
			t.Errorf("got %v", err)
		}
	})
}
