package command

import (
	"fmt"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"cloud_quota_exporter/internal/fleet"
)

// readLog logs reads where something changes: a source begins to fail, fails for another reason, recovers, or leaves out other
// resources than before. A source that goes on failing is not news; its metrics tell.
type readLog struct{ log.Logger }

func (l readLog) read(r fleet.Read) {
	before, after := r.Before, r.After
	logger := log.With(l.Logger, "account", after.Account, "project", after.Project.Label, "service", after.Service)
	state := after.State
	_ = level.Debug(logger).Log("msg", "quotas were asked for", "took", state.Took, "err", state.Err)
	switch {
	case after.Reason() != "" && after.Reason() != before.Reason():
		_ = level.Warn(logger).Log("msg", "quotas can't be read", "reason", after.Reason(), "err", state.Err)
	case after.Reason() == "" && before.Reason() != "":
		_ = level.Info(logger).Log("msg", "quotas are read again")
	}
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
