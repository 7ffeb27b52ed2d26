package cloudtest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/cloudsim/simtest"
)

// secure serves a cloud by TLS on l, until the end of the test. The client trusts only its authority.
func (s *site) secure(t *testing.T, l net.Listener, dial func(context.Context, string, string) (net.Conn, error)) *cloudtest.Server {
	t.Helper()
	server := cloudtest.Serve(s.Cloud, l)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(server.CA()) {
		t.Fatalf("CA() is no certificate: %q", server.CA())
	}
	s.Client = newClient(dial, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	t.Cleanup(func() {
		s.CloseIdleConnections()
		server.Close()
	})
	return server
}

func newClient(dial func(context.Context, string, string) (net.Conn, error), c *tls.Config) *simtest.Client {
	return &simtest.Client{Client: &http.Client{Transport: &http.Transport{DialContext: dial, TLSClientConfig: c}}}
}

// connect asks a host for its projects, by a new connection.
func (s *site) connect(t *testing.T, host string) error {
	t.Helper()
	r := simtest.NewRequest(t, http.MethodGet, host+"/v3/projects", "")
	r.URL.Scheme, r.Close = "https", true
	answer, err := s.Client.Client.Do(r)
	if err != nil {
		return err
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized && answer.StatusCode != http.StatusNotFound {
		t.Errorf("%s: status %d, want the cloud's", host, answer.StatusCode)
	}
	return nil
}

func TestFaultsOfConnections(t *testing.T) {
	s := serve(t)
	pipe := cloudsim.NewPipe()
	s.secure(t, pipe, s.Dialer(pipe.Dial))
	const host, elsewhere = "dcs.ap-southeast-3" + cloud, "dcs.eu-de" + cloud
	refused := func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
	says := func(text string) func(error) bool {
		return func(err error) bool { return err != nil && strings.Contains(err.Error(), text) }
	}
	for name, test := range map[string]struct {
		fault cloudtest.Fault
		want  func(error) bool
	}{
		"dial":            {cloudtest.Fault{Dial: syscall.ECONNREFUSED}, refused},
		"expired":         {cloudtest.Fault{Certificate: cloudtest.Expired}, says("certificate has expired or is not yet valid")},
		"of another host": {cloudtest.Fault{Certificate: cloudtest.OfAnotherHost}, says("certificate is valid for another-host.example.com, not " + host)},
	} {
		test.fault.Host, test.fault.Status = "dcs.ap-southeast-3.", http.StatusTeapot // which is for requests only
		test.fault.When = func(n int) bool { return n != 2 }
		heal := s.Inject(test.fault)
		if err := s.connect(t, host); !test.want(err) {
			t.Errorf("%s: error %v", name, err)
		}
		for _, good := range []string{elsewhere, host} { // another host, and the second connection
			if err := s.connect(t, good); err != nil {
				t.Errorf("%s: %s: %v", name, good, err)
			}
		}
		if err := s.connect(t, host); !test.want(err) {
			t.Errorf("%s: third connection: error %v", name, err)
		}
		heal()
		if err := s.connect(t, host); err != nil {
			t.Errorf("%s: healed: %v", name, err)
		}
	}
}

func TestDeadConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		pipe := cloudsim.NewPipe()
		defer cloudsim.ServePlain(s.Cloud, pipe).Close()
		s.Client = newClient(s.Dialer(pipe.Dial), nil)
		s.Timeout = time.Minute
		defer s.CloseIdleConnections()
		ask := func() error {
			answer, err := s.Client.Client.Do(mainKeys.Sign(simtest.NewRequest(t, http.MethodGet, quotaOfA, ""), ""))
			if err == nil {
				_, err = io.Copy(io.Discard, answer.Body)
				_ = answer.Body.Close()
			}
			return err
		}
		before := ask()
		<-time.After(time.Second)
		s.Inject(cloudtest.Fault{Host: "dcs.", Dead: true})
		dead, fresh := ask(), ask()
		if before != nil || !errors.Is(dead, context.DeadlineExceeded) || fresh != nil || s.Requests()["GET /v2/{project_id}/quota"] != 2 {
			t.Errorf("errors %v, %v and %v, requests %v, want that only the old connection is dead", before, dead, fresh, s.Requests())
		}
	})
}

func TestCertificatesForAnyName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		pipe := cloudsim.NewPipe()
		s.secure(t, pipe, pipe.Dial)
		hosts := []string{"dcs.ap-southeast-3" + cloud, "localhost", "127.0.0.1:8443", "[2001:db8::1]", "dcs.ap-southeast-3" + cloud, "127.0.0.1"}
		for range 10 { // an answer arrives although the server closes the connection after it
			for _, host := range hosts {
				if err := s.connect(t, host); err != nil {
					t.Errorf("%s: %v", host, err)
				}
			}
		}
		r := simtest.NewRequest(t, http.MethodGet, iam+"/v3/projects?name=x", "")
		r.URL.Scheme = "https"
		s.Do(t, mainKeys.Sign(r, "")).Want(t, "links", http.StatusOK,
			`{"links":{"next":null,"previous":null,"self":"https://`+iam+`/v3/projects?name=x"},"projects":[]}`)
	})
}
