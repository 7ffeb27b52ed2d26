package cloudsim

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

// Server serves HTTP/1.1 on a listener.
type Server struct{ http *http.Server }

// ServePlain serves HTTP on l, in separate goroutines, until Close.
func ServePlain(cloud http.Handler, l net.Listener) *Server {
	s := &http.Server{Handler: cloud, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = s.Serve(l) }() // ends with Close
	return &Server{s}
}

// Close closes the listener and all connections, which ends the contexts of requests. It does not wait for handlers.
func (s *Server) Close() { _ = s.http.Close() }

// Pipe is a network in memory: a net.Listener that receives the connections to every address. It works inside a bubble of testing/synctest,
// unlike a socket.
type Pipe struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// NewPipe returns an open Pipe.
func NewPipe() *Pipe {
	return &Pipe{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial connects to the listener, whatever the address. After Close, connections are refused.
func (p *Pipe) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	client, server := net.Pipe()
	err := ctx.Err()
	if err == nil {
		select {
		case p.conns <- pipeConn{server, PipeAddr(address)}:
			return client, nil
		case <-ctx.Done():
			err = ctx.Err()
		case <-p.closed:
			err = os.NewSyscallError("connect", syscall.ECONNREFUSED)
		}
	}
	return nil, &net.OpError{Op: "dial", Net: network, Addr: PipeAddr(address), Err: err}
}

// Accept returns the next connection.
func (p *Pipe) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and refuses further connections. Open connections stay open.
func (p *Pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr returns an address for all connections.
func (*Pipe) Addr() net.Addr { return PipeAddr("pipe") }

// PipeAddr is an address in a Pipe.
type PipeAddr string

// Network returns "pipe".
func (PipeAddr) Network() string { return "pipe" }

func (a PipeAddr) String() string { return string(a) }

// pipeConn is the server's end of a connection.
type pipeConn struct {
	net.Conn

	local PipeAddr
}

// LocalAddr returns the address that the client dialed.
func (c pipeConn) LocalAddr() net.Addr { return c.local }
