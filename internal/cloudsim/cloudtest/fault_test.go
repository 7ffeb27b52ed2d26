package cloudtest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/cloudsim/simtest"
	"cloud_quota_exporter/internal/democloud"
	"cloud_quota_exporter/providers"
)

const (
	idA   = "0250cb8a80c24c0b9f20f557cb159aad"
	idSub = "cccccccccccccccccccccccccccccccc"
	other = "dddddddddddddddddddddddddddddddd" // of another account
	cloud = ".myhuaweicloud.com"

	iam      = "iam" + cloud
	quotaOfA = "dcs.ap-southeast-3" + cloud + "/v2/" + idA + "/quota"
)

// site is a cloud that is served in memory, and a client.
type site struct {
	*cloudtest.Cloud
	*simtest.Client
}

// serve serves a cloud with two accounts: main has a user and an identity provider, other an agency that trusts main.
func serve(t *testing.T) *site {
	t.Helper()
	c := cloudtest.New(
		cloudsim.Account{Name: "main", AccessKey: "MAINAK", SecretKey: "main-secret", Projects: []cloudsim.Project{
			{ID: idA, Name: "ap-southeast-3"}, {ID: idSub, Name: "ap-southeast-3_dev"},
		}},
		cloudsim.Account{Name: "other", AccessKey: "OTHERAK", SecretKey: "other-secret", Projects: []cloudsim.Project{{ID: other, Name: "eu-de"}}},
	)
	c.SetIdentities("main", cloudtest.Identities{
		Users:            []cloudtest.User{{Name: "reader", Password: "open sesame"}},
		IdentityProvider: &cloudtest.IdentityProvider{ID: "idp", IDToken: "id-token-1"},
	})
	c.SetIdentities("other", cloudtest.Identities{
		Agencies: []cloudtest.Agency{{Name: "watch", Trusts: "main"}, {Name: "closed", Trusts: "nobody"}},
	})
	return &site{c, simtest.Serve(t, c)}
}

var mainKeys, otherKeys = simtest.Keys{Access: "MAINAK", Secret: "main-secret"}, simtest.Keys{Access: "OTHERAK", Secret: "other-secret"}

func TestFaultReplacesTheAnswer(t *testing.T) {
	s := serve(t)
	heal := s.Inject(cloudtest.Fault{
		Service: "dcs", ProjectID: idA, Path: "/v2/{project_id}/quota", Host: "dcs.ap-southeast-3.",
		Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"7"}, "Date": {"Sat, 01 Jan 2000 00:00:00 GMT"}},
		Body: []byte(`"slow down"`),
	})
	s.Inject(cloudtest.Fault{Service: "dcs", ProjectID: idA, Status: http.StatusTeapot}) // comes second
	got := s.Send(t, http.MethodGet, quotaOfA, "")
	got.Want(t, "before signatures", http.StatusTooManyRequests, `"slow down"`)
	if got.Header.Get("Retry-After") != "7" || got.Header.Get("Date") != "Sat, 01 Jan 2000 00:00:00 GMT" || got.Header.Get("X-Request-Id") == "" {
		t.Errorf("headers %v, want the fault's", got.Header)
	}
	for place, want := range map[string]int{
		"localhost/v2/" + idA + "/quota": http.StatusTeapot, "localhost/v2/" + idSub + "/quota": http.StatusOK,
		"localhost/V1.0/" + idA + "/quotas": http.StatusOK, "localhost/v3/projects": http.StatusOK,
	} {
		s.Get(t, mainKeys, place).Want(t, place, want, "")
	}
	heal()
	heal()
	s.Get(t, mainKeys, quotaOfA).Want(t, "after the first fault was healed", http.StatusTeapot, "")
	// Tokens and the machine fail in the same way, before anything is issued.
	s.SetMachine(cloudtest.Machine{Account: "main", V1Only: true, PodAuthorization: "pod"})
	s.Inject(cloudtest.Fault{Service: "iam", Path: tokenPath, Status: http.StatusTeapot})
	s.Inject(cloudtest.Fault{Service: "metadata", Status: http.StatusTeapot})
	s.Inject(cloudtest.Fault{Service: "pod_identity", Status: http.StatusTeapot})
	s.Send(t, http.MethodPost, iam+tokenPath, passwordBody("open sesame", "")).Want(t, "password", http.StatusTeapot, "")
	s.Send(t, http.MethodGet, metadataPath, "").Want(t, "metadata", http.StatusTeapot, "")
	s.Send(t, http.MethodPost, podPath, "{}", "Authorization", "pod").Want(t, "pod identity", http.StatusTeapot, "")
	if issued := s.Issued(); len(issued) > 0 {
		t.Errorf("issued %v by a fault", issued)
	}
	s.Get(t, mainKeys, iam+"/v3/projects").Want(t, "projects", http.StatusOK, "")
}

