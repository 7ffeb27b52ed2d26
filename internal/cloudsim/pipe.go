package cloudsim

import (
	"context"
	"net"
	"os"
	"sync"
	"syscall"
)

// Pipe is a network in memory: a net.Listener to which every dialled address leads. It works inside a bubble of testing/synctest,
// where a real socket would hang.
type Pipe struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// NewPipe returns a Pipe that is open.
func NewPipe() *Pipe {
	return &Pipe{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial connects to the listener, whatever the address. Once the Pipe is closed, connections are refused.
func (p *Pipe) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	client, server := net.Pipe()
	conn := newPipeConn(server, pipeAddr(address))
	err := ctx.Err()
	if err == nil {
		select {
		case p.conns <- conn:
			return client, nil
		case <-ctx.Done():
			err = ctx.Err()
		case <-p.closed:
			err = os.NewSyscallError("connect", syscall.ECONNREFUSED)
		}
	}
	_ = conn.Close()
	return nil, &net.OpError{Op: "dial", Net: network, Addr: pipeAddr(address), Err: err}
}

// Accept returns the next connection that was dialled.
func (p *Pipe) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and refuses connections. It leaves those that exist alone.
func (p *Pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr returns an address that stands for all.
func (*Pipe) Addr() net.Addr { return pipeAddr("pipe") }

type pipeAddr string

func (pipeAddr) Network() string  { return "pipe" }
func (a pipeAddr) String() string { return string(a) }
