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
	log.Logger

	failures failures
}

func newChangeLog(l log.Logger) *changeLog {
	return &changeLog{Logger: l, failures: failures{projects: map[failure]map[string]bool{}}}
}

// fetched logs a fetch of a source.
func (l *changeLog) fetched(before, after *Reading) {
	logger := log.With(l.Logger, "account", after.Account, "project", after.Project.Label, "service", after.Service)
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

func reasonOf(r *Reading) string {
	if r.NotOffered {
		return NotOffered
	}
	return r.Reason()
}

// failed logs a failure that begins, is another than before, or has ended. If many projects have it in common, some are logged.
func (l *changeLog) failed(logger log.Logger, before, after *Reading) {
	was, is := reasonOf(before), reasonOf(after)
	if was == is {
		return
	}
	failing := 0
	if was != "" {
		failing = l.failures.remove(failure{after.Account, after.Service, was}, after.Project.Label)
	}
	if is == "" {
		if failing <= maxProjectsLogged {
			_ = level.Info(logger).Log("msg", "quotas are read again")
		}
		return
	}
	switch n := l.failures.add(failure{after.Account, after.Service, is}, after.Project.Label); {
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

// discovered logs what changes in the projects of an account. empty is that the discovery succeeded and leaves the account without a project.
func (l *changeLog) discovered(account string, before, after *listState, empty error) {
	logger := log.With(l.Logger, "account", account)
	if !slices.EqualFunc(before.Value, after.Value, func(a, b huaweicloud.Project) bool { return a.ID == b.ID }) {
		l.failures.clear() // projects may be gone
	}
	_ = level.Debug(logger).Log("msg", "projects were asked for", "took", after.Took, "err", after.Err)
	switch {
	case after.Err != nil && (before.Err == nil || huaweicloud.Reason(after.Err) != huaweicloud.Reason(before.Err)):
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
		logger := log.With(l.Logger, "account", a.Name)
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

// credentials logs that the keys of an account begin to fail, or with a nil err that this has ended. from is where they come from.
func (l *changeLog) credentials(account, from string, err error) {
	logger := log.With(l.Logger, "account", account, "from", from)
	if err != nil {
		_ = level.Warn(logger).Log("msg", "credentials can't be had", "err", err)
		return
	}
	_ = level.Info(logger).Log("msg", "credentials can be had again")
}

// credentialsLoaded logs where the keys of an account come from.
func (l *changeLog) credentialsLoaded(account, from string) {
	_ = level.Info(l.Logger).Log("msg", "credentials are there", "account", account, "from", from)
}

// exposed logs which files with secrets are readable by everybody.
func (l *changeLog) exposed(account string, files []error) {
	for _, err := range files {
		_ = level.Warn(l.Logger).Log("msg", "secrets of the account can be read by others", "account", account, "err", err)
	}
}

// failures knows which projects fail alike, so that the log has some of them, not a thousand: keys that are revoked are one cause, however
// many projects they read.
type failures struct {
	mu       sync.Mutex
	projects map[failure]map[string]bool // labels
}

// failure is what failing projects have in common.
type failure struct{ account, service, reason string }

// add returns how many projects fail alike, the new one among them.
func (f *failures) add(alike failure, project string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.projects[alike] == nil {
		f.projects[alike] = map[string]bool{}
	}
	f.projects[alike][project] = true
	return len(f.projects[alike])
}

// remove returns how many projects failed alike, the removed one among them.
func (f *failures) remove(alike failure, project string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.projects[alike])
	delete(f.projects[alike], project)
	return n
}

func (f *failures) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.projects)
}
