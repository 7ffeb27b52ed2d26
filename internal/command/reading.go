package command

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/prometheus/common/version"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/providers"
)

// newFleet makes the fleet of a configuration; o says who leads to the cloud and who is told of what happens.
func newFleet(c *config.Config, o fleet.Options) *fleet.Fleet {
	o.Services = providers.All()
	o.UserAgent = "cloud_quota_exporter/" + version.Version
	o.Getenv = os.Getenv
	f := fleet.New(o)
	f.Load(c)
	return f
}

// readOnce makes a fleet of a configuration and reads what filter wants, each source once, with a line of progress.
func readOnce(ctx context.Context, t Terminal, c *config.Config, filter fleet.Filter) (*fleet.Fleet, []*fleet.Reading, error) {
	p := &progress{terminal: t}
	f := newFleet(c, fleet.Options{Dial: new(net.Dialer).DialContext, Reads: p.read})
	f.Look(ctx)
	if err := ctx.Err(); err != nil {
		return nil, nil, errors.New("interrupted while projects were discovered")
	}
	if err := fleet.CheckNames("--service", filter.Services, f.Services()); err != nil {
		return nil, nil, err
	}
	if err := fleet.CheckNames("--project", filter.Projects, f.Projects()); err != nil { // it names those that IAM lists
		return nil, nil, errors.Join(errors.New(printable(err.Error())), discoveryFailures(f))
	}
	p.total = f.Count(filter)
	readings := f.Read(ctx, filter)
	p.end()
	if err := ctx.Err(); err != nil {
		return nil, nil, fmt.Errorf("interrupted after %d of %d reads", p.count(), p.total)
	}
	return f, readings, nil
}

// discoveryFailures says why projects may be unknown.
func discoveryFailures(f *fleet.Fleet) error {
	var all error
	for _, a := range f.Accounts() {
		if a.DiscoveryErr != nil {
			all = errors.Join(all, fmt.Errorf("the projects of account %s can't be discovered: %w", a.Name, a.DiscoveryErr))
		}
	}
	return all
}

// countFailures returns how many reads failed, discoveries among them, and an *ExitError that says so; nil if none did.
func countFailures(f *fleet.Fleet, readings []*fleet.Reading) error {
	failed, all := 0, len(readings)
	for _, r := range readings {
		if failure(r) != nil {
			failed++
		}
	}
	for _, a := range f.Accounts() {
		if a.DiscoveryErr != nil || a.Empty != nil {
			failed++
			all++
		}
	}
	if failed == 0 {
		return nil
	}
	return &ExitError{exitFailed, fmt.Sprintf("%d of %d reads failed", failed, all)}
}

// failure says why a reading shows no numbers of now; nil if it does.
func failure(r *fleet.Reading) error {
	if r.NotOffered {
		return nil
	}
	if r.State.Err == nil && r.State.Fetches == 0 {
		return huaweicloud.ErrPaused // another project of the account was throttled before its turn came
	}
	return r.State.Err
}

// progress is a line on stderr that counts reads, where there are enough of them to wait for.
type progress struct {
	terminal Terminal
	total    int

	mu   sync.Mutex
	done int
}

const progressFrom = 20 // reads

func (p *progress) read(fleet.Read) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	if p.terminal.Live && p.total >= progressFrom {
		_, _ = fmt.Fprintf(p.terminal.Err, "\r%d of %d read", p.done, p.total)
	}
}

func (p *progress) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// end wipes the line.
func (p *progress) end() {
	if p.terminal.Live && p.total >= progressFrom {
		_, _ = fmt.Fprint(p.terminal.Err, "\r\x1b[K")
	}
}

// ExitError is how a command ends that did its work and found something: with an exit code of its own.
type ExitError struct {
	Code int
	Text string
}

// Error says what was found.
func (e *ExitError) Error() string { return e.Text }

// The exit codes of query and check-config.
const (
	exitFailed = 1 // something could not be read, or is wrong
	exitAbove  = 2 // a quota is at or above --fail-above
)
