package cloudtest

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
)

// Certificate is what is wrong with the certificate of a server. The zero value is a valid certificate.
type Certificate string

// The certificates that clients must not trust.
const (
	Expired       Certificate = "expired"
	OfAnotherHost Certificate = "of another host"
)

// ErrBlackHole as Fault.Dial: nothing answers to the connection, until the client gives up.
var ErrBlackHole = errors.New("nothing answers")

// Dialer returns dial with the faults of connections.
func (c *Cloud) Dialer(dial func(ctx context.Context, network, address string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		f := c.applying(func(f Fault) bool { return f.Dial != nil && strings.HasPrefix(address, f.Host) })
		if errors.Is(f.Dial, ErrBlackHole) {
			<-ctx.Done()
			return nil, &net.OpError{Op: "dial", Net: network, Addr: cloudsim.PipeAddr(address), Err: ctx.Err()}
		}
		if f.Dial != nil {
			return nil, &net.OpError{Op: "dial", Net: network, Addr: cloudsim.PipeAddr(address), Err: f.Dial}
		}
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &mortalConn{Conn: conn, cloud: c, host: address, opened: time.Now(), closed: make(chan struct{})}, nil
	}
}

// mortalConn is a client's end of a connection. A fault can make it dead: it carries nothing any more, as if a NAT had forgotten it.
type mortalConn struct {
	net.Conn

	cloud  *Cloud
	host   string
	opened time.Time
	once   sync.Once
	closed chan struct{}
}

// Read reads nothing from a dead connection until it is closed.
func (c *mortalConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.isDead() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return n, err
}

// Write drops what is written to a dead connection.
func (c *mortalConn) Write(b []byte) (int, error) {
	if c.isDead() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// Close ends Read.
func (c *mortalConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func (c *mortalConn) isDead() bool {
	c.cloud.mu.Lock()
	defer c.cloud.mu.Unlock()
	for _, f := range c.cloud.faults {
		if f.Dead && strings.HasPrefix(c.host, f.Host) && c.opened.Before(f.since) {
			return true
		}
	}
	return false
}
