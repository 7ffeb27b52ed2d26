package e2e

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a state that must come may take. It is far more than is ever needed, for slow machines.
const patience = time.Minute

// process is a running program. It is killed when its test ends; what it logged is shown if the test failed.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   logged
	ended chan struct{} // closed when it has
}

func startProcess(t *testing.T, binary string, args ...string) *process {
	t.Helper()
	// The context of a test ends before its cleanup begins, which kills the program.
	p := &process{name: filepath.Base(binary), cmd: exec.CommandContext(t.Context(), binary, args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // how it ended stands in cmd.ProcessState
	}()
	t.Cleanup(func() {
		<-p.ended
		if t.Failed() {
			t.Logf("log of %s:\n%s", p.name, p.log.String())
		}
	})
	return p
}

// listening is what the exporter and Prometheus log alike.
var listening = regexp.MustCompile(`Listening on".* address=(\S+)`)

// address waits until the program listens, and returns where.
func (p *process) address(t *testing.T) string {
	t.Helper()
	var address string
	eventually(t, p.name+" listens", func() (string, bool) {
		select {
		case <-p.ended:
			t.Fatalf("%s ended before it listened", p.name)
		default:
		}
		if m := listening.FindStringSubmatch(p.log.String()); m != nil {
			address = m[1]
		}
		return "no address in its log", address != ""
	})
	return address
}

// terminate ends the program as an init system would, and asserts that it ends in order.
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

// logged is what a program wrote so far.
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

// eventually asks for a state until it is as wanted. A state that does not come fails the test, with what was seen last.
func eventually(t *testing.T, what string, look func() (state string, ok bool)) {
	t.Helper()
	within(t, patience, what, look)
}

// within is eventually for a state that must come sooner, or may come later.
func within(t *testing.T, limit time.Duration, what string, look func() (state string, ok bool)) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		state, ok := look()
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %s; last seen:\n%s", what, limit, strings.TrimSpace(state))
		}
	}
}
