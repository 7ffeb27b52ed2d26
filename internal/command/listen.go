package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/common/version"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	sloggokit "github.com/tjhop/slog-gokit"
	"gopkg.in/yaml.v3"

	"cloud_quota_exporter/internal/files"
	"cloud_quota_exporter/internal/secret"
)

const (
	requestTimeout = 10 * time.Second // for a client to send its request
	idleTimeout    = 5 * time.Minute  // more than any common scrape interval, so that Prometheus keeps its connection
	stopTimeout    = 15 * time.Second // for running scrapes to finish after a signal

	maxHeader = 512 << 10 // bytes of a request; a thousand escaped project[] parameters of 128 bytes take 400,000
)

// newServer makes a server that slow or verbose clients cannot keep busy. The time for a response depends on the request and is
// limited by web.
func newServer(handler http.Handler, logger log.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: requestTimeout,
		ReadTimeout:       requestTimeout, // includes the body, which no page uses
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          stdlog.New(lineLog{logger, strings.Clone}, "", 0),
	}
}

// lineLog logs each line that a library writes. net/http reports some errors only this way.
type lineLog struct {
	log.Logger

	show func(line string) string
}

// Write logs a line.
func (l lineLog) Write(line []byte) (int, error) {
	_ = level.Warn(l.Logger).Log("msg", l.show(strings.TrimSpace(string(line))))
	return len(line), nil
}

// RedirectStandardLog sends the lines that libraries write to the standard log to logs, so that they do not block on stderr and are
// cleaned: net/http quotes unsolicited data of a server there, which might echo secrets.
func RedirectStandardLog(logs Logs) {
	stdlog.SetFlags(0)
	stdlog.SetOutput(lineLog{logs.Program, secret.HideQuoted})
}

// serve serves until ctx ends, then finishes running requests. It calls listening with each listen address.
func (e *exporter) serve(ctx context.Context, listening func(net.Addr)) error {
	handler, err := e.handler(ctx)
	if err != nil {
		return err
	}
	webConfig := *e.Web.WebConfigFile
	err = checkWebConfig(ctx, webConfig)
	if ctx.Err() != nil { // a signal is a clean stop
		_ = level.Info(e.logs.Program).Log("msg", "Stopping before the exporter was listening")
		return nil
	}
	if err != nil {
		return err
	}
	begin := sync.OnceFunc(func() { // only once it listens: a failed start logs one line
		_ = level.Info(e.logs.Program).Log("msg", "Exporter started", "version", version.Info(),
			"projects", countProjects(e.fleet), "services", fmt.Sprint(e.fleet.Services()))
		go e.fleet.CheckCredentials(ctx)
	})
	server := newServer(handler, e.logs.Program)
	server.BaseContext = func(l net.Listener) context.Context {
		begin()
		listening(l.Addr())
		return context.WithoutCancel(ctx) // a signal lets scrapes finish
	}
	server.ConnContext = e.guardConnection
	ended := make(chan error, 1)
	go func() {
		// The bare logger filters by level.
		ended <- toolkit.ListenAndServe(server, e.Web, slog.New(sloggokit.NewGoKitHandler(e.logs.Bare, slog.LevelDebug)))
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	_ = level.Info(e.logs.Program).Log("msg", "Stopping after running scrapes have finished")
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		return errors.Join(fmt.Errorf("scrapes did not finish within %s: %w", stopTimeout, err), server.Close())
	}
	return nil
}

const (
	maxWebFile        = 1 << 20                // bytes of --web.config.file and of each file in it
	webFileTimeout    = 10 * time.Second       // for reading all of them at startup
	connectionTimeout = 250 * time.Millisecond // for reading them for a connection, which delays others
)

// quoted matches the values that the toolkit quotes in its errors. One may be a password.
var quoted = regexp.MustCompile("`[^`]*`")

// checkWebConfig returns why --web.config.file is invalid. It reads the files first with limits, because the toolkit would block on
// a pipe and exhaust memory on a device.
func checkWebConfig(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, webFileTimeout)
	defer cancel()
	err := checkWebFiles(ctx, name)
	if err == nil {
		err = toolkit.Validate(name)
	}
	if err != nil {
		return fmt.Errorf("failed to load --web.config.file=%s: %s; use the web configuration format of the Prometheus exporter toolkit",
			name, quoted.ReplaceAllString(err.Error(), "..."))
	}
	return nil
}

// guardConnection closes a new connection if the toolkit's files cannot be read. The toolkit reads them for every request, and each
// read that hangs blocks a thread permanently.
func (e *exporter) guardConnection(ctx context.Context, c net.Conn) context.Context {
	look, cancel := context.WithTimeout(ctx, connectionTimeout)
	defer cancel()
	if err := checkWebFiles(look, *e.Web.WebConfigFile); err != nil {
		_ = level.Error(e.logs.Program).Log("msg", "Rejected a connection because --web.config.file cannot be read", "err", err)
		_ = c.Close()
	}
	return ctx
}

// checkWebFiles reads the files that the toolkit reads. Errors that the toolkit reports itself are ignored.
func checkWebFiles(ctx context.Context, name string) error {
	if name == "" {
		return nil
	}
	text, err := readWebFile(ctx, name)
	if err != nil {
		return err
	}
	var c struct {
		TLS map[string]any `yaml:"tls_server_config"`
	}
	_ = yaml.Unmarshal(text, &c) // the toolkit reports its errors
	for _, key := range []string{"cert_file", "key_file", "client_ca_file"} {
		file, ok := c.TLS[key].(string)
		if !ok || file == "" {
			continue
		}
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(name), file)
		}
		if _, err := readWebFile(ctx, file); err != nil {
			return fmt.Errorf("%s %s: %w", key, file, err)
		}
	}
	return nil
}

func readWebFile(ctx context.Context, name string) ([]byte, error) {
	text, err := files.Read(ctx, name, maxWebFile)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	return text, err
}
