package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-kit/log/level"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	sloggokit "github.com/tjhop/slog-gokit"
)

const (
	headerTimeout = 10 * time.Second // for a client to send its request
	idleTimeout   = 5 * time.Minute  // more than any scrape interval in use, so that Prometheus keeps its connection
	stopTimeout   = 15 * time.Second // for scrapes under way to finish after a signal
)

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
