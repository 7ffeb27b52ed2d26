package main_test

import (
	"bytes"
	"debug/buildinfo"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// program is the built binary.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "cloud_quota_exporter-test-")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "cloud_quota_exporter")
	if out, err := exec.Command("go", "build", "-ldflags=-w", "-o", program, ".").CombinedOutput(); err != nil {
		panic(string(out))
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// begin starts the program with its own environment. end waits for it.
func begin(t *testing.T, env []string, args ...string) (p *os.Process, end func() (code int, stdout, stderr string)) {
	t.Helper()
	c := exec.CommandContext(t.Context(), program, args...)
	c.Env = append([]string{}, env...) // no variables of this process, which nil would mean
	var out, errOut bytes.Buffer
	c.Stdout, c.Stderr = &out, &errOut
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c.Process, func() (int, string, string) {
		_ = c.Wait() // ProcessState shows how it ended
		return c.ProcessState.ExitCode(), out.String(), errOut.String()
	}
}

func run(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	_, end := begin(t, env, args...)
	return end()
}

func writeFile(t testing.TB, contents string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file.yml")
	if err := os.WriteFile(file, []byte(contents), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestMistakesEndWithOneClearLine(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	bad := writeFile(t, "accounts:\n  - project: []\nservices: {cst: {}}\n")
	inRegion := []string{"HW_REGION_NAME=cn-north-4"}
	badProxy := []string{"HTTPS_PROXY=http://user:pa%ss@127.0.0.1:1", "http_proxy=http://pa%ss"}
	web := writeFile(t, "basic_auth_users: a-password\n")
	for _, tc := range []struct {
		name string
		env  []string
		args []string
		says []string // one per line
	}{
		{"nothing configured", nil, nil, []string{"cloud_quota_exporter: environment: HW_REGION_NAME: missing"}},
		{"no such file", nil, []string{"--config.file=missing.yml"}, []string{"missing.yml: no such file or directory; set --config.file to a readable file"}},
		{"bad file", nil, []string{"--config.file=" + bad}, []string{
			bad + ":2: accounts[0].project: unknown key; known here: name, ", "accounts[0].projects: missing", bad + ":3: services.cst: unknown key; known here: cse, ",
		}},
		{"unreadable file", nil, []string{"--config.file=" + filepath.Dir(bad)}, []string{"it is a directory, not a regular file; set --config.file to a readable file"}},
		{"file without a name", inRegion, []string{"--config.file", ""}, []string{"--config.file is empty"}},
		{"file with a line break", inRegion, []string{"--config.file", "a\nb"}, []string{"--config.file contains a line break"}},
		{"demo with a file", nil, []string{"demo", "--config.file=/nope", "--web.listen-address=" + taken.Addr().String()}, []string{"demo does not support --config.file because its cloud is simulated; run serve instead; --help shows"}},
		{"bad proxy", append(inRegion, badProxy...), []string{"--web.listen-address=" + taken.Addr().String()}, []string{"HTTPS_PROXY is not a valid proxy URL", "http_proxy is not a valid proxy URL"}},
		{"check with a bad proxy", append(inRegion, badProxy...), []string{"check-config"}, []string{"HTTPS_PROXY is not a valid proxy URL", "http_proxy is not a valid proxy URL"}},
		{"query by a bad proxy", append(inRegion, badProxy...), []string{"query"}, []string{"HTTPS_PROXY is not a valid proxy URL", "http_proxy is not a valid proxy URL"}},
		{"demo needs no proxy", badProxy, []string{"demo", "--web.listen-address=" + taken.Addr().String()}, []string{"address already in use"}},
		{"no such flag", nil, []string{"--color"}, []string{"unknown long flag '--color'; --help shows"}},
		{"flag with a line break", nil, []string{"--a\nb\u202e"}, []string{`unknown long flag '--a\nb\u202e'; --help shows`}},
		{"no such command", nil, []string{"sevre"}, []string{`unknown command or argument "sevre"; --help shows`}},
		{"no such argument", nil, []string{"query", "prod"}, []string{`unknown command or argument "prod"; --help shows`}},
		{"no number", nil, []string{"--timeout-offset=half"}, []string{"--timeout-offset must be a number such as 0.5"}},
		{"no ratio", nil, []string{"query", "--fail-above=most"}, []string{"--fail-above must be a number such as 0.5"}},
		{"no ratio either", nil, []string{"query", "--fail-above=90"}, []string{"--fail-above is out of range; set a ratio of used to limit such as 0.9"}},
		{"any ratio", nil, []string{"query", "--fail-above=NaN"}, []string{"--fail-above is out of range"}},
		{"no duration", nil, []string{"query", "--timeout=soon"}, []string{"--timeout must be a duration above 0 with a unit, such as 30s or 5m; --help shows"}},
		{"duration without a unit", nil, []string{"check-config", "--timeout=5"}, []string{"--timeout must be a duration above 0 with a unit"}},
		{"no time", nil, []string{"query", "--timeout=0s"}, []string{"--timeout must be a duration above 0 with a unit"}},
		{"endless time", nil, []string{"query", "--timeout=9999999h"}, []string{"--timeout must be a duration above 0 with a unit"}},
		{"a part without --online", inRegion, []string{"check-config", "--service=cts"}, []string{"--service and --project have no effect without --online; add --online"}},
		{"bad path", inRegion, []string{"--web.telemetry-path=metrics"}, []string{`invalid --web.telemetry-path="metrics"`}},
		{"path of dots", inRegion, []string{"--web.telemetry-path=/.."}, []string{`invalid --web.telemetry-path="/.."`}},
		{"path with a dot", inRegion, []string{"--web.telemetry-path=/metrics/./x"}, []string{`invalid --web.telemetry-path="/metrics/./x"`}},
		{"path to the demo's parent", nil, []string{"demo", "--web.listen-address=127.0.0.1:0", "--web.telemetry-path=/a/.."}, []string{`invalid --web.telemetry-path="/a/.."`}},
		{"negative offset", inRegion, []string{"--timeout-offset=-5"}, []string{"--timeout-offset is out of range"}},
		{"no offset", inRegion, []string{"--timeout-offset=NaN"}, []string{"--timeout-offset is out of range"}},
		{"endless offset", inRegion, []string{"--timeout-offset=1e300"}, []string{"--timeout-offset is out of range"}},
		{"bad level", nil, []string{"--log.level=loud"}, []string{"enum value must be one of debug,info,warn,error"}},
		{"port in use", nil, []string{"demo", "--web.listen-address=" + taken.Addr().String()}, []string{
			"cloud_quota_exporter: listen tcp " + taken.Addr().String() + ": bind: address already in use",
		}},
		{"no such address", inRegion, []string{"--web.listen-address=127.0.0.1:99999"}, []string{"cloud_quota_exporter: listen tcp: address 99999: invalid port"}},
		{"no web file", inRegion, []string{"--web.listen-address=127.0.0.1:0", "--web.config.file=missing.yml"}, []string{
			"--web.config.file=missing.yml: open missing.yml: no such file",
		}},
		{"bad web file", inRegion, []string{"--web.listen-address=127.0.0.1:0", "--web.config.file=" + web}, []string{
			"--web.config.file=" + web + ": yaml: unmarshal errors:", "line 1: cannot unmarshal !!str ... into map",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, stdout, stderr := run(t, tc.env, tc.args...)
			if code != 1 || stdout != "" {
				t.Errorf("exit code %d and output %q, want 1 and none", code, stdout)
			}
			lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
			if strings.Contains(stderr, "pa%ss") {
				t.Errorf("the output contains a password:\n%s", stderr)
			}
			if len(lines) != len(tc.says) || !strings.HasPrefix(stderr, "cloud_quota_exporter: ") {
				t.Fatalf("the output is\n%s\nwant %d lines", stderr, len(tc.says))
			}
			for i, part := range tc.says {
				if !strings.Contains(lines[i], part) {
					t.Errorf("the output is\n%s\nwant %q", lines[i], part)
				}
			}
		})
	}
}

// TestVersion wants the commit that Go recorded in the program, and its date; outside a repository there is none.
func TestVersion(t *testing.T) {
	build, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	noted := map[string]string{"vcs.revision": "unknown", "vcs.time": ""}
	for _, s := range build.Settings {
		noted[s.Key] = s.Value
	}
	code, stdout, stderr := run(t, nil, "--version")
	for _, want := range []string{"cloud_quota_exporter, version devel", ", revision: " + noted["vcs.revision"], "\n  build date:       " + noted["vcs.time"] + "\n"} {
		if code != 0 || !strings.Contains(stdout, want) || stderr != "" {
			t.Errorf("exit code %d, want %q in %s%s", code, want, stdout, stderr)
		}
	}
}

// TestBinaryHasNoTestSupport: the documented examples and the shared test code are not part of the program.
func TestBinaryHasNoTestSupport(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range strings.Lines(string(out)) {
		pkg = strings.TrimSpace(pkg)
		if ours := strings.HasPrefix(pkg, "cloud_quota_exporter/"); ours && (strings.HasSuffix(pkg, "test") || pkg == "cloud_quota_exporter/providers/examples") {
			t.Errorf("the program imports %s", pkg)
		}
	}
}

func TestExitCodes(t *testing.T) {
	config := "--config.file=" + scaleConfig(t, cloudtest.Scale(2)) // six quotas are at a tenth, and one tracker of one, which does not count
	for _, tc := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"query", config}, 0, ""},
		{[]string{"query", config, "--sort=usage", "--output=json", "--service=ces", "--service=dcs", "--fail-above=0.11"}, 0, ""},
		{[]string{"query", config, "--fail-above=0.1"}, 2, "cloud_quota_exporter: 6 of 18 quotas are at or above 0.1\n"},
		{[]string{"query", config, "--project=x"}, 1, `cloud_quota_exporter: unknown --project="x"`},
		{[]string{"check-config", config}, 0, ""},
		{[]string{"check-config", config, "--online"}, 0, ""},
		{[]string{"check-config", config, "--online", "--service=ces", "--service=dcs", "--project=ap-southeast-3_p0001"}, 0, ""},
		{[]string{"check-config", config, "--online", "--service=ecs"}, 1, "cloud_quota_exporter: --service=\"ecs\" is disabled; set services.ecs.enabled to true"},
		{[]string{"query", config, "--service=ecs"}, 1, "cloud_quota_exporter: --service=\"ecs\" is disabled; set services.ecs.enabled to true"},
		{[]string{"services"}, 0, ""},
		{[]string{"services", config, "--output=json"}, 0, ""},
		{[]string{"policy"}, 0, "project-level services: policy 1, for role/policy authorization\n"},
		{[]string{"policy", config, "--type=identity", "--level=project"}, 0, "project-level services: policy 1, for identity policies\n"},
		{[]string{"policy", "--type=user"}, 1, "cloud_quota_exporter: enum value must be one of role,identity, got 'user'"},
		{[]string{"services", "--config.file=missing.yml"}, 1, "cloud_quota_exporter: read the configuration: "},
		{[]string{"check-config", "--config.file=missing.yml"}, 1, "cloud_quota_exporter: read the configuration: "},
	} {
		code, stdout, stderr := run(t, nil, tc.args...)
		if code != tc.code || !strings.HasPrefix(stderr, tc.says) || (code != 1) != strings.Contains(stdout, "dcs") {
			t.Errorf("%v: exit code %d\n%s%s\nwant %d and %q", tc.args, code, stdout, stderr, tc.code, tc.says)
		}
	}
}

// TestNotAFileEndsWithOneLine at once, for every option with a file and every kind of file.
func TestNotAFileEndsWithOneLine(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		syscall.Mkfifo(in("pipe"), 0o600), os.Symlink("pipe", in("link")), os.Symlink("/dev/zero", in("device")),
		os.WriteFile(in("large"), nil, 0o600), os.Truncate(in("large"), 100<<20),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	const noPipe, noDevice = "it is a named pipe, not a regular file; ", "it is a device, not a regular file; "
	web := func(files string) string { return writeFile(t, "tls_server_config: "+files+"\n") }
	certificate := web("{cert_file: " + in("pipe") + ", key_file: key}")
	key := web("{cert_file: " + writeFile(t, "x") + ", key_file: " + in("device") + "}")
	client := web("{client_ca_file: " + in("large") + "}")
	for _, tc := range []struct {
		env, flag, says string
	}{
		{"", "--config.file=" + in("pipe"), "read the configuration: " + in("pipe") + ": " + noPipe},
		{"", "--config.file=" + in("link"), "read the configuration: " + in("link") + ": " + noPipe},
		{"", "--config.file=" + in("device"), "read the configuration: " + in("device") + ": " + noDevice},
		{"", "--config.file=" + in("large"), "read the configuration: " + in("large") + ": larger than 1048576 bytes; "},
		{"", "--config.file=/proc/sys/kernel/ostype", "/proc/sys/kernel/ostype:1: is a single value; "},
		{"", "--web.config.file=" + in("link"), "--web.config.file=" + in("link") + ": " + noPipe},
		{"", "--web.config.file=/dev/zero", "--web.config.file=/dev/zero: " + noDevice},
		{"", "--web.config.file=" + in("large"), ": larger than 1048576 bytes; "},
		{"", "--web.config.file=" + certificate, ": cert_file " + in("pipe") + ": " + noPipe},
		{"", "--web.config.file=" + key, ": key_file " + in("device") + ": " + noDevice},
		{"", "--web.config.file=" + client, ": client_ca_file " + in("large") + ": larger than 1048576 bytes; "},
		{"SSL_CERT_FILE=" + in("pipe"), "--web.telemetry-path=/metrics", "SSL_CERT_FILE=" + in("pipe") + ": " + noPipe},
	} {
		start := time.Now()
		code, stdout, stderr := run(t, []string{"HW_REGION_NAME=cn-north-4", tc.env}, "--web.listen-address=127.0.0.1:0", tc.flag)
		if code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "cloud_quota_exporter: ") || !strings.Contains(stderr, tc.says) {
			t.Errorf("%s %s: exit code %d\n%s%swant %q", tc.env, tc.flag, code, stdout, stderr, tc.says)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s took %s", tc.flag, took)
		}
	}
}
