package command

import (
	"github.com/go-kit/log"

	"cloud_quota_exporter/internal/fleet"
)

// LogRead logs a read as the commands that serve do.
func LogReads(l log.Logger, reads ...fleet.Read) {
	readLog := newReadLog(l)
	for _, r := range reads {
		readLog.read(r)
	}
}
