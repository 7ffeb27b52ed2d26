// Package browser opens the status page in a real browser. It tests what a person sees and can do on wide and narrow screens, in light and dark mode,
// with and without JavaScript.
//
//	go -C test/browser test -count=1 ./...
//
// It needs Chromium or Chrome, and npm for the accessibility rules. To update the pictures of the documentation:
//
//	go -C test/browser test -count=1 -run=Pictures -pictures ./...
package browser

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

var pictures = flag.Bool("pictures", false, "update the pictures of the documentation")

// Set by TestMain.
var (
	exporterBinary string
	axe            string          // the script that checks accessibility
	chromium       context.Context // chromedp keeps a browser in a context
)

func TestMain(m *testing.M) {
	code := 1
	dir, err := os.MkdirTemp("", "cloud_quota_exporter-browser-")
	if err == nil {
		err = errors.Join(build(dir), fetchAxe())
	}
	stop := func() {}
	if err == nil {
		stop, err = startChromium()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	stop()
	os.RemoveAll(dir)
	os.Exit(code)
}

func build(dir string) error {
	exporterBinary = filepath.Join(dir, "cloud_quota_exporter")
	return run("go", "build", "-C", "../..", "-o", exporterBinary, ".")
}

// fetchAxe installs the packages of package-lock.json into node_modules.
func fetchAxe() error {
	if err := run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		return err
	}
	text, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	axe = string(text)
	return err
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w\n%s", name, args, err, out)
	}
	return nil
}

// startChromium runs one browser for all tests. Each test has its own tab.
func startChromium() (stop func(), err error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, // continuous integration runs as root, which cannot use the sandbox; the browser only opens this project's page
		chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true),
	)
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	chromium, _ = chromedp.NewContext(allocator)
	if err := chromedp.Do(chromium); err != nil {
		end()
		return nil, fmt.Errorf("cannot start a browser: %w; install Chromium or Chrome", err)
	}
	return end, nil
}
