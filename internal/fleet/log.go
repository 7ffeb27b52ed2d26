package fleet

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/providers"
)

const maxProjectsLogged = 5 // of a failure that projects have in common

// changeLog logs changes: a source starts to fail, fails for another reason, recovers, or skips other resources. A source that keeps
// failing is not logged again; its metrics show it.
type changeLog struct {
	logger log.Logger

	mu      sync.Mutex
	failing map[failure]map[*sourceCell]bool // the sources with the same failure
	last    map[*sourceCell]failure          // of those that fail
	waited  map[busyHost]time.Time           // when a wait for the host was last logged
}

func newChangeLog(l log.Logger) *changeLog {
	return &changeLog{
		logger: l, failing: map[failure]map[*sourceCell]bool{}, last: map[*sourceCell]failure{}, waited: map[busyHost]time.Time{},
	}
}

// failure is what failing projects have in common: revoked keys are one cause for any number of projects.
type failure struct{ account, service, reason string }

// failureOf returns the failure of a reading; zero if there is none.
func failureOf(r *Reading) failure {
	switch {
	case r.NotOffered:
		return failure{r.Account, r.Service, NotOffered}
	case r.Reason() == "":
		return failure{}
	default:
		return failure{r.Account, r.Service, r.Reason()}
	}
}

// loggerOf returns the logger for a source.
func (l *changeLog) loggerOf(r *Reading) log.Logger {
	return log.With(l.logger, "account", r.Account, "project", r.Project.Label, "service", r.Service)
}

// fetched logs a fetch of a source; exists reports whether the source still exists.
func (l *changeLog) fetched(before, after *Reading, exists func() bool) {
	logger, state := l.loggerOf(after), after.State
	_ = level.Debug(logger).Log("msg", "Fetched quotas", "took", state.Took, "err", state.Err)
	l.failed(before, after, exists)
	if state.Err != nil {
		return
	}
	switch was, is := before.State.Value.Skipped, state.Value.Skipped; {
	case is.Count > 0 && is.String() != was.String():
		_ = level.Warn(logger).Log("msg", "Skipped resources", "count", is.Count, "err", is)
	case is.Count == 0 && was.Count > 0:
		_ = level.Info(logger).Log("msg", "Resources are no longer skipped")
	}
	if was, is := fmt.Sprint(before.Refused), fmt.Sprint(after.Refused); len(after.Refused) > 0 && was != is {
		_ = level.Warn(logger).Log("msg", "Ignored configured limits", "err", is)
	}
	if was, is := before.State.Value.Incomplete, state.Value.Incomplete; is != nil && (was == nil || before.Reason() != "") {
		_ = level.Warn(logger).Log("msg", "Quotas are incomplete", "err", is)
	}
}

// failed logs a failure that starts, changes, or ends. If many projects have it in common, only some are logged. The first failure
// of a source is not logged while the service may turn out to be not offered.
func (l *changeLog) failed(before, after *Reading, exists func() bool) {
	logger, now := l.loggerOf(after), failureOf(after)
	is := now.reason
	if is != "" && (after.undecided && before.State.Err == nil || !exists()) {
		return
	}
	was, failed, n := l.change(after.cell, now)
	switch {
	case was == now:
	case is == "" && failed <= maxProjectsLogged:
		_ = level.Info(logger).Log("msg", "Quotas recovered")
	case is == "":
	case is == NotOffered && n <= maxProjectsLogged:
		_ = level.Info(logger).Log("msg", "Service not offered in the region; retrying in one hour", "err", after.State.Err)
	case is == NotOffered && n == maxProjectsLogged+1:
		_ = level.Info(logger).Log("msg", "Service not offered in the regions of more projects; see the status page")
	case is == NotOffered:
	case n <= maxProjectsLogged:
		_ = level.Warn(logger).Log("msg", "Failed to fetch quotas", "reason", is, "err", after.State.Err)
	case n == maxProjectsLogged+1:
		_ = level.Warn(logger).Log("msg", "More projects fail for the same reason; see the status page or cloud_quota_last_failure_reason",
			"reason", is)
	}
}

// change records the current failure of a source, and returns the previous one. failed and fail are the numbers of sources with the
// previous and the current failure, including this one.
func (l *changeLog) change(source *sourceCell, now failure) (was failure, failed, fail int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was = l.last[source]
	if was == now {
		return was, 0, 0
	}
	failed = len(l.failing[was])
	delete(l.failing[was], source)
	delete(l.last, source)
	if now == (failure{}) {
		return was, failed, 0
	}
	if l.failing[now] == nil {
		l.failing[now] = map[*sourceCell]bool{}
	}
	l.failing[now][source], l.last[source] = true, now
	return was, failed, len(l.failing[now])
}

