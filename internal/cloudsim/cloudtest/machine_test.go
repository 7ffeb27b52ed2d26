package cloudtest_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/cloudsim/simtest"
)

const (
	metadataPath      = "169.254.169.254/openstack/latest/securitykey"
	metadataTokenPath = "169.254.169.254/meta-data/latest/api/token"
	podPath           = "169.254.169.254/pod-identity/credentials"
)

func TestMetadataService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		token := func(seconds string) simtest.Response {
			t.Helper()
			return s.Send(t, http.MethodPut, metadataTokenPath, "", "X-Metadata-Token-Ttl-Seconds", seconds)
		}
		ask := func(name, token string, status int, body string) {
			t.Helper()
			got := s.Send(t, http.MethodGet, metadataPath, "", "X-Metadata-Token", token)
			got.Want(t, name, status, "")
			if status == http.StatusOK {
				k, _ := issued(t, got, http.StatusOK)
				s.Get(t, k, quotaOfA).Want(t, name, http.StatusOK, "")
			} else if got.Body != body {
				t.Errorf("%s: body %q, want %q", name, got.Body, body)
			}
		}
		const unauthorized, noAgency = "401 Unauthorized", "401 Unauthorized: Please configure Cloud Service Agency first"
		good := token("21600")
		good.Want(t, "token", http.StatusOK, "")
		if got := good.Header.Get("Content-Type"); got != "text/plain" || good.Body == "" {
			t.Errorf("token %q of type %q", good.Body, got)
		}
		for _, seconds := range []string{"", "0", "21601", "x"} {
			token(seconds).Want(t, "for "+seconds+" seconds", http.StatusBadRequest, "")
		}
		ask("no agency", good.Body, http.StatusUnauthorized, noAgency)
		s.SetMachine(cloudtest.Machine{Account: "main"})
		ask("no token", "", http.StatusUnauthorized, unauthorized)
		ask("wrong token", "x", http.StatusUnauthorized, unauthorized)
		<-time.After(6*time.Hour - time.Nanosecond)
		ask("token, just before", good.Body, http.StatusOK, "")
		<-time.After(time.Nanosecond)
		ask("expired token", good.Body, http.StatusUnauthorized, unauthorized)
		s.SetMachine(cloudtest.Machine{V1Only: true})
		token("21600").Want(t, "token of the first version", http.StatusNotFound, "")
		ask("first version, no agency", "", http.StatusUnauthorized, noAgency)
		s.SetMachine(cloudtest.Machine{Account: "main", V1Only: true})
		ask("first version", "", http.StatusOK, "")
		s.Send(t, http.MethodGet, iam+"/openstack/latest/securitykey", "").Want(t, "at a service's host", http.StatusNotFound, "")
	})
}

func TestPodIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		ask := func(authorization, body string) simtest.Response {
			t.Helper()
			return s.Send(t, http.MethodPost, podPath, body, "Authorization", authorization)
		}
		ask("", "{}").Want(t, "no pod", http.StatusUnauthorized, "")
		s.SetMachine(cloudtest.Machine{Account: "main", PodAuthorization: "pod-1"})
		got := ask("pod-1", "{}")
		var body struct {
			Credentials struct{ AccessKeyID, SecretAccessKey, SecurityToken, Expiration string }
		}
		if err := json.Unmarshal([]byte(got.Body), &body); err != nil || got.Status != http.StatusOK {
			t.Fatalf("status %d, %v, body %s", got.Status, err, got.Body)
		}
		c := body.Credentials
		got.Want(t, "right", http.StatusOK, `{"credentials":{"accessKeyId":"`+c.AccessKeyID+`","secretAccessKey":"`+c.SecretAccessKey+
			`","securityToken":"`+c.SecurityToken+`","expiration":"2000-01-02T00:00:00.000000Z"}}`)
		s.Get(t, simtest.Keys{Access: c.AccessKeyID, Secret: c.SecretAccessKey, SecurityToken: c.SecurityToken}, quotaOfA).Want(t, "keys", http.StatusOK, "")
		ask("pod-2", "{}").Want(t, "wrong", http.StatusUnauthorized, "")
		ask("pod-1", "").Want(t, "no body", http.StatusBadRequest, "")
		s.SetMachine(cloudtest.Machine{PodAuthorization: "pod-1"})
		ask("pod-1", "{}").Want(t, "no agency", http.StatusForbidden, "")
		if got := s.Issued(); len(got) != 1 || got["pod_identity"] != 1 {
			t.Errorf("issued %v, want the keys of one pod", got)
		}
	})
}
