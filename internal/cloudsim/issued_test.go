package cloudsim_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
)

const (
	passwordBody = `{"auth":{"identity":{"methods":["password"],
		"password":{"user":{"name":"reader","password":"%s","domain":{"name":"main"}}}}%s}}`
	tokenKeysBody = `{"auth":{"identity":{"methods":["token"],"token":{"id":"%s"%s}}}}`
	agencyBody    = `{"auth":{"identity":{"methods":["assume_role"],"assume_role":{"agency_name":"%s",%s}}}}`

	tokenPath   = "/v3/auth/tokens"
	idTokenPath = "/v3.0/OS-AUTH/id-token/tokens"
	keysPath    = "/v3.0/OS-CREDENTIAL/securitytokens"
	iam         = "iam" + cloud
	quotaOfA    = "dcs.ap-southeast-3" + cloud + "/v2/" + idA + "/quota"
)

// newIssuer has two accounts: main has a user and an identity provider, other an agency that trusts it.
func newIssuer() *cloudsim.Cloud {
	return newFive(
		cloudsim.Account{
			Name: "main", AccessKey: "MAINAK", SecretKey: "main-secret",
			Users:            []cloudsim.User{{Name: "reader", Password: "open sesame"}},
			IdentityProvider: &cloudsim.IdentityProvider{ID: "idp", IDToken: "id-token-1"},
			Projects:         []cloudsim.Project{{ID: idA, Name: "ap-southeast-3"}, {ID: idSub, Name: "ap-southeast-3_dev"}},
		},
		cloudsim.Account{
			Name: "other", AccessKey: "OTHERAK", SecretKey: "other-secret",
			Agencies: []cloudsim.Agency{{Name: "watch", Trusts: "main"}, {Name: "closed", Trusts: "nobody"}},
			Projects: []cloudsim.Project{{ID: other, Name: "eu-de"}},
		},
	)
}

// send asks without a signature; headers are pairs of a name and a value.
func send(t *testing.T, client *http.Client, method, hostAndPath, body string, headers ...string) response {
	t.Helper()
	r := newRequest(t, method, "http://"+hostAndPath, body)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return do(t, client, r)
}

// login gets a token with the password from that host of IAM; scope is empty or begins with a comma.
func login(t *testing.T, client *http.Client, host, scope string) string {
	t.Helper()
	got := send(t, client, http.MethodPost, host+tokenPath+"?nocatalog=true", fmt.Sprintf(passwordBody, "open sesame", scope))
	token := got.header.Get("X-Subject-Token")
	if got.status != http.StatusCreated || token == "" {
		t.Fatalf("status %d, body %s, want a token", got.status, got.body)
	}
	return token
}

// issuedKeys reads keys that IAM or the metadata service gave out.
func issuedKeys(t *testing.T, got response, status int) (k keys, until time.Time) {
	t.Helper()
	var body struct {
		Credential struct {
			Access, Secret, SecurityToken string
			ExpiresAt                     string `json:"expires_at"`
		}
	}
	err := json.Unmarshal([]byte(got.body), &body)
	c := body.Credential
	if err != nil || got.status != status || c.Access == "" || c.Secret == "" || c.SecurityToken == "" {
		t.Fatalf("status %d, %v, body %s, want keys", got.status, err, got.body)
	}
	until, err = time.Parse("2006-01-02T15:04:05.000000Z", c.ExpiresAt)
	if err != nil {
		t.Fatal(err)
	}
	return keys{c.Access, c.Secret, c.SecurityToken}, until
}

// exchange gets keys for a token; more is empty or begins with a comma.
func exchange(t *testing.T, client *http.Client, token, more string) (keys, time.Time) {
	t.Helper()
	return issuedKeys(t, send(t, client, http.MethodPost, iam+keysPath, fmt.Sprintf(tokenKeysBody, token, more)), http.StatusCreated)
}

func (k keys) assume(t *testing.T, client *http.Client, agency, more string) response {
	t.Helper()
	body := fmt.Sprintf(agencyBody, agency, more)
	return do(t, client, k.sign(newRequest(t, http.MethodPost, "http://"+iam+keysPath, body), body, time.Now()))
}

func wantStatus(t *testing.T, name string, got response, want int) {
	t.Helper()
	if got.status != want {
		t.Errorf("%s: status %d, body %s, want %d", name, got.status, got.body, want)
	}
}

