package cloudtest_test

import (
	"context"
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
	"cloud_quota_exporter/internal/democloud"
	"cloud_quota_exporter/providers"
)

func TestFaultReplacesTheAnswer(t *testing.T) {
	s := serve(t)
	heal := s.Inject(cloudtest.Fault{
		Service: "dcs", ProjectID: idA, Path: "/v2/{project_id}/quota", Host: "dcs.ap-southeast-3.",
		Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"7"}, "Date": {"Sat, 01 Jan 2000 00:00:00 GMT"}},
		Body: []byte(`"slow down"`),
	})
	s.Inject(cloudtest.Fault{Service: "dcs", ProjectID: idA, Status: http.StatusTeapot}) // comes second
	got := s.send(t, http.MethodGet, quotaOfA, "")
	got.want(t, "before signatures", http.StatusTooManyRequests, `"slow down"`)
	if got.header.Get("Retry-After") != "7" || got.header.Get("Date") != "Sat, 01 Jan 2000 00:00:00 GMT" || got.header.Get("X-Request-Id") == "" {
		t.Errorf("headers %v, want the fault's", got.header)
	}
	for place, want := range map[string]int{
		"localhost/v2/" + idA + "/quota": http.StatusTeapot, "localhost/v2/" + idSub + "/quota": http.StatusOK,
		"localhost/V1.0/" + idA + "/quotas": http.StatusOK, "localhost/v3/projects": http.StatusOK,
	} {
		s.get(t, mainKeys, place).wantStatus(t, place, want)
	}
	heal()
	heal()
	s.get(t, mainKeys, quotaOfA).wantStatus(t, "after the first fault was healed", http.StatusTeapot)
	// Tokens and the machine fail in the same way, before anything is issued.
	s.SetMachine(cloudtest.Machine{Account: "main", V1Only: true, PodAuthorization: "pod"})
	s.Inject(cloudtest.Fault{Service: "iam", Path: tokenPath, Status: http.StatusTeapot})
	s.Inject(cloudtest.Fault{Service: "metadata", Status: http.StatusTeapot})
	s.Inject(cloudtest.Fault{Service: "pod_identity", Status: http.StatusTeapot})
	s.send(t, http.MethodPost, iam+tokenPath, passwordBody("open sesame", "")).wantStatus(t, "password", http.StatusTeapot)
	s.send(t, http.MethodGet, metadataPath, "").wantStatus(t, "metadata", http.StatusTeapot)
	s.send(t, http.MethodPost, podPath, "{}", "Authorization", "pod").wantStatus(t, "pod identity", http.StatusTeapot)
	if issued := s.Issued(); len(issued) > 0 {
		t.Errorf("issued %v by a fault", issued)
	}
	s.get(t, mainKeys, iam+"/v3/projects").wantStatus(t, "projects", http.StatusOK)
}

func TestFaultThatDependsOnTheNumber(t *testing.T) {
	s := serve(t)
	s.Inject(cloudtest.Fault{Service: "iam", When: func(n int) bool { return n == 2 }, Status: http.StatusBadGateway})
	s.Inject(cloudtest.Fault{Path: "/v3/projects", When: func(n int) bool { return n >= 4 }, Status: http.StatusGatewayTimeout})
	for i, want := range []int{200, 502, 200, 504, 504} {
		if got := s.get(t, mainKeys, "localhost/v3/projects"); got.status != want {
			t.Errorf("request %d: status %d, want %d", i+1, got.status, want)
		}
		s.get(t, mainKeys, "localhost/V1.0/"+idA+"/quotas") // fits neither
	}
	defer s.Inject(cloudtest.Fault{Status: http.StatusInternalServerError})()
	s.get(t, mainKeys, "localhost/nothing").wantStatus(t, "any request at any path", http.StatusInternalServerError)
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
			got := s.get(t, mainKeys, quotaOfA)
			if took := time.Since(start); got.body != example || took != test.slow {
				t.Errorf("%s: answer %q after %v, want the usual one after %v", name, got.body, took, test.slow)
			}
			heal()
			heal = s.Inject(test.endless)
			ctx, cancel := context.WithTimeout(t.Context(), 5500*time.Millisecond)
			start = time.Now()
			answer, err := s.client.Do(mainKeys.sign(newRequest(t, http.MethodGet, quotaOfA, ""), "").WithContext(ctx))
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
			answer, err := client.Do(newRequest(t, http.MethodGet, "localhost/v3/projects", ""))
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
	answer, err := s.client.Do(mainKeys.sign(newRequest(t, http.MethodGet, quotaOfA, ""), ""))
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
	if answer, err := s.client.Do(newRequest(t, http.MethodGet, quotaOfA, "")); !errors.Is(err, io.EOF) {
		t.Errorf("answer %v, error %v, want EOF", answer, err)
		answer.Body.Close()
	}
	heal()
	s.Inject(cloudtest.Fault{Status: http.StatusSwitchingProtocols})
	answer, err = s.client.Do(newRequest(t, http.MethodGet, quotaOfA, "", "Connection", "Upgrade", "Upgrade", "none"))
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("answer %v, error %v, want 101", answer, err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Error(err)
	}
}

