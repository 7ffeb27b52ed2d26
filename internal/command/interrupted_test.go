package command_test

import (
	"bytes"
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
)

// oneSlot has one project of DCS in each region under way, and the others in line.
const oneSlot = "services: {dcs: {max_in_flight: 1, timeout: %s}}\n"

var (
	nameOrID = regexp.MustCompile(`ap-southeast-\d_p\d{4}|\b[0-9a-f]{32}\b`)
	rows     = regexp.MustCompile(`(?m)(^X +X .*\n)+`)
)

// anonymous is a text without what differs from run to run: which project has the slot.
func anonymous(text string) string {
	text = regexp.MustCompile(`request id [0-9a-f]+`).ReplaceAllString(text, "request id ID")
	text = nameOrID.ReplaceAllStringFunc(text, func(found string) string { return "X" + strings.Repeat(" ", len(found)-1) })
	text = rows.ReplaceAllStringFunc(text, func(block string) string {
		return strings.Join(slices.Sorted(strings.Lines(block)), "")
	})
	return regexp.MustCompile(` +(/| and |\n)`).ReplaceAllString(text, "$1")
}

// online cuts off what check-config tells of the configuration.
func online(text string) string { return text[strings.LastIndex(text, "\nPROJECT "):] }

func TestGivenUpForPeople(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, cloudtest.Scale(5), fmt.Sprintf(oneSlot, "1s"))
		n.Inject(cloudtest.Fault{Service: "dcs", Host: "dcs.ap-southeast-1.", Hang: true})
		text, _ := n.check(t.Context(), 0)
		golden(t, "check-online-hangs", anonymous(online(text)))
		n.Inject(cloudtest.Fault{Service: "dcs", Status: http.StatusTooManyRequests, Latency: 500 * time.Millisecond})
		text, _ = n.check(t.Context(), 0)
		golden(t, "check-online-throttled", anonymous(online(text)))
	})
}

func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, cloudtest.Scale(5), fmt.Sprintf(oneSlot, "1m"))
		n.Inject(cloudtest.Fault{Service: "dcs", Hang: true})
		n.Inject(cloudtest.Fault{Host: "ces.ap-southeast-1.", Status: http.StatusForbidden, Body: cloudsim.ErrorBody("ces", 403, "no")})
		text, took := n.check(interrupted(t, 2*time.Second), 0)
		golden(t, "check-online-interrupted", anonymous(online(text)))
		if took != 2*time.Second {
			t.Errorf("check-config took %s", took)
		}
		text, _ = n.check(t.Context(), 2*time.Second)
		if got, want := ending(text), "cloud_quota_exporter: timed out after 2s: 20 of 25 reads finished, 2 of them failed\n--- exit code 1\n"; got != want {
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

func TestInterruptedAnswerIsJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, cloudtest.Scale(2), "")
		n.Inject(cloudtest.Fault{Service: "dcs", Hang: true})
		text, _ := n.query(interrupted(t, 2*time.Second), command.Query{Once: n.once(0), Services: []string{"dcs", "ces"}, Output: "json"})
		golden(t, "query-interrupted-json", text)
		if a := parse(t, text); a.read("ces") != 2 || a.reasons("dcs")["unfinished"] != 2 {
			t.Errorf("got %+v", a)
		}
	})
}

// TestTimeThatIsJustEnough for the request that proves the key and for the others: what has been read is all there is.
func TestTimeThatIsJustEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, cloudtest.Scale(5), "")
		n.Inject(cloudtest.Fault{Service: "cts", Latency: 2 * time.Second})
		text, took := n.query(t.Context(), command.Query{Once: n.once(4*time.Second + 1), Services: []string{"cts"}})
		if !strings.HasSuffix(text, "--- stderr\n--- exit code 0\n") || took != 4*time.Second {
			t.Errorf("after %s:\n%s", took, text)
		}
	})
}

// TestInterruptedWhileProjectsAreDiscovered: IAM hangs, and keeps no configured project waiting.
func TestInterruptedWhileProjectsAreDiscovered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, cloudtest.Scale(2), "    discovery: {regions: [ap-southeast-1]}\nservices: {dcs: {timeout: 1m}}\n")
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

// TestProgressOfAnInterruptedCommand: the line counts, and is gone before anything else is printed; what ends later doesn't show.
func TestProgressOfAnInterruptedCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, cloudtest.Scale(40), "services: {defaults: {timeout: 1s}}\n")
		n.Inject(cloudtest.Fault{Latency: 870 * time.Millisecond})
		var stdout, stderr bytes.Buffer
		err := command.Query{Once: n.once(0), Services: []string{"cts"}}.Run(interrupted(t, 2*time.Second), command.Terminal{Out: &stdout, Err: &stderr, Live: true}, n.config)
		<-time.After(time.Minute)
		want := regexp.MustCompile(`^(\r0 of 40 read)+(\r[12] of 40 read)+(\r1[78] of 40 read)+\r\x1b\[K\nunfinished: cts in `) // one or two prove the key
		if got := stderr.String(); !want.MatchString(got) || strings.Count(got, "\r") > 25 {
			t.Errorf("progress %q", got)
		}
		if err == nil || !regexp.MustCompile(`^interrupted after 1[78] of 40 reads$`).MatchString(err.Error()) {
			t.Errorf("got %v", err)
		}
	})
}