func TestFaultThatDependsOnTheNumber(t *testing.T) {
	s := serve(t)
	s.Inject(cloudtest.Fault{Service: "iam", When: func(n int) bool { return n == 2 }, Status: http.StatusBadGateway})
	s.Inject(cloudtest.Fault{Path: "/v3/projects", When: func(n int) bool { return n >= 4 }, Status: http.StatusGatewayTimeout})
	for i, want := range []int{200, 502, 200, 504, 504} {
		if got := s.Get(t, mainKeys, "localhost/v3/projects"); got.Status != want {
			t.Errorf("request %d: status %d, want %d", i+1, got.Status, want)
		}
		s.Get(t, mainKeys, "localhost/V1.0/"+idA+"/quotas") // fits neither
	}
	defer s.Inject(cloudtest.Fault{Status: http.StatusInternalServerError})()
	s.Get(t, mainKeys, "localhost/nothing").Want(t, "any request at any path", http.StatusInternalServerError, "")
}

func TestFaultsThatTakeTime(t *testing.T) {
	example := string(providers.Example("dcs"))
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		for name, test := range map[string]struct {
			fault    cloudtest.Fault
			slow     time.Duration // the whole answer
			endless  cloudtest.Fault
			received int // bytes in five and a half seconds
		}{
			"latency": {cloudtest.Fault{Latency: 3 * time.Second}, 3 * time.Second, cloudtest.Fault{Latency: time.Hour}, 0},
			"drip":    {cloudtest.Fault{Drip: time.Second}, time.Duration(len(example)) * time.Second, cloudtest.Fault{Drip: time.Second}, 5},
			"hang":    {cloudtest.Fault{}, 0, cloudtest.Fault{Hang: true}, 0},
		} {
			heal := s.Inject(test.fault)
			start := time.Now()
			got := s.Get(t, mainKeys, quotaOfA)
			if took := time.Since(start); got.Body != example || took != test.slow {
				t.Errorf("%s: answer %q after %v, want the usual one after %v", name, got.Body, took, test.slow)
			}
			heal()
			heal = s.Inject(test.endless)
			ctx, cancel := context.WithTimeout(t.Context(), 5500*time.Millisecond)
			start = time.Now()
			answer, err := s.Client.Client.Do(mainKeys.Sign(simtest.NewRequest(t, http.MethodGet, quotaOfA, ""), "").WithContext(ctx))
			var body []byte
			if err == nil {
				body, err = io.ReadAll(answer.Body)
				_ = answer.Body.Close()
			}
			if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != 5500*time.Millisecond || len(body) != test.received {
				t.Errorf("%s: %d bytes, error %v after %v, want the client's deadline", name, len(body), err, took)
			}
			cancel()
			heal()
			// The bubble ends only if the handler ends with its client.
			synctest.Wait()
		}
	})
}

func TestHangEndsWithTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cloudtest.New()
		c.Inject(cloudtest.Fault{Hang: true})
		pipe := cloudsim.NewPipe()
		server := cloudsim.ServePlain(c, pipe)
		client := &http.Client{Transport: &http.Transport{DialContext: pipe.Dial}}
		failed := make(chan error)
		go func() {
			answer, err := client.Do(simtest.NewRequest(t, http.MethodGet, "localhost/v3/projects", ""))
			if err == nil {
				_ = answer.Body.Close()
			}
			failed <- err
		}()
		synctest.Wait()
		server.Close()
		if err := <-failed; err == nil {
			t.Error("got an answer from a server that was closed")
		}
	})
}

