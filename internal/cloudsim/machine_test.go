package cloudsim_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
)

const (
	metadata     = "169.254.169.254"
	ttlHeader    = "X-Metadata-Token-Ttl-Seconds"
	metadataPath = "/openstack/latest/securitykey"
	podPath      = "/pod-identity/credentials"
)

func TestMetadataService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newIssuer()
		client := dial(t, c)
		c.SetMachine(cloudsim.Machine{Account: "main"})
		token := func(seconds string) response {
			return send(t, client, http.MethodPut, metadata+"/meta-data/latest/api/token", "", ttlHeader, seconds)
		}
		ask := func(token string) response {
			return send(t, client, http.MethodGet, metadata+metadataPath, "", "X-Metadata-Token", token)
		}
		got := token("21600")
		wantStatus(t, "token", got, http.StatusOK)
		if got.body == "" || got.header.Get("Content-Type") != "text/plain" {
			t.Errorf("token %q of type %q", got.body, got.header.Get("Content-Type"))
		}
		k, _ := issuedKeys(t, ask(got.body), http.StatusOK)
		wantStatus(t, "keys", k.get(t, client, quotaOfA), http.StatusOK)
		for _, seconds := range []string{"", "0", "21601", "x"} {
			wantStatus(t, "for "+seconds+" seconds", token(seconds), http.StatusBadRequest)
		}
		for name, wrong := range map[string]string{"no token": "", "wrong token": "x"} {
			got := ask(wrong)
			wantStatus(t, name, got, http.StatusUnauthorized)
			if strings.Contains(got.body, "Agency") {
				t.Errorf("%s: body %s, which is for machines without an agency", name, got.body)
			}
		}
		<-time.After(6*time.Hour - time.Nanosecond)
		wantStatus(t, "token that is about to expire", ask(got.body), http.StatusOK)
		<-time.After(time.Nanosecond)
		wantStatus(t, "expired token", ask(got.body), http.StatusUnauthorized)
		wantStatus(t, "at a service's host", send(t, client, http.MethodGet, iam+metadataPath, ""), http.StatusNotFound)
	})
}

func TestMetadataServiceOfTheFirstVersion(t *testing.T) {
	c := newIssuer()
	client := dial(t, c)
	c.SetMachine(cloudsim.Machine{Account: "main", V1Only: true})
	wantStatus(t, "PUT", send(t, client, http.MethodPut, metadata+"/meta-data/latest/api/token", "", ttlHeader, "21600"), http.StatusNotFound)
	wantStatus(t, "no token", send(t, client, http.MethodGet, metadata+metadataPath, ""), http.StatusOK)
}

func TestMachineWithoutAgency(t *testing.T) {
	c := newIssuer()
	client := dial(t, c)
	for _, m := range []cloudsim.Machine{{}, {V1Only: true}} {
		c.SetMachine(m)
		token := send(t, client, http.MethodPut, metadata+"/meta-data/latest/api/token", "", ttlHeader, "60").body
		got := send(t, client, http.MethodGet, metadata+metadataPath, "", "X-Metadata-Token", token)
		wantStatus(t, "keys", got, http.StatusUnauthorized)
		if !strings.Contains(got.body, "Please configure Cloud Service Agency first") {
			t.Errorf("body %s, want what to do", got.body)
		}
	}
	wantPanic(t, "SetMachine of nobody", func() { c.SetMachine(cloudsim.Machine{Account: "nobody"}) })
}

func TestPodIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newIssuer()
		client := dial(t, c)
		ask := func(authorization, body string) response {
			return send(t, client, http.MethodPost, metadata+podPath, body, "Authorization", authorization)
		}
		wantStatus(t, "no pod", ask("", "{}"), http.StatusUnauthorized)
		c.SetMachine(cloudsim.Machine{Account: "main", PodAuthorization: "pod-1"})
		got := ask("pod-1", "{}")
		wantStatus(t, "right", got, http.StatusOK)
		access, secret, token := field(got.body, "accessKeyId"), field(got.body, "secretAccessKey"), field(got.body, "securityToken")
		wantJSON(t, got.body, `{"credentials":{"accessKeyId":"`+access+`","secretAccessKey":"`+secret+`","securityToken":"`+token+`",
			"expiration":"2000-01-02T00:00:00.000000Z"}}`)
		wantStatus(t, "keys", keys{access, secret, token}.get(t, client, quotaOfA), http.StatusOK)
		wantStatus(t, "wrong", ask("pod-2", "{}"), http.StatusUnauthorized)
		wantStatus(t, "no body", ask("pod-1", ""), http.StatusBadRequest)
		c.SetMachine(cloudsim.Machine{PodAuthorization: "pod-1"})
		wantStatus(t, "no agency", ask("pod-1", "{}"), http.StatusForbidden)
	})
}

// field cuts a text out of JSON that has it once.
func field(body, name string) string {
	_, rest, _ := strings.Cut(body, `"`+name+`":"`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

func TestFaultsOfTheMachine(t *testing.T) {
	c := newIssuer()
	client := dial(t, c)
	c.SetMachine(cloudsim.Machine{Account: "main", V1Only: true, PodAuthorization: "pod"})
	ask := map[string]func() response{
		"metadata": func() response { return send(t, client, http.MethodGet, metadata+metadataPath, "") },
		"pod_identity": func() response {
			return send(t, client, http.MethodPost, metadata+podPath, "{}", "Authorization", "pod")
		},
	}
	for service, send := range ask {
		heal := c.Inject(cloudsim.Fault{Service: service, Status: http.StatusInternalServerError})
		wantStatus(t, service, send(), http.StatusInternalServerError)
		heal()
		wantStatus(t, service, send(), http.StatusOK)
	}
	if got := c.Requests(); got["GET "+metadataPath] != 2 || got["POST "+podPath] != 2 {
		t.Errorf("requests %v, want 2 of each", got)
	}
}
