package huaweicloud

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// staleAfter is how long a connection is idle before it may be dead: a NAT or a load balancer on the way forgets idle connections without
	// notice.
	staleAfter = 5 * time.Second
	// maxSilence is how long a connection that was idle may be silent before the request is sent on a new one as well; it is a quarter of the time
	// left if that is less.
	maxSilence = 2 * time.Second
)

// attempt is a request in flight, and then its response or error. end reports it to Events.
type attempt struct {
	resp *http.Response
	err  error

	cancel context.CancelFunc
	done   chan struct{} // closed when resp or err is set
	stale  chan struct{} // closed when the request is sent on a connection that was idle for long
	heard  atomic.Bool   // a byte of the response arrived
	report func(code string)
}

// do sends a request and waits for the response. A GET that gets no byte on a connection that was idle is sent once more on a new one, and the first
// response counts.
func (c *Client) do(req *http.Request) *attempt {
	first := c.begin(req)
	if req.Method != http.MethodGet || !first.isSilent(req.Context()) {
		<-first.done
		return first
	}
	c.HTTP.CloseIdleConnections() // they may be dead as well
	second := c.begin(req.Clone(req.Context()))
	select {
	case <-first.done:
		return firstResponse(first, second)
	case <-second.done:
		return firstResponse(second, first)
	}
}

// firstResponse returns a, which is done, or the other attempt if only that one gets a response. It ends the one that it does not return.
func firstResponse(a, other *attempt) *attempt {
	if a.err != nil {
		<-other.done
		if other.err == nil {
			a, other = other, a
		}
	}
	other.cancel()
	go func() {
		<-other.done
		other.end()
	}()
	return a
}

func (c *Client) begin(req *http.Request) *attempt {
	ctx, cancel := context.WithCancel(req.Context())
	start := time.Now()
	a := &attempt{cancel: cancel, done: make(chan struct{}), stale: make(chan struct{})}
	a.report = func(code string) { c.Events(c.Service, code, time.Since(start)) }
	setStale := sync.OnceFunc(func() { close(a.stale) })
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			if info.Reused && info.IdleTime >= staleAfter {
				setStale()
			}
		},
		GotFirstResponseByte: func() { a.heard.Store(true) },
	})
	go func() {
		defer close(a.done)
		a.resp, a.err = c.HTTP.Do(req.WithContext(ctx)) //nolint:bodyclose // end does
	}()
	return a
}

// isSilent waits for the response. It returns true if the connection was idle and has been silent for so long that it may be dead.
func (a *attempt) isSilent(ctx context.Context) bool {
	select {
	case <-a.done:
		return false
	case <-a.stale:
	}
	silence := maxSilence
	if deadline, ok := ctx.Deadline(); ok {
		silence = min(silence, time.Until(deadline)/4)
	}
	select {
	case <-a.done:
		return false
	case <-time.After(silence):
		return !a.heard.Load()
	}
}

// end releases and reports an attempt that is done.
func (a *attempt) end() {
	a.cancel()
	if a.resp != nil {
		_ = a.resp.Body.Close()
		a.report(strconv.Itoa(a.resp.StatusCode))
		return
	}
	if _, ok := errors.AsType[*CAFileError](a.err); !ok { // then nothing was sent
		a.report("error")
	}
}
