package command

import (
	"context"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/providers"
)

// SetReloadTimeout shortens the timeout of a reload until the test ends.
func SetReloadTimeout(t *testing.T, d time.Duration) {
	before := reloadTimeout
	reloadTimeout = d
	t.Cleanup(func() { reloadTimeout = before })
}

// NewServer returns the server of serve and demo.
var NewServer = newServer

// NewHandler returns the handler of serve for a configuration, with dial in place of the network.
func NewHandler(l log.Logger, yaml string, dial huaweicloud.Dial) (http.Handler, error) {
	c, err := config.Parse("test.yml", []byte(yaml), providers.All(), os.Getenv)
	if err != nil {
		return nil, err
	}
	s := Serving{TelemetryPath: "/metrics", TimeoutOffset: 0.5}
	e, err := s.newExporter(Logs{Program: l, Bare: l, Dropped: func() uint64 { return 0 }}, c, dial)
	if err != nil {
		return nil, err
	}
	e.process.registry.Unregister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})) // takes most of the time of a page
	return e.handler(context.Background())
}
