package main_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
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

// process is the running program.
type process struct {
	*exec.Cmd

	url   string
	ended chan struct{} // closed when it has ended, and its log is complete

	mu      sync.Mutex
	log     []string
	written chan struct{} // holds an item if a line was written since it was last taken
}

// startServing runs a program until it is listening.
func startServing(t testing.TB, program string, args ...string) *process {
	t.Helper()
	p := startProcess(t, nil, program, args...)
	p.waitFor(t, "Exporter started")
	p.url = "http://" + regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(p.lines())
	return p
}

// startProcess runs a program on a random port; without an environment, it has that of the test.
func startProcess(t testing.TB, env []string, program string, args ...string) *process {
	t.Helper()
	p := newProcess(t, program, args...)
	p.Env = env
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.start(t, func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			p.mu.Lock()
			p.log = append(p.log, lines.Text())
			p.mu.Unlock()
			select {
			case p.written <- struct{}{}:
			default:
			}
		}
	})
	return p
}

func newProcess(t testing.TB, program string, args ...string) *process {
	c := exec.CommandContext(t.Context(), program, append(args, "--web.listen-address=127.0.0.1:0")...)
	return &process{Cmd: c, ended: make(chan struct{}), written: make(chan struct{}, 1)}
}

// start starts the program; read reads its log.
func (p *process) start(t testing.TB, read func()) {
	t.Helper()
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		read()
		_ = p.Wait() // ProcessState shows how it ended
	}()
	t.Cleanup(p.stop)
}

// stop kills it.
func (p *process) stop() {
	_ = p.Process.Kill()
	<-p.ended
}

func (p *process) lines() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.log, "\n")
}

// waitFor waits until the log contains a text.
func (p *process) waitFor(t testing.TB, text string) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !strings.Contains(p.lines(), text) {
		select {
		case <-p.written:
		case <-p.ended:
			t.Fatalf("it ended, and the log does not contain %q:\n%s", text, p.lines())
		case <-deadline:
			t.Fatalf("the log does not contain %q:\n%s", text, p.lines())
		}
	}
}

