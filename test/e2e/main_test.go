// Package e2e runs the exporter's binary with a simulated cloud, lets real Prometheus servers scrape it, and queries these. It checks what users of
// the metrics see, including labels, gaps, and restarts. A real Alertmanager sends the alerts.
//
//	go -C test/e2e test -count=1 -timeout 30m ./...
//
// It first builds the exporter, Prometheus, Alertmanager, and their tools. If Go's build cache does not contain Prometheus, this takes several
// minutes, which count towards the timeout of go test. Only -v shows them.
package e2e

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The binaries under test, built by TestMain.
var exporterBinary, prometheusBinary, promtoolBinary, alertmanagerBinary, amtoolBinary string

func TestMain(m *testing.M) {
	// The tests mostly wait for scrapes, so more of them than processors can run in parallel. A -parallel on the command line is parsed later and
	// overrides this.
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

// buildAll builds the binaries. Prometheus and Alertmanager have their own modules, so that their dependencies do not affect those of the exporter.
// Service discovery takes most of the build, and the tests only need file and HTTP discovery.
func buildAll(dir string) error {
	for name, binary := range map[string]*string{
		"cloud_quota_exporter": &exporterBinary, "prometheus": &prometheusBinary, "promtool": &promtoolBinary,
		"alertmanager": &alertmanagerBinary, "amtool": &amtoolBinary,
	} {
		*binary = filepath.Join(dir, name)
	}
	for _, args := range [][]string{
		{"-C", "../..", "-o", exporterBinary, "."},
		{"-C", "alertmanager", "-o", dir, "github.com/prometheus/alertmanager/cmd/alertmanager", "github.com/prometheus/alertmanager/cmd/amtool"},
		{
			"-C", "prometheus", "-tags", "remove_all_sd", "-o", dir,
			"github.com/prometheus/prometheus/cmd/prometheus", "github.com/prometheus/prometheus/cmd/promtool",
		},
	} {
		fmt.Printf("building in %s\n", args[1])
		start := time.Now()
		if out, err := exec.Command("go", append([]string{"build"}, args...)...).CombinedOutput(); err != nil {
			return fmt.Errorf("building in %s: %w\n%s", args[1], err, out)
		}
		fmt.Printf("built in %s\n", time.Since(start).Round(time.Second))
	}
	return nil
}

// patience is the maximum time until an expected state. It is far more than needed, for slow machines.
const patience = time.Minute

// process is a running program. It is killed when its test ends. If the test failed, its log is shown.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   logged
	ended chan struct{} // closed when it has
}

func startProcess(t *testing.T, binary string, args ...string) *process {
	t.Helper()
	return startWith(t, nil, binary, args...)
}

// startWith is like startProcess, with more environment variables.
func startWith(t *testing.T, env []string, binary string, args ...string) *process {
	t.Helper()
	// The context of a test ends before its cleanup starts, and this kills the program.
	p := &process{name: filepath.Base(binary), cmd: exec.CommandContext(t.Context(), binary, args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env = &p.log, &p.log, append(os.Environ(), env...)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // cmd.ProcessState shows how it ended
	}()
	t.Cleanup(func() {
		<-p.ended
		if t.Failed() {
			t.Logf("log of %s:\n%s", p.name, p.log.String())
		}
	})
	return p
}

// listening matches the log line of both the exporter and Prometheus.
var listening = regexp.MustCompile(`Listening on".* address=(\S+)`)

// address waits until the program is listening, and returns the address.
func (p *process) address(t *testing.T) string {
	t.Helper()
	var address string
	eventually(t, p.name+" listens", func() (string, bool) {
		select {
		case <-p.ended:
			t.Fatalf("%s ended before it was listening", p.name)
		default:
		}
		if m := listening.FindStringSubmatch(p.log.String()); m != nil {
			address = m[1]
		}
		return "no address in its log", address != ""
	})
	return address
}

// terminate ends the program as an init system does, and asserts that it exits with 0.
func (p *process) terminate(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("%s has not ended within %s of SIGTERM", p.name, patience)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("%s ended with exit code %d", p.name, code)
	}
}

// logged returns the output of a program so far.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// eventually polls until a state is as wanted. If it never is, the test fails with the last state.
func eventually(t *testing.T, what string, look func() (state string, ok bool)) {
	t.Helper()
	within(t, patience, what, look)
}

// within is like eventually, with another time limit.
func within(t *testing.T, limit time.Duration, what string, look func() (state string, ok bool)) {
	t.Helper()
	if err := await(limit, look); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// await polls until a state is as wanted. The error contains the last state.
func await(limit time.Duration, look func() (state string, ok bool)) error {
	deadline := time.After(limit)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		state, ok := look()
		if ok {
			return nil
		}
		select {
		case <-tick.C:
		case <-deadline:
			return fmt.Errorf("not within %s; last seen:\n%s", limit, strings.TrimSpace(state))
		}
	}
}

// get sends an HTTP request.
func get(url string) (status int, body string, err error) {
	resp, err := http.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// save writes a file, and returns its name.
func save(t *testing.T, file, text string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// replace replaces regular expressions, each of which must match. The second of each pair is the replacement.
func replace(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for pair := range slices.Chunk(pairs, 2) {
		expr := regexp.MustCompile(pair[0])
		if !expr.MatchString(text) {
			t.Fatalf("no match for %s in\n%s", expr, text)
		}
		text = expr.ReplaceAllString(text, pair[1])
	}
	return text
}
