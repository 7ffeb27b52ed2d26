package fleet_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/providers"
)

const (
	prodID = "0250cb8a80c24c0b9f20f557cb159aad"
	devID  = "054e292c9880d4992f02c0196d3ea468"
)

// world is a fleet and the simulated cloud that it reads, in a bubble.
type world struct {
	*fleet.Fleet
	cloud  *cloudsim.Cloud
	caFile string

	mu       sync.Mutex
	unknown  string // hosts that contain this don't exist
	requests []string
	reads    []fleet.Read
}

func newWorld(t *testing.T, cloud *cloudsim.Cloud, yaml string) *world {
	t.Helper()
	pipe := cloudsim.NewPipe()
	server := cloudsim.Serve(cloud, pipe)
	t.Cleanup(server.Close)
	w := &world{cloud: cloud, caFile: filepath.Join(t.TempDir(), "ca.pem")}
	if err := os.WriteFile(w.caFile, server.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	w.Fleet = fleet.New(fleet.Options{
		Services:  providers.All(),
		UserAgent: "test",
		Getenv:    func(string) string { return "" },
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.unknown != "" && strings.Contains(address, w.unknown) {
				return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}}
			}
			return pipe.Dial(ctx, network, address)
		},
		Requests: func(service, code string, _ time.Duration) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.requests = append(w.requests, service+" "+code)
		},
		Reads: func(r fleet.Read) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.reads = append(w.reads, r)
		},
	})
	w.load(t, yaml)
	return w
}

// load puts a configuration in force; CA in it stands for the simulated cloud's certificate authority.
func (w *world) load(t *testing.T, yaml string) {
	t.Helper()
	known := config.Known{}
	for _, s := range providers.All() {
		known[s.Name] = config.Defaults{CacheTTL: s.CacheTTL}
	}
	c, err := config.Parse("test.yml", []byte(strings.ReplaceAll(yaml, "CA", w.caFile)), known, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	w.Load(c)
}

// scrape reads everything, waiting so long at most.
func (w *world) scrape(t *testing.T, deadline time.Duration) []*fleet.Reading {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	return w.Read(ctx, func(string, string) bool { return true })
}

// find returns the reading of a service of a project.
func find(t *testing.T, readings []*fleet.Reading, service, project string) *fleet.Reading {
	t.Helper()
	i := slices.IndexFunc(readings, func(r *fleet.Reading) bool { return r.Service == service && r.Project.Label == project })
	if i < 0 {
		t.Fatalf("there is no reading of %s in %s", service, project)
	}
	return readings[i]
}

// outcomes says of each reading "service/project: reason", with "ok" for a success and "?" before the first fetch.
func outcomes(readings []*fleet.Reading) string {
	var lines []string
	for _, r := range readings {
		outcome := r.Reason()
		switch {
		case r.State.Fetches == 0:
			outcome = "?"
		case outcome == "":
			outcome = "ok"
		}
		lines = append(lines, fmt.Sprintf("%s/%s: %s", r.Service, r.Project.Label, outcome))
	}
	return strings.Join(lines, "\n")
}

// all is the outcomes of five services of a project that are alike.
func all(project, outcome string) string {
	return fmt.Sprintf("cts/%[1]s: %[2]s\nces/%[1]s: %[2]s\ntaurusdb/%[1]s: %[2]s\ndcs/%[1]s: %[2]s\ndbss/%[1]s: %[2]s", project, outcome)
}

func number(n *float64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

// numbers says of each quota "service/project type: used of limit, remaining".
func numbers(readings []*fleet.Reading) string {
	var lines []string
	for _, r := range readings {
		for _, q := range r.Quotas {
			lines = append(lines, fmt.Sprintf("%s/%s %s: %s of %s, %s",
				r.Service, r.Project.Label, q.ResourceType, number(q.Used), number(q.Limit), number(q.Remaining)))
		}
	}
	return strings.Join(lines, "\n")
}

// pass lets time pass in a bubble.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// documents is a cloud with one project, of which each service answers as its document shows.
func documents() *cloudsim.Cloud {
	return cloudsim.New(cloudsim.Account{
		Name: "main", AccessKey: "AK", SecretKey: "SK",
		Projects: []cloudsim.Project{{ID: prodID, Name: "ap-southeast-3", AuditInstances: 2}},
	})
}

const documentsConfig = `accounts:
  - name: main
    credentials: {static: {access_key: AK, secret_key: SK}}
    ca_file: CA
    projects: [{id: ` + prodID + `, region: ap-southeast-3, name: prod}]
`
