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
	"strings"
	"sync"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
)

// Server serves HTTPS.
type Server struct {
	*cloudsim.Server

	ca []byte
}

// Serve serves HTTPS on l, in separate goroutines, until Close. It makes certificates for every host name and IP address that clients
// ask for, which the authority of CA signs.
func Serve(c *Cloud, l net.Listener) *Server {
	a := newAuthority()
	certificate := func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		host := hello.ServerName
		if host == "" { // clients that dial an IP address send no name
			host, _, _ = net.SplitHostPort(hello.Conn.LocalAddr().String())
		}
		return a.certificate(host, c.applying(func(f Fault) bool { return f.Certificate != "" && strings.HasPrefix(host, f.Host) }).Certificate)
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
	made map[string]*tls.Certificate // by name of the host and what is wrong
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
		made: map[string]*tls.Certificate{},
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

// certificate returns the certificate for a host, valid or not.
func (a *authority) certificate(name string, wrong Certificate) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	of := name + " " + string(wrong)
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
	c := &bufferedConn{Conn: conn, pending: make(chan []byte, 256), closing: make(chan struct{})}
	go c.send()
	return c, nil
}

// bufferedConn is the server's end of a connection in memory. Its Write does not wait for the reader, like a socket's with its buffer.
// Otherwise, a client that ends a TLS handshake early and a server that still writes would wait for each other.
type bufferedConn struct {
	net.Conn

	pending chan []byte
	closing chan struct{}
	once    sync.Once
}

// Write keeps a copy of b to send, and returns. It waits only if very much is pending.
func (c *bufferedConn) Write(b []byte) (int, error) {
	select {
	case c.pending <- slices.Clone(b):
		return len(b), nil
	case <-c.closing:
		return 0, net.ErrClosed
	}
}

// SetWriteDeadline does nothing, because Write never waits. crypto/tls sets a deadline when it closes, which must not affect what is pending.
func (c *bufferedConn) SetWriteDeadline(time.Time) error { return nil }

// Read fails once the connection is closed.
func (c *bufferedConn) Read(b []byte) (int, error) {
	select {
	case <-c.closing:
		return 0, net.ErrClosed
	default:
		return c.Conn.Read(b)
	}
}

// Close ends Read at once, and the connection after everything is sent. It drops what the client still sends, so that two ends that close
// at the same time do not wait for each other.
func (c *bufferedConn) Close() error {
	c.once.Do(func() {
		close(c.closing)
		_ = c.SetReadDeadline(time.Unix(0, 0)) // wakes Read
		_ = c.SetReadDeadline(time.Time{})
		go func() { _, _ = io.Copy(io.Discard, c.Conn) }() // ends with the connection
	})
	return nil
}

// send sends what is pending until one end closes the connection.
func (c *bufferedConn) send() {
	defer func() { _ = c.Conn.Close() }()
	for closing := false; !closing || len(c.pending) > 0; {
		select {
		case b := <-c.pending:
			if _, err := c.Conn.Write(b); err != nil {
				_ = c.Close()
				return
			}
		case <-c.closing:
			closing = true
		}
	}
}
