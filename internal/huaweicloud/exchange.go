package huaweicloud

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	// staleAfter is how long a connection is idle before it may be dead: a NAT or a load balancer between here and the cloud forgets idle
	// connections, and says nothing.
	staleAfter = 5 * time.Second
	// longestSilence is how long a connection that was idle may give nothing before the request goes out on a new one as well, or a quarter of
	// the time that is left if that is less.
	longestSilence = 2 * time.Second
)

// exchanged is a request and what came back: resp or err. It is told to Events once it ends.
type exchanged struct {
	resp *http.Response
	err  error

	cancel context.CancelFunc
	done   chan struct{} // closed when resp or err is set
	stale  chan struct{} // closed when the request goes out on a connection that was idle for long
	heard  atomic.Bool   // a byte of the answer arrived
	told   func(code string)
}

// do sends a request and returns the answer, or why there is none. A GET that gets nothing on a connection that was idle is sent once more on a
// new one, and the first answer counts. Never more than that, and never after a byte of an answer arrived: it costs one request.
func (c *Client) do(req *http.Request) *exchanged {
	first := c.begin(req)
	if req.Method != http.MethodGet || !first.isSilent(req.Context()) {
		<-first.done
		return first
	}
	c.HTTP.CloseIdleConnections() // dead as well, as far as anybody knows
	second := c.begin(req.Clone(req.Context()))
	select {
	case <-first.done:
		return firstAnswer(first, second)
	case <-second.done:
		return firstAnswer(second, first)
	}
}

// firstAnswer returns x, which is done, unless it failed and the other one brings an answer. The one that is not returned is ended.
func firstAnswer(x, other *exchanged) *exchanged {
	if x.err != nil {
		<-other.done
		if other.err == nil {
			x, other = other, x
		}
	}
	other.cancel()
	go func() {
		<-other.done
		other.end()
	}()
	return x
}

// begin sends a request.
func (c *Client) begin(req *http.Request) *exchanged {
	ctx, cancel := context.WithCancel(req.Context())
	start := time.Now()
	x := &exchanged{cancel: cancel, done: make(chan struct{}), stale: make(chan struct{})}
	x.told = func(code string) { c.Events(c.Service, code, time.Since(start)) }
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			if info.Reused && info.IdleTime >= staleAfter && !x.isStale() {
				close(x.stale)
			}
		},
		GotFirstResponseByte: func() { x.heard.Store(true) },
	})
	go func() {
		defer close(x.done)
		x.resp, x.err = c.HTTP.Do(req.WithContext(ctx)) //nolint:bodyclose // end does
	}()
	return x
}

func (x *exchanged) isStale() bool {
	select {
	case <-x.stale:
		return true
	default:
		return false
	}
}

// isSilent waits until there is an answer or, on a connection that was idle, has been none for so long that it may be dead.
func (x *exchanged) isSilent(ctx context.Context) bool {
	select {
	case <-x.done:
		return false
	case <-x.stale:
	}
	silence := longestSilence
	if deadline, ok := ctx.Deadline(); ok {
		silence = min(silence, time.Until(deadline)/4)
	}
	timer := time.NewTimer(silence)
	defer timer.Stop()
	select {
	case <-x.done:
		return false
	case <-timer.C:
		return !x.heard.Load()
	}
}

// end frees what the request holds, and counts it. x is done.
func (x *exchanged) end() {
	x.cancel()
	if x.resp != nil {
		_ = x.resp.Body.Close()
		x.told(strconv.Itoa(x.resp.StatusCode))
		return
	}
	if _, ok := errors.AsType[*CAFileError](x.err); !ok { // then nothing was sent
		x.told("error")
	}
}
