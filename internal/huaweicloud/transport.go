package huaweicloud

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"cloud_quota_exporter/internal/files"
)

// connectTimeout bounds each of opening a connection and its TLS handshake.
const connectTimeout = 30 * time.Second

const (
	maxCAFile     = 4 << 20         // bytes, more than the authorities of a whole system have
	caFileTimeout = 5 * time.Second // for the file system to respond; less than a service has, so that this error is the one that is shown
)

// idleTimeout is less than the time after which NATs forget a connection without a word. Most services are asked every few minutes: their
// connections would not serve again anyway.
const idleTimeout = 30 * time.Second

// Dial opens a connection, as net.Dialer.DialContext does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// NewHTTPClient returns the client through which an account's requests go: TLS verified, by the system's certificate authorities and
// those of caFile (none if empty; read again when it changes), HTTPS_PROXY and NO_PROXY honoured, redirects refused, so that nothing
// that authorises follows one to another host. It keeps as many idle connections to a host as there may be requests in flight.
func NewHTTPClient(dial Dial, caFile string, maxInFlight int) *http.Client {
	return &http.Client{
		Transport:     &transport{dial: dial, caFile: caFile, maxInFlight: maxInFlight},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// CAFileError is a ca_file that can't be used.
type CAFileError struct {
	File string
	Err  error
}

// Error says which file, and why.
func (e *CAFileError) Error() string {
	return fmt.Sprintf("ca_file %s: %v", e.File, e.Err) + ending(e.Remedy())
}

// Remedy says what to do.
func (e *CAFileError) Remedy() string { return "it must hold certificates in PEM" }

// Unwrap returns the cause.
func (e *CAFileError) Unwrap() error { return e.Err }

// transport is an http.Transport that follows the contents of a file of certificate authorities.
type transport struct {
	dial        Dial
	caFile      string
	maxInFlight int

	mu      sync.Mutex
	current *http.Transport
	ca      []byte // contents of caFile that current was made with
}

// RoundTrip sends one request.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	current, err := t.get(req.Context())
	if err != nil {
		return nil, err
	}
	resp, err := current.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if _, err := resp.Location(); err != nil { // http.Client would take a redirect to what is no URL for no answer at all
		resp.Header.Del("Location")
	}
	return resp, nil
}

// CloseIdleConnections is what http.Client.CloseIdleConnections calls.
func (t *transport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current != nil {
		t.current.CloseIdleConnections()
	}
}

// CheckCAFile tells whether a file holds certificates to trust; the error is a *CAFileError.
func CheckCAFile(ctx context.Context, name string) error {
	_, err := (&transport{caFile: name}).get(ctx)
	return err
}

func (t *transport) get(ctx context.Context) (*http.Transport, error) {
	var ca []byte
	if t.caFile != "" {
		ctx, cancel := context.WithTimeout(ctx, caFileTimeout)
		defer cancel()
		var err error
		if ca, err = files.Read(ctx, t.caFile, maxCAFile); err != nil {
			return nil, &CAFileError{t.caFile, err}
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current != nil && bytes.Equal(ca, t.ca) {
		return t.current, nil
	}
	made, err := t.make(ca)
	if err != nil {
		return nil, &CAFileError{t.caFile, err}
	}
	if t.current != nil {
		t.current.CloseIdleConnections()
	}
	t.current, t.ca = made, ca
	return made, nil
}

func (t *transport) make(ca []byte) (*http.Transport, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.caFile != "" {
		pool, err := x509.SystemCertPool()
		if err != nil { // a system without any: the file's alone
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(ca) {
			return nil, errors.New("there is no certificate in it")
		}
		config.RootCAs = pool
	}
	// HTTP/1.1: each request in flight has a connection of its own, so that one that is reset takes no other along. The context of a fetch
	// bounds the request, but not the connection that is opened for it, which net/http may hand to another request: hence connectTimeout.
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, connectTimeout)
			defer cancel()
			return t.dial(ctx, network, address)
		},
		TLSHandshakeTimeout:    connectTimeout,
		TLSClientConfig:        config,
		MaxIdleConnsPerHost:    t.maxInFlight,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: 256 << 10,
	}, nil
}