func TestBrokenAnswers(t *testing.T) {
	s := serve(t)
	heal := s.Inject(cloudtest.Fault{CutBody: true})
	answer, err := s.Client.Client.Do(mainKeys.Sign(simtest.NewRequest(t, http.MethodGet, quotaOfA, ""), ""))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	want := providers.Example("dcs")
	body, err := io.ReadAll(answer.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) || string(body) != string(want[:len(want)/2]) || answer.ContentLength != int64(len(want)) {
		t.Errorf("error %v, %d of %d bytes, want half of %d", err, len(body), answer.ContentLength, len(want))
	}
	heal()
	heal = s.Inject(cloudtest.Fault{Reset: true})
	if answer, err := s.Client.Client.Do(simtest.NewRequest(t, http.MethodGet, quotaOfA, "")); !errors.Is(err, io.EOF) {
		t.Errorf("answer %v, error %v, want EOF", answer, err)
		answer.Body.Close()
	}
	heal()
	s.Inject(cloudtest.Fault{Status: http.StatusSwitchingProtocols})
	answer, err = s.Client.Client.Do(simtest.NewRequest(t, http.MethodGet, quotaOfA, "", "Connection", "Upgrade", "Upgrade", "none"))
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("answer %v, error %v, want 101", answer, err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Error(err)
	}
}

func TestCounters(t *testing.T) {
	s := serve(t)
	s.Get(t, mainKeys, "localhost/v3/"+idA+"/quotas")
	s.Send(t, http.MethodGet, "localhost/v3/"+idSub+"/quotas", "")
	s.Get(t, mainKeys, "localhost/v2/"+idA+"/audit/quota")
	s.Get(t, mainKeys, "localhost/v2/"+idA+"/audit/instances")
	s.Get(t, mainKeys, "localhost/nothing")
	s.Send(t, http.MethodPost, "localhost/v3/projects", "")
	s.Send(t, http.MethodPost, iam+tokenPath, "")
	want := map[string]int{
		"GET /v3/{project_id}/quotas": 2, "GET /v2/{project_id}/audit/quota": 1, "GET /v2/{project_id}/audit/instances": 1,
		"GET /nothing": 1, "POST /v3/projects": 1, "POST " + tokenPath: 1,
	}
	if got := s.Requests(); !maps.Equal(got, want) {
		t.Errorf("requests %v, want %v", got, want)
	}
	if got := s.ProjectRequests(idA); len(got) != 2 || got["cts"] != 1 || got["dbss"] != 2 {
		t.Errorf("requests for a project: %v, want 1 of cts and 2 of dbss", got)
	}
	if got := s.ProjectRequests("nobody")["cts"]; got != 0 || s.MaxInFlight() != 1 {
		t.Errorf("%d requests for a project without any, MaxInFlight() = %d", got, s.MaxInFlight())
	}
}

// TestManyAtTheSameTime: everything can be changed while requests are served.
func TestManyAtTheSameTime(t *testing.T) {
	const many = 5
	s := serve(t)
	s.SetMachine(cloudtest.Machine{Account: "main", V1Only: true})
	together := make(chan struct{})
	waiting := make(chan struct{}, many)
	s.Inject(cloudtest.Fault{Service: "dcs", When: func(int) bool {
		waiting <- struct{}{}
		<-together
		return false
	}})
	var asking sync.WaitGroup
	for range many {
		asking.Go(func() { s.Get(t, mainKeys, quotaOfA) })
	}
	for range many {
		<-waiting
	}
	if got := s.MaxInFlight(); got != many {
		t.Errorf("MaxInFlight() = %d, want %d", got, many)
	}
	for range many {
		asking.Go(func() {
			s.Send(t, http.MethodPost, iam+tokenPath, passwordBody("open sesame", ""))
			s.Send(t, http.MethodPost, iam+idTokenPath, `{"auth":{"id_token":{"id":"x"}}}`)
			s.Send(t, http.MethodGet, metadataPath, "")
		})
	}
	s.AddProject("main", cloudsim.Project{ID: "new", Name: "ap-southeast-1_new", Quotas: map[string][]cloudsim.Quota{"dcs": {{Type: "ram"}}}})
	s.SetQuota("new", "dcs", "ram", 1, 2)
	s.RemoveProject(idSub)
	s.SetPassword("main", "reader", "open sesame")
	s.SetIDToken("main", "id-token-2")
	s.SetLifetime(time.Hour)
	s.SetMachine(cloudtest.Machine{Account: "main", V1Only: true})
	s.Revoke("main")
	close(together)
	asking.Wait()
	s.Get(t, mainKeys, "localhost/v3/projects").Want(t, "alone", http.StatusOK, "")
	if got := s.MaxInFlight(); got < many {
		t.Errorf("MaxInFlight() = %d, want the most so far", got)
	}
	if got := s.Issued(); got["password"] != many || got["metadata"] != many {
		t.Errorf("issued %v, want %d of each", got, many)
	}
}