func (p *process) terminate(t *testing.T) {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// endBy repeats a signal until it ends the program, because the first one might be sent before the handler is installed.
func (p *process) endBy(t *testing.T, signal syscall.Signal) {
	t.Helper()
	for again := time.NewTicker(10 * time.Millisecond); ; {
		select {
		case <-again.C:
			_ = p.Process.Signal(signal)
			continue
		case <-p.ended:
		}
		break
	}
	if status, _ := p.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != signal {
		t.Errorf("it ended with %s, want by the signal", p.ProcessState)
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

// TestDemo has nothing to reload and logs this. SIGHUP does not end it, as with serve. SIGTERM stops it cleanly.
func TestDemo(t *testing.T) {
	p := startServing(t, program, "demo", "--web.enable-lifecycle", "--log.format=json")
	if err := p.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(p.url+"/-/reload", "", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	const want = "demo has no configuration to reload; run serve instead\n"
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusForbidden || string(body) != want {
		t.Errorf("%s %s, %v", resp.Status, body, err)
	}
	p.terminate(t)
	<-p.ended
	if code := p.ProcessState.ExitCode(); code != 0 || !strings.Contains(p.lines(), "Stopping after running scrapes have finished") {
		t.Errorf("exit code %d, log\n%s", code, p.lines())
	}
	for line := range strings.SplitSeq(p.lines(), "\n") {
		if !strings.HasPrefix(line, "{") {
			t.Errorf("a log line is not JSON: %s", line)
		}
	}
}

// stopDuringScrape sends SIGTERM while a scrape waits for the cloud, which responds once proceed is closed.
func stopDuringScrape(t *testing.T) (p *process, proceed chan<- struct{}, page <-chan string) {
	t.Helper()
	asked, answer, pages := make(chan struct{}), make(chan struct{}), make(chan string, 1)
	cloud := cloudtest.Scale(1)
	cloud.Inject(cloudtest.Fault{Service: "dcs", When: func(int) bool {
		close(asked)
		<-answer
		return false
	}})
	p = startServing(t, program, "--config.file="+scaleConfig(t, cloud))
	go func() {
		page, err := p.get("/metrics?collect[]=dcs")
		if err != nil {
			page = err.Error()
		}
		pages <- page
	}()
	<-asked
	p.terminate(t)
	p.waitFor(t, "Stopping after running scrapes have finished")
	return p, answer, pages
}

// TestSIGTERMDuringAScrape: the first one lets the scrape finish, a second one ends the program at once.
func TestSIGTERMDuringAScrape(t *testing.T) {
	p, proceed, page := stopDuringScrape(t)
	close(proceed)
	got := <-page
	<-p.ended
	if code := p.ProcessState.ExitCode(); code != 0 || !strings.HasPrefix(got, "200 OK") || !strings.Contains(got, `service="dcs"} 1`) {
		t.Errorf("exit code %d, and the scrape ended with\n%s", code, got)
	}
	p, proceed, page = stopDuringScrape(t)
	defer close(proceed)
	p.endBy(t, syscall.SIGTERM)
	if got := <-page; strings.HasPrefix(got, "200") {
		t.Errorf("the scrape ended with\n%s", got)
	}
}

// TestSIGTERMEndsAStartThatHangs: the first one does, at once.
func TestSIGTERMEndsAStartThatHangs(t *testing.T) {
	file := writeFile(t, "services: {}\n")
	web := writeFile(t, "{}\n")
	for hung, args := range map[string][]string{
		file: {"--config.file=" + file},
		web:  {"--web.config.file=" + web},
	} {
		hanging := filestest.Hang(t, hung)
		p := startProcess(t, []string{"HW_REGION_NAME=cn-north-4"}, program, args...)
		hanging.WaitForReader(t)
		start := time.Now()
		p.terminate(t)
		<-p.ended
		if took := time.Since(start); took > 2*time.Second || p.ProcessState.ExitCode() != 0 || !strings.Contains(p.lines(), "topping before ") {
			t.Errorf("%s: it ended after %s with %s:\n%s", args, took, p.ProcessState, p.lines())
		}
	}
}

// noListener returns an address without a listener.
func noListener(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	return listener.Addr().String()
}

// TestStartsWhileTheCloudIsDown: it starts, and logs problems: of credentials at once, and of quotas when they are fetched.
func TestStartsWhileTheCloudIsDown(t *testing.T) {
	p := startServing(t, program, "--config.file="+writeFile(t, strings.ReplaceAll(`accounts:
  - credentials: {password: {domain_name: d, user_name: u, password: p}}
    endpoints: {default: URL, iam: URL}
    projects: [{region: ap-southeast-1, name: b}]
`, "URL", `"http://`+noListener(t)+`"`)))
	p.waitFor(t, `from="password: user u of d, password in the configuration" msg="Failed to get credentials" err="password: POST http`)
	for path, want := range map[string]string{
		"/-/ready": "is ready",
		"/metrics": `cloud_quota_last_failure_reason{project="b",reason="credentials",service="dcs"} 1`,
	} {
		if page, err := p.get(path); err != nil || !strings.HasPrefix(page, "200 OK") || !strings.Contains(page, want) {
			t.Errorf("%s: %v, there is no %s in\n%s", path, err, want, page)
		}
	}
	resp, err := http.Post(p.url+"/-/reload", "", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusForbidden || !strings.Contains(string(body), "set --web.enable-lifecycle") {
		t.Errorf("%s %s, %v", resp.Status, body, err)
	}
	p.waitFor(t, `connection refused; check the network`)
}

// TestProxyPasswordIsHidden: the URL of a proxy can contain one.
func TestProxyPasswordIsHidden(t *testing.T) {
	config := writeFile(t, "accounts: [{credentials: {static: {access_key: AK, secret_key: SK}}, projects: [{id: '1', region: ap-southeast-1, name: a}]}]\n")
	for _, scheme := range []string{"http", "https", "socks5", "socks5h"} {
		proxy := scheme + "://me:pass-word@" + noListener(t)
		code, stdout, stderr := run(t, []string{"HTTPS_PROXY=" + proxy}, "query", "--service=cts", "--config.file="+config)
		if said := stdout + stderr; code != 1 || !strings.Contains(said, "HTTPS_PROXY and endpoints.cts if they are set") || strings.Contains(said, "word@") {
			t.Errorf("%s: exit code %d\n%s", proxy, code, said)
		}
	}
}

// TestEchoingProxyShowsNoSecret: secrets that a proxy echoes in an error are hidden in the output of commands.
func TestEchoingProxyShowsNoSecret(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_ = json.NewEncoder(w).Encode(map[string]string{"error_msg": "seen " + r.Header.Get("Proxy-Authorization") + " proxy-user pass-word", "error_code": "X.1"})
	}))
	defer proxy.Close()
	config := writeFile(t, "accounts: [{credentials: {static: {access_key: AK, secret_key: SK}}, endpoints: {default: 'http://cloud.example.com', iam: 'http://cloud.example.com'}, "+
		"projects: [{id: '1', region: ap-southeast-1, name: a}, {region: ap-southeast-1, name: b}]}]\n")
	for _, args := range [][]string{{"query"}, {"query", "--output=json"}, {"check-config", "--online"}} {
		code, stdout, stderr := run(t, []string{"all_proxy=http://proxy-user:pass-word@" + proxy.Listener.Addr().String()}, append(args, "--config.file="+config)...)
		said := stdout + stderr
		if code != 1 || !strings.Contains(said, "seen Basic <hidden> <hidden> <hidden>") || regexp.MustCompile("proxy-user|pass-word|cHJveHktdXNlc").MatchString(said) {
			t.Errorf("%v: exit code %d\n%s", args, code, said)
		}
	}
}

// hangingConfig configures a cloud with n projects, whose DCS responds first times and then hangs. The requests in each region are sequential, so
// hangs, which is closed then, means that the previous responses have been read.
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

// TestSignalsEndCommandsWithPartialResults: the first signal does, with both kinds.
func TestSignalsEndCommandsWithPartialResults(t *testing.T) {
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		config, names, hangs := hangingConfig(t, 3, 1)
		query, end := begin(t, nil, "query", config, "--output=json", "--service=dcs", "--project="+names[0], "--project="+names[2])
		<-hangs
		_ = query.Signal(signal)
		code, stdout, stderr := end()
		if code != 1 || stderr != "cloud_quota_exporter: interrupted after 1 of 2 fetches\n" || !json.Valid([]byte(stdout)) ||
			!strings.Contains(stdout, `"resource_type": "ram"`) || !strings.Contains(stdout, `"reason": "unfinished"`) {
			t.Errorf("%s: exit code %d\n%s%s", signal, code, stdout, stderr)
		}
		config, _, hangs = hangingConfig(t, 3, 1)
		check, end := begin(t, nil, "check-config", config, "--online")
		<-hangs
		_ = check.Signal(signal)
		code, stdout, stderr = end()
		says := regexp.MustCompile(`^cloud_quota_exporter: interrupted after \d+ of 15 fetches\n$`)
		if code != 1 || !says.MatchString(stderr) || !strings.Contains(stdout, "\nunfinished: ") {
			t.Errorf("%s: exit code %d\n%s%s", signal, code, stdout, stderr)
		}
	}
}

// TestSecondSignalEndsAQueryAtOnce: after the first signal, it prints more than the reader takes.
func TestSecondSignalEndsAQueryAtOnce(t *testing.T) {
	config, _, hangs := hangingConfig(t, 1000, 0)
	p := newProcess(t, program, "query", config, "--output=json", "--service=dcs")
	if _, err := p.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	p.start(t, func() {})
	<-hangs
	p.endBy(t, syscall.SIGINT)
}

// TestTimeoutEndsACommand at its end, and not earlier.
func TestTimeoutEndsACommand(t *testing.T) {
	t.Parallel() // it waits
	config, _, _ := hangingConfig(t, 1, 0)
	says := regexp.MustCompile(`cloud_quota_exporter: timed out after 600ms: \d of 5 fetches finished\n$`)
	for _, args := range [][]string{{"query"}, {"check-config", "--online"}} {
		start := time.Now()
		code, stdout, stderr := run(t, nil, append(args, config, "--timeout=600ms")...)
		if took := time.Since(start); code != 1 || !says.MatchString(stderr) || took < 600*time.Millisecond {
			t.Errorf("%v: exit code %d after %s\n%s%s", args, code, took, stdout, stderr)
		}
	}
}

// TestNothingRawReachesTheTerminal: names of projects, files, and arguments are escaped in log lines and in errors.
func TestNothingRawReachesTheTerminal(t *testing.T) {
	config := writeFile(t, `accounts:
  - credentials: {static: {access_key: AK, secret_key: SK}}
    endpoints: {default: "http://127.0.0.1:1"}
    projects: [{id: "1", region: ap-southeast-1, name: "re\u202ever\u200bse"}]
`)
	for _, format := range []string{"logfmt", "json"} {
		p := startServing(t, program, "--config.file="+config, "--log.format="+format)
		if _, err := p.get("/metrics"); err != nil {
			t.Fatal(err)
		}
		p.waitFor(t, `re\u202ever\u200bse`)
		if strings.ContainsRune(p.lines(), '\u202e') {
			t.Errorf("the log is\n%s", p.lines())
		}
	}
	for _, args := range [][]string{{"--config.file=no\x1b[31m\u202e\u009bsuch\r.yml"}, {"query\x1b[31m\u202e\u009b\r"}, {"--web.telemetry-path=\x1b[31m\u202e\u009b\r"}, {"--no\x1b[31m\u202e\u009b\r"}} {
		code, _, stderr := run(t, []string{"HW_REGION_NAME=eu-de"}, args...)
		if code != 1 || !strings.Contains(stderr, `\x1b[31m\u202e\u009b`) || strings.ContainsAny(stderr, "\x1b\u202e\u009b\r") {
			t.Errorf("%q: exit code %d, %q", args, code, stderr)
		}
	}
}
