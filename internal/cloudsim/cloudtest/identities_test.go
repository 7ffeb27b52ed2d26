package cloudtest_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/cloudsim/simtest"
)

const (
	tokenPath   = "/v3/auth/tokens"
	idTokenPath = "/v3.0/OS-AUTH/id-token/tokens"
	keysPath    = "/v3.0/OS-CREDENTIAL/securitytokens"

	// IDs of the accounts, as GET /v3/projects shows them.
	mainDomain  = "0d6e4079e36703ebd37c00722f5891d2"
	otherDomain = "d9298a10d1b0735837dc4bd85dac641b"

	scopeA = `,"scope":{"project":{"id":"` + idA + `"}}`
)

// passwordBody is the body of a token request; scope is empty or starts with a comma.
func passwordBody(password, scope string) string {
	return `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"reader","password":"` + password +
		`","domain":{"name":"main"}}}}` + scope + `}}`
}

// login returns a token that a host of IAM issued for the password.
func (s *site) login(t *testing.T, host, scope string) string {
	t.Helper()
	got := s.Send(t, http.MethodPost, host+tokenPath+"?nocatalog=true", passwordBody("open sesame", scope))
	got.Want(t, "login", http.StatusCreated, "")
	return got.Header.Get("X-Subject-Token")
}

// bearer sends a request with a token.
func (s *site) bearer(t *testing.T, token, place string) simtest.Response {
	t.Helper()
	return s.Send(t, http.MethodGet, place, "", "X-Auth-Token", token)
}

// exchange requests keys for a token; more is empty or starts with a comma.
func (s *site) exchange(t *testing.T, token, more string) simtest.Response {
	t.Helper()
	return s.Send(t, http.MethodPost, iam+keysPath, `{"auth":{"identity":{"methods":["token"],"token":{"id":"`+token+`"`+more+`}}}}`)
}

// assume requests keys of the account that has the agency.
func (s *site) assume(t *testing.T, k simtest.Keys, agency, more string) simtest.Response {
	t.Helper()
	body := fmt.Sprintf(`{"auth":{"identity":{"methods":["assume_role"],"assume_role":{"agency_name":%q,%s}}}}`, agency, more)
	return s.Do(t, k.Sign(simtest.NewRequest(t, http.MethodPost, iam+keysPath, body), body))
}

// issued parses keys that IAM or the metadata service issued.
func issued(t *testing.T, r simtest.Response, status int) (k simtest.Keys, expires string) {
	t.Helper()
	var body struct {
		Credential struct {
			simtest.Keys

			Expires string `json:"expires_at"`
		}
	}
	if err := json.Unmarshal([]byte(r.Body), &body); err != nil || r.Status != status || body.Credential.Keys == (simtest.Keys{}) {
		t.Fatalf("status %d, %v, body %s, want keys", r.Status, err, r.Body)
	}
	return body.Credential.Keys, body.Credential.Expires
}

func TestTokensAreAsDocumented(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		const dates = `{"token":{"expires_at":"2000-01-02T00:00:00.000000Z","issued_at":"2000-01-01T00:00:00.000000Z","catalog":[],"roles":[],`
		const domain = `"domain":{"id":"` + mainDomain + `","name":"main"}`
		const byPassword = dates + `"methods":["password"],"user":{` + domain +
			`,"id":"edeede642cce589427c98ad30b798388","name":"reader","password_expires_at":""}`
		const project = `,"project":{` + domain + `,"id":"` + idA + `","name":"ap-southeast-3"}`
		for scope, want := range map[string]string{
			"": "",
			`,"scope":{"project":{"name":"ap-southeast-3"}}`: project,
			scopeA: project,
			`,"scope":{"domain":{},"project":{"id":"` + idA + `"}}`:     project, // has precedence
			`,"scope":{"domain":{"name":"main"}}`:                       "," + domain,
			`,"scope":{"domain":{"id":"` + mainDomain + `"}},"more":{}`: "," + domain,
		} {
			got := s.Send(t, http.MethodPost, iam+tokenPath+"?nocatalog=true", passwordBody("open sesame", scope))
			got.Want(t, scope, http.StatusCreated, byPassword+want+"}}")
			if len(got.Header.Get("X-Subject-Token")) < 100 || got.Header.Get("X-Iam-Trace-Id") == "" {
				t.Errorf("%s: headers %v", scope, got.Header)
			}
		}
		got := s.Send(t, http.MethodPost, iam+idTokenPath, `{"auth":{"id_token":{"id":"id-token-1"}`+scopeA+`}}`, "X-Idp-Id", "idp")
		got.Want(t, "ID token", http.StatusCreated, dates+`"methods":["mapped"],"user":{`+domain+
			`,"id":"0741f58da1ecd14ae0ea3b2972469378","name":"FederationUser","OS-FEDERATION":{
			"groups":[],"identity_provider":{"id":"idp"},"protocol":{"id":"oidc"}}}`+project+`}}`)
		s.bearer(t, got.Header.Get("X-Subject-Token"), quotaOfA).Want(t, "ID token", http.StatusOK, "")
		if got := s.Issued(); got["id_token"] != 1 || got["password"] != 6 {
			t.Errorf("issued %v, want 1 by ID token and 6 by password", got)
		}
	})
}

