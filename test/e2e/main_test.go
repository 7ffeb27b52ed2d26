// Package e2e runs the exporter's binary against a simulated cloud, has real Prometheus servers scrape it, and asks these what they
// got: what a user of the metrics sees, labels, gaps and restarts included. A real Alertmanager has to tell of their alerts.
//
//	go -C test/e2e test -count=1 -timeout 30m ./...
//
// It builds the exporter, Prometheus, Alertmanager and their tools first. Where Go's cache holds none of Prometheus, that takes several minutes, in which
// only -v shows what is going on; hence a timeout above go test's default of 10 minutes, to which the building counts.
package e2e

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// The binaries under test; TestMain builds them.
var exporterBinary, prometheusBinary, promtoolBinary, alertmanagerBinary, amtoolBinary string

func TestMain(m *testing.M) {
	// The tests spend their time waiting for scrapes, so that more of them than there are processors go well together. A -parallel on
	// the command line is read later and wins.
	code := 1
	dir, err := os.MkdirTemp("", "cloud_quota_exporter-e2e-")
	err = errors.Join(err, flag.Set("test.parallel", "8"))
	if err == nil {
		err = buildAll(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

func buildAll(dir string) error {
	exporterBinary = filepath.Join(dir, "cloud_quota_exporter")
	prometheusBinary = filepath.Join(dir, "prometheus")
	promtoolBinary = filepath.Join(dir, "promtool")
	alertmanagerBinary = filepath.Join(dir, "alertmanager")
	amtoolBinary = filepath.Join(dir, "amtool")
	if err := build("the exporter", "build", "-C", "../..", "-o", exporterBinary, "."); err != nil {
		return err
	}
	// Prometheus has a module of its own, so that the exporter's dependencies and its don't move each other; so has Alertmanager. Service
	// discovery other than by the configuration itself is most of what there is to compile, and not needed.
	if err := build("Alertmanager and amtool", "build", "-C", "alertmanager", "-o", dir,
		"github.com/prometheus/alertmanager/cmd/alertmanager", "github.com/prometheus/alertmanager/cmd/amtool"); err != nil {
		return err
	}
	return build("Prometheus and promtool, which takes minutes the first time", "build", "-C", "prometheus", "-tags", "remove_all_sd", "-o", dir,
		"github.com/prometheus/prometheus/cmd/prometheus", "github.com/prometheus/prometheus/cmd/promtool")
}

// build runs one go build, and says so, lest it looks as if nothing happened.
func build(what string, args ...string) error {
	fmt.Printf("building %s\n", what)
	start := time.Now()
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", what, err, out)
	}
	fmt.Printf("built %s in %s\n", what, time.Since(start).Round(time.Second))
	return nil
}
