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
	idleTimeout    = 5 * time.Minute  // more than any scrape interval in use, so that Prometheus keeps its connection
	stopTimeout    = 15 * time.Second // for scrapes under way to finish after a signal

	maxHeader = 512 << 10 // bytes of a request; a thousand project[] of 128 bytes, each of which is escaped, take 400,000
)

// newServer makes a server that no client can keep busy by being slow or long-winded. How long an answer takes is bounded by web, as it
// depends on the request.
func newServer(handler http.Handler, logger log.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: requestTimeout,
		ReadTimeout:       requestTimeout, // with its body, of which no page has a use
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          stdlog.New(lineLog{logger, strings.Clone}, "", 0),
	}
}

// lineLog logs what a library writes, a line at a time. net/http writes what it can report to nobody else.
type lineLog struct {
	log.Logger

	show func(line string) string
}

// Write logs a line.
func (l lineLog) Write(line []byte) (int, error) {
	_ = level.Warn(l.Logger).Log("msg", l.show(strings.TrimSpace(string(line))))
	return len(line), nil
}

// RedirectStandardLog has the lines that libraries write to the standard log written like all others, so that they don't wait for stderr either.
// net/http quotes there what a server sent unasked, which might be an echo of secrets.
func RedirectStandardLog(logs Logs) {
	stdlog.SetFlags(0)
	stdlog.SetOutput(lineLog{logs.Program, secret.HideQuoted})
}

// serve answers requests until ctx ends, and then finishes those under way. listening is called with each address on which it listens.
func (e *exporter) serve(ctx context.Context, listening func(net.Addr)) error {
	handler, err := e.handler(ctx)
	if err != nil {
		return err
	}
	webConfig := *e.Web.WebConfigFile
	err = checkWebConfig(ctx, webConfig)
	if ctx.Err() != nil { // a signal, which ends the program in order
		_ = level.Info(e.logs.Program).Log("msg", "Stopping before the exporter listens")
		return nil
	}
	if err != nil {
		return err
	}
	begin := sync.OnceFunc(func() { // not before there is a port: what can't begin ends with one line
		_ = level.Info(e.logs.Program).Log("msg", "serving", "version", version.Info(),
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
		// The bare logger's own level decides what is logged.
		ended <- toolkit.ListenAndServe(server, e.Web, slog.New(sloggokit.NewGoKitHandler(e.logs.Bare, slog.LevelDebug)))
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	_ = level.Info(e.logs.Program).Log("msg", "stopping, scrapes under way are finished")
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		return errors.Join(fmt.Errorf("scrapes did not finish within %s: %w", stopTimeout, err), server.Close())
	}
	return nil
}

const (
	maxWebFile        = 1 << 20                // bytes of --web.config.file and of each file that it names
	webFileTimeout    = 10 * time.Second       // for all of them to be read at the start
	connectionTimeout = 250 * time.Millisecond // and for a connection, which others stand behind
)

// quoted is how the library of the web configuration quotes what it can't use, which may be a password.
var quoted = regexp.MustCompile("`[^`]*`")

// checkWebConfig returns why --web.config.file can't be used. The toolkit would read a pipe for good, and a device into all of the memory, so
// its files are looked at before.
func checkWebConfig(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, webFileTimeout)
	defer cancel()
	err := checkWebFiles(ctx, name)
	if err == nil {
		err = toolkit.Validate(name)
	}
	if err != nil {
		return fmt.Errorf("--web.config.file=%s can't be used: %s; its format is that of the Prometheus exporter toolkit",
			name, quoted.ReplaceAllString(err.Error(), "..."))
	}
	return nil
}

// guardConnection closes a new connection if the toolkit's files can't be read: it reads them with every request, and each of these would
// take a thread for good.
func (e *exporter) guardConnection(ctx context.Context, c net.Conn) context.Context {
	look, cancel := context.WithTimeout(ctx, connectionTimeout)
	defer cancel()
	if err := checkWebFiles(look, *e.Web.WebConfigFile); err != nil {
		_ = level.Error(e.logs.Program).Log("msg", "Refused a connection because --web.config.file can't be used", "err", err)
		_ = c.Close()
	}
	return ctx
}

// checkWebFiles reads what the toolkit is going to read. What it can say itself is no error here.
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
	_ = yaml.Unmarshal(text, &c) // what is wrong with it, the toolkit says
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
