package huaweicloud_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
)

// closing tells when a connection is closed.
type closing struct {
	net.Conn
	closed func()
}

func (c closing) Close() error {
	c.closed()
	return c.Conn.Close()
}

func TestConnectionsAreKept(t *testing.T) {
	var dials atomic.Int64
	together := make(chan struct{})
	var waiting atomic.Int64
	c, _, _ := client(t, func(w http.ResponseWriter, _ *http.Request) {
		if waiting.Add(1)%8 == 0 { // all eight are in flight at a time, three times
			for range 7 {
				together <- struct{}{}
			}
		} else {
			<-together
		}
		fmt.Fprint(w, "{}")
	})
	c.Events = func(string, string, time.Duration) {}
	c.HTTP = huaweicloud.NewHTTPClient(func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}, "", 8)
	for range 3 {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if _, err := c.Get(t.Context(), "/"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	if n := dials.Load(); n != 8 {
		t.Errorf("%d dials for three rounds of 8 requests, want 8", n)
	}
}

func TestRotatedCAFileClosesConnections(t *testing.T) {
	c, ca := secure(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	var open atomic.Int64
	c.HTTP = huaweicloud.NewHTTPClient(func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		open.Add(1)
		return closing{conn, sync.OnceFunc(func() { open.Add(-1) })}, err
	}, file, 8)
	for _, contents := range []string{string(ca), string(ca) + "\n"} {
		if err := os.WriteFile(file, []byte(contents), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Get(t.Context(), "/"); err != nil {
			t.Error(err)
		}
		if n := open.Load(); n != 1 {
			t.Errorf("%d connections are open, want that of the last request", n)
		}
	}
	c.HTTP.CloseIdleConnections()
	if n := open.Load(); n != 0 {
		t.Errorf("%d connections are open after they were closed", n)
	}
}

// TestSilentHostLeaksNothing: a host that accepts connections and says nothing must not collect them.
func TestSilentHostLeaksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open atomic.Int64
		auth := &auth{keys: keys("AK", "SK", "")}
		c := &huaweicloud.Client{
			Auth: auth, Service: "cts", BaseURL: "https://127.0.0.1", Events: func(string, string, time.Duration) {},
			HTTP: huaweicloud.NewHTTPClient(func(context.Context, string, string) (net.Conn, error) {
				open.Add(1)
				near, far := net.Pipe()
				go func() { _, _ = io.Copy(io.Discard, far) }()
				return closing{near, sync.OnceFunc(func() { open.Add(-1) })}, nil
			}, "", 8),
		}
		for range 50 {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			if _, err := c.Get(ctx, "/"); huaweicloud.Reason(err) != "timeout" {
				t.Errorf("got %v", err)
			}
			cancel()
		}
		<-time.After(time.Minute)
		if n := open.Load(); n != 0 {
			t.Errorf("%d connections are open after a minute, want none", n)
		}
	})
}

// TestHangingDialEnds: nor must a dial that nobody waits for any more go on for good.
func TestHangingDialEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		c := &huaweicloud.Client{
			Auth: &auth{keys: keys("AK", "SK", "")}, Service: "cts", BaseURL: "https://127.0.0.1", Events: func(string, string, time.Duration) {},
			HTTP: huaweicloud.NewHTTPClient(func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				close(ended)
				return nil, ctx.Err()
			}, "", 8),
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Get(ctx, "/"); huaweicloud.Reason(err) != "timeout" || !strings.Contains(err.Error(), "no answer after 1s: ") {
			t.Errorf("got %v, want a timeout after 1s", err)
		}
		<-ended // the bubble would tell a deadlock
	})
}

// TestTooLongAnswerIsLeftUnread: its connection can't serve again, and must not stay open.
func TestTooLongAnswerIsLeftUnread(t *testing.T) {
	c, _, _ := client(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("y", 8<<20)) })
	closed := make(chan struct{})
	c.HTTP = huaweicloud.NewHTTPClient(func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return closing{conn, sync.OnceFunc(func() { close(closed) })}, err
	}, "", 8)
	if _, err := c.Get(t.Context(), "/"); huaweicloud.Reason(err) != "malformed" {
		t.Errorf("got %v", err)
	}
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Error("the connection stays open")
	}
}
