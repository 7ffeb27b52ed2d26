// Package simtest sends requests to a simulated cloud in tests, with the signatures of the real client.
package simtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

// Client sends requests to a cloud.
type Client struct{ *http.Client }

// Serve serves a cloud in memory, by HTTP, until the end of the test.
func Serve(t testing.TB, cloud http.Handler) *Client {
	t.Helper()
	pipe := cloudsim.NewPipe()
	server := cloudsim.ServePlain(cloud, pipe)
	client := &http.Client{Transport: &http.Transport{DialContext: pipe.Dial}}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		server.Close()
	})
	return &Client{client}
}

// NewRequest returns a request without a signature. headers are pairs of a name and a value.
func NewRequest(t testing.TB, method, place, body string, headers ...string) *http.Request {
	t.Helper()
	if !strings.Contains(place, "://") {
		place = "http://" + place
	}
	r, err := http.NewRequestWithContext(t.Context(), method, place, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// Keys sign requests.
type Keys struct{ Access, Secret, SecurityToken string }

// Sign signs a request with this body. signed are the names of the headers that the signature covers, if the request has its date.
func (k Keys) Sign(r *http.Request, body string, signed ...string) *http.Request {
	signing := huaweicloud.Keys{AccessKey: secret.New(k.Access), SecretKey: secret.New(k.Secret), SecurityToken: secret.New(k.SecurityToken)}
	if len(signed) > 0 {
		signing.Sign(r, []byte(body), signed...)
	} else {
		signing.Authorize(r, []byte(body))
	}
	return r
}

// Response is a response with its whole body.
type Response struct {
	Status int
	Header http.Header
	Body   string
}

// Do sends a request.
func (c *Client) Do(t testing.TB, r *http.Request) Response {
	t.Helper()
	answer, err := c.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return Response{answer.StatusCode, answer.Header, string(body)}
}

// Get sends a signed request for a host and path.
func (c *Client) Get(t testing.TB, k Keys, place string, headers ...string) Response {
	t.Helper()
	return c.Do(t, k.Sign(NewRequest(t, http.MethodGet, place, "", headers...), ""))
}

// Send sends a request without a signature.
func (c *Client) Send(t testing.TB, method, place, body string, headers ...string) Response {
	t.Helper()
	return c.Do(t, NewRequest(t, method, place, body, headers...))
}

// Want asserts the status of a response and, unless body is empty, its body: JSON in any order and with any white space. REQUEST in it
// means the ID of the request.
func (r Response) Want(t testing.TB, name string, status int, body string) {
	t.Helper()
	var got, want any
	var err error
	if body != "" {
		if err := json.Unmarshal([]byte(strings.ReplaceAll(body, "REQUEST", r.Header.Get("X-Request-Id"))), &want); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		err = json.Unmarshal([]byte(r.Body), &got)
	}
	if r.Status != status || err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s: status %d, body %s\nwant %d %s", name, r.Status, r.Body, status, body)
	}
}

// WantRefused asserts that the gateway rejects the credentials.
func (r Response) WantRefused(t testing.TB, name, why string) {
	t.Helper()
	r.Want(t, name, http.StatusUnauthorized, fmt.Sprintf(
		`{"error_code":"APIGW.0301","error_msg":%q,"request_id":"REQUEST"}`, "Incorrect IAM authentication information: "+why))
}

// WantPanic asserts that f panics.
func WantPanic(t testing.TB, name string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s did not panic", name)
		}
	}()
	f()
}
