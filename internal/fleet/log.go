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

// changeLog logs what changes: a source begins to fail, fails for another reason, recovers, or leaves out other resources than before. A
// source that goes on failing is not logged again; its metrics show it.
type changeLog struct {
	logger log.Logger

	mu      sync.Mutex
	failing map[failure]map[*sourceCell]bool // the sources that fail alike
	last    map[*sourceCell]failure          // of those that fail
	waited  map[busyHost]time.Time           // when it was logged last that scrapes wait for it
}

func newChangeLog(l log.Logger) *changeLog {
	return &changeLog{
		logger: l, failing: map[failure]map[*sourceCell]bool{}, last: map[*sourceCell]failure{}, waited: map[busyHost]time.Time{},
	}
}

// failure is what failing projects have in common: keys that are revoked are one cause, however many projects they read.
type failure struct{ account, service, reason string }

// failureOf returns how a reading fails; the zero failure if it does not.
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

// loggerOf returns the logger for what concerns a source.
func (l *changeLog) loggerOf(r *Reading) log.Logger {
	return log.With(l.logger, "account", r.Account, "project", r.Project.Label, "service", r.Service)
}

// fetched logs a fetch of a source; exists returns whether it is still read.
func (l *changeLog) fetched(before, after *Reading, exists func() bool) {
	logger, state := l.loggerOf(after), after.State
	_ = level.Debug(logger).Log("msg", "quotas were asked for", "took", state.Took, "err", state.Err)
	l.failed(before, after, exists)
	if state.Err != nil {
		return
	}
	switch was, is := before.State.Value.Skipped, state.Value.Skipped; {
	case is.Count > 0 && is.String() != was.String():
		_ = level.Warn(logger).Log("msg", "resources are left out", "count", is.Count, "err", is)
	case is.Count == 0 && was.Count > 0:
		_ = level.Info(logger).Log("msg", "no resources are left out any more")
	}
	if was, is := fmt.Sprint(before.Refused), fmt.Sprint(after.Refused); len(after.Refused) > 0 && was != is {
		_ = level.Warn(logger).Log("msg", "stated limits are not used", "err", is)
	}
	if was, is := before.State.Value.Incomplete, state.Value.Incomplete; is != nil && (was == nil || before.Reason() != "") {
		_ = level.Warn(logger).Log("msg", "quotas are incomplete", "err", is)
	}
}

// failed logs a failure that begins, is another than before, or has ended. If many projects have it in common, some are logged. The first failure of a
// source is not logged if it may turn out that the service is not offered.
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
		_ = level.Info(logger).Log("msg", "quotas are read again")
	case is == "":
	case is == NotOffered && n <= maxProjectsLogged:
		_ = level.Info(logger).Log("msg", "the region does not offer the service; it is asked again in an hour", "err", after.State.Err)
	case is == NotOffered && n == maxProjectsLogged+1:
		_ = level.Info(logger).Log("msg", "the regions of more projects do not offer the service; the status page shows which")
	case is == NotOffered:
	case n <= maxProjectsLogged:
		_ = level.Warn(logger).Log("msg", "quotas can't be read", "reason", is, "err", after.State.Err)
	case n == maxProjectsLogged+1:
		_ = level.Warn(logger).Log("msg", "quotas of more projects can't be read, for the same reason; the status page and cloud_quota_last_failure_reason tell which",
			"reason", is)
	}
}

// change notes how a source fails now, and returns how it failed before. failed and fail are how many sources failed like it then, and fail like it now,
// itself among them.
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

const waitsEvery = 15 * time.Minute // that scrapes wait for the same host is logged

// busyHost is a host to which an account has as many requests in flight as it may have.
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
			_ = level.Warn(l.logger).Log("msg", "scrapes wait for requests that wait for others to the same host; raise max_in_flight_per_host if the host can handle more",
				"account", b.account, "host", b.host, "max_in_flight_per_host", limits[b], "waiting", n)
		}
	}
}

// isNews returns whether it was not logged lately that scrapes wait for a host.
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

// unverified logs which enabled services no document of Huawei describes, if they are others than before.
func (l *changeLog) unverified(before, now *view) {
	isUnverified := func(s providers.Service) bool { return !s.IsVerified() }
	names := now.services(isUnverified)
	if len(names) > 0 && !slices.Equal(names, before.services(isUnverified)) {
		_ = level.Warn(l.logger).Log("msg", "services are enabled whose quota API no current document describes; compare their values with the console",
			"services", strings.Join(names, ", "))
	}
}

// discovered logs what changes in the projects of an account. empty is that the discovery succeeded and leaves the account without a project.
func (l *changeLog) discovered(account string, before, after *listState, empty error) {
	logger := log.With(l.logger, "account", account)
	_ = level.Debug(logger).Log("msg", "projects were asked for", "took", after.Took, "err", after.Err)
	switch {
	case after.Err != nil && huaweicloud.Reason(after.Err) != huaweicloud.Reason(before.Err):
		_ = level.Warn(logger).Log("msg", "projects can't be discovered", "reason", huaweicloud.Reason(after.Err), "err", after.Err)
	case empty != nil && (before.Err != nil || after.Value.Seen != before.Value.Seen || before.ReadAt.IsZero()):
		_ = level.Warn(logger).Log("msg", "no project is discovered", "err", empty)
	case after.Err == nil && (before.Err != nil || after.Value.Seen != before.Value.Seen):
		_ = level.Info(logger).Log("msg", "projects are discovered", "seen", after.Value.Seen, "before", before.Value.Seen)
	}
}

// forget forgets the sources that a view has no longer.
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

// skippedProjects logs which discovered projects are left out, for accounts that leave out others than before.
func (l *changeLog) skippedProjects(before, now *view) {
	old := map[string]accountView{}
	for _, a := range before.accounts {
		old[a.Name] = a
	}
	for _, a := range now.accounts {
		logger, was := log.With(l.logger, "account", a.Name), old[a.Name]
		if a.beyond > 0 && a.beyond != was.beyond {
			_ = level.Warn(logger).Log("msg", "projects beyond discovery.max_projects are left out; raise it, or narrow regions and include",
				"count", a.beyond, "max_projects", a.Discovery.MaxProjects)
		}
		if bad := a.unreadable(); bad.Count > 0 && bad.String() != was.unreadable().String() {
			_ = level.Warn(logger).Log("msg", "projects that IAM lists can't be read and are left out", "count", bad.Count, "err", bad)
		}
		switch labels := a.skipped; {
		case slices.Equal(labels, was.skipped):
		case len(labels) == 0:
			_ = level.Info(logger).Log("msg", "no projects are left out any more")
		default:
			_ = level.Warn(logger).Log("msg", "projects are left out since others have their labels; name_prefix distinguishes them",
				"count", len(labels), "projects", SomeOf(labels))
		}
	}
}
