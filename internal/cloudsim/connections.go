package cloudsim

import (
	"context"
	"net"
	"strings"
	"sync"
	"time"
)

// Certificate is what is wrong with the certificate that a server shows.
type Certificate string

// The certificates that no client may trust. The zero Certificate is the right one.
const (
	Expired       Certificate = "expired"
	OfAnotherHost Certificate = "of another host"
)

func (f Fault) befallsConnections() bool { return f.breaksDial() || f.showsCertificate() || f.Dead }
func (f Fault) breaksDial() bool         { return f.Dial != nil }
func (f Fault) showsCertificate() bool   { return f.Certificate != "" }

// Dialer returns dial, but for the faults that befall it.
func (c *Cloud) Dialer(dial func(ctx context.Context, network, address string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if err := c.befalls(address, Fault.breaksDial).Dial; err != nil {
			return nil, &net.OpError{Op: "dial", Net: network, Addr: pipeAddr(address), Err: err}
		}
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &mortalConn{Conn: conn, cloud: c, host: address, opened: time.Now(), closed: make(chan struct{})}, nil
	}
}

// mortalConn is a connection that carries nothing once a fault has it dead, as if a NAT had forgotten it.
type mortalConn struct {
	net.Conn

	cloud  *Cloud
	host   string
	opened time.Time
	once   sync.Once
	closed chan struct{}
}

// Read gives what comes, and nothing on a dead connection.
func (c *mortalConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.isDead() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return n, err
}

// Write sends, and loses what is sent on a dead connection.
func (c *mortalConn) Write(b []byte) (int, error) {
	if c.isDead() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// Close wakes who reads.
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

// befalls counts a connection to a host with the faults of a kind that it fits, and returns the one that befalls it, or none.
func (c *Cloud) befalls(host string, kind func(Fault) bool) Fault {
	c.mu.Lock()
	var fitting []candidate
	for _, f := range c.faults {
		if kind(f.Fault) && strings.HasPrefix(host, f.Host) {
			f.fitted++
			fitting = append(fitting, candidate{f.Fault, f.fitted})
		}
	}
	c.mu.Unlock()
	return choose(fitting)
}
