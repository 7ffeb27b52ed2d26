package huaweicloud

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"cloud_quota_exporter/internal/files"
)

const (
	// connectTimeout limits the opening of a connection, and its TLS handshake. If the request has less time, the opening gets a quarter
	// more than that: net.Dialer divides it among the addresses of a host, so that the request still reaches the last one if others are
	// dead. A shorter limit would end the request early, with another error.
	connectTimeout = 30 * time.Second

	maxCAFile     = 4 << 20         // bytes; all authorities of a system take less
	caFileTimeout = 5 * time.Second // for the file system; less than the timeout of a service, so that this error is shown

	// idleTimeout is less than the time after which NATs forget a connection. Most services are requested every few minutes and would
	// not reuse connections anyway.
	idleTimeout = 30 * time.Second
)

// Dial opens a connection, like net.Dialer.DialContext.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// NewHTTPClient returns the client for the requests of an account. It verifies TLS by the certificate authorities of the system and
// of caFile (none if empty; read again when it changes), honors HTTPS_PROXY, ALL_PROXY, and NO_PROXY, and does not follow redirects,
// so that no keys are sent to another host. It keeps up to maxInFlight idle connections per host.
func NewHTTPClient(dial Dial, caFile string, maxInFlight int) *http.Client {
	t := &transport{dial: dial, caFile: caFile, maxInFlight: maxInFlight, proxies: environmentProxies()}
	t.get = files.Keep(t.load)
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// CAFileError is the error of an invalid ca_file.
type CAFileError struct {
	File string
	Err  error
}

func (e *CAFileError) Error() string {
	return fmt.Sprintf("ca_file %s: %v", e.File, e.Err) + ending(e.Remedy())
}

// Remedy is always the same.
func (e *CAFileError) Remedy() string { return "use a file with certificates in PEM format" }

func (e *CAFileError) Unwrap() error { return e.Err }

// transport is an http.Transport that is replaced when the file of certificate authorities changes.
type transport struct {
	dial        Dial
	caFile      string
	maxInFlight int
	proxies     *proxies

	get func(context.Context) (*http.Transport, error) // load, which may fail for a moment

	mu      sync.Mutex
	current *http.Transport
	ca      []byte    // contents of caFile for current
	loaded  time.Time // when current was made, or when caFile became valid again without a change
	failed  bool      // the last load failed
}

// RoundTrip sends one request.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	current, err := t.get(req.Context())
	if err != nil {
		return nil, err
	}
	ctx := req.Context()
	if deadline, ok := ctx.Deadline(); ok {
		ctx = context.WithValue(ctx, deadlineKey{}, deadline)
	}
	var handshake atomic.Pointer[error]
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{TLSHandshakeDone: func(_ tls.ConnectionState, err error) { handshake.Store(&err) }})
	resp, err := current.RoundTrip(req.WithContext(ctx))
	if err != nil {
		if failed := handshake.Load(); failed != nil && errors.Is(err, *failed) {
			return nil, &handshakeError{err}
		}
		return nil, err
	}
	if proxy, err := current.Proxy(req); err == nil && req.URL.Scheme == "http" { // otherwise, there is a tunnel
		if err := proxyResponse(proxy, resp); err != nil {
			return nil, err
		}
	}
	if _, err := resp.Location(); err != nil { // http.Client returns no response for a redirect to an invalid URL
		resp.Header.Del("Location")
	}
	return resp, nil
}

// deadlineKey is the key of the deadline of a request among the values of its context. net/http opens connections with these values, but without
// the deadline itself.
type deadlineKey struct{}

// CloseIdleConnections is called by http.Client.CloseIdleConnections.
func (t *transport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current != nil {
		t.current.CloseIdleConnections()
	}
}

// CheckCAFile returns a *CAFileError if a file has no certificates.
func CheckCAFile(ctx context.Context, name string) error {
	_, err := (&transport{caFile: name, proxies: &proxies{}}).load(ctx)
	return err
}

// CALoaded reads the ca_file of a client of NewHTTPClient, and returns since when the client trusts its contents; zero if it is
// invalid.
func CALoaded(ctx context.Context, c *http.Client) time.Time {
	t, ok := c.Transport.(*transport)
	if !ok || t.caFile == "" {
		return time.Time{}
	}
	if _, err := t.load(ctx); err != nil {
		return time.Time{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.loaded
}

// load reads caFile, and returns an http.Transport that trusts its contents.
func (t *transport) load(ctx context.Context) (*http.Transport, error) {
	var ca []byte
	var err error
	if t.caFile != "" {
		ctx, cancel := context.WithTimeout(ctx, caFileTimeout)
		defer cancel()
		ca, err = files.Read(ctx, t.caFile, maxCAFile)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	made := t.current
	if err == nil && (made == nil || !bytes.Equal(ca, t.ca)) {
		made, err = t.make(ca)
	}
	if err != nil {
		t.failed = true
		return nil, &CAFileError{t.caFile, err}
	}
	if made != t.current || t.failed {
		t.loaded, t.failed = time.Now(), false
	}
	if t.current != nil && made != t.current {
		t.current.CloseIdleConnections()
	}
	t.current, t.ca = made, ca
	return made, nil
}

func (t *transport) make(ca []byte) (*http.Transport, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.caFile != "" {
		pool, err := x509.SystemCertPool()
		if err != nil { // the system has none
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(ca) {
			return nil, errors.New("it has no certificate")
		}
		if bytes.LastIndex(ca, []byte("-----BEGIN CERTIFICATE-----")) > bytes.LastIndex(ca, []byte("-----END CERTIFICATE-----")) {
			return nil, errors.New("it ends within a certificate")
		}
		config.RootCAs = pool
	}
	// HTTP/1.1: each request in flight has its own connection, so that a reset affects no other request. The context of a fetch limits
	// the request, but not the opening of its connection, which net/http may use for another request: hence connectTimeout.
	proxyOf := t.proxies.ProxyFunc()
	return &http.Transport{
		Proxy:                  func(req *http.Request) (*url.URL, error) { return proxyOf(req.URL) },
		OnProxyConnectResponse: refuseTunnel,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			timeout := connectTimeout
			if deadline, ok := ctx.Value(deadlineKey{}).(time.Time); ok {
				timeout = min(timeout, time.Until(deadline)*5/4)
			}
			ctx, cancel := context.WithTimeout(ctx, timeout)
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

// CheckAuthorities returns an error if the certificate authorities in the environment cannot be read. Go reads them once, at the
// first request with TLS: a pipe or a file system that hangs would block all requests, and a device would fill the memory. A missing
// file is left to Go.
func CheckAuthorities(ctx context.Context, getenv func(string) string) error {
	file, dir := getenv("SSL_CERT_FILE"), getenv("SSL_CERT_DIR")
	if file == "" && dir == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, caFileTimeout)
	defer cancel()
	if file != "" {
		_, err := files.Read(ctx, file, maxCAFile)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("SSL_CERT_FILE=%s: %w; set it to a file with certificates in PEM format, or unset it", file, err)
		}
	}
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		_, _ = x509.SystemCertPool() // keeps what it has read
	}()
	select {
	case <-loaded:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("SSL_CERT_DIR=%s: %w; set it to a directory with certificates in PEM format, or unset it", dir, &files.NoResponseError{Err: ctx.Err()})
	}
}
