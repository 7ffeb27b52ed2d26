// Package fleettest makes fleets that read a simulated cloud, for tests. Client, signatures, TLS, and HTTP are real. Connections are
// in memory, so that it works in a bubble of testing/synctest.
package fleettest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-kit/log"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/democloud"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/providers"
	"cloud_quota_exporter/providers/providerstest"
)

// ProjectID is the project of Documents.
const ProjectID = "0250cb8a80c24c0b9f20f557cb159aad"

// DocumentsConfig monitors the project of Documents as "prod".
const DocumentsConfig = `accounts:
  - name: main
    credentials: {static: {access_key: AK, secret_key: SK}}
    ca_file: CA
    projects:
      - {id: ` + ProjectID + `, region: ap-southeast-3, name: prod}
`

// Documents returns a cloud with one project whose services respond as in their documentation. It has two audit instances.
func Documents() *cloudtest.Cloud {
	return cloudtest.New(cloudsim.Account{
		Name: "main", AccessKey: "AK", SecretKey: "SK",
		Projects: []cloudsim.Project{{ID: ProjectID, Name: "ap-southeast-3", AuditInstances: 2}},
	})
}

// AccountOf configures the account "main" of a cloud made by cloudtest.Scale, with all its projects; reached is the YAML of its
// endpoints.
func AccountOf(cloud *cloudtest.Cloud, reached string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "accounts:\n  - name: main\n    credentials: {static: {access_key: %s, secret_key: %s}}\n%s    projects:\n",
		democloud.AccessKey, democloud.SecretKey, reached)
	for _, p := range cloud.Projects() {
		fmt.Fprintf(&b, "      - {id: %s, region: %s, name: %s}\n", p.ID, p.Region, p.Name)
	}
	return b.String()
}

// World is a fleet and the simulated cloud that it reads.
type World struct {
	*fleet.Fleet
	Cloud *cloudtest.Cloud
	OnLog func(keyvals ...any) // called for every log line; may be nil

	services []providers.Service
	caFile   string

	mu       sync.Mutex
	unknown  []string
	env      map[string]string
	requests []string
	logged   bytes.Buffer // JSON, one line each
}

// New returns a fleet of the five default services with a configuration. In it, CA means the file with the cloud's certificate
// authority.
func New(t testing.TB, cloud *cloudtest.Cloud, yaml string) *World {
	t.Helper()
	return NewOf(t, providerstest.Five(), cloud, yaml)
}

// NewOf is New with other services.
func NewOf(t testing.TB, services []providers.Service, cloud *cloudtest.Cloud, yaml string) *World {
	t.Helper()
	pipe, plain := cloudsim.NewPipe(), cloudsim.NewPipe()
	server := cloudtest.Serve(cloud, pipe)
	t.Cleanup(server.Close)
	t.Cleanup(cloudsim.ServePlain(cloud, plain).Close)
	w := &World{Cloud: cloud, services: services, caFile: filepath.Join(t.TempDir(), "ca.pem"), env: map[string]string{}}
	if err := os.WriteFile(w.caFile, server.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	w.Fleet = fleet.New(fleet.Options{
		UserAgent: "test",
		Getenv:    w.getenv,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if w.isUnknown(address) {
				return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}}
			}
			if strings.HasSuffix(address, ":80") { // services of the machine itself have no TLS
				return plain.Dial(ctx, network, address)
			}
			return pipe.Dial(ctx, network, address)
		},
		Requests: func(service, code string, _ time.Duration) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.requests = append(w.requests, service+" "+code)
		},
		Logger: log.LoggerFunc(func(keyvals ...any) error {
			if w.OnLog != nil {
				w.OnLog(keyvals...)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			return log.NewJSONLogger(&w.logged).Log(keyvals...)
		}),
	})
	w.Configure(t, yaml)
	return w
}

// Configure activates another configuration.
func (w *World) Configure(t testing.TB, yaml string) {
	t.Helper()
	c, err := config.Parse("test.yml", []byte(strings.ReplaceAll(yaml, "ca_file: CA", "ca_file: "+w.caFile)), w.services, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	w.Load(c)
}

// CAFile returns the file that CA means.
func (w *World) CAFile() string { return w.caFile }

// HideHosts makes hosts whose names contain one of the parts unknown.
func (w *World) HideHosts(parts ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unknown = parts
}

// Setenv sets a variable of the fleet's environment, which is empty at first.
func (w *World) Setenv(name, value string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.env[name] = value
}

func (w *World) getenv(name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.env[name]
}

// Requests returns "service code" of each request that the fleet reported.
func (w *World) Requests() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests
}

// Logged returns the log lines of the fleet, except at level debug.
func (w *World) Logged() []map[string]any {
	w.mu.Lock()
	defer w.mu.Unlock()
	var lines []map[string]any
	for line := range bytes.Lines(w.logged.Bytes()) {
		var fields map[string]any
		if err := json.Unmarshal(line, &fields); err != nil {
			panic(err)
		}
		if fields["level"] != "debug" {
			lines = append(lines, fields)
		}
	}
	return lines
}

// Scrape reads everything within the deadline.
func (w *World) Scrape(t testing.TB, deadline time.Duration) []*fleet.Reading {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	return w.Read(ctx, fleet.Filter{})
}

func (w *World) isUnknown(address string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.unknown, func(part string) bool { return strings.Contains(address, part) })
}
