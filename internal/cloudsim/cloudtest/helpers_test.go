package cloudtest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
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

	client *http.Client
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
	pipe := cloudsim.NewPipe()
	server := cloudsim.ServePlain(c, pipe)
	client := &http.Client{Transport: &http.Transport{DialContext: pipe.Dial}}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		server.Close()
	})
	return &site{c, client}
}

// newRequest returns a request without a signature; headers are pairs of a name and a value.
func newRequest(t *testing.T, method, place, body string, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+place, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// keys are what requests are signed with.
type keys struct{ Access, Secret, SecurityToken string }

var mainKeys, otherKeys = keys{Access: "MAINAK", Secret: "main-secret"}, keys{Access: "OTHERAK", Secret: "other-secret"}

func (k keys) sign(r *http.Request, body string) *http.Request {
	signing := huaweicloud.Keys{AccessKey: secret.New(k.Access), SecretKey: secret.New(k.Secret), SecurityToken: secret.New(k.SecurityToken)}
	signing.Authorize(r, []byte(body))
	return r
}

// response is an answer that was read to its end.
type response struct {
	status int
	header http.Header
	body   string
}

func (s *site) do(t *testing.T, r *http.Request) response {
	t.Helper()
	answer, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{answer.StatusCode, answer.Header, string(body)}
}

// get asks for host and path, signed.
func (s *site) get(t *testing.T, k keys, place string) response {
	t.Helper()
	return s.do(t, k.sign(newRequest(t, http.MethodGet, place, ""), ""))
}

// send asks without a signature; headers are pairs of a name and a value.
func (s *site) send(t *testing.T, method, place, body string, headers ...string) response {
	t.Helper()
	return s.do(t, newRequest(t, method, place, body, headers...))
}

// want asserts the status of a response, and its body, in any order and with any white space. REQUEST stands for the ID of the request.
func (r response) want(t *testing.T, name string, status int, body string) {
	t.Helper()
	var got, want any
	err := json.Unmarshal([]byte(strings.ReplaceAll(body, "REQUEST", r.header.Get("X-Request-Id"))), &want)
	if err := json.Unmarshal([]byte(r.body), &got); err != nil || r.status != status {
		t.Errorf("%s: status %d, body %s, want %d", name, r.status, r.body, status)
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s: body\n%s, want\n%s", name, r.body, body)
	}
}

// wantStatus asserts the status of a response.
func (r response) wantStatus(t *testing.T, name string, want int) {
	t.Helper()
	if r.status != want {
		t.Errorf("%s: status %d, body %s, want %d", name, r.status, r.body, want)
	}
}

// wantRefused asserts that the gateway refuses the credentials.
func (r response) wantRefused(t *testing.T, name, why string) {
	t.Helper()
	r.want(t, name, http.StatusUnauthorized, fmt.Sprintf(
		`{"error_code":"APIGW.0301","error_msg":%q,"request_id":"REQUEST"}`, "Incorrect IAM authentication information: "+why))
}

func wantPanic(t *testing.T, name string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s did not panic", name)
		}
	}()
	f()
}
