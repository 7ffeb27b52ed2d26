package cloudsim

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// Server serves a Cloud on a listener, by HTTP/1.1.
type Server struct {
	http *http.Server
	stop context.CancelFunc
	ca   []byte
}

// Serve answers HTTPS on l, in goroutines of its own, until Close. Certificates are made on the fly for whatever host name or IP
// address is asked for, and signed by the authority of CA.
func Serve(c *Cloud, l net.Listener) *Server {
	a := newAuthority()
	certificate := func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		host := askedHost(hello)
		return a.certificate(host, c.befalls(host, Fault.showsCertificate).Certificate)
	}
	s := ServePlain(c, tls.NewListener(l, &tls.Config{GetCertificate: certificate, MinVersion: tls.VersionTLS12}))
	s.ca = a.pem
	return s
}

// ServePlain answers HTTP on l, in goroutines of its own, until Close.
func ServePlain(c *Cloud, l net.Listener) *Server {
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{
		http: &http.Server{
			Handler:           c,
			ReadHeaderTimeout: 10 * time.Second,
			ErrorLog:          log.New(io.Discard, "", 0),
			BaseContext:       func(net.Listener) context.Context { return ctx },
		},
		stop: stop,
	}
	go func() { _ = s.http.Serve(l) }() // it ends with Close, which is no failure
	return s
}

// CA returns the certificate of the authority in PEM, or nothing where HTTP is served.
func (s *Server) CA() []byte { return s.ca }

// Close closes the listener and all connections, and ends requests that hang. It does not wait for handlers.
func (s *Server) Close() {
	s.stop()
	_ = s.http.Close()
}