const waitsEvery = 15 * time.Minute // interval of logging waits for the same host

// busyHost is a host whose slots are all in use by an account.
type busyHost struct{ account, host string }

// waits logs for which hosts the fetches of sources wait.
func (l *changeLog) waits(sources []*source) {
	waiting, limits := map[busyHost]int{}, map[busyHost]int{}
	for _, s := range sources {
		_, why := s.cell.Attempt()
		if busy, ok := errors.AsType[*huaweicloud.BusyError](why); ok {
			b := busyHost{s.Account, busy.Host}
			waiting[b]++
			limits[b] = busy.Limit
		}
	}
	for b, n := range waiting {
		if l.isNews(b) {
			_ = level.Warn(l.logger).Log("msg", "Scrapes are waiting for other requests to the same host; increase max_in_flight_per_host if the host can handle more",
				"account", b.account, "host", b.host, "max_in_flight_per_host", limits[b], "waiting", n)
		}
	}
}

// isNews reports whether waits for a host were not logged recently.
func (l *changeLog) isNews(b busyHost) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(l.waited, func(_ busyHost, at time.Time) bool { return now.Sub(at) >= waitsEvery })
	if _, known := l.waited[b]; known {
		return false
	}
	l.waited[b] = now
	return true
}

// unverified logs the enabled services whose API is not documented, if they have changed.
func (l *changeLog) unverified(before, now *view) {
	isUnverified := func(s providers.Service) bool { return !s.IsVerified() }
	names := now.services(isUnverified)
	if len(names) > 0 && !slices.Equal(names, before.services(isUnverified)) {
		_ = level.Warn(l.logger).Log("msg", "Enabled services without current API documentation; compare their values with the console",
			"services", strings.Join(names, ", "))
	}
}

// discovered logs changes in the projects of an account. empty is set if the discovery succeeded but left the account without a
// project.
func (l *changeLog) discovered(account string, before, after *listState, empty error) {
	logger := log.With(l.logger, "account", account)
	_ = level.Debug(logger).Log("msg", "Fetched projects", "took", after.Took, "err", after.Err)
	switch {
	case after.Err != nil && huaweicloud.Reason(after.Err) != huaweicloud.Reason(before.Err):
		_ = level.Warn(logger).Log("msg", "Failed to discover projects", "reason", huaweicloud.Reason(after.Err), "err", after.Err)
	case empty != nil && (before.Err != nil || after.Value.Seen != before.Value.Seen || before.ReadAt.IsZero()):
		_ = level.Warn(logger).Log("msg", "Discovered no projects", "err", empty)
	case after.Err == nil && (before.Err != nil || after.Value.Seen != before.Value.Seen):
		_ = level.Info(logger).Log("msg", "Discovered projects", "seen", after.Value.Seen, "before", before.Value.Seen)
	}
}

// forget removes the sources that a view no longer has.
func (l *changeLog) forget(now *view) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failing) == 0 {
		return
	}
	there := map[*sourceCell]bool{}
	for _, s := range now.sources {
		there[s.cell] = true
	}
	for f, sources := range l.failing {
		maps.DeleteFunc(sources, func(source *sourceCell, _ bool) bool { return !there[source] })
		if len(sources) == 0 {
			delete(l.failing, f)
		}
	}
	maps.DeleteFunc(l.last, func(source *sourceCell, _ failure) bool { return !there[source] })
}

// skippedProjects logs the skipped projects of accounts if they have changed.
func (l *changeLog) skippedProjects(before, now *view) {
	old := map[string]accountView{}
	for _, a := range before.accounts {
		old[a.Name] = a
	}
	for _, a := range now.accounts {
		logger, was := log.With(l.logger, "account", a.Name), old[a.Name]
		if a.beyond > 0 && a.beyond != was.beyond {
			_ = level.Warn(logger).Log("msg", "Skipped projects beyond discovery.max_projects; increase it, or restrict discovery.regions and include",
				"count", a.beyond, "max_projects", a.Discovery.MaxProjects)
		}
		if bad := a.unreadable(); bad.Count > 0 && bad.String() != was.unreadable().String() {
			_ = level.Warn(logger).Log("msg", "Skipped projects with invalid entries in IAM's list", "count", bad.Count, "err", bad)
		}
		switch labels := a.skipped; {
		case slices.Equal(labels, was.skipped):
		case len(labels) == 0:
			_ = level.Info(logger).Log("msg", "Projects are no longer skipped")
		default:
			_ = level.Warn(logger).Log("msg", "Skipped projects with duplicate labels; set name_prefix to make them unique",
				"count", len(labels), "projects", SomeOf(labels))
		}
	}
}
