package command

import (
	"github.com/go-kit/log"

	"cloud_quota_exporter/internal/fleet"
)

// LogRead logs a read as the commands that serve do.
func LogRead(l log.Logger, r fleet.Read) { readLog{l}.read(r) }
