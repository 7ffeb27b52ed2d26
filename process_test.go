package main_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// process is the built program while it serves.
type process struct {
	cmd   *exec.Cmd
	url   string
	ended chan struct{} // closed when it has, and its log is complete

	mu      sync.Mutex
	log     []string
	written chan struct{} // holds an item if a line was written since it was last taken
}

// startServing runs the program until it listens.
func startServing(t *testing.T, args ...string) *process {
	t.Helper()
	p := startProcess(t, nil, append(args, "--web.listen-address=127.0.0.1:0")...)
	p.waitFor(t, "serving")
	p.url = "http://" + regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(p.lines())
	return p
}

// startProcess runs the program; without an environment, it has that of the test.
func startProcess(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{
		cmd:   exec.CommandContext(t.Context(), program, args...),
		ended: make(chan struct{}), written: make(chan struct{}, 1),
	}
	p.cmd.Env = env
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			p.mu.Lock()
			p.log = append(p.log, lines.Text())
			p.mu.Unlock()
			select {
			case p.written <- struct{}{}:
			default:
			}
		}
		_ = p.cmd.Wait() // how it ended stands in cmd.ProcessState
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
	return p
}

func (p *process) lines() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.log, "\n")
}

// waitFor waits until the log has a text.
func (p *process) waitFor(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !strings.Contains(p.lines(), text) {
		select {
		case <-p.written:
		case <-p.ended:
			t.Fatalf("it ended, and the log has no %q:\n%s", text, p.lines())
		case <-deadline:
			t.Fatalf("the log has no %q:\n%s", text, p.lines())
		}
	}
}

