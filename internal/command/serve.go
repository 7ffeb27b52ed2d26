// Package command wires the parts of the program into its commands, one file a command.
package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/common/version"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	sloggokit "github.com/tjhop/slog-gokit"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/web"
	"cloud_quota_exporter/providers"
)

const (
	headerTimeout = 10 * time.Second // for a client to send its request
	idleTimeout   = 5 * time.Minute  // more than any scrape interval in use, so that Prometheus keeps its connection
	maxOffset     = time.Hour
	stopTimeout   = 15 * time.Second // for scrapes under way to finish after a signal
)

// Logs are the program's logger, and the bare one that it is made of: the toolkit brings time and caller of its own.
type Logs struct{ Program, Bare log.Logger }

// Serving is what serve and demo are told by flags.
type Serving struct {
	Web           *toolkit.FlagConfig
	TelemetryPath string
	TimeoutOffset time.Duration
}

// Serve runs the exporter with the configuration of a file, or without a file with one account from the environment, until ctx ends.
// An error means that it could not begin, or could not end in order.
func Serve(ctx context.Context, logs Logs, s Serving, configFile string) error {
	c, err := loadConfig(configFile)
	if err != nil {
		return err
	}
	return s.run(ctx, logs, c, new(net.Dialer).DialContext, nil)
}

func loadConfig(file string) (*config.Config, error) {
	if file == "" {
		return config.FromEnvironment(knownServices(), os.Getenv)
	}
	return config.Load(file, knownServices())
}

// knownServices tells the configuration which services there are.
func knownServices() config.Known {
	known := config.Known{}
	for _, s := range providers.All() {
		known[s.Name] = config.Defaults{CacheTTL: s.CacheTTL, ListsInstances: s.ListsInstances}
	}
	return known
}

// check refuses flags that kingpin can't judge.
func (s Serving) check() error {
	if s.TimeoutOffset < 0 || s.TimeoutOffset >= maxOffset {
		return fmt.Errorf("--timeout-offset is out of range; want seconds from 0 to less than %.0f", maxOffset.Seconds())
	}
	return nil
}

// run serves the configuration; dial leads to the cloud, and listening, if not nil, is told each address on which it listens.
func (s Serving) run(ctx context.Context, logs Logs, c *config.Config, dial huaweicloud.Dial, listening func(net.Addr)) error {
	if err := s.check(); err != nil {
		return err
	}
	process := newProcessMetrics()
	f := newFleet(c, dial, process.requested, readLog{logs.Program}.read)
	process.loaded(time.Now())
	handler, err := web.NewHandler(web.Options{
		Fleet: f, Process: process.registry, TelemetryPath: s.TelemetryPath, TimeoutOffset: s.TimeoutOffset,
		Version: version.Info(), Logger: logs.Program,
	})
	if err != nil {
		return err
	}
	_ = level.Info(logs.Program).Log("msg", "serving", "version", version.Info(), "accounts", len(c.Accounts),
		"projects", len(f.Projects()), "services", fmt.Sprint(f.Services()))
	return s.listen(ctx, logs, handler, listening)
}

// listen answers requests until ctx ends, and then finishes those under way.
func (s Serving) listen(ctx context.Context, logs Logs, handler http.Handler, listening func(net.Addr)) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		BaseContext: func(l net.Listener) context.Context {
			if listening != nil {
				listening(l.Addr())
			}
			return context.WithoutCancel(ctx) // a signal lets scrapes finish
		},
	}
	ended := make(chan error, 1)
	go func() {
		// The bare logger's own level decides what is logged.
		ended <- toolkit.ListenAndServe(server, s.Web, slog.New(sloggokit.NewGoKitHandler(logs.Bare, slog.LevelDebug)))
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	_ = level.Info(logs.Program).Log("msg", "stopping, scrapes under way are finished")
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		return errors.Join(fmt.Errorf("scrapes did not finish within %s: %w", stopTimeout, err), server.Close())
	}
	return nil
}
