package cloudsim

import (
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// pipeConn is the server's end of a connection. It writes ahead of the reader, as a socket with its buffer does: without that, a
// client that breaks off a TLS handshake and a server that still writes would wait for each other.
type pipeConn struct {
	net.Conn

	local pipeAddr // which address was dialled, for which a certificate can be asked

	mu      sync.Mutex
	pending [][]byte
	closing bool
	wake    chan struct{} // holds one item when pending or closing changed
}

func newPipeConn(conn net.Conn, local pipeAddr) *pipeConn {
	c := &pipeConn{Conn: conn, local: local, wake: make(chan struct{}, 1)}
	go c.send()
	return c
}

// LocalAddr returns the address that was dialled.
func (c *pipeConn) LocalAddr() net.Addr { return c.local }

// Write takes b along and returns.
func (c *pipeConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return 0, net.ErrClosed
	}
	c.pending = append(c.pending, slices.Clone(b))
	c.signal()
	return len(b), nil
}

// Read fails once the connection is closed.
func (c *pipeConn) Read(b []byte) (int, error) {
	c.mu.Lock()
	closing := c.closing
	c.mu.Unlock()
	if closing {
		return 0, net.ErrClosed
	}
	return c.Conn.Read(b)
}

// SetWriteDeadline does nothing, since Write never waits: crypto/tls sets one as it closes, which is not to stop what is still to be sent.
func (c *pipeConn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline is for reading alone.
func (c *pipeConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// Close ends reading at once, and the connection when all is sent that was written. What the client still sends is taken and thrown away, so
// that two ends that close at the same time don't wait for each other.
func (c *pipeConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return nil
	}
	c.closing = true
	c.signal()
	if err := c.SetReadDeadline(time.Unix(0, 0)); err != nil { // who reads now is woken
		return err
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	go func() { _, _ = io.Copy(io.Discard, c.Conn) }() // ends with the connection
	return nil
}

func (c *pipeConn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// send writes what is pending until the connection is closed at either end.
func (c *pipeConn) send() {
	defer func() { _ = c.Conn.Close() }()
	for range c.wake {
		c.mu.Lock()
		pending, closing := c.pending, c.closing
		c.pending = nil
		c.mu.Unlock()
		for _, b := range pending {
			if _, err := c.Conn.Write(b); err != nil {
				return
			}
		}
		if closing {
			return
		}
	}
}