func (p *process) terminate(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

func (p *process) get(path string) (string, error) {
	resp, err := http.Get(p.url + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.Status + "\n" + string(body), err
}

func TestSignalEndsInOrder(t *testing.T) {
	p := startServing(t, "demo", "--log.format=json")
	p.terminate(t)
	<-p.ended
	if code := p.cmd.ProcessState.ExitCode(); code != 0 || !strings.Contains(p.lines(), "stopping, scrapes under way are finished") {
		t.Errorf("exit code %d, log\n%s", code, p.lines())
	}
	for line := range strings.SplitSeq(p.lines(), "\n") {
		if !strings.HasPrefix(line, "{") {
			t.Errorf("a line of the log is no JSON: %s", line)
		}
	}
}

// TestDemoHasNothingToReload: it says so, and SIGHUP ends it no more than it ends serve.
func TestDemoHasNothingToReload(t *testing.T) {
	p := startServing(t, "demo", "--web.enable-lifecycle")
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(p.url+"/-/reload", "", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	const want = "demo has no configuration that could be loaded; serve has\n"
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusForbidden || string(body) != want {
		t.Errorf("%s %s, %v", resp.Status, body, err)
	}
	p.terminate(t)
	<-p.ended
	if code := p.cmd.ProcessState.ExitCode(); code != 0 || !strings.Contains(p.lines(), "stopping, scrapes under way are finished") {
		t.Errorf("exit code %d, log\n%s", code, p.lines())
	}
}

// stopDuringScrape sends SIGTERM while a scrape waits for the cloud, which answers on proceed.
func stopDuringScrape(t *testing.T) (p *process, proceed chan<- struct{}, page <-chan string) {
	t.Helper()
	asked, answer, pages := make(chan struct{}), make(chan struct{}), make(chan string, 1)
	cloud := cloudtest.Scale(1)
	cloud.Inject(cloudtest.Fault{Service: "dcs", When: func(int) bool {
		close(asked)
		<-answer
		return false
	}})
	p = startServing(t, "--config.file="+scaleConfig(t, cloud))
	go func() {
		page, err := p.get("/metrics?collect[]=dcs")
		if err != nil {
			page = err.Error()
		}
		pages <- page
	}()
	<-asked
	p.terminate(t)
	p.waitFor(t, "stopping, scrapes under way are finished")
	return p, answer, pages
}

func TestSIGTERMLetsAScrapeFinish(t *testing.T) {
	p, proceed, page := stopDuringScrape(t)
	close(proceed)
	if got := <-page; !strings.HasPrefix(got, "200 OK") || !strings.Contains(got, `service="dcs"} 1`) {
		t.Errorf("the scrape ended with\n%s", got)
	}
	<-p.ended
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestSecondSIGTERMEndsAtOnce(t *testing.T) {
	p, proceed, page := stopDuringScrape(t)
	defer close(proceed)
	start := time.Now()
	for again := time.NewTicker(10 * time.Millisecond); ; { // the first one may not have been taken in when its message shows
		select {
		case <-again.C:
			_ = p.cmd.Process.Signal(syscall.SIGTERM)
			continue
		case <-p.ended:
		}
		break
	}
	status, _ := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if took := time.Since(start); took > 10*time.Second || status.Signal() != syscall.SIGTERM {
		t.Errorf("it ended after %s with %s, want at once by the signal", took, p.cmd.ProcessState)
	}
	if got := <-page; strings.HasPrefix(got, "200") {
		t.Errorf("the scrape ended with\n%s", got)
	}
}

// TestStartsWhileTheCloudIsDown: it is up, and says what is wrong: of keys that must be fetched at once, of quotas when they are asked for.
func TestStartsWhileTheCloudIsDown(t *testing.T) {
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	endpoints := "{default: URL, iam: URL}"
	p := startServing(t, "--config.file="+writeFile(t, strings.ReplaceAll(`accounts:
  - name: keys
    credentials: {static: {access_key: AK, secret_key: SK}}
    endpoints: `+endpoints+`
    projects: [{id: "1", region: ap-southeast-1, name: a}]
  - name: user
    credentials: {password: {domain_name: d, user_name: u, password: p}}
    endpoints: `+endpoints+`
    projects: [{region: ap-southeast-1, name: b}]
`, "URL", `"http://`+nobody.Addr().String()+`"`)))
	p.waitFor(t, `account=user from="password: user u of d, password in the configuration" msg="credentials can't be had" err="password: POST http`)
	for path, want := range map[string][]string{
		"/-/ready": {"200 OK", "is ready"},
		"/metrics": {
			"200 OK", `cloud_quota_up{project="a",service="cts"} 0`, `cloud_quota_last_failure_reason{project="a",reason="network",service="dcs"} 1`,
			`cloud_quota_last_failure_reason{project="b",reason="credentials",service="dcs"} 1`,
			`cloud_quota_account_up{account="keys"} 1`, `cloud_quota_account_up{account="user"} 0`,
		},
	} {
		page, err := p.get(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range want {
			if !strings.Contains(page, part) {
				t.Errorf("%s: there is no %s in\n%s", path, part, page)
			}
		}
	}
	p.waitFor(t, `level=warn`)
	p.waitFor(t, `account=keys project=a service=cts msg="quotas can't be read" reason=network err="GET http`)
	p.waitFor(t, `connection refused; check the network`)
}

// TestProxyPasswordDoesNotShow: the URL of a proxy may hold one.
func TestProxyPasswordDoesNotShow(t *testing.T) {
	config := writeFile(t, "accounts: [{credentials: {static: {access_key: AK, secret_key: SK}}, projects: [{id: '1', region: ap-southeast-1, name: a}]}]\n")
	for _, proxy := range []string{"http://me:pass-word@127.0.0.1:1", "https://me:pass-word@127.0.0.1:1", "socks5://me:pass-word@127.0.0.1:1", "ftp://me:pass-word@127.0.0.1:1"} {
		code, stdout, stderr := run(t, []string{"HTTPS_PROXY=" + proxy}, "query", "--service=cts", "--config.file="+config)
		if said := stdout + stderr; code != 1 || !strings.Contains(said, "the proxy if HTTPS_PROXY is set") || strings.Contains(said, "word@") {
			t.Errorf("%s: exit code %d\n%s", proxy, code, said)
		}
	}
}
