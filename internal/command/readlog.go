package command

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/huaweicloud"
)

// readLog logs reads where something changes: a source begins to fail, fails for another reason, recovers, or leaves out other
// resources than before. A source that goes on failing is not news; its metrics tell.
type readLog struct {
	log.Logger

	failing *crowds
}

func newReadLog(l log.Logger) readLog { return readLog{l, newCrowds()} }

func (l readLog) read(r fleet.Read) {
	before, after := r.Before, r.After
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

// notOffered stands for the reason of a source that its region does not have, which is no failure.
const notOffered = "not offered"

func reasonOf(r *fleet.Reading) string {
	if r.NotOffered {
		return notOffered
	}
	return r.Reason()
}

// failed logs a failure that begins, is another than before, or has ended. Of those that have it in common, some are named.
func (l readLog) failed(logger log.Logger, before, after *fleet.Reading) {
	was, is := reasonOf(before), reasonOf(after)
	if was == is {
		return
	}
	failing := 0
	if was != "" {
		failing = l.failing.leave(crowd{after.Account, after.Service, was}, after.Project.Label)
	}
	if is == "" {
		if failing <= named {
			_ = level.Info(logger).Log("msg", "quotas are read again")
		}
		return
	}
	switch n := l.failing.join(crowd{after.Account, after.Service, is}, after.Project.Label); {
	case is == notOffered && n <= named:
		_ = level.Info(logger).Log("msg", "the region does not offer the service; it is asked again in an hour", "err", after.State.Err)
	case is == notOffered && n == named+1:
		_ = level.Info(logger).Log("msg", "the regions of more projects do not offer the service; the status page tells which")
	case is == notOffered:
	case n <= named:
		_ = level.Warn(logger).Log("msg", "quotas can't be read", "reason", is, "err", after.State.Err)
	case n == named+1:
		_ = level.Warn(logger).Log("msg", "quotas of more projects can't be read, for the same reason; the status page and cloud_quota_last_failure_reason tell which",
			"reason", is)
	}
}

// discovered logs what changes in the projects of an account.
func (l readLog) discovered(d fleet.Discovery) {
	logger := log.With(l.Logger, "account", d.Account)
	before, after := d.Before, d.After
	if !slices.EqualFunc(before.Value, after.Value, func(a, b huaweicloud.Project) bool { return a.ID == b.ID }) {
		l.failing.forget()
	}
	_ = level.Debug(logger).Log("msg", "projects were asked for", "took", after.Took, "err", after.Err)
	switch {
	case after.Err != nil && (before.Err == nil || huaweicloud.Reason(after.Err) != huaweicloud.Reason(before.Err)):
		_ = level.Warn(logger).Log("msg", "projects can't be discovered", "reason", huaweicloud.Reason(after.Err), "err", after.Err)
	case d.Empty != nil && (before.Err != nil || len(after.Value) != len(before.Value) || before.ReadAt.IsZero()):
		_ = level.Warn(logger).Log("msg", "no project is discovered", "err", d.Empty)
	case after.Err == nil && (before.Err != nil || len(after.Value) != len(before.Value)):
		_ = level.Info(logger).Log("msg", "projects are discovered", "seen", len(after.Value), "before", len(before.Value))
	}
}

// skipped logs which discovered projects are left out.
func (l readLog) skipped(account string, labels []string) {
	logger := log.With(l.Logger, "account", account)
	if len(labels) == 0 {
		_ = level.Info(logger).Log("msg", "no projects are left out any more")
		return
	}
	_ = level.Warn(logger).Log("msg", "projects are left out since others have their labels; name_prefix tells them apart",
		"count", len(labels), "projects", strings.Join(labels[:min(len(labels), maxLabelsShown)], ", "))
}

// keys logs that the keys of an account begin to fail, and that this has ended.
func (l readLog) keys(c fleet.Credentials) {
	logger := log.With(l.Logger, "account", c.Account, "from", c.From)
	if c.Err != nil {
		_ = level.Warn(logger).Log("msg", "credentials can't be had", "err", c.Err)
		return
	}
	_ = level.Info(logger).Log("msg", "credentials can be had again")
}

// exposed logs which files with secrets are open to everybody.
func (l readLog) exposed(account string, files []error) {
	for _, err := range files {
		_ = level.Warn(l.Logger).Log("msg", "secrets of the account can be read by others", "account", account, "err", err)
	}
}

// tellCredentials has the keys of all accounts looked for, and logs where they come from; readLog tells of those that fail. It is the one
// thing that is not left to who scrapes: whether there are keys is told at the start, not with the first failing scrape.
func (e *exporter) tellCredentials(ctx context.Context) {
	for _, c := range e.fleet.LookForKeys(ctx) {
		if c.Err == nil {
			_ = level.Info(e.logs.Program).Log("msg", "credentials are there", "account", c.Account, "from", c.From)
		}
	}
}

const maxLabelsShown = 10
