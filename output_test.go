package main_test

import (
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

var reportsFullDevice = regexp.MustCompile(`(?m)^cloud_quota_exporter: .*no space left on device$`)

// TestUnwritableOutput: every command reports output that cannot be written as an error. If the reader has exited, like head, the command ends
// without an error. demo continues.
func TestUnwritableOutput(t *testing.T) {
	config := "--config.file=" + scaleConfig(t, cloudtest.Scale(2))
	for _, args := range [][]string{
		{"query", config},
		{"query", config, "--output=json"},
		{"query", config, "--fail-above=0.1"},
		{"check-config", config},
		{"check-config", config, "--online"},
		{"services"},
		{"services", "--output=json"},
		{"policy", config},
		{"demo"},
		{"--help"},
		{"query", "--help"},
		{"--version"},
		{"help"},
		{"--help-man"},
		{"--completion-script-zsh"},
	} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		p := newProcess(t, program, args...)
		var stderr strings.Builder
		p.Stdout, p.Stderr = full, &stderr
		p.start(t, func() {})
		<-p.ended
		full.Close()
		if code := p.ProcessState.ExitCode(); code != 1 || !reportsFullDevice.MatchString(stderr.String()) {
			t.Errorf("%v into a full device: exit code %d\n%s", args, code, stderr.String())
		}
		if args[0] == "demo" { // ignores it
			continue
		}
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		p = newProcess(t, program, args...)
		stderr.Reset()
		p.Stdout, p.Stderr = w, &stderr
		p.start(t, func() {})
		<-p.ended
		w.Close()
		if status, _ := p.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGPIPE || stderr.Len() > 0 {
			t.Errorf("%v into a closed pipe: %s\n%s", args, p.ProcessState, stderr.String())
		}
	}
}
