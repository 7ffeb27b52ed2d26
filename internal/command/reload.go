package command

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/go-kit/log/level"
)

// reloadTimeout is for the file to be read, and for the reload before to end. A test shortens it.
var reloadTimeout = 10 * time.Second

// reload puts the configuration in force as it stands now. A bad one leaves everything as it was.
func (e *exporter) reload(ctx context.Context) error {
	err := e.loadAlone(ctx)
	e.process.loaded(err)
	if err != nil {
		_ = level.Error(e.logs.Program).Log("msg", "the configuration can't be loaded, the one before stays in force", "err", err)
		return err
	}
	_ = level.Info(e.logs.Program).Log("msg", "the configuration is loaded", "projects", len(e.fleet.Projects()))
	go e.fleet.CheckCredentials(ctx)
	return nil
}

// loadAlone loads the configuration once nobody else does, so that the one that was read last is in force in the end.
func (e *exporter) loadAlone(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	select {
	case e.loading <- struct{}{}:
		defer func() { <-e.loading }()
	case <-ctx.Done():
		return fmt.Errorf("another reload has not ended: %w; reload again", ctx.Err())
	}
	c, err := e.load(ctx)
	if err == nil {
		e.fleet.Load(c)
	}
	return err
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
