package cloudtest_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

const (
	metadataPath      = "169.254.169.254/openstack/latest/securitykey"
	metadataTokenPath = "169.254.169.254/meta-data/latest/api/token"
	podPath           = "169.254.169.254/pod-identity/credentials"
)

func TestMetadataService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		token := func(seconds string) response {
			t.Helper()
			return s.send(t, http.MethodPut, metadataTokenPath, "", "X-Metadata-Token-Ttl-Seconds", seconds)
		}
		ask := func(name, token string, status int, body string) {
			t.Helper()
			got := s.send(t, http.MethodGet, metadataPath, "", "X-Metadata-Token", token)
			got.wantStatus(t, name, status)
			if status == http.StatusOK {
				k, _ := got.keys(t, http.StatusOK)
				s.get(t, k, quotaOfA).wantStatus(t, name, http.StatusOK)
			} else if got.body != body {
				t.Errorf("%s: body %q, want %q", name, got.body, body)
			}
		}
		const unauthorized, noAgency = "401 Unauthorized", "401 Unauthorized: Please configure Cloud Service Agency first"
		good := token("21600")
		good.wantStatus(t, "token", http.StatusOK)
		if got := good.header.Get("Content-Type"); got != "text/plain" || good.body == "" {
			t.Errorf("token %q of type %q", good.body, got)
		}
		for _, seconds := range []string{"", "0", "21601", "x"} {
			token(seconds).wantStatus(t, "for "+seconds+" seconds", http.StatusBadRequest)
		}
		ask("no agency", good.body, http.StatusUnauthorized, noAgency)
		s.SetMachine(cloudtest.Machine{Account: "main"})
		ask("no token", "", http.StatusUnauthorized, unauthorized)
		ask("wrong token", "x", http.StatusUnauthorized, unauthorized)
		<-time.After(6*time.Hour - time.Nanosecond)
		ask("token, just before", good.body, http.StatusOK, "")
		<-time.After(time.Nanosecond)
		ask("expired token", good.body, http.StatusUnauthorized, unauthorized)
		s.SetMachine(cloudtest.Machine{V1Only: true})
		token("21600").wantStatus(t, "token of the first version", http.StatusNotFound)
		ask("first version, no agency", "", http.StatusUnauthorized, noAgency)
		s.SetMachine(cloudtest.Machine{Account: "main", V1Only: true})
		ask("first version", "", http.StatusOK, "")
		s.send(t, http.MethodGet, iam+"/openstack/latest/securitykey", "").wantStatus(t, "at a service's host", http.StatusNotFound)
	})
}

func TestPodIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		ask := func(authorization, body string) response {
			t.Helper()
			return s.send(t, http.MethodPost, podPath, body, "Authorization", authorization)
		}
		ask("", "{}").wantStatus(t, "no pod", http.StatusUnauthorized)
		s.SetMachine(cloudtest.Machine{Account: "main", PodAuthorization: "pod-1"})
		got := ask("pod-1", "{}")
		var body struct {
			Credentials struct{ AccessKeyID, SecretAccessKey, SecurityToken, Expiration string }
		}
		if err := json.Unmarshal([]byte(got.body), &body); err != nil || got.status != http.StatusOK {
			t.Fatalf("status %d, %v, body %s", got.status, err, got.body)
		}
		c := body.Credentials
		got.want(t, "right", http.StatusOK, `{"credentials":{"accessKeyId":"`+c.AccessKeyID+`","secretAccessKey":"`+c.SecretAccessKey+
			`","securityToken":"`+c.SecurityToken+`","expiration":"2000-01-02T00:00:00.000000Z"}}`)
		s.get(t, keys{c.AccessKeyID, c.SecretAccessKey, c.SecurityToken}, quotaOfA).wantStatus(t, "keys", http.StatusOK)
		ask("pod-2", "{}").wantStatus(t, "wrong", http.StatusUnauthorized)
		ask("pod-1", "").wantStatus(t, "no body", http.StatusBadRequest)
		s.SetMachine(cloudtest.Machine{PodAuthorization: "pod-1"})
		ask("pod-1", "{}").wantStatus(t, "no agency", http.StatusForbidden)
	})
}
