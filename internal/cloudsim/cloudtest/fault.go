package cloudtest

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
)

// Fault is an injected fault. It applies before the gateway checks a request. If several faults match a request, the one that was
// injected first applies.
type Fault struct {
	// Which requests; empty is any. Service is the label of an API, iam, sts, metadata or pod_identity. Path is the documented path with
	// {project_id} or {domain_id} in it, without query. DomainID is that of the account, for account-level APIs. Host is the beginning of the host name: "dcs.ap-southeast-3.".
	Service, ProjectID, DomainID, Path, Host string
	// When, if it is not nil, decides by the number of requests that fitted so far, including this one.
	When func(n int) bool

	// Faults of connections. Only Host selects them, and When counts connections.
	Dial        error // Dialer returns it
	Certificate Certificate
	Dead        bool // connections of Dialer that are open when the fault is injected carry nothing any more; new ones work

	Latency time.Duration // before the response; ends early if the client goes away
	Hang    bool          // no response; ends if the client goes away
	Reset   bool          // closes the connection before a response
	Drip    time.Duration // before each byte of the body

	// The response, if Status is not 0. After a Status of 101, the connection stays open without further data.
	Status int
	Header http.Header
	Body   []byte
	// CutBody announces the whole length, sends half of the body and closes the connection.
	CutBody bool
}

// fault is an active Fault.
type fault struct {
	Fault

	since  time.Time
	fitted int
}

// Inject activates a fault until heal is called.
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

// applying counts a request or a connection with the faults that fit it, and returns the one that applies, or an empty one. It calls When
// without the lock, so that When can use the cloud.
func (c *Cloud) applying(fits func(Fault) bool) Fault {
	var fitting []fault
	c.mu.Lock()
	for _, f := range c.faults {
		if fits(f.Fault) {
			f.fitted++
			fitting = append(fitting, *f)
		}
	}
	c.mu.Unlock()
	for _, f := range fitting {
		if f.When == nil || f.When(f.fitted) {
			return f.Fault
		}
	}
	return Fault{}
}

func (f Fault) fits(q cloudsim.Call) bool {
	return f.Dial == nil && f.Certificate == "" && !f.Dead && strings.HasPrefix(q.Host, f.Host) &&
		(f.Service == "" || f.Service == q.Service) &&
		(f.ProjectID == "" || f.ProjectID == q.ProjectID) &&
		(f.DomainID == "" || f.DomainID == q.DomainID) &&
		(f.Path == "" || f.Path == q.Path)
}

// strike returns the response, which is usually that of next. It panics with http.ErrAbortHandler if there is none.
func (f Fault) strike(q cloudsim.Call, next func() cloudsim.Answer) cloudsim.Answer {
	client := q.Context()
	if f.Latency > 0 {
		pause(client, f.Latency)
	}
	if f.Hang {
		<-client.Done()
	}
	if f.Hang || f.Reset {
		panic(http.ErrAbortHandler)
	}
	a := cloudsim.Answer{Status: f.Status, Header: f.Header, Body: f.Body}
	if f.Status == 0 {
		a = next()
	}
	switch {
	case a.Status == http.StatusSwitchingProtocols:
		a.Send = switchProtocols
	case f.Drip > 0:
		a.Send = func(w http.ResponseWriter, a cloudsim.Answer) { drip(client, w, a, f.Drip) }
	case f.CutBody:
		a.Send = cutBody
	}
	return a
}

// pause waits. It panics with http.ErrAbortHandler if the client goes away.
func pause(client context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-client.Done():
		panic(http.ErrAbortHandler)
	}
}

// switchProtocols sends a 101 and keeps the connection open, without another byte, until the client closes it.
func switchProtocols(w http.ResponseWriter, _ cloudsim.Answer) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer func() { _ = conn.Close() }()
	_, _ = buffered.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: none\r\n\r\n")
	_ = buffered.Flush()
	_, _ = io.Copy(io.Discard, conn)
}

// drip sends a byte at a time.
func drip(client context.Context, w http.ResponseWriter, a cloudsim.Answer, d time.Duration) {
	w.WriteHeader(a.Status)
	for i := range a.Body {
		_ = http.NewResponseController(w).Flush()
		pause(client, d)
		_, _ = w.Write(a.Body[i : i+1])
	}
}

// cutBody sends half of the body and closes the connection.
func cutBody(w http.ResponseWriter, a cloudsim.Answer) {
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body[:len(a.Body)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}
