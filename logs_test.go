package main_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// smallPipe has a buffer of one page, the minimum of a pipe.
func smallPipe(t *testing.T) (read, write *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		read.Close()
		write.Close()
	})
	const setPipeSize = 1031 // F_SETPIPE_SZ
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, write.Fd(), setPipeSize, 4096); errno != 0 {
		t.Fatal(errno)
	}
	return read, write
}

// unread is the running program with a log that is not read.
type unread struct {
	*process

	config string
	reader *os.File
	log    *bufio.Reader
}

// serveUnread serves some projects until the log accepts no more lines.
func serveUnread(t *testing.T, args ...string) unread {
	t.Helper()
	config := scaleConfig(t, cloudtest.Scale(10))
	read, write := smallPipe(t)
	u := unread{newProcess(t, program, append(args, "--config.file="+config, "--web.enable-lifecycle", "--log.level=debug")...), config, read, bufio.NewReader(read)}
	good := u.configure(t, func(text string) string { return text + "services: {defaults: {cache_ttl: 0}, ces: {cache_ttl: 0}}\n" })
	u.Stderr = write
	u.start(t, func() {})
	write.Close() // it belongs to the program
	for u.url == "" {
		line, err := u.log.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(line, "Listening on") {
			u.url = "http://" + regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line)
		}
	}
	u.configure(t, func(string) string { return strings.Repeat("x: {}\n", 3000) })
	for u.dropped(t) == 0 { // each logs a long line of errors
		u.reload(t, http.StatusInternalServerError)
	}
	u.configure(t, func(string) string { return good })
	return u
}

// configure changes the configuration, and returns it.
func (u unread) configure(t *testing.T, change func(string) string) string {
	t.Helper()
	text, err := os.ReadFile(u.config)
	if err != nil {
		t.Fatal(err)
	}
	changed := change(string(text))
	if err := os.WriteFile(u.config, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	return changed
}

func (u unread) reload(t *testing.T, status int) {
	t.Helper()
	start := time.Now()
	resp, err := http.Post(u.url+"/-/reload", "", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if took := time.Since(start); resp.StatusCode != status || took > 2*time.Second {
		t.Errorf("a reload ended with %s after %s", resp.Status, took)
	}
}

// dropped returns the number of dropped lines.
func (u unread) dropped(t *testing.T) int {
	t.Helper()
	page, err := u.get("/metrics?collect[]=exporter")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(regexp.MustCompile(`(?m)^cloud_quota_exporter_log_lines_dropped_total (\d+)$`).FindStringSubmatch(page)[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// scrape requests all quotas several times.
func (u unread) scrape(t *testing.T) {
	t.Helper()
	for range 4 {
		start := time.Now()
		page, err := u.get("/metrics")
		if took := time.Since(start); err != nil || took > 2*time.Second {
			t.Fatalf("a scrape took %s, %v", took, err)
		}
		if n := strings.Count(page, "\ncloud_quota_up{"); n != 50 || strings.Contains(page, "cloud_quota_last_failure_reason{") {
			t.Fatalf("%d sources on a page:\n%s", n, page)
		}
	}
}

// TestUnreadLog: scrapes and reloads are not slowed down while the log is not read. When it is read again, its lines are whole, and
// one line reports how many are missing. When the reader has exited, which ends most programs at their next line, the program
// continues, and SIGTERM stops it cleanly.
func TestUnreadLog(t *testing.T) {
	u := serveUnread(t, "--log.format=json")
	before := u.dropped(t)
	u.scrape(t)
	u.reload(t, http.StatusOK)
	if err := u.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	u.scrape(t)
	dropped := u.dropped(t)
	if n := dropped - before; n < 2*4*50 {
		t.Errorf("%d lines were dropped", n)
	}

	const notice = "Dropped log lines because stderr was not read"
	missing, notices, after := 0, 0, 0
	for after < 10 {
		line, err := u.log.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		var l struct {
			Level, Time, Caller, Msg string
			Lines                    int
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Level == "" || l.Time == "" || l.Caller == "" {
			t.Fatalf("%v: a line of the log is %q", err, line)
		}
		switch {
		case l.Msg == notice:
			notices++
			missing += l.Lines
			go u.get("/metrics") // for more lines
		case notices > 0:
			after++
		}
	}
	if notices != 1 || missing < dropped {
		t.Errorf("%d notices of %d lines, of which %d were dropped at first", notices, missing, dropped)
	}

	u.reader.Close()
	before = u.dropped(t)
	u.scrape(t)
	u.reload(t, http.StatusOK)
	if n := u.dropped(t) - before; n < 4*50 {
		t.Errorf("%d lines were dropped", n)
	}
	start := time.Now()
	u.terminate(t)
	<-u.ended
	if took := time.Since(start); took > 5*time.Second || u.ProcessState.ExitCode() != 0 {
		t.Errorf("it ended after %s with %s", took, u.ProcessState)
	}
}

// TestErrorNeedsNoReader: a failed start exits even if stderr is full.
func TestErrorNeedsNoReader(t *testing.T) {
	t.Parallel() // it waits
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

// TestLogsOfLibraries is a line like all others, and quotes nothing that a server sent without a request.
func TestLogsOfLibraries(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	asks := make(chan string, 10)
	go func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				asks <- r.UserAgent() // the cloud's operators can identify the client
			}
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}SECRET")
		}
	}()
	p := startServing(t, program, "--config.file="+writeFile(t, `accounts:
  - credentials: {static: {access_key: AK, secret_key: SK}}
    endpoints: {cts: "http://`+server.Addr().String()+`"}
    projects: [{id: "1", region: ap-southeast-1, name: a}]
`))
	if _, err := p.get("/metrics?collect[]=cts"); err != nil {
		t.Fatal(err)
	}
	if who := <-asks; !strings.HasPrefix(who, "cloud_quota_exporter/") {
		t.Errorf("User-Agent %q", who)
	}
	p.waitFor(t, `msg="Unsolicited response received on idle HTTP channel starting with \"...\"`)
	for line := range strings.Lines(p.lines()) {
		if !strings.HasPrefix(line, "level=") || strings.Contains(line, "SECRET") {
			t.Errorf("a line of the log is %q", line)
		}
	}
}
