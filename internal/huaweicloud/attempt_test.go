package huaweicloud_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
)

// nat is a network whose connections may be forgotten: they stay open and carry nothing any more.
type nat struct {
	mu       sync.Mutex
	open     []*natConn
	requests atomic.Int64
	slow     time.Duration // from the first byte of an answer to the others
}

type natConn struct {
	net.Conn
	dead   atomic.Bool
	closed chan struct{}
	once   sync.Once
}

func (c *natConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.dead.Load() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *natConn) Write(b []byte) (int, error) {
	if c.dead.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c *natConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// dial leads to a server that answers each request with {} after a latency.
func (n *nat) dial(latency time.Duration) huaweicloud.Dial {
	return func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			for in := bufio.NewReader(there); ; {
				if _, err := http.ReadRequest(in); err != nil {
					return
				}
				n.requests.Add(1)
				<-time.After(latency)
				if _, err := io.WriteString(there, "HTTP/1.1 200 "); err != nil {
					return
				}
				<-time.After(n.slow)
				if _, err := io.WriteString(there, "OK\r\nContent-Length: 2\r\n\r\n{}"); err != nil {
					return
				}
			}
		}()
		c := &natConn{Conn: here, closed: make(chan struct{})}
		n.mu.Lock()
		defer n.mu.Unlock()
		n.open = append(n.open, c)
		return c, nil
	}
}

// forget has all connections dead that are open now.
func (n *nat) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.open {
		c.dead.Store(true)
	}
}

// sources asks for 60 of them at a time, each with a timeout of 8 seconds, and returns how many failed.
func sources(t *testing.T, c *huaweicloud.Client) int64 {
	t.Helper()
	var failed atomic.Int64
	var all sync.WaitGroup
	for range 60 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
			defer cancel()
			if _, err := c.Get(ctx, "/"); err != nil {
				failed.Add(1)
			}
		})
	}
	all.Wait()
	return failed.Load()
}

// TestForgottenConnections: a NAT forgets the connections of 60 sources right after a scrape. The next one loses nothing, whenever it comes, and
// each fetch costs one request more at most.
func TestForgottenConnections(t *testing.T) {
	for _, idle := range []time.Duration{5 * time.Second, 15 * time.Second, 29 * time.Second, 31 * time.Second, 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			var n nat
			c := clientOf(n.dial(10 * time.Millisecond))
			if failed := sources(t, c); failed != 0 {
				t.Fatalf("%d failed at first", failed)
			}
			<-time.After(idle)
			n.forget()
			n.requests.Store(0)
			start := time.Now()
			failed := sources(t, c)
			if took := time.Since(start); failed != 0 || took > 6*time.Second || n.requests.Load() != 60 {
				t.Errorf("idle for %s: %d of 60 failed after %s, %d requests arrived", idle, failed, took, n.requests.Load())
			}
			c.HTTP.CloseIdleConnections()
		})
	}
}

// TestSlowServiceIsAskedOnce: a service that takes three seconds gets one request on a new connection, and on one that served just before. On a
// connection that was idle it may get two, and the answer comes in the time that it takes.
func TestSlowServiceIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n nat
		c := clientOf(n.dial(3 * time.Second))
		for _, step := range []struct {
			idle time.Duration
			want int64
		}{{0, 1}, {time.Second, 2}, {20 * time.Second, 4}} {
			<-time.After(step.idle)
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
			_, err := c.Get(ctx, "/")
			cancel()
			if took := time.Since(start); err != nil || took != 3*time.Second || n.requests.Load() != step.want {
				t.Errorf("idle for %s: %v after %s, %d requests, want %d", step.idle, err, took, n.requests.Load(), step.want)
			}
		}
		<-time.After(3 * time.Second) // the request that nobody waits for ends
		c.HTTP.CloseIdleConnections()
		n = nat{slow: 3 * time.Second} // and a connection that has given a byte is not dead
		c = clientOf(n.dial(time.Second))
		for range 2 {
			if _, err := c.Get(t.Context(), "/"); err != nil {
				t.Error(err)
			}
			<-time.After(20 * time.Second)
		}
		if got := n.requests.Load(); got != 2 {
			t.Errorf("%d requests for two slow answers, want 2", got)
		}
		c.HTTP.CloseIdleConnections()
	})
}

// TestLoginsAreSentOnce: a request that is no GET is never sent again.
func TestLoginsAreSentOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n nat
		c := clientOf(n.dial(0))
		if _, err := c.Issue(t.Context(), http.MethodPost, "/", nil, struct{}{}); err != nil {
			t.Fatal(err)
		}
		<-time.After(20 * time.Second)
		n.forget()
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		if _, err := c.Issue(ctx, http.MethodPost, "/", nil, struct{}{}); !errors.Is(err, context.DeadlineExceeded) || n.requests.Load() != 1 {
			t.Errorf("%v with %d requests that arrived, want a timeout", err, n.requests.Load())
		}
	})
}
