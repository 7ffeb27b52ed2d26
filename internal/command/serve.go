// Package command wires the parts of the program into its commands, one file a command.
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

// Logs are the program's logger, and the bare one that it is made of: the toolkit brings time and caller of its own. They must not block.
type Logs struct {
	Program, Bare log.Logger
	Dropped       func() uint64 // lines that were not written
}

// Serving has the flags of serve and demo.
type Serving struct {
	Web             *toolkit.FlagConfig
	ExternalURL     string
	RoutePrefix     string
	TelemetryPath   string
	TimeoutOffset   float64 // seconds
	EnableLifecycle bool    // POST /-/reload
}

// Serve runs the exporter with the configuration of a file, or without a file with one account from the environment, until ctx ends.
// hangup has it load the configuration again. An error means that it could not begin, or could not end in order.
func Serve(ctx context.Context, logs Logs, s Serving, configFile string, hangup <-chan os.Signal) error {
	c, err := loadConfig(ctx, configFile)
	if ctx.Err() != nil {
		_ = level.Info(logs.Program).Log("msg", "Stopping before the configuration is loaded")
		return nil //nolint:nilerr // a signal ends the program in order, whatever was under way
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
	load    func(context.Context) error // reads the configuration again; nil: there is none to read
	loading chan struct{}               // holds an item while somebody loads
}

// newExporter makes an exporter of a configuration; dial leads to the cloud, nil being the network.
func (s Serving) newExporter(logs Logs, c *config.Config, dial huaweicloud.Dial) (*exporter, error) {
	if !(s.TimeoutOffset >= 0 && s.TimeoutOffset < maxOffset) {
		return nil, fmt.Errorf("--timeout-offset is out of range; want seconds from 0 to less than %d", maxOffset)
	}
	e := &exporter{Serving: s, logs: logs, process: newProcessMetrics(logs.Dropped), loading: make(chan struct{}, 1)}
	e.fleet = newFleet(c, fleet.Options{Dial: dial, Logger: logs.Program, Requests: e.process.requested})
	e.process.loaded(true)
	return e, nil
}

// handler returns the pages. A reload ends with ctx.
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
		options.NoReload = "demo has no configuration that could be loaded; serve has"
	case e.EnableLifecycle:
		options.Reload = func() error { return e.reload(ctx) }
	}
	return web.NewHandler(options)
}

// reloadTimeout is for the file to be read, and for the reload before to end. A test shortens it.
var reloadTimeout = 10 * time.Second

// reload puts the configuration in force as it is now, one caller at a time, so that the one that was read last is in force in the end. A
// bad one leaves everything as it was.
func (e *exporter) reload(ctx context.Context) error {
	inTime, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	var err error
	select {
	case e.loading <- struct{}{}:
		defer func() { <-e.loading }()
		err = e.load(inTime)
	case <-inTime.Done():
		err = fmt.Errorf("another reload has not ended: %w; reload again", inTime.Err())
	}
	e.process.loaded(err == nil)
	if err != nil {
		_ = level.Error(e.logs.Program).Log("msg", "the configuration can't be loaded, the one before stays in force", "err", err)
		return err
	}
	_ = level.Info(e.logs.Program).Log("msg", "the configuration is loaded", "projects", countProjects(e.fleet))
	go e.fleet.CheckCredentials(ctx)
	return nil
}

// reloadOn reloads at each signal, until ctx ends.
func (e *exporter) reloadOn(ctx context.Context, hangup <-chan os.Signal) {
	for {
		select {
		case <-hangup:
			_ = e.reload(ctx) // logged and counted already
		case <-ctx.Done():
			return
		}
	}
}
