package fleet

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"cloud_quota_exporter/internal/huaweicloud"
)

const (
	maxProjectsLogged = 5  // of a failure that projects have in common
	maxLabelsLogged   = 10 // of projects that are left out
)

// changeLog logs what changes: a source begins to fail, fails for another reason, recovers, or leaves out other resources than before. A
// source that goes on failing is not logged again; its metrics show it.
type changeLog struct {
	logger log.Logger

	mu      sync.Mutex
	failing map[failure]map[string]bool // labels of the projects that fail alike
}

func newChangeLog(l log.Logger) *changeLog {
	return &changeLog{logger: l, failing: map[failure]map[string]bool{}}
}

// failure is what failing projects have in common: keys that are revoked are one cause, however many projects they read.
type failure struct{ account, service, reason string }

// fetched logs a fetch of a source.
func (l *changeLog) fetched(before, after *Reading) {
	logger := log.With(l.logger, "account", after.Account, "project", after.Project.Label, "service", after.Service)
	state := after.State
	_ = level.Debug(logger).Log("msg", "quotas were asked for", "took", state.Took, "err", state.Err)
	l.failed(logger, before, after)
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
func (l *changeLog) failed(logger log.Logger, before, after *Reading) {
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
	failed, n := l.regroup(was, now, after.Project.Label)
	is := now.reason
	if is == "" {
		if failed <= maxProjectsLogged {
			_ = level.Info(logger).Log("msg", "quotas are read again")
		}
		return
	}
	switch {
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

// regroup moves a project from the group of one failure to that of another, and returns how many projects were in the former and are in the latter.
// A reason that is empty is no failure, and has no group.
func (l *changeLog) regroup(was, now failure, project string) (failed, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	failed = len(l.failing[was])
	delete(l.failing[was], project)
	if now.reason == "" {
		return failed, 0
	}
	if l.failing[now] == nil {
		l.failing[now] = map[string]bool{}
	}
	l.failing[now][project] = true
	return failed, len(l.failing[now])
}

// discovered logs what changes in the projects of an account. empty is that the discovery succeeded and leaves the account without a project.
func (l *changeLog) discovered(account string, before, after *listState, empty error) {
	logger := log.With(l.logger, "account", account)
	if !slices.EqualFunc(before.Value, after.Value, func(a, b huaweicloud.Project) bool { return a.ID == b.ID }) {
		l.mu.Lock()
		clear(l.failing) // projects may be gone
		l.mu.Unlock()
	}
	_ = level.Debug(logger).Log("msg", "projects were asked for", "took", after.Took, "err", after.Err)
	switch {
	case after.Err != nil && huaweicloud.Reason(after.Err) != huaweicloud.Reason(before.Err):
		_ = level.Warn(logger).Log("msg", "projects can't be discovered", "reason", huaweicloud.Reason(after.Err), "err", after.Err)
	case empty != nil && (before.Err != nil || len(after.Value) != len(before.Value) || before.ReadAt.IsZero()):
		_ = level.Warn(logger).Log("msg", "no project is discovered", "err", empty)
	case after.Err == nil && (before.Err != nil || len(after.Value) != len(before.Value)):
		_ = level.Info(logger).Log("msg", "projects are discovered", "seen", len(after.Value), "before", len(before.Value))
	}
}

// skippedProjects logs which discovered projects are left out, for accounts that leave out others than before.
func (l *changeLog) skippedProjects(before, now *view) {
	was := map[string][]string{}
	for _, a := range before.accounts {
		was[a.Name] = a.skipped
	}
	for _, a := range now.accounts {
		logger := log.With(l.logger, "account", a.Name)
		switch labels := a.skipped; {
		case slices.Equal(labels, was[a.Name]):
		case len(labels) == 0:
			_ = level.Info(logger).Log("msg", "no projects are left out any more")
		default:
			_ = level.Warn(logger).Log("msg", "projects are left out since others have their labels; name_prefix tells them apart",
				"count", len(labels), "projects", strings.Join(labels[:min(len(labels), maxLabelsLogged)], ", "))
		}
	}
}
