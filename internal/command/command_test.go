package command_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	toolkit "github.com/prometheus/exporter-toolkit/web"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/command"
)

// output collects the logs or the output of a command, and returns its listening address.
type output struct {
	mu      sync.Mutex
	text    strings.Builder
	address chan string
	changed chan struct{} // holds an item if something was written since it was last taken
}

var listeningOn = regexp.MustCompile(`Listening on" address=([\d.:]+)`)

func newOutput() *output {
	return &output{address: make(chan string, 1), changed: make(chan struct{}, 1)}
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if m := listeningOn.FindSubmatch(b); m != nil {
		o.address <- string(m[1])
	}
	select {
	case o.changed <- struct{}{}:
	default:
	}
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// waitFor waits until the log contains a text, n times if given.
func (o *output) waitFor(t *testing.T, text string, times ...int) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for want := append(times, 1)[0]; strings.Count(o.String(), text) < want; {
		select {
		case <-o.changed:
		case <-deadline:
			t.Fatalf("the log does not contain %d times %s:\n%s", want, text, o)
		}
	}
}

// logsTo are loggers without a filter.
func logsTo(out *output) command.Logs {
	bare := level.NewFilter(log.NewLogfmtLogger(log.NewSyncWriter(out)), level.AllowDebug())
	return command.Logs{Program: log.With(bare, "caller", log.DefaultCaller), Bare: bare, Dropped: func() uint64 { return 0 }}
}

// running is a command that serves.
type running struct {
	url    string
	log    *output
	client *http.Client
	stop   func() error // stops it, and returns its result
}

// start runs a command until it is listening on a random port.
func start(t *testing.T, webConfig string, run func(context.Context, command.Logs, command.Serving) error) *running {
	t.Helper()
	out := newOutput()
	systemd := false
	serving := command.Serving{
		Web:           &toolkit.FlagConfig{WebListenAddresses: &[]string{"127.0.0.1:0"}, WebSystemdSocket: &systemd, WebConfigFile: &webConfig},
		TelemetryPath: "/metrics",
		TimeoutOffset: 0.5,
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, logsTo(out), serving)
	}()
	r := &running{
		log:    out,
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}},
		stop: sync.OnceValue(func() error {
			cancel()
			return <-ended
		}),
	}
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		_ = r.stop()
	})
	select {
	case address := <-out.address:
		r.url = "http://" + address
	case err := <-ended:
		ended <- err
		t.Fatalf("it ended before it was listening: %v", err)
	}
	return r
}

func (r *running) get(t *testing.T, path string) string {
	t.Helper()
	resp, err := r.client.Get(r.url + path)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

// read returns the status and the body of a response.
func read(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d\n%s", resp.StatusCode, body)
}

const (
	accessKey = "AKIDEXAMPLE0123456789"
	secretKey = "a-secret-key-that-must-not-show"
	token     = "a-security-token-that-must-not-show"
	projectID = "0250cb8a80c24c0b9f20f557cb159aad"
)

// simulated serves a cloud on a port, and returns the cloud and its endpoints.
func simulated(t *testing.T) (cloud *cloudtest.Cloud, endpoints string) {
	t.Helper()
	cloud = cloudtest.New(cloudsim.Account{
		Name: "main", AccessKey: accessKey, SecretKey: secretKey, SecurityToken: token,
		Projects: []cloudsim.Project{{ID: projectID, Name: "ap-southeast-3", AuditInstances: 2}},
	})
	return cloud, fmt.Sprintf("{default: %[1]q, iam: %[1]q}", listen(t, cloud))
}

// listen serves a cloud on a port.
func listen(t *testing.T, cloud *cloudtest.Cloud) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cloudsim.ServePlain(cloud, listener).Close)
	return "http://" + listener.Addr().String()
}

// write creates a file in a directory of the test.
func write(t *testing.T, name, contents string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(contents), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
}
