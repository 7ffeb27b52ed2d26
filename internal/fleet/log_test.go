package fleet_test

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/refresh"
	"cloud_quota_exporter/providers"
)

// TestChangesAreLogged once. Only metrics show what continues unchanged.
func TestChangesAreLogged(t *testing.T) {
	reading := func(err error, v providers.Result, refused ...error) *fleet.Reading {
		state := &refresh.State[providers.Result]{Err: err, Value: v}
		return &fleet.Reading{Account: "main", Service: "cts", Project: fleet.Project{Label: "prod"}, State: state, Refused: refused}
	}
	leavesOut := func(count int, reasons ...error) providers.Result {
		return providers.Result{Skipped: providers.Skipped{Count: count, Reasons: reasons}}
	}
	down, forbidden := &huaweicloud.APIError{Status: 500}, &huaweicloud.APIError{Status: 403}
	whole := providers.Result{}
	one, another := leavesOut(1, errors.New("a is bad")), leavesOut(1, errors.New("b is bad"))
	incomplete := providers.Result{Incomplete: errors.New("no list")}
	low, lower := errors.New("limit 2 is below what remains"), errors.New("limit 1 is below what remains")
	for _, tc := range []struct {
		name          string
		before, after *fleet.Reading
		want          string // "level: message" of each line, without debug messages
	}{
		{"succeeds first", reading(nil, whole), reading(nil, whole), ""},
		{"fails", reading(nil, one), reading(down, one), "warn: Failed to fetch quotas"},
		{"still fails", reading(down, one), reading(down, one), ""},
		{"fails otherwise", reading(down, one), reading(forbidden, one), "warn: Failed to fetch quotas"},
		{"recovers", reading(down, one), reading(nil, one), "info: Quotas recovered"},

		{"skips one", reading(nil, whole), reading(nil, one), "warn: Skipped resources"},
		{"skips the same", reading(nil, one), reading(nil, one), ""},
		{"skips none", reading(nil, one), reading(nil, whole), "info: Resources are no longer skipped"},
		{"skips as many, but others", reading(nil, one), reading(nil, another), "warn: Skipped resources"},
		{"skips more, for reasons that are not shown", reading(nil, one), reading(nil, leavesOut(2, one.Skipped.Reasons...)), "warn: Skipped resources"},
		{"recovers, and skips one", reading(down, whole), reading(nil, one), "info: Quotas recovered, warn: Skipped resources"},

		{"ignores a limit", reading(nil, whole), reading(nil, whole, low), "warn: Ignored configured limits"},
		{"ignores it again", reading(nil, whole, low), reading(nil, whole, low), ""},
		{"refuses another", reading(nil, whole, low), reading(nil, whole, lower), "warn: Ignored configured limits"},
		{"ignores none", reading(nil, whole, low), reading(nil, whole), ""},
		{"fails, and would ignore another limit", reading(down, whole, low), reading(down, whole, lower), ""},

		{"is incomplete", reading(nil, whole), reading(nil, incomplete), "warn: Quotas are incomplete"},
		{"is still incomplete", reading(nil, incomplete), reading(nil, incomplete), ""},
		{"is complete again", reading(nil, incomplete), reading(nil, whole), ""},
		{"fails, and was incomplete", reading(down, incomplete), reading(down, incomplete), ""},
		{"recovers, still incomplete", reading(down, incomplete), reading(nil, incomplete), "info: Quotas recovered, warn: Quotas are incomplete"},
	} {
		var b strings.Builder
		fleet.LogFetches(log.NewLogfmtLogger(&b), [2]*fleet.Reading{tc.before, tc.after})
		var logged []string
		for _, m := range regexp.MustCompile(`(?m)^level=(\w+) account=main project=prod service=cts msg="([^"]*)"`).FindAllStringSubmatch(b.String(), -1) {
			if m[1] != "debug" {
				logged = append(logged, m[1]+": "+m[2])
			}
		}
		if got := strings.Join(logged, ", "); got != tc.want {
			t.Errorf("%s: logged %q, want %q:\n%s", tc.name, got, tc.want, &b)
		}
		if n := strings.Count(b.String(), "level=debug"); n != 1 {
			t.Errorf("%s: %d lines for debugging, want one of each read", tc.name, n)
		}
	}
}

// TestLogGroupsFailures revokes and restores the keys of many projects, while one project fails for another reason. A service that a region does not
// have is not a failure.
func TestLogGroupsFailures(t *testing.T) {
	reading := func(project, status int) *fleet.Reading {
		state := &refresh.State[providers.Result]{}
		if status != http.StatusOK {
			state.Err = &huaweicloud.APIError{Status: status}
		}
		label := fleet.Project{Label: fmt.Sprint("p", project)}
		return &fleet.Reading{Account: "main", Service: "cts", Project: label, State: state, NotOffered: status == http.StatusNotFound}
	}
	for _, tc := range []struct {
		failing int
		want    map[string]int // how many lines contain a text
	}{
		{http.StatusUnauthorized, map[string]int{
			`level=warn`: 7,
			`msg="Failed to fetch quotas" reason=unauthorized`:                      5,
			`msg="More projects fail for the same reason`:                           1,
			`project=p50 service=cts msg="Failed to fetch quotas" reason=forbidden`: 1,
			`msg="Quotas recovered"`:                                                6,
		}},
		{http.StatusNotFound, map[string]int{
			`service=cts msg="Service not offered in the region; retrying in one hour" err=`: 5,
			`msg="Service not offered in the regions of more projects; see the status page"`: 1,
			`level=warn`:             1, // of the one that fails for another reason
			`msg="Quotas recovered"`: 6,
		}},
	} {
		var fetches [][2]*fleet.Reading
		for _, change := range [][2]int{{http.StatusOK, tc.failing}, {tc.failing, tc.failing}, {tc.failing, http.StatusOK}} {
			for i := range 100 {
				before, after := change[0], change[1]
				if i == 50 && before == tc.failing {
					before = http.StatusForbidden
				}
				if i == 50 && after == tc.failing {
					after = http.StatusForbidden
				}
				fetches = append(fetches, [2]*fleet.Reading{reading(i, before), reading(i, after)})
			}
		}
		var b strings.Builder
		fleet.LogFetches(level.NewFilter(log.NewLogfmtLogger(&b), level.AllowInfo()), fetches...)
		for text, want := range tc.want {
			if got := strings.Count(b.String(), text); got != want {
				t.Errorf("%q is %d times in the log, want %d:\n%s", text, got, want, &b)
			}
		}
	}
}
