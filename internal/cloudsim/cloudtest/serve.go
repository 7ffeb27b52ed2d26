package cloudtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"slices"
	"sync"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
)

// Server serves HTTPS.
type Server struct {
	*cloudsim.Server

	ca []byte
}

// Serve serves HTTPS on l, in goroutines of its own, until Close. It makes certificates for every host name and IP address that clients
// ask for, which the authority of CA signs.
func Serve(c *Cloud, l net.Listener) *Server {
	a := newAuthority()
	certificate := func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		host, err := askedHost(hello)
		if err != nil {
			return nil, err
		}
		return a.certificate(host, c.connectionFault(host, func(f Fault) bool { return f.Certificate != "" }).Certificate)
	}
	secure := tls.NewListener(buffered{l}, &tls.Config{GetCertificate: certificate, MinVersion: tls.VersionTLS12})
	return &Server{cloudsim.ServePlain(c, secure), a.pem}
}

// CA returns the certificate of the authority in PEM.
func (s *Server) CA() []byte { return s.ca }

// authority makes certificates.
type authority struct {
	key  *ecdsa.PrivateKey // of the authority and, to save time, of all certificates
	root *x509.Certificate
	pem  []byte

	mu   sync.Mutex
	made map[certified]*tls.Certificate
}

// certified is what a certificate is made for.
type certified struct {
	name  string // of the host
	wrong Certificate
}

func newAuthority() *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // no randomness
	}
	root := template(1)
	root.Subject.CommonName = "Simulated cloud CA"
	root.IsCA = true
	root.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	if err != nil {
		panic(err) // the template is wrong
	}
	return &authority{
		key:  key,
		root: root,
		pem:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		made: map[certified]*tls.Certificate{},
	}
}

// template returns what all certificates have in common. They are valid before now, for clients whose clock is slow.
func template(serial int64) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber:          big.NewInt(serial),
		Subject:               pkix.Name{Organization: []string{"cloudtest"}},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.AddDate(10, 0, 0),
		BasicConstraintsValid: true,
	}
}

// askedHost returns the host name of a handshake. Clients that dial an IP address send no name: then it returns that address.
func askedHost(hello *tls.ClientHelloInfo) (string, error) {
	if hello.ServerName != "" {
		return hello.ServerName, nil
	}
	host, _, err := net.SplitHostPort(hello.Conn.LocalAddr().String())
	return host, err
}

// certificate returns the certificate for a host, valid or not.
func (a *authority) certificate(name string, wrong Certificate) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	of := certified{name, wrong}
	if made, found := a.made[of]; found {
		return made, nil
	}
	leaf := template(int64(len(a.made)) + 2)
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	switch wrong {
	case Expired:
		leaf.NotAfter = leaf.NotBefore.Add(time.Minute)
	case OfAnotherHost:
		name = "another-host.example.com"
	}
	if ip := net.ParseIP(name); ip != nil {
		leaf.IPAddresses = []net.IP{ip}
	} else {
		leaf.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.root, a.key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	a.made[of] = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.key}
	return a.made[of], nil
}

// buffered wraps the connections of a cloudsim.Pipe.
type buffered struct{ net.Listener }

// Accept returns the next connection.
func (l buffered) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil || conn.LocalAddr().Network() != "pipe" {
		return conn, err
	}
	return newBufferedConn(conn), nil
}

// bufferedConn is the server's end of a connection in memory. Its Write does not wait for the reader, like a socket's with its buffer.
// Otherwise, a client that ends a TLS handshake early and a server that still writes would wait for each other.
type bufferedConn struct {
	net.Conn

	mu      sync.Mutex
	pending [][]byte
	closing bool
	wake    chan struct{} // holds one item when pending or closing changed
}

func newBufferedConn(conn net.Conn) *bufferedConn {
	c := &bufferedConn{Conn: conn, wake: make(chan struct{}, 1)}
	go c.send()
	return c
}

// Write keeps a copy of b to send, and returns.
func (c *bufferedConn) Write(b []byte) (int, error) {
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
func (c *bufferedConn) Read(b []byte) (int, error) {
	c.mu.Lock()
	closing := c.closing
	c.mu.Unlock()
	if closing {
		return 0, net.ErrClosed
	}
	return c.Conn.Read(b)
}

// SetWriteDeadline does nothing, because Write never waits. crypto/tls sets a deadline when it closes, which must not affect what is pending.
func (c *bufferedConn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline sets the deadline for reading.
func (c *bufferedConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// Close ends Read at once, and the connection after everything is sent. It drops what the client still sends, so that two ends that close
// at the same time do not wait for each other.
func (c *bufferedConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return nil
	}
	c.closing = true
	c.signal()
	if err := c.SetReadDeadline(time.Unix(0, 0)); err != nil { // wakes Read
		return err
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	go func() { _, _ = io.Copy(io.Discard, c.Conn) }() // ends with the connection
	return nil
}

func (c *bufferedConn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// send sends what is pending until one end closes the connection.
func (c *bufferedConn) send() {
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
