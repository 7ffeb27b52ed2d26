package main_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// smallPipe holds one page, as little as a pipe can.
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

// unread is the program while it serves, and nobody reads what it logs.
type unread struct {
	*process

	config string
	reader *os.File
	log    *bufio.Reader
}

// serveUnread serves some projects until the log takes no more lines.
func serveUnread(t *testing.T, args ...string) unread {
	t.Helper()
	read, write := smallPipe(t)
	u := unread{&process{ended: make(chan struct{})}, scaleConfig(t, cloudtest.Scale(10)), read, bufio.NewReader(read)}
	good := u.configure(t, func(text string) string { return text + "services: {defaults: {cache_ttl: 0}}\n" })
	args = append([]string{"--config.file=" + u.config, "--web.listen-address=127.0.0.1:0", "--web.enable-lifecycle", "--log.level=debug"}, args...)
	u.cmd = exec.CommandContext(t.Context(), program, args...)
	u.cmd.Stderr = write
	if err := u.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(u.ended)
		_ = u.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = u.cmd.Process.Kill()
		<-u.ended
	})
	write.Close() // it is the program's
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
	for range 100 { // each logs a long line of errors
		u.reload(t, http.StatusInternalServerError)
		if u.dropped(t) > 0 {
			break
		}
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

// dropped returns how many lines are.
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

// scrape asks for all quotas some times.
func (u unread) scrape(t *testing.T) {
	t.Helper()
	for range 10 {
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

// TestUnreadLogHoldsNobody: scrapes and reloads are as fast as ever, and the first SIGTERM ends the program.
func TestUnreadLogHoldsNobody(t *testing.T) {
	u := serveUnread(t)
	before := u.dropped(t)
	u.scrape(t)
	u.reload(t, http.StatusOK)
	if err := u.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	u.scrape(t)
	if n := u.dropped(t) - before; n < 2*10*50 {
		t.Errorf("%d lines were dropped", n)
	}
	start := time.Now()
	u.terminate(t)
	<-u.ended
	if took := time.Since(start); took > 5*time.Second || u.cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("it ended after %s with %s", took, u.cmd.ProcessState)
	}
}

// TestLogThatIsReadAgain is whole, and says once how much of it is missing.
func TestLogThatIsReadAgain(t *testing.T) {
	u := serveUnread(t, "--log.format=json")
	u.scrape(t)
	dropped := u.dropped(t)
	const notice = "Dropped log lines because stderr was not read"
	log := ""
	for !strings.Contains(log, notice) {
		line, err := u.log.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		log += line
	}
	u.reload(t, http.StatusOK)
	u.terminate(t)
	rest, err := io.ReadAll(u.log)
	if err != nil {
		t.Fatal(err)
	}
	log += string(rest)
	<-u.ended
	missing, last := 0, ""
	for line := range strings.Lines(log) {
		var l struct {
			Level, Time, Caller, Msg string
			Lines                    int
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Level == "" || l.Time == "" || l.Caller == "" {
			t.Fatalf("%v: a line of the log is %q", err, line)
		}
		if l.Msg == notice {
			missing += l.Lines
		}
		last = l.Msg
	}
	if n := strings.Count(log, notice); n != 1 || missing < dropped || last != "stopping, scrapes under way are finished" {
		t.Errorf("%d notices of %d lines, of which %d were dropped at first; the last line is %q", n, missing, dropped, last)
	}
}

// TestLogThatNobodyCanRead: whoever read it has gone, which ends most programs at their next line.
func TestLogThatNobodyCanRead(t *testing.T) {
	u := serveUnread(t)
	u.reader.Close()
	before := u.dropped(t)
	u.scrape(t)
	u.reload(t, http.StatusOK)
	if n := u.dropped(t) - before; n < 10*50 {
		t.Errorf("%d lines were dropped", n)
	}
	u.terminate(t)
	<-u.ended
	if code := u.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("it ended with %s", u.cmd.ProcessState)
	}
}
