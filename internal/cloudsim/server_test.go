package cloudsim_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
)

// trusting returns a client that trusts nothing but the server's authority.
func trusting(t *testing.T, s *cloudsim.Server, dial func(context.Context, string, string) (net.Conn, error)) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(s.CA()) {
		t.Fatalf("CA() is no certificate: %q", s.CA())
	}
	transport := &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestCertificatesForAnyName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := cloudsim.NewPipe()
		server := cloudsim.Serve(newCloud(), pipe)
		defer server.Close()
		client := trusting(t, server, pipe.Dial)
		for _, host := range []string{
			"dcs.ap-southeast-3" + cloud, "localhost", "127.0.0.1:8443", "[2001:db8::1]", "dcs.ap-southeast-3" + cloud, "127.0.0.1",
		} {
			r := newRequest(t, http.MethodGet, "https://"+host+"/v2/"+idA+"/quota", "")
			if got := do(t, client, mainKeys.sign(r, "", time.Now())); got.body != documented["dcs"] {
				t.Errorf("%s: status %d, body %s", host, got.status, got.body)
			}
			client.CloseIdleConnections()
		}
		r := newRequest(t, http.MethodGet, "https://iam"+cloud+"/v3/projects?name=x", "")
		wantJSON(t, do(t, client, mainKeys.sign(r, "", time.Now())).body,
			`{"links":{"next":null,"previous":null,"self":"https://iam`+cloud+`/v3/projects?name=x"},"projects":[]}`)
	})
}

func TestServerOnASocket(t *testing.T) {
	var listening net.ListenConfig
	l, err := listening.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := cloudsim.Serve(newCloud(), l)
	defer server.Close()
	client := trusting(t, server, nil)
	place := "https://" + l.Addr().String() + "/v3/projects"
	if got := do(t, client, newRequest(t, http.MethodGet, place, "")); got.status != http.StatusUnauthorized {
		t.Errorf("status %d, want 401", got.status)
	}
	unknowing := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}}}
	answer, err := unknowing.Do(newRequest(t, http.MethodGet, place, ""))
	if err == nil {
		_ = answer.Body.Close()
	}
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); !untrusted {
		t.Errorf("without the authority: error %v, want an untrusted certificate", err)
	}
	server.Close()
	answer, err = client.Do(newRequest(t, http.MethodGet, place, ""))
	if err == nil {
		_ = answer.Body.Close()
		t.Errorf("status %d from a server that was closed", answer.StatusCode)
	}
}

// TestAnswerBeforeTheConnectionCloses: what was written goes out, though the server closes the connection right behind it.
func TestAnswerBeforeTheConnectionCloses(t *testing.T) {
	pipe := cloudsim.NewPipe()
	server := cloudsim.Serve(newCloud(), pipe)
	defer server.Close()
	client := trusting(t, server, pipe.Dial)
	for range 50 {
		r := newRequest(t, http.MethodGet, "https://localhost/v3/projects", "")
		r.Close = true
		if got := do(t, client, r); got.status != http.StatusUnauthorized {
			t.Errorf("status %d, want 401", got.status)
		}
	}
}

func TestPlainServerHasNoCA(t *testing.T) {
	server := cloudsim.ServePlain(newCloud(), cloudsim.NewPipe())
	defer server.Close()
	if server.CA() != nil {
		t.Error("there is a CA")
	}
}

// nameless hides which address was dialled.
type nameless struct{ *cloudsim.Pipe }

func (l nameless) Accept() (net.Conn, error) {
	conn, err := l.Pipe.Accept()
	return namelessConn{conn}, err
}

type namelessConn struct{ net.Conn }

func (c namelessConn) LocalAddr() net.Addr { return c.RemoteAddr() }

func TestHandshakeThatNamesNothing(t *testing.T) {
	pipe := cloudsim.NewPipe()
	server := cloudsim.Serve(newCloud(), nameless{pipe})
	defer server.Close()
	ours, err := pipe.Dial(t.Context(), "tcp", "127.0.0.1:443")
	if err != nil {
		t.Fatal(err)
	}
	// An address is not sent as a name, and the certificate is not for it.
	client := tls.Client(ours, &tls.Config{ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12})
	defer func() { _ = ours.Close() }()
	wrong, is := errors.AsType[x509.HostnameError](client.HandshakeContext(t.Context()))
	if !is || !slices.Equal(wrong.Certificate.DNSNames, []string{"localhost"}) {
		t.Errorf("the certificate is not for localhost: %v", wrong)
	}
}

func TestPipe(t *testing.T) {
	pipe := cloudsim.NewPipe()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := pipe.Dial(ctx, "tcp", "a:1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody accepts: error %v, want the deadline", err)
	}
	if _, err := pipe.Dial(ctx, "tcp", "a:1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("too late: error %v, want the deadline", err)
	}
	if pipe.Addr().Network() != "pipe" || pipe.Addr().String() != "pipe" {
		t.Errorf("address %v", pipe.Addr())
	}
	for range 2 {
		if err := pipe.Close(); err != nil {
			t.Error(err)
		}
	}
	_, err := pipe.Dial(t.Context(), "tcp", "a:1")
	if !errors.Is(err, syscall.ECONNREFUSED) || err.Error() != "dial tcp a:1: connect: connection refused" {
		t.Errorf("closed: error %v, want a refused connection", err)
	}
	if _, err := pipe.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept() gave %v, want net.ErrClosed", err)
	}
}
