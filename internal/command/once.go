package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/version"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/report"
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

// ServiceNames returns the names of all services, and of those that are enabled by default.
func ServiceNames() (known, enabled []string) {
	for _, s := range providers.All() {
		known = append(known, s.Name)
		if s.Enabled {
			enabled = append(enabled, s.Name)
		}
	}
	return known, enabled
}

// Once is how the commands that read everything once do so.
type Once struct {
	Timeout time.Duration // of the whole command, which prints what is known then; 0: none

	dial huaweicloud.Dial // nil: the network
}

func (o Once) load(ctx context.Context, file string) (*config.Config, error) {
	c, err := loadConfig(ctx, file)
	if why := ended(ctx); err != nil && why != nil {
		return nil, fmt.Errorf("%w while the configuration was read", why)
	}
	return c, err
}

func (o Once) fleet(c *config.Config, progress func()) *fleet.Fleet {
	dial := o.dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return newFleet(c, fleet.Options{Dial: dial, Progress: progress, Once: true})
}

// read reads what filter wants, each source once, with a line of progress. When ctx ends, it returns what is known.
func (o Once) read(ctx context.Context, t Terminal, c *config.Config, filter fleet.Filter) (*outcome, error) {
	p := &progress{terminal: t}
	f := o.fleet(c, p.read)
	if err := fleet.CheckNames("--service", filter.Services, f.Services()); err != nil {
		return nil, err
	}
	if fleet.CheckNames("--project", filter.Projects, f.Projects()) != nil {
		f.Discover(ctx) // they may be discovered
	}
	if err := fleet.CheckNames("--project", filter.Projects, f.Projects()); err != nil && ctx.Err() == nil {
		return nil, errors.Join(errors.New(printable(err.Error())), discoveryFailures(f)) // it names those that IAM lists
	}
	p.begin(func() int { return f.Count(filter) })
	readings := f.Read(ctx, filter)
	p.end()
	return newOutcome(f, readings, ended(ctx)), nil
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

// outcome is what a command knows at its end.
type outcome struct {
	services []string
	accounts []fleet.Account
	readings []*fleet.Reading
	failures map[*fleet.Reading]error // why a reading shows no numbers of now
	unread   int                      // sources and discoveries that were not read to the end; they failed, too
	failed   int                      // sources and discoveries
	cut      *cutShort                // why there was no time for all; nil if there was
}

// newOutcome makes it of readings. How far a fetch has come that is under way is noted once, so that all that is printed agrees.
func newOutcome(f *fleet.Fleet, readings []*fleet.Reading, cut *cutShort) *outcome {
	o := &outcome{services: f.Services(), accounts: f.Accounts(), readings: readings, failures: map[*fleet.Reading]error{}}
	advise := func(e *fleet.UnreadError) error {
		o.unread++
		if cut != nil {
			o.cut, e.Advice = cut, cut.remedy()
		}
		return e
	}
	for _, r := range readings {
		err := r.State.Err
		if unread := r.Unread(); unread != nil {
			err = advise(unread)
		}
		if err != nil && !r.NotOffered {
			o.failures[r] = err
			o.failed++
		}
	}
	for i := range o.accounts {
		a := &o.accounts[i]
		if a.Undiscovered != nil && a.DiscoveryErr == nil {
			a.DiscoveryErr = advise(a.Undiscovered)
		}
		if a.DiscoveryErr != nil || a.Empty != nil {
			o.failed++
		}
	}
	return o
}

// failure says why a reading shows no numbers of now; nil if it does.
func (o *outcome) failure(r *fleet.Reading) error { return o.failures[r] }

// verdict is an *ExitError that says how many reads failed, discoveries among them, or were not finished; nil if all is well.
func (o *outcome) verdict() error {
	all := len(o.readings)
	for _, a := range o.accounts {
		if a.DiscoveryErr != nil || a.Empty != nil {
			all++
		}
	}
	failed := o.failed - o.unread
	var text string
	switch {
	case o.failed == 0:
		return nil
	case o.cut == nil && o.unread == 0:
		text = fmt.Sprintf("%d of %d reads failed", failed, all)
	case o.cut == nil:
		text = fmt.Sprintf("%d of %d reads failed, %d were not asked", failed, all, o.unread)
	case failed == 0:
		text = o.cut.after(all-o.unread, all)
	default:
		text = fmt.Sprintf("%s, %d of them failed", o.cut.after(all-o.unread, all), failed)
	}
	return &ExitError{exitFailed, text}
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

// cutShort is why a command ended before its work was done.
type cutShort struct {
	timeout time.Duration // that was over; 0: somebody interrupted the command
}

// Error says what ended the command.
func (e *cutShort) Error() string {
	if e.timeout == 0 {
		return "interrupted"
	}
	return fmt.Sprintf("timed out after %s", e.timeout)
}

// remedy says what to do to have the rest, too.
func (e *cutShort) remedy() string {
	if e.timeout == 0 {
		return "run the command again"
	}
	return "raise --timeout"
}

// after says how far the command came.
func (e *cutShort) after(done, all int) string {
	if e.timeout == 0 {
		return fmt.Sprintf("%v after %d of %d reads", e, done, all)
	}
	return fmt.Sprintf("%v: %d of %d reads finished", e, done, all)
}

// limit returns a context that ends with a command's time; 0 is no limit.
func limit(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, timeout, &cutShort{timeout})
}

// ended returns why the context of limit has ended; nil if it has not.
func ended(ctx context.Context) *cutShort {
	if ctx.Err() == nil {
		return nil
	}
	if timedOut, ok := errors.AsType[*cutShort](context.Cause(ctx)); ok {
		return timedOut
	}
	return &cutShort{}
}

// writeProblems prints what is wrong with readings, why, and what to do. Reads that did not finish come last: a problem before them may explain why.
func (o *outcome) writeProblems(t Terminal) {
	order := []string{fleet.Unfinished, fleet.NotAsked} // behind all others, which are at -1
	problems := report.Problems(o.accounts, o.readings, o.failure)
	slices.SortStableFunc(problems, func(a, b *report.Problem) int {
		return cmp.Compare(slices.Index(order, a.Reason), slices.Index(order, b.Reason))
	})
	for _, p := range problems {
		cause, _ := p.Cause()
		_, _ = fmt.Fprintf(t.Out, "\n%s %s\n  %s\n", t.paint(red, p.Reason+":"), printable(p.Where()),
			strings.ReplaceAll(cause.What, "\n", "\n  "))
		if p.Remedy != "" {
			_, _ = fmt.Fprintf(t.Out, "  %s\n", t.paint(yellow, "-> "+p.Remedy))
		}
	}
}

const (
	progressFrom  = 20 // reads
	progressEvery = 100 * time.Millisecond
)

// progress is a line on stderr that counts reads, if there are enough of them to wait for.
type progress struct {
	terminal Terminal
	total    func() int // grows when projects are discovered
	done     atomic.Int64
	shown    bool
	stop     chan struct{} // closed when the line is to end
	stopped  chan struct{} // closed when nothing is written any more
}

// read counts a read.
func (p *progress) read() { p.done.Add(1) }

// begin shows the line until end. total returns how many reads there will be, as far as that is known.
func (p *progress) begin(total func() int) {
	p.total, p.stop, p.stopped = total, make(chan struct{}), make(chan struct{})
	go p.show()
}

func (p *progress) show() {
	defer close(p.stopped)
	if !p.terminal.Live {
		return
	}
	again := time.NewTicker(progressEvery)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			p.write()
		case <-p.stop:
			p.write()
			return
		}
	}
}

func (p *progress) write() {
	if total := p.total(); total >= progressFrom {
		_, _ = fmt.Fprintf(p.terminal.Err, "\r%d of %d read", p.done.Load(), total)
		p.shown = true
	}
}

// end wipes the line. Reads that end later don't show.
func (p *progress) end() {
	close(p.stop)
	<-p.stopped
	if p.shown {
		_, _ = fmt.Fprint(p.terminal.Err, "\r\x1b[K")
	}
}
