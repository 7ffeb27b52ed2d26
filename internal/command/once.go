package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/version"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/printable"
	"cloud_quota_exporter/internal/report"
	"cloud_quota_exporter/providers"
)

// newFleet makes the fleet of a configuration. If o has no Dial, it connects to the network.
func newFleet(c *config.Config, o fleet.Options) *fleet.Fleet {
	o.UserAgent = "cloud_quota_exporter/" + version.Version
	o.Getenv = os.Getenv
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	f := fleet.New(o)
	f.Load(c)
	return f
}

// countProjects returns the number of projects.
func countProjects(f *fleet.Fleet) (n int) {
	for _, a := range f.Accounts() {
		n += a.Projects
	}
	return n
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

// Once has what the one-shot commands share.
type Once struct {
	Timeout time.Duration    // of the whole command, which then prints the results so far
	Dial    huaweicloud.Dial // nil: the network
}

// run calls do with the configuration and a context that ends at the timeout. Failure to print is an error, so that a script does
// not take partial output for complete output.
func (o Once) run(ctx context.Context, t Terminal, configFile string, do func(context.Context, Terminal, *config.Config) error) error {
	why := fmt.Errorf("timed out after %s", o.Timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, &cutShort{why, why.Error() + ": %d of %d fetches finished", "increase --timeout"})
	defer cancel()
	c, err := loadConfig(ctx, configFile)
	if cut := ended(ctx); err != nil && cut != nil {
		return fmt.Errorf("%w while the configuration was read", cut)
	}
	if err != nil {
		return err
	}
	out := &Output{Writer: t.Out}
	t.Out = out
	err = do(ctx, t, c)
	if out.Err != nil {
		return fmt.Errorf("write the result: %w", out.Err)
	}
	return err
}

// read fetches what filter selects, each source once, and shows progress. When ctx ends, it returns the results so far.
func (o Once) read(ctx context.Context, t Terminal, c *config.Config, filter fleet.Filter) (*outcome, error) {
	var done atomic.Int64
	f := newFleet(c, fleet.Options{Dial: o.Dial, Progress: func() { done.Add(1) }, Once: true})
	if err := f.CheckServices("--service", filter.Services); err != nil {
		return nil, err
	}
	if fleet.CheckNames("--project", filter.Projects, f.Projects()) != nil {
		f.Discover(ctx) // they may be discovered
	}
	if err := fleet.CheckNames("--project", filter.Projects, f.Projects()); err != nil && ctx.Err() == nil {
		all := err
		for _, a := range f.Accounts() { // names may be unknown because discovery failed
			if a.DiscoveryErr != nil {
				all = errors.Join(all, fmt.Errorf("failed to discover the projects of account %s: %w", a.Name, a.DiscoveryErr))
			}
		}
		return nil, all
	}
	end := t.showProgress(&done, func() int { return f.Count(filter) })
	readings := f.Read(ctx, filter)
	end()
	return newOutcome(f, readings, ended(ctx)), nil
}

// outcome is the result of a command.
type outcome struct {
	services []string
	accounts []fleet.Account
	readings []*fleet.Reading
	failures map[*fleet.Reading]error // why a reading has no current values
	all      int                      // readings, and failed discoveries
	failed   int                      // of all
	unread   int                      // of failed: not finished
	finished int                      // of all

	throttled  map[*fleet.Reading]bool // set by setAsideThrottled
	notChecked int                     // number of throttled fetches

	idle map[string][]string // discovery filters without effect, by account
	cut  *cutShort           // why the command ended early; nil if it did not
}

// newOutcome evaluates readings. The progress of unfinished fetches is taken once, so that all output agrees.
func newOutcome(f *fleet.Fleet, readings []*fleet.Reading, cut *cutShort) *outcome {
	o := &outcome{services: f.Services(), accounts: f.Accounts(), readings: readings, failures: map[*fleet.Reading]error{}, all: len(readings), idle: f.IdleFilters()}
	advise := func(e *fleet.UnreadError) error {
		o.unread++
		if cut != nil {
			o.cut, e.Advice = cut, cut.remedy
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
			o.all++
			o.failed++
		}
	}
	o.finished = o.all - o.unread
	return o
}

const notChecked = "not checked"

// setAsideThrottled counts throttled fetches as not checked instead of failed: a 429 shows no error in the configuration.
func (o *outcome) setAsideThrottled() {
	o.throttled = map[*fleet.Reading]bool{}
	isThrottled := func(err error) bool {
		if withoutKeys, ok := errors.AsType[*huaweicloud.CredentialsError](err); ok {
			err = withoutKeys.Err
		}
		if huaweicloud.Reason(err) != huaweicloud.ReasonThrottled {
			return false
		}
		if _, ok := errors.AsType[*fleet.UnreadError](err); ok {
			o.unread--
		}
		o.failed--
		o.notChecked++
		return true
	}
	for r, err := range o.failures {
		o.throttled[r] = isThrottled(err)
	}
	for _, a := range o.accounts {
		_ = a.DiscoveryErr != nil && isThrottled(a.DiscoveryErr)
	}
}

// verdict returns an *ExitError with the numbers of failed and unfinished fetches (including discoveries), or if none was checked;
// otherwise nil.
func (o *outcome) verdict() error {
	switch {
	case o.notChecked == o.all && o.all > 0:
		return &ExitError{exitFailed, "nothing was checked: the cloud throttles the account (429); run the command again later"}
	case o.failed == 0:
		return nil
	}
	failed := o.failed - o.unread
	text := fmt.Sprintf("%d of %d fetches failed", failed, o.all)
	switch {
	case o.cut != nil:
		text = fmt.Sprintf(o.cut.far, o.finished, o.all)
		if failed > 0 {
			text += fmt.Sprintf(", %d of them failed", failed)
		}
	case o.unread > 0:
		text += fmt.Sprintf(", %d were not started", o.unread)
	}
	if o.notChecked > 0 {
		text += fmt.Sprintf(", %d were not checked because of a 429", o.notChecked)
	}
	return &ExitError{exitFailed, text}
}

// ExitError is the result of a command that ran and found a problem, with its exit code.
type ExitError struct {
	Code int
	Text string
}

// Error returns the text.
func (e *ExitError) Error() string { return e.Text }

// The exit codes of query and check-config.
const (
	exitFailed = 1 // a fetch failed, or something is invalid
	exitAbove  = 2 // a quota is at or above --fail-above
)

// cutShort is the reason why a command ended early.
type cutShort struct {
	error         // the cause
	far    string // format for the numbers of finished and of all fetches
	remedy string // how to get the rest
}

var errInterrupted = &cutShort{errors.New("interrupted"), "interrupted after %d of %d fetches", "run the command again"}

// ended returns why the context of run has ended; nil if it has not.
func ended(ctx context.Context) *cutShort {
	if ctx.Err() == nil {
		return nil
	}
	if timedOut, ok := errors.AsType[*cutShort](context.Cause(ctx)); ok {
		return timedOut
	}
	return errInterrupted
}

// writeProblems prints the problems of readings, their causes, and remedies. Unfinished fetches come last because an earlier problem
// may explain them.
func (o *outcome) writeProblems(t Terminal) {
	order := []string{fleet.Unfinished, fleet.NotAsked} // after all others, which are at -1
	problems := report.Problems(o.accounts, o.readings, func(r *fleet.Reading) error { return o.failures[r] })
	slices.SortStableFunc(problems, func(a, b *report.Problem) int {
		return cmp.Compare(slices.Index(order, a.Reason), slices.Index(order, b.Reason))
	})
	for _, p := range problems {
		cause, _ := p.Cause()
		heading := t.paint(red, p.Reason+":")
		if o.throttled[cause.Reading] {
			heading = t.paint(yellow, notChecked+":")
		}
		_, _ = fmt.Fprintf(t.Out, "\n%s %s\n  %s\n", heading, printable.Text(p.Where()), printable.Lines(cause.What(), "  "))
		if p.Remedy != "" {
			_, _ = fmt.Fprintf(t.Out, "  %s\n", t.paint(yellow, "-> "+printable.Text(p.Remedy)))
		}
	}
}

const (
	progressFrom  = 20 // fetches
	progressEvery = 100 * time.Millisecond
)

// showProgress shows the number of finished fetches on stderr if there are many. total returns the number of all fetches, which
// grows when projects are discovered. end removes the line.
func (t Terminal) showProgress(done *atomic.Int64, total func() int) (end func()) {
	if !t.Live {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var writer sync.WaitGroup
	writer.Go(func() {
		again := time.NewTicker(progressEvery)
		defer again.Stop()
		for wipe := ""; ; {
			select {
			case <-again.C:
			case <-ctx.Done():
			}
			if total := total(); total >= progressFrom {
				_, _ = fmt.Fprintf(t.Err, "\r%d of %d fetched", done.Load(), total)
				wipe = "\r\x1b[K"
			}
			if ctx.Err() != nil {
				_, _ = fmt.Fprint(t.Err, wipe)
				return
			}
		}
	})
	return func() {
		cancel()
		writer.Wait()
	}
}
