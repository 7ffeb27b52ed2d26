package main_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/files/filestest"
)

// hangingConfig is that of a cloud with so many projects, whose DCS answers first times and then hangs. It is asked one by one in each region,
// so that hangs, which is closed then, says that the answers before have been read.
func hangingConfig(t *testing.T, projects, first int) (config string, names []string, hangs <-chan struct{}) {
	t.Helper()
	cloud := cloudtest.Scale(projects)
	for _, p := range cloud.Projects() {
		names = append(names, p.Name)
	}
	silent := make(chan struct{})
	once := sync.OnceFunc(func() { close(silent) })
	cloud.Inject(cloudtest.Fault{Service: "dcs", Hang: true, When: func(n int) bool {
		if n > first {
			once()
		}
		return n > first
	}})
	text, err := os.ReadFile(scaleConfig(t, cloud))
	if err != nil {
		t.Fatal(err)
	}
	return "--config.file=" + writeFile(t, string(text)+"services: {dcs: {max_in_flight: 1, timeout: 5m}}\n"), names, silent
}

// interrupt runs the program and sends it a signal when the cloud hangs.
func interrupt(t *testing.T, signal os.Signal, hangs <-chan struct{}, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), program, args...)
	var out, errOut bytes.Buffer
	c.Stdout, c.Stderr = &out, &errOut
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	<-hangs
	_ = c.Process.Signal(signal)
	_ = c.Wait() // how it ended stands in ProcessState
	return c.ProcessState.ExitCode(), out.String(), errOut.String()
}

// TestSignalsEndCommandsWithWhatIsKnown: the first one, of both kinds.
func TestSignalsEndCommandsWithWhatIsKnown(t *testing.T) {
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		config, names, hangs := hangingConfig(t, 3, 1)
		code, stdout, stderr := interrupt(t, signal, hangs, "query", config, "--output=json", "--service=dcs", "--project="+names[0], "--project="+names[2])
		if code != 1 || stderr != "cloud_quota_exporter: interrupted after 1 of 2 reads\n" || !json.Valid([]byte(stdout)) ||
			!strings.Contains(stdout, `"resource_type": "ram"`) || !strings.Contains(stdout, `"reason": "unfinished"`) {
			t.Errorf("%s: exit code %d\n%s%s", signal, code, stdout, stderr)
		}
		config, _, hangs = hangingConfig(t, 3, 1)
		code, stdout, stderr = interrupt(t, signal, hangs, "check-config", config, "--online")
		says := regexp.MustCompile(`^cloud_quota_exporter: interrupted after \d+ of 15 reads\n$`)
		if code != 1 || !says.MatchString(stderr) || !strings.Contains(stdout, "\nunfinished: ") {
			t.Errorf("%s: exit code %d\n%s%s", signal, code, stdout, stderr)
		}
	}
}

// TestSecondSignalEndsAQueryAtOnce: the first one has it print more than anybody reads.
func TestSecondSignalEndsAQueryAtOnce(t *testing.T) {
	config, _, hangs := hangingConfig(t, 1000, 0)
	c := exec.CommandContext(t.Context(), program, "query", config, "--output=json", "--service=dcs")
	if _, err := c.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	<-hangs
	ended := make(chan *os.ProcessState, 1)
	go func() {
		state, _ := c.Process.Wait()
		ended <- state
	}()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(time.Minute)
	for {
		select {
		case <-again.C: // the first one may not have been taken in yet
			_ = c.Process.Signal(os.Interrupt)
		case <-deadline:
			t.Fatal("it goes on")
		case state := <-ended:
			if status, _ := state.Sys().(syscall.WaitStatus); status.Signal() != os.Interrupt {
				t.Errorf("it ended with %s, want by the signal", state)
			}
			return
		}
	}
}

// TestTimeoutEndsACommand: within its time, and not sooner.
func TestTimeoutEndsACommand(t *testing.T) {
	config, _, _ := hangingConfig(t, 1, 0)
	says := regexp.MustCompile(`cloud_quota_exporter: timed out after 600ms: \d of 5 reads finished\n$`)
	for _, args := range [][]string{{"query"}, {"check-config", "--online"}} {
		start := time.Now()
		code, stdout, stderr := run(t, nil, append(args, config, "--timeout=600ms")...)
		if took := time.Since(start); code != 1 || !says.MatchString(stderr) || took < 600*time.Millisecond {
			t.Errorf("%v: exit code %d after %s\n%s%s", args, code, took, stdout, stderr)
		}
	}
}

// TestTimeoutBoundsReadingTheConfiguration: that file may be on a server that is down.
func TestTimeoutBoundsReadingTheConfiguration(t *testing.T) {
	file := writeFile(t, "services: {}\n")
	filestest.Hang(t, file)
	for _, command := range []string{"query", "check-config"} {
		code, stdout, stderr := run(t, nil, command, "--config.file="+file, "--timeout=100ms")
		if code != 1 || stdout != "" || stderr != "cloud_quota_exporter: timed out after 100ms while the configuration was read\n" {
			t.Errorf("%s: exit code %d\n%s%s", command, code, stdout, stderr)
		}
	}
}
