package cloudsim

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Fault is something that goes wrong. It is looked at before signatures and tokens are; where several fit a request, the first one that was
// injected wins.
type Fault struct {
	// Which requests; empty is any. Service is the label of an API, iam, metadata or pod_identity, Path the documented path with
	// {project_id} in it, Host the beginning of the host's name: "dcs.ap-southeast-3.".
	Service, ProjectID, Path, Host string
	// When, where it is set, decides by the number of requests that fitted so far, this one included.
	When func(n int) bool

	// What befalls a connection, before there is a request on it: Host alone says which, and When counts connections.
	Dial        error // why it can't be opened, for who dials by Dialer
	Certificate Certificate
	Dead        bool // those that are open when it is injected carry nothing any more, for who dials by Dialer; new ones are good

	Latency time.Duration // before anything is answered; ends early when the client goes away
	Hang    bool          // never answers; ends when the client goes away
	Reset   bool          // closes the connection before any answer
	Drip    time.Duration // before each byte of the body

	// What replaces the answer, where Status is not 0.
	Status int
	Header http.Header
	Body   []byte
	// CutBody announces the whole length, sends half of the body and closes the connection.
	CutBody bool
}

// fault is a Fault in force.
type fault struct {
	Fault

	since  time.Time
	fitted int
}

// candidate is a fault that fits a request, which is the nth that it fits.
type candidate struct {
	Fault

	nth int
}

// Inject puts a fault in force until heal is called.
func (c *Cloud) Inject(f Fault) (heal func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	injected := &fault{Fault: f, since: time.Now()}
	c.faults = append(c.faults, injected)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.faults = slices.DeleteFunc(c.faults, func(other *fault) bool { return other == injected })
	}
}

// candidates counts a request with the faults that it fits, and returns them.
func (c *Cloud) candidates(q call) []candidate {
	var fitting []candidate
	for _, f := range c.faults {
		if f.fits(q) {
			f.fitted++
			fitting = append(fitting, candidate{f.Fault, f.fitted})
		}
	}
	return fitting
}

func (f Fault) fits(q call) bool {
	return !f.befallsConnections() && strings.HasPrefix(q.Host, f.Host) &&
		(f.Service == "" || q.api != nil && f.Service == q.api.service) &&
		(f.ProjectID == "" || f.ProjectID == q.projectID) &&
		(f.Path == "" || f.Path == q.path)
}

// choose returns the fault that befalls a request, or none, which does nothing. It asks When without the cloud's lock, so that When
// may ask the cloud.
func choose(candidates []candidate) Fault {
	for _, f := range candidates {
		if f.When == nil || f.When(f.nth) {
			return f.Fault
		}
	}
	return Fault{}
}

// strike does what comes before an answer, and panics with http.ErrAbortHandler where there will be none.
func (f Fault) strike(client context.Context) {
	if f.Latency > 0 {
		select {
		case <-time.After(f.Latency):
		case <-client.Done():
			panic(http.ErrAbortHandler)
		}
	}
	if f.Hang {
		<-client.Done()
	}
	if f.Hang || f.Reset {
		panic(http.ErrAbortHandler)
	}
}
