package main_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestErrorNeedsNoReader: what can't begin ends, though stderr is full.
func TestErrorNeedsNoReader(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	var programs sync.WaitGroup
	for _, args := range [][]string{{"--nonsense"}, {"--config.file=missing.yml"}, {"demo", "--web.listen-address=" + taken.Addr().String()}} {
		_, write := smallPipe(t)
		if _, err := write.WriteString(strings.Repeat("x", 4096)); err != nil {
			t.Fatal(err)
		}
		programs.Go(func() {
			cmd := exec.CommandContext(t.Context(), program, args...)
			cmd.Stderr = write
			start := time.Now()
			_ = cmd.Run()
			if took := time.Since(start); took > 4*time.Second || cmd.ProcessState.ExitCode() != 1 {
				t.Errorf("%s: it ended after %s with %s", args, took, cmd.ProcessState)
			}
		})
	}
	programs.Wait()
}

// TestWhatLibrariesLog is a line like all others, and quotes nothing that a server sent unasked.
func TestWhatLibrariesLog(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}SECRET")
		}
	}()
	p := startServing(t, "--config.file="+writeFile(t, `accounts:
  - credentials: {static: {access_key: AK, secret_key: SK}}
    endpoints: {cts: "http://`+server.Addr().String()+`"}
    projects: [{id: "1", region: ap-southeast-1, name: a}]
`))
	if _, err := p.get("/metrics?collect[]=cts"); err != nil {
		t.Fatal(err)
	}
	p.waitFor(t, `msg="Unsolicited response received on idle HTTP channel starting with \"...\"`)
	for line := range strings.Lines(p.lines()) {
		if !strings.HasPrefix(line, "level=") || strings.Contains(line, "SECRET") {
			t.Errorf("a line of the log is %q", line)
		}
	}
}
