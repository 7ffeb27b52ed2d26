package command

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"time"

	toolkit "github.com/prometheus/exporter-toolkit/web"
	"gopkg.in/yaml.v3"

	"cloud_quota_exporter/internal/files"
)

const (
	maxWebFile     = 1 << 20          // bytes of --web.config.file and of each file that it names
	webFileTimeout = 10 * time.Second // for all of them to be read
)

// quoted is how the library of the web configuration quotes what it can't use, which may be a password.
var quoted = regexp.MustCompile("`[^`]*`")

// checkWebConfig returns why --web.config.file can't be used. The toolkit would read a pipe for good, and a device into all of the memory, so
// its files are looked at before.
func checkWebConfig(ctx context.Context, name string) error {
	if name == "" {
		return nil
	}
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

// checkWebFiles reads what the toolkit is going to read.
func checkWebFiles(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, webFileTimeout)
	defer cancel()
	text, err := files.Read(ctx, name, maxWebFile)
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
		if _, err := files.Read(ctx, file, maxWebFile); err != nil {
			return fmt.Errorf("%s %s: %w", key, file, err)
		}
	}
	return nil
}
