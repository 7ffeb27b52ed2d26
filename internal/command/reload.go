package command

import (
	"context"
	"os"

	"github.com/go-kit/log/level"
)

// reload puts the configuration in force as it stands now. A bad one leaves everything as it was.
func (e *exporter) reload() error {
	e.loading.Lock()
	defer e.loading.Unlock()
	c, err := e.load()
	e.process.loaded(err)
	if err != nil {
		_ = level.Error(e.logs.Program).Log("msg", "the configuration can't be loaded, the one before stays in force", "err", err)
		return err
	}
	e.fleet.Load(c)
	_ = level.Info(e.logs.Program).Log("msg", "the configuration is loaded", "projects", len(e.fleet.Projects()))
	go e.tellCredentials(context.Background()) // bounded by the fetches' own timeouts
	return nil
}

// reloadOn reloads at each signal, until ctx ends.
func (e *exporter) reloadOn(ctx context.Context, hangup <-chan os.Signal) {
	for {
		select {
		case <-hangup:
			_ = e.reload() // logged and counted already
		case <-ctx.Done():
			return
		}
	}
}
