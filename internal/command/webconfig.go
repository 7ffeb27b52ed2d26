package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	"gopkg.in/yaml.v3"

	"cloud_quota_exporter/internal/files"
)

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
	if name == "" {
		return nil
	}
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

// guardConnections closes each new connection for which the toolkit's files can't be read: it reads them with every request, and each of these
// would take a thread for good.
func guardConnections(server *http.Server, logger log.Logger, name string) {
	if name == "" {
		return
	}
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		look, cancel := context.WithTimeout(ctx, connectionTimeout)
		defer cancel()
		if err := checkWebFiles(look, name); err != nil {
			_ = level.Error(logger).Log("msg", "Refused a connection because --web.config.file can't be used", "err", err)
			_ = c.Close()
		}
		return ctx
	}
}

// checkWebFiles reads what the toolkit is going to read. What it can say itself is no error here.
func checkWebFiles(ctx context.Context, name string) error {
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
