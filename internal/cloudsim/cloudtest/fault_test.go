package cloudtest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"maps"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/cloudsim/simtest"
)

const (
	idA   = "0250cb8a80c24c0b9f20f557cb159aad"
	idSub = "cccccccccccccccccccccccccccccccc"
	other = "dddddddddddddddddddddddddddddddd" // of another account
	cloud = ".myhuaweicloud.com"

	iam      = "iam" + cloud
	quotaOfA = "dcs.ap-southeast-3" + cloud + "/v2/" + idA + "/quota"
)

// site is a cloud served in memory, and a client.
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
		IdentityProvider: cloudtest.IdentityProvider{ID: "idp", IDToken: "id-token-1"},
	})
	c.SetIdentities("other", cloudtest.Identities{
		Agencies: []cloudtest.Agency{{Name: "watch", Trusts: "main"}, {Name: "closed", Trusts: "unknown"}},
	})
	return &site{c, simtest.Serve(t, c)}
}

var mainKeys, otherKeys = simtest.Keys{Access: "MAINAK", Secret: "main-secret"}, simtest.Keys{Access: "OTHERAK", Secret: "other-secret"}

func TestFaultReplacesTheResponse(t *testing.T) {
	s := serve(t)
	heal := s.Inject(cloudtest.Fault{
		Service: "dcs", ProjectID: idA, Path: "/v2/{project_id}/quota", Host: "dcs.ap-southeast-3.",
		Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"7"}, "Date": {"Sat, 01 Jan 2000 00:00:00 GMT"}},
		Body: []byte(`"slow down"`),
	})
	s.Inject(cloudtest.Fault{Service: "dcs", ProjectID: idA, Status: http.StatusTeapot}) // is second
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
		t.Errorf("issued %v despite a fault", issued)
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
		s.Get(t, mainKeys, "localhost/V1.0/"+idA+"/quotas") // matches neither
	}
	defer s.Inject(cloudtest.Fault{Status: http.StatusInternalServerError})()
	s.Get(t, mainKeys, "localhost/nothing").Want(t, "any request at any path", http.StatusInternalServerError, "")
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
	if got := s.ProjectRequests("unknown")["cts"]; got != 0 || s.MaxInFlight() != 1 {
		t.Errorf("%d requests for a project without any, MaxInFlight() = %d", got, s.MaxInFlight())
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
		"RemoveProject of none":           func() { s.RemoveProject("p") },
		"SetPassword of an unknown user":  func() { s.SetPassword("main", "unknown", "") },
		"SetIDToken without a provider":   func() { s.SetIDToken("other", "") },
		"Revoke of an unknown account":    func() { s.Revoke("unknown") },
	} {
		simtest.WantPanic(t, name, f)
	}
}

// TestConcurrentChanges is for the race detector: everything can be changed while requests are served.
func TestConcurrentChanges(t *testing.T) {
	s := serve(t)
	var all sync.WaitGroup
	for _, do := range []func(){
		func() { s.Get(t, mainKeys, quotaOfA) },
		func() { s.Send(t, http.MethodPost, iam+tokenPath, passwordBody("open sesame", "")) },
		func() { s.Send(t, http.MethodPost, iam+idTokenPath, `{"auth":{"id_token":{"id":"x"}}}`) },
		func() { s.Send(t, http.MethodGet, metadataPath, "") },
		func() { s.AddProject("main", cloudsim.Project{ID: "new", Name: "ap-southeast-1_new"}) },
		func() { s.RemoveProject(idSub) },
		func() { s.SetPassword("main", "reader", "open sesame") },
		func() { s.SetIDToken("main", "id-token-2") },
		func() { s.SetLifetime(time.Hour) },
		func() { s.SetMachine(cloudtest.Machine{Account: "main", V1Only: true}) },
		func() { s.Revoke("main") },
		func() { s.Inject(cloudtest.Fault{Service: "dcs", Latency: time.Millisecond})() },
	} {
		all.Go(do)
	}
	all.Wait()
}

// TestDeadConnections: new connections work. The exporter's own tests of faults cover the other faults.
func TestDeadConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		pipe := cloudsim.NewPipe()
		defer cloudsim.ServePlain(s.Cloud, pipe).Close()
		client := &http.Client{Transport: &http.Transport{DialContext: s.Dialer(pipe.Dial)}, Timeout: time.Minute}
		defer client.CloseIdleConnections()
		ask := func() error {
			answer, err := client.Do(mainKeys.Sign(simtest.NewRequest(t, http.MethodGet, quotaOfA, ""), ""))
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
			t.Errorf("errors %v, %v and %v, requests %v, want only the old connection dead", before, dead, fresh, s.Requests())
		}
	})
}

func TestCertificatesForAnyName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		pipe := cloudsim.NewPipe()
		server := cloudtest.Serve(s.Cloud, pipe)
		defer server.Close()
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(server.CA())
		s.Client = &simtest.Client{Client: &http.Client{Transport: &http.Transport{
			DialContext: pipe.Dial, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		}}}
		defer s.CloseIdleConnections()
		hosts := []string{"dcs.ap-southeast-3" + cloud, "localhost", "127.0.0.1:8443", "[2001:db8::1]", "dcs.ap-southeast-3" + cloud, "127.0.0.1"}
		for range 10 { // a response arrives although the server closes the connection after it
			for _, host := range hosts {
				r := simtest.NewRequest(t, http.MethodGet, "https://"+host+"/nothing", "")
				r.Close = true
				s.Do(t, r).Want(t, host, http.StatusNotFound, "")
			}
		}
		r := simtest.NewRequest(t, http.MethodGet, "https://"+iam+"/v3/projects?name=x", "")
		s.Do(t, mainKeys.Sign(r, "")).Want(t, "links", http.StatusOK,
			`{"links":{"next":null,"previous":null,"self":"https://`+iam+`/v3/projects?name=x"},"projects":[]}`)
	})
}