func TestTokensThatAreNotIssued(t *testing.T) {
	s := serve(t)
	right, idToken := passwordBody("open sesame", ""), `{"auth":{"id_token":{"id":"id-token-1"}}}`
	changed := func(from, to string) string { return strings.Replace(right, from, to, 1) }
	scoped := func(scope string) string { return passwordBody("open sesame", `,"scope":`+scope) }
	const wrong, invalid = "The username or password is wrong.", "The request body is invalid"
	const noScope, noProvider = "The project or domain of the scope does not exist", "The identity provider or its id token is invalid"
	ask := func(name, path, provider, body string, status int, message string) {
		t.Helper()
		got := s.Send(t, http.MethodPost, iam+path, body, "X-Idp-Id", provider)
		if status == http.StatusCreated {
			got.Want(t, name, status, "")
			return
		}
		got.Want(t, name, status, fmt.Sprintf(`{"error":{"code":%d,"message":%q,"title":%q}}`, status, message, http.StatusText(status)))
	}
	for name, test := range map[string]struct {
		body    string
		status  int
		message string
	}{
		"password":           {passwordBody("x", ""), 401, wrong},
		"user":               {changed("reader", "writer"), 401, wrong},
		"domain":             {changed("main", "other"), 401, wrong},
		"no domain":          {changed(`,"domain":{"name":"main"}`, ""), 401, wrong},
		"no JSON":            {"x", 400, invalid},
		"method":             {changed(`"methods":["password"]`, `"methods":["totp"]`), 400, invalid},
		"unknown project":    {scoped(`{"project":{"id":"unknown"}}`), 400, noScope},
		"other's project":    {scoped(`{"project":{"id":"` + other + `"}}`), 400, noScope},
		"contradicting name": {scoped(`{"project":{"id":"` + idA + `","name":"x"}}`), 400, noScope},
		"empty project":      {scoped(`{"project":{}}`), 400, noScope},
		"other's domain":     {scoped(`{"domain":{"name":"other"}}`), 400, noScope},
	} {
		ask(name, tokenPath, "", test.body, test.status, test.message)
	}
	ask("right password", tokenPath, "", right, http.StatusCreated, "")
	s.SetPassword("main", "reader", "changed")
	ask("old password", tokenPath, "", right, 401, wrong)
	ask("new password", tokenPath, "", passwordBody("changed", ""), http.StatusCreated, "")
	ask("right ID token", idTokenPath, "idp", idToken, http.StatusCreated, "")
	ask("no ID token", idTokenPath, "idp", `{"auth":{"id_token":{"id":""}}}`, 400, invalid)
	ask("scope of an ID token", idTokenPath, "idp", `{"auth":{"id_token":{"id":"id-token-1"},"scope":{"project":{"name":"x"}}}}`, 400, noScope)
	ask("provider", idTokenPath, "x", idToken, 401, noProvider)
	s.SetIDToken("main", "id-token-2")
	ask("old ID token", idTokenPath, "idp", idToken, 401, noProvider)
	ask("new ID token", idTokenPath, "idp", strings.Replace(idToken, "1", "2", 1), http.StatusCreated, "")
	if got := s.Send(t, http.MethodGet, iam+tokenPath, ""); got.Status != http.StatusMethodNotAllowed || got.Header.Get("Allow") != "POST" {
		t.Errorf("GET: status %d, Allow %q", got.Status, got.Header.Get("Allow"))
	}
	s.Send(t, http.MethodPost, "dcs.ap-southeast-3"+cloud+tokenPath, right).Want(t, "not at a service's host", http.StatusNotFound, "")
}