func TestCounters(t *testing.T) {
	s := serve(t)
	s.get(t, mainKeys, "localhost/v3/"+idA+"/quotas")
	s.send(t, http.MethodGet, "localhost/cts/v3/"+idSub+"/quotas", "")
	s.get(t, mainKeys, "localhost/v2/"+idA+"/audit/quota")
	s.get(t, mainKeys, "localhost/v2/"+idA+"/audit/instances")
	s.get(t, mainKeys, "localhost/nothing")
	s.send(t, http.MethodPost, "localhost/v3/projects", "")
	s.send(t, http.MethodPost, iam+tokenPath, "")
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
	s.ProjectRequests("nobody")["cts"]++ // a map of the caller's own
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
		asking.Go(func() { s.get(t, mainKeys, quotaOfA) })
	}
	for range many {
		<-waiting
	}
	if got := s.MaxInFlight(); got != many {
		t.Errorf("MaxInFlight() = %d, want %d", got, many)
	}
	for range many {
		asking.Go(func() {
			s.send(t, http.MethodPost, iam+tokenPath, passwordBody("open sesame", ""))
			s.send(t, http.MethodPost, iam+idTokenPath, `{"auth":{"id_token":{"id":"x"}}}`)
			s.send(t, http.MethodGet, metadataPath, "")
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
	if got := s.Issued(); got["password"] != many || got["metadata"] != many {
		t.Errorf("issued %v, want %d of each", got, many)
	}
}

func TestChanges(t *testing.T) {
	s := serve(t)
	s.AddProject("main", cloudsim.Project{ID: "p", Name: "ap-southeast-3_p", Quotas: map[string][]cloudsim.Quota{
		"cts": {{Type: "a", Used: 1, Limit: 2, Min: 3, Max: 4}, {Type: "b", Limit: 2, Move: func(time.Duration) int64 { return 5 }}},
	}})
	s.SetQuota("p", "cts", "b", 99, 500)
	s.get(t, mainKeys, "localhost/v3/p/quotas").want(t, "quota", http.StatusOK,
		`{"resources":[{"type":"a","used":1,"quota":2,"min":3,"max":4},{"type":"b","used":99,"quota":500}]}`)
	s.RemoveProject("p")
	s.get(t, mainKeys, "localhost/v3/p/quotas").wantStatus(t, "removed", http.StatusForbidden)
	s.SetKeys("main", "NEWAK", "new-secret", "token")
	s.get(t, mainKeys, quotaOfA).wantRefused(t, "old keys", "ak MAINAK not exist")
	s.get(t, keys{"NEWAK", "new-secret", "token"}, quotaOfA).wantStatus(t, "new keys", http.StatusOK)
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
		wantPanic(t, name, f)
	}
}

// TestDemo: the scripted failure of the demo stays, behind the faults of a test.
func TestDemo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.Cloud = cloudtest.Demo()
		pipe := cloudsim.NewPipe()
		defer cloudsim.ServePlain(s.Cloud, pipe).Close()
		s.client = &http.Client{Transport: &http.Transport{DialContext: pipe.Dial}}
		defer s.client.CloseIdleConnections()
		<-time.After(2*time.Minute + time.Second)
		demo := keys{Access: democloud.AccessKey, Secret: democloud.SecretKey}
		place := "localhost/v2/" + s.Projects()[1].ID + "/audit/quota"
		s.get(t, demo, place).wantStatus(t, "scripted", http.StatusServiceUnavailable)
		defer s.Inject(cloudtest.Fault{Status: http.StatusTeapot})()
		s.get(t, demo, place).wantStatus(t, "injected", http.StatusTeapot)
	})
}