func TestEveryKindIsIssuedAndCounted(t *testing.T) {
	c := newIssuer()
	client := dial(t, c)
	c.SetMachine(cloudsim.Machine{Account: "main", V1Only: true, PodAuthorization: "pod"})
	token := login(t, client, iam, `,"scope":{"project":{"id":"`+idA+`"}}`)
	wantStatus(t, "password", send(t, client, http.MethodGet, quotaOfA, "", "X-Auth-Token", token), http.StatusOK)
	got := send(t, client, http.MethodPost, iam+idTokenPath, `{"auth":{"id_token":{"id":"id-token-1"}}}`, "X-Idp-Id", "idp")
	k, _ := exchange(t, client, got.header.Get("X-Subject-Token"), "")
	wantStatus(t, "id token", k.get(t, client, quotaOfA), http.StatusOK)
	k, _ = issuedKeys(t, mainKeys.assume(t, client, "watch", `"domain_name":"other"`), http.StatusCreated)
	wantStatus(t, "agency", k.get(t, client, "dcs.eu-de"+cloud+"/v2/"+other+"/quota"), http.StatusOK)
	wantStatus(t, "agency, caller's project", k.get(t, client, quotaOfA), http.StatusForbidden)
	k, _ = issuedKeys(t, send(t, client, http.MethodGet, "169.254.169.254/openstack/latest/securitykey", ""), http.StatusOK)
	wantStatus(t, "metadata", k.get(t, client, quotaOfA), http.StatusOK)
	send(t, client, http.MethodPost, "localhost/pod-identity/credentials", "{}", "Authorization", "pod")
	want := map[string]int{"password": 1, "id_token": 1, "token_keys": 1, "assume_role": 1, "metadata": 1, "pod_identity": 1}
	if got := c.Issued(); !maps.Equal(got, want) {
		t.Errorf("issued %v, want %v", got, want)
	}
	c.Issued()["password"]++ // a map of the caller's own
	if got := c.Issued(); !maps.Equal(got, want) {
		t.Errorf("issued %v, want %v", got, want)
	}
}

func TestSecurityTokenOfTemporaryKeys(t *testing.T) {
	client := dial(t, newIssuer())
	first, _ := exchange(t, client, login(t, client, iam, ""), "")
	second, _ := exchange(t, client, login(t, client, iam, ""), "")
	if first.access == second.access || first.secret == second.secret || first.token == second.token {
		t.Errorf("the same keys twice: %v and %v", first, second)
	}
	wantStatus(t, "temporary keys", first.get(t, client, quotaOfA), http.StatusOK)
	for name, k := range map[string]keys{
		"none": {first.access, first.secret, ""}, "of others": {first.access, first.secret, second.token},
	} {
		wantUnauthorized(t, name, k.get(t, client, quotaOfA), "the security token of ak "+first.access+" is missing or wrong")
	}
	unsigned := keys{first.access, first.secret, ""}.sign(newRequest(t, http.MethodGet, "http://"+quotaOfA, ""), "", time.Now())
	unsigned.Header.Set("X-Security-Token", first.token)
	wantUnauthorized(t, "not signed", do(t, client, unsigned), "the security token of ak "+first.access+" is not signed")
}