func TestScopeOfTokens(t *testing.T) {
	s := serve(t)
	const sub, domain = `,"scope":{"project":{"name":"ap-southeast-3_dev"}}`, `,"scope":{"domain":{"name":"main"}}`
	const projects = iam + "/v3/projects"
	for _, test := range []struct {
		name, issuer, scope, place string
		valid                      bool
	}{
		{"its project", iam, scopeA, quotaOfA, true},
		{"its project, IAM of the region", "iam.ap-southeast-3" + cloud, scopeA, quotaOfA, true},
		{"its project, no host names", "127.0.0.1", scopeA, "127.0.0.1/v2/" + idA + "/quota", true},
		{"its project, another cloud", "iam.prod-cloud.example.com", scopeA, quotaOfA, true},
		{"sub-project", iam, sub, "dcs.ap-southeast-3" + cloud + "/v2/" + idSub + "/quota", true},
		{"another project", iam, sub, quotaOfA, false},
		{"project of another account", iam, scopeA, "localhost/v2/" + other + "/quota", false},
		{"a domain's token", iam, domain, quotaOfA, false},
		{"no scope", iam, "", quotaOfA, false},
		{"IAM of another region", "iam.eu-de" + cloud, scopeA, quotaOfA, false},
		{"host of another region", iam, scopeA, "dcs.eu-de" + cloud + "/v2/" + idA + "/quota", false},
		{"projects, by a project's token", iam, scopeA, projects, true},
		{"projects, by a domain's token", iam, domain, projects, true},
		{"projects, no scope", iam, "", projects, true},
		{"projects, IAM of another region", "iam.eu-de" + cloud, scopeA, projects, true},
	} {
		got := s.bearer(t, s.login(t, test.issuer, test.scope), test.place)
		if test.valid {
			got.Want(t, test.name, http.StatusOK, "")
		} else {
			got.Want(t, test.name, http.StatusUnauthorized, `{"error_msg":"The token must be updated.","error_code":"APIGW.0307","request_id":"REQUEST"}`)
		}
	}
	s.bearer(t, "x", quotaOfA).WantRefused(t, "unknown token", "the x-auth-token is unknown")
	r := simtest.NewRequest(t, http.MethodGet, quotaOfA, "", "X-Auth-Token", s.login(t, iam, scopeA))
	s.Do(t, mainKeys.Sign(r, "")).WantRefused(t, "two credentials", "the request has a signature and an x-auth-token, of which only one is allowed")
}

func TestTemporaryKeys(t *testing.T) {
	s := serve(t)
	token := s.login(t, iam, "")
	for _, test := range []struct {
		token, more string
		want        int
	}{
		{token, "", 201},
		{token, `,"duration_seconds":900`, 201},
		{token, `,"duration_seconds":86400`, 201},
		{token, `,"duration_seconds":899`, 400},
		{token, `,"duration_seconds":86401`, 400},
		{token, `,"duration_seconds":18446744074611`, 400}, // 900 s, if nanoseconds overflow
		{token, `,"duration_seconds":"900"`, 400},
		{"unknown", "", 401},
		{"", "", 401},
	} {
		s.exchange(t, test.token, test.more).Want(t, test.more+" "+test.token, test.want, "")
	}
	const inHeader = `{"auth":{"identity":{"methods":["token"]}}}`
	s.Send(t, http.MethodPost, iam+keysPath, inHeader, "X-Auth-Token", token).Want(t, "token in the header", 201, "")
	s.Send(t, http.MethodPost, iam+keysPath, `{}`).Want(t, "no method", 400, "")
	for _, test := range []struct {
		keys         simtest.Keys
		agency, more string
		want         int
	}{
		{mainKeys, "watch", `"domain_name":"other"`, 201},
		{mainKeys, "watch", `"domain_id":"` + otherDomain + `","duration_seconds":86400`, 201},
		{mainKeys, "watch", `"domain_name":"other","duration_seconds":899`, 400},
		{mainKeys, "closed", `"domain_name":"other"`, 403},
		{otherKeys, "watch", `"domain_name":"other"`, 403},
		{mainKeys, "unknown", `"domain_name":"other"`, 404},
		{mainKeys, "watch", `"domain_name":"unknown"`, 404},
		{mainKeys, "watch", `"domain_name":"other","domain_id":"` + mainDomain + `"`, 404},
		{mainKeys, "watch", `"duration_seconds":900`, 404},
	} {
		got := s.assume(t, test.keys, test.agency, test.more)
		got.Want(t, test.agency+" "+test.more, test.want, "")
		if test.want != 201 && !strings.Contains(got.Body, fmt.Sprintf(`{"error":{"code":%d,`, test.want)) {
			t.Errorf("%s: body %s, want IAM's form", test.more, got.Body)
		}
	}
	const body = `{"auth":{"identity":{"methods":["assume_role"],"assume_role":{"agency_name":"watch","domain_name":"other"}}}}`
	s.Send(t, http.MethodPost, iam+keysPath, body).WantRefused(t, "no caller", "x-auth-token not found")
	s.Send(t, http.MethodPost, iam+keysPath, body, "X-Auth-Token", token).Want(t, "assumed by token", 201, "")
	first, _ := issued(t, s.exchange(t, token, ""), 201)
	second, _ := issued(t, s.exchange(t, token, ""), 201)
	agent, _ := issued(t, s.assume(t, mainKeys, "watch", `"domain_name":"other"`), 201)
	s.Get(t, agent, "dcs.eu-de"+cloud+"/v2/"+other+"/quota").Want(t, "agency", http.StatusOK, "")
	s.Get(t, agent, quotaOfA).Want(t, "agency, caller's project", http.StatusForbidden, "")
	for range 2 {
		got := s.Issued()
		if want := map[string]int{"password": 1, "token_keys": 6, "assume_role": 4}; !maps.Equal(got, want) {
			t.Errorf("issued %v, want %v", got, want)
		}
		got["password"]++ // a map of the caller's own
	}
	if first.Access == second.Access || first.Secret == second.Secret || first.SecurityToken == second.SecurityToken {
		t.Errorf("the same keys twice: %v and %v", first, second)
	}
	s.Get(t, first, quotaOfA).Want(t, "temporary keys", http.StatusOK, "")
	s.Get(t, simtest.Keys{Access: first.Access, Secret: first.Secret, SecurityToken: second.SecurityToken}, quotaOfA).WantRefused(t, "token of others",
		"the security token of ak "+first.Access+" is missing or wrong")
}

func TestExpiryAndRevocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.SetMachine(cloudtest.Machine{Account: "main", V1Only: true})
		const inQuarter, inHour, tomorrow = "2000-01-01T00:15:00.000000Z", "2000-01-01T01:00:00.000000Z", "2000-01-02T00:00:00.000000Z"
		issue := func(r simtest.Response, status int, expires string) simtest.Keys {
			t.Helper()
			k, got := issued(t, r, status)
			if got != expires {
				t.Errorf("keys expire at %s, want %s", got, expires)
			}
			return k
		}
		token := s.login(t, iam, scopeA)
		machine := issue(s.Send(t, http.MethodGet, metadataPath, ""), http.StatusOK, tomorrow)
		issue(s.exchange(t, token, ""), http.StatusCreated, inQuarter)
		issue(s.assume(t, mainKeys, "watch", `"domain_name":"other"`), http.StatusCreated, inQuarter)
		s.SetLifetime(time.Hour)
		short := issue(s.exchange(t, token, ""), http.StatusCreated, inHour)
		stated := issue(s.exchange(t, token, `,"duration_seconds":7200`), http.StatusCreated, "2000-01-01T02:00:00.000000Z")
		<-time.After(time.Hour - time.Nanosecond)
		s.Get(t, short, quotaOfA).Want(t, "short, just before", http.StatusOK, "")
		<-time.After(time.Nanosecond)
		s.Get(t, short, quotaOfA).WantRefused(t, "short", "ak "+short.Access+" expired at "+inHour)
		s.Get(t, stated, quotaOfA).Want(t, "stated", http.StatusOK, "")
		<-time.After(23*time.Hour - time.Nanosecond)
		s.bearer(t, token, quotaOfA).Want(t, "token, just before", http.StatusOK, "")
		s.Get(t, machine, quotaOfA).Want(t, "machine, just before", http.StatusOK, "")
		<-time.After(time.Nanosecond)
		s.bearer(t, token, quotaOfA).WantRefused(t, "token", "the x-auth-token expired at "+tomorrow)
		s.Get(t, machine, quotaOfA).WantRefused(t, "machine", "ak "+machine.Access+" expired at "+tomorrow)
		s.exchange(t, token, "").Want(t, "keys for an expired token", http.StatusUnauthorized, "")

		token = s.login(t, iam, scopeA)
		k, _ := issued(t, s.exchange(t, token, ""), http.StatusCreated)
		s.Revoke("other")
		s.Get(t, k, quotaOfA).Want(t, "keys, another's revoked", http.StatusOK, "")
		s.bearer(t, token, quotaOfA).Want(t, "token, another's revoked", http.StatusOK, "")
		s.Revoke("main")
		s.Get(t, k, quotaOfA).WantRefused(t, "keys", "ak "+k.Access+" was revoked")
		s.bearer(t, token, quotaOfA).WantRefused(t, "token", "the x-auth-token was revoked")
		s.bearer(t, s.login(t, iam, scopeA), quotaOfA).Want(t, "a new token", http.StatusOK, "")
		s.Get(t, mainKeys, quotaOfA).Want(t, "permanent", http.StatusOK, "")
	})
}

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
