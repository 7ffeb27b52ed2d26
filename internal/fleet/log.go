package fleet

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"cloud_quota_exporter/internal/huaweicloud"
)

const maxProjectsLogged = 5 // of a failure that projects have in common

// changeLog logs what changes: a source begins to fail, fails for another reason, recovers, or leaves out other resources than before. A
// source that goes on failing is not logged again; its metrics show it.
type changeLog struct {
	logger log.Logger

	mu      sync.Mutex
	failing map[failure]map[*sourceCell]bool // the sources that fail alike
}

func newChangeLog(l log.Logger) *changeLog {
	return &changeLog{logger: l, failing: map[failure]map[*sourceCell]bool{}}
}

// failure is what failing projects have in common: keys that are revoked are one cause, however many projects they read.
type failure struct{ account, service, reason string }

// fetched logs a fetch of a source; exists returns whether it is still read.
func (l *changeLog) fetched(before, after *Reading, exists func() bool) {
	logger := log.With(l.logger, "account", after.Account, "project", after.Project.Label, "service", after.Service)
	state := after.State
	_ = level.Debug(logger).Log("msg", "quotas were asked for", "took", state.Took, "err", state.Err)
	l.failed(logger, before, after, exists)
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

// failed logs a failure that begins, is another than before, or has ended. If many projects have it in common, some are logged.
func (l *changeLog) failed(logger log.Logger, before, after *Reading, exists func() bool) {
	failureOf := func(r *Reading) failure {
		if r.NotOffered {
			return failure{r.Account, r.Service, NotOffered}
		}
		return failure{r.Account, r.Service, r.Reason()}
	}
	was, now := failureOf(before), failureOf(after)
	if was == now {
		return
	}
	failed := l.remove(was, after.cell)
	is := now.reason
	if is == "" {
		if failed <= maxProjectsLogged {
			_ = level.Info(logger).Log("msg", "quotas are read again")
		}
		return
	}
	if !exists() {
		return
	}
	switch n := l.add(now, after.cell); {
	case is == NotOffered && n <= maxProjectsLogged:
		_ = level.Info(logger).Log("msg", "the region does not offer the service; it is asked again in an hour", "err", after.State.Err)
	case is == NotOffered && n == maxProjectsLogged+1:
		_ = level.Info(logger).Log("msg", "the regions of more projects do not offer the service; the status page tells which")
	case is == NotOffered:
	case n <= maxProjectsLogged:
		_ = level.Warn(logger).Log("msg", "quotas can't be read", "reason", is, "err", after.State.Err)
	case n == maxProjectsLogged+1:
		_ = level.Warn(logger).Log("msg", "quotas of more projects can't be read, for the same reason; the status page and cloud_quota_last_failure_reason tell which",
			"reason", is)
	}
}

// add returns how many projects fail alike, the new one among them.
func (l *changeLog) add(alike failure, source *sourceCell) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failing[alike] == nil {
		l.failing[alike] = map[*sourceCell]bool{}
	}
	l.failing[alike][source] = true
	return len(l.failing[alike])
}

// remove returns how many projects failed alike, the removed one among them; none if it did not fail.
func (l *changeLog) remove(alike failure, source *sourceCell) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	failed := len(l.failing[alike])
	delete(l.failing[alike], source)
	return failed
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
			_ = level.Warn(logger).Log("msg", "projects are left out since others have their labels; name_prefix tells them apart",
				"count", len(labels), "projects", SomeOf(labels))
		}
	}
}
