package cloudsim

import (
	"context"
	"net"
	"strings"
)

// Certificate is what is wrong with the certificate that a server shows.
type Certificate string

// The certificates that no client may trust. The zero Certificate is the right one.
const (
	Expired       Certificate = "expired"
	OfAnotherHost Certificate = "of another host"
)

func (f Fault) befallsConnections() bool { return f.breaksDial() || f.showsCertificate() }
func (f Fault) breaksDial() bool         { return f.Dial != nil }
func (f Fault) showsCertificate() bool   { return f.Certificate != "" }

// Dialer returns dial, but for the faults that befall it.
func (c *Cloud) Dialer(dial func(ctx context.Context, network, address string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if err := c.befalls(address, Fault.breaksDial).Dial; err != nil {
			return nil, &net.OpError{Op: "dial", Net: network, Addr: pipeAddr(address), Err: err}
		}
		return dial(ctx, network, address)
	}
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