func TestSignatureAndTokenTogether(t *testing.T) {
	client := dial(t, newIssuer())
	r := newRequest(t, http.MethodGet, "http://"+quotaOfA, "")
	r.Header.Set("X-Auth-Token", login(t, client, iam, `,"scope":{"project":{"id":"`+idA+`"}}`))
	wantUnauthorized(t, "both", do(t, client, mainKeys.sign(r, "", time.Now())), "the request has a signature and an x-auth-token")
	wantUnauthorized(t, "unknown", send(t, client, http.MethodGet, quotaOfA, "", "X-Auth-Token", "x"), "the x-auth-token is unknown")
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newIssuer()
		client := dial(t, c)
		c.SetMachine(cloudsim.Machine{Account: "main", V1Only: true})
		start := time.Now()
		token := login(t, client, iam, `,"scope":{"project":{"id":"`+idA+`"}}`)
		machine, until := issuedKeys(t, send(t, client, http.MethodGet, "169.254.169.254/openstack/latest/securitykey", ""), http.StatusOK)
		if lives := until.Sub(start); lives != 24*time.Hour {
			t.Errorf("keys of the machine live for %v, want 24h", lives)
		}
		for name, answer := range map[string]response{
			"token":  send(t, client, http.MethodPost, iam+keysPath, fmt.Sprintf(tokenKeysBody, token, "")),
			"agency": mainKeys.assume(t, client, "watch", `"domain_name":"other"`),
		} {
			if _, until := issuedKeys(t, answer, http.StatusCreated); until.Sub(start) != 15*time.Minute {
				t.Errorf("keys for a %s live until %v, want 15m", name, until)
			}
		}
		c.SetLifetime(time.Hour)
		short, until := exchange(t, client, token, "")
		stated, _ := exchange(t, client, token, `,"duration_seconds":7200`)
		if until.Sub(start) != time.Hour {
			t.Errorf("keys live until %v, want what SetLifetime set", until)
		}
		<-time.After(time.Hour - time.Nanosecond)
		wantStatus(t, "short, just before", short.get(t, client, quotaOfA), http.StatusOK)
		<-time.After(time.Nanosecond)
		wantUnauthorized(t, "short", short.get(t, client, quotaOfA), "ak "+short.access+" expired at 2000-01-01T01:00:00.000000Z")
		wantStatus(t, "stated", stated.get(t, client, quotaOfA), http.StatusOK)
		<-time.After(23*time.Hour - time.Nanosecond)
		wantStatus(t, "token", send(t, client, http.MethodGet, quotaOfA, "", "X-Auth-Token", token), http.StatusOK)
		wantStatus(t, "machine", machine.get(t, client, quotaOfA), http.StatusOK)
		wantUnauthorized(t, "stated", stated.get(t, client, quotaOfA), "ak "+stated.access+" expired")
		<-time.After(time.Nanosecond)
		wantUnauthorized(t, "token", send(t, client, http.MethodGet, quotaOfA, "", "X-Auth-Token", token),
			"the x-auth-token expired at 2000-01-02T00:00:00.000000Z")
		wantUnauthorized(t, "machine", machine.get(t, client, quotaOfA), "ak "+machine.access+" expired")
		wantStatus(t, "keys for an expired token",
			send(t, client, http.MethodPost, iam+keysPath, fmt.Sprintf(tokenKeysBody, token, "")), http.StatusUnauthorized)
		wantStatus(t, "permanent", mainKeys.get(t, client, quotaOfA), http.StatusOK)
	})
}

func TestRevoke(t *testing.T) {
	c := newIssuer()
	client := dial(t, c)
	projectScope := `,"scope":{"project":{"id":"` + idA + `"}}`
	token := login(t, client, iam, projectScope)
	k, _ := exchange(t, client, token, "")
	c.Revoke("other")
	wantStatus(t, "keys, another's revoked", k.get(t, client, quotaOfA), http.StatusOK)
	wantStatus(t, "token, another's revoked", send(t, client, http.MethodGet, quotaOfA, "", "X-Auth-Token", token), http.StatusOK)
	c.Revoke("main")
	wantUnauthorized(t, "keys", k.get(t, client, quotaOfA), "ak "+k.access+" was revoked")
	wantUnauthorized(t, "token", send(t, client, http.MethodGet, quotaOfA, "", "X-Auth-Token", token), "the x-auth-token was revoked")
	wantStatus(t, "permanent keys", mainKeys.get(t, client, quotaOfA), http.StatusOK)
	token = login(t, client, iam, projectScope)
	wantStatus(t, "a new token", send(t, client, http.MethodGet, quotaOfA, "", "X-Auth-Token", token), http.StatusOK)
	wantPanic(t, "Revoke of nobody", func() { c.Revoke("nobody") })
}

func TestIssuingAtTheSameTime(t *testing.T) {
	c := newIssuer()
	client := dial(t, c)
	c.SetMachine(cloudsim.Machine{Account: "main", V1Only: true})
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			for _, r := range []*http.Request{
				newRequest(t, http.MethodPost, "http://"+iam+tokenPath, fmt.Sprintf(passwordBody, "open sesame", "")),
				newRequest(t, http.MethodGet, "http://169.254.169.254/openstack/latest/securitykey", ""),
			} {
				if answer, err := client.Do(r); err != nil {
					t.Error(err)
				} else {
					answer.Body.Close()
				}
			}
		})
		asking.Go(func() {
			c.SetPassword("main", "reader", "open sesame")
			c.SetIDToken("main", "id-token-2")
			c.SetLifetime(time.Hour)
			c.SetMachine(cloudsim.Machine{Account: "main", V1Only: true})
			c.Revoke("main")
			c.Issued()
		})
	}
	asking.Wait()
	if got := c.Issued(); got["password"] != 8 || got["metadata"] != 8 {
		t.Errorf("issued %v, want 8 of each", got)
	}
}
