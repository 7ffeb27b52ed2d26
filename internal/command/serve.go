// Package command implements the commands of the program, one per file.
package command

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/common/version"
	toolkit "github.com/prometheus/exporter-toolkit/web"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/web"
	"cloud_quota_exporter/providers"
)

const maxOffset = 3600 // seconds of --timeout-offset

// Logs holds the program's logger, and the bare logger beneath it for the toolkit, which adds time and caller itself. They must not
// block.
type Logs struct {
	Program, Bare log.Logger
	Dropped       func() uint64 // lines that were dropped
}

// Serving holds the flags of serve and demo.
type Serving struct {
	Web             *toolkit.FlagConfig
	ExternalURL     string
	RoutePrefix     string
	TelemetryPath   string
	TimeoutOffset   float64 // seconds
	EnableLifecycle bool    // POST /-/reload
}

// Serve runs the exporter until ctx ends, with a configuration file or, without one, with an account from the environment. It
// reloads the configuration on hangup. It returns an error if it could not start or did not stop cleanly.
func Serve(ctx context.Context, logs Logs, s Serving, configFile string, hangup <-chan os.Signal) error {
	c, err := loadConfig(ctx, configFile)
	if ctx.Err() != nil {
		_ = level.Info(logs.Program).Log("msg", "Stopping before the configuration was loaded")
		return nil //nolint:nilerr // a signal is a clean stop
	}
	if err != nil {
		return err
	}
	e, err := s.newExporter(logs, c, nil)
	if err != nil {
		return err
	}
	e.load = func(ctx context.Context) error {
		c, err := loadConfig(ctx, configFile)
		if err == nil {
			e.fleet.Load(c)
		}
		return err
	}
	go e.reloadOn(ctx, hangup)
	return e.serve(ctx, func(net.Addr) {})
}

func loadConfig(ctx context.Context, file string) (*config.Config, error) {
	if err := huaweicloud.CheckProxy(os.Getenv); err != nil {
		return nil, err
	}
	if err := huaweicloud.CheckAuthorities(ctx, os.Getenv); err != nil {
		return nil, err
	}
	if file == "" {
		return config.FromEnvironment(ctx, providers.All(), os.Getenv)
	}
	return config.Load(ctx, file, providers.All(), os.Getenv)
}

// exporter is what serve and demo run.
type exporter struct {
	Serving

	logs    Logs
	fleet   *fleet.Fleet
	process *processMetrics
	load    func(context.Context) error // reads the configuration again; nil if there is none
	loading chan struct{}               // holds an item while a load is in progress
}

// newExporter makes an exporter of a configuration. dial connects to the cloud; nil: the network.
func (s Serving) newExporter(logs Logs, c *config.Config, dial huaweicloud.Dial) (*exporter, error) {
	if !(s.TimeoutOffset >= 0 && s.TimeoutOffset < maxOffset) {
		return nil, fmt.Errorf("--timeout-offset is out of range; set a number of seconds from 0 to less than %d", maxOffset)
	}
	e := &exporter{Serving: s, logs: logs, process: newProcessMetrics(logs.Dropped), loading: make(chan struct{}, 1)}
	e.fleet = newFleet(c, fleet.Options{Dial: dial, Logger: logs.Program, Requests: e.process.requested})
	e.process.loaded(true)
	return e, nil
}

// handler returns the handler of all pages. A reload ends with ctx.
func (e *exporter) handler(ctx context.Context) (http.Handler, error) {
	routes, err := web.NewRoutes(e.ExternalURL, e.RoutePrefix)
	if err != nil {
		return nil, err
	}
	options := web.Options{
		Fleet: e.fleet, Process: e.process.registry, Routes: routes, TelemetryPath: e.TelemetryPath,
		TimeoutOffset: time.Duration(e.TimeoutOffset * float64(time.Second)), Version: version.Info(), Logger: e.logs.Program,
	}
	switch {
	case e.load == nil:
		options.NoReload = "demo has no configuration to reload; run serve instead"
	case e.EnableLifecycle:
		options.Reload = func() error { return e.reload(ctx) }
	}
	return web.NewHandler(options)
}

// reloadTimeout limits reading the file, including the wait for a previous reload. Tests shorten it.
var reloadTimeout = 10 * time.Second

// reload loads the configuration and activates it. Reloads are serialized, so that the configuration that was read last is active in
// the end. If it is invalid, the previous one stays active.
func (e *exporter) reload(ctx context.Context) error {
	inTime, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	var err error
	select {
	case e.loading <- struct{}{}:
		defer func() { <-e.loading }()
		err = e.load(inTime)
	case <-inTime.Done():
		err = fmt.Errorf("another reload is still running: %w; try again later", inTime.Err())
	}
	e.process.loaded(err == nil)
	if err != nil {
		_ = level.Error(e.logs.Program).Log("msg", "Failed to load configuration; keeping the previous one", "err", err)
		return err
	}
	_ = level.Info(e.logs.Program).Log("msg", "Configuration loaded", "projects", countProjects(e.fleet))
	go e.fleet.CheckCredentials(ctx)
	return nil
}

// reloadOn reloads at each signal, until ctx ends.
func (e *exporter) reloadOn(ctx context.Context, hangup <-chan os.Signal) {
	for {
		select {
		case <-hangup:
			_ = e.reload(ctx) // already logged and counted
		case <-ctx.Done():
			return
		}
	}
}