func TestChanges(t *testing.T) {
	s := serve(t)
	s.AddProject("main", cloudsim.Project{ID: "p", Name: "ap-southeast-3_p", Quotas: map[string][]cloudsim.Quota{
		"cts": {{Type: "a", Used: 1, Limit: 2, Min: 3, Max: 4}, {Type: "b", Limit: 2, Move: func(time.Duration) int64 { return 5 }}},
	}})
	quotas := s.Projects()[2].Quotas
	s.SetQuota("p", "cts", "b", 99, 500)
	if after := quotas["cts"][1]; after.Limit != 2 {
		t.Errorf("SetQuota changed the map of the caller: %+v", after)
	}
	s.Get(t, mainKeys, "localhost/v3/p/quotas").Want(t, "quota", http.StatusOK,
		`{"resources":[{"type":"a","used":1,"quota":2,"min":3,"max":4},{"type":"b","used":99,"quota":500}]}`)
	s.RemoveProject("p")
	s.Get(t, mainKeys, "localhost/v3/p/quotas").Want(t, "removed", http.StatusForbidden, "")
	s.SetKeys("main", "NEWAK", "new-secret", "token")
	s.Get(t, mainKeys, quotaOfA).WantRefused(t, "old keys", "ak MAINAK not exist")
	s.Get(t, simtest.Keys{Access: "NEWAK", Secret: "new-secret", SecurityToken: "token"}, quotaOfA).Want(t, "new keys", http.StatusOK, "")
	for name, f := range map[string]func(){
		"SetQuota of an unknown resource": func() { s.SetQuota(idA, "cts", "b", 0, 0) },
		"SetQuota of an unknown project":  func() { s.SetQuota("p", "cts", "b", 0, 0) },
		"RemoveProject of none":           func() { s.RemoveProject("p") },
		"AddProject to nobody":            func() { s.AddProject("nobody", cloudsim.Project{}) },
		"SetKeys of nobody":               func() { s.SetKeys("nobody", "", "", "") },
		"SetIdentities of nobody":         func() { s.SetIdentities("nobody", cloudtest.Identities{}) },
		"SetPassword of nobody":           func() { s.SetPassword("main", "nobody", "") },
		"SetIDToken without a provider":   func() { s.SetIDToken("other", "") },
		"SetMachine of nobody":            func() { s.SetMachine(cloudtest.Machine{Account: "nobody"}) },
		"Revoke of nobody":                func() { s.Revoke("nobody") },
	} {
		simtest.WantPanic(t, name, f)
	}
}

// TestDemo: the scripted failure of the demo stays, behind the faults of a test.
func TestDemo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cloudtest.Demo()
		s := &site{c, simtest.Serve(t, c)}
		<-time.After(2*time.Minute + time.Second)
		demo := simtest.Keys{Access: democloud.AccessKey, Secret: democloud.SecretKey}
		place := "localhost/v2/" + s.Projects()[1].ID + "/audit/quota"
		s.Get(t, demo, place).Want(t, "scripted", http.StatusServiceUnavailable, "")
		defer s.Inject(cloudtest.Fault{Status: http.StatusTeapot})()
		s.Get(t, demo, place).Want(t, "injected", http.StatusTeapot, "")
	})
}

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
