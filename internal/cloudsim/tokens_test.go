package cloudsim_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"cloud_quota_exporter/internal/cloudsim"
)

// ids of the accounts, as GET /v3/projects shows them.
const (
	mainDomain  = "0d6e4079e36703ebd37c00722f5891d2"
	otherDomain = "d9298a10d1b0735837dc4bd85dac641b"
)

func TestPasswordTokenIsAsDocumented(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := dial(t, newIssuer())
		const common = `"expires_at":"2000-01-02T00:00:00.000000Z","issued_at":"2000-01-01T00:00:00.000000Z","methods":["password"],
			"catalog":[],"roles":[],"user":{"domain":{"id":"` + mainDomain + `","name":"main"},
			"id":"edeede642cce589427c98ad30b798388","name":"reader","password_expires_at":""}`
		const project = `,"project":{"domain":{"id":"` + mainDomain + `","name":"main"},"id":"` + idA + `","name":"ap-southeast-3"}`
		const domain = `,"domain":{"id":"` + mainDomain + `","name":"main"}`
		for scope, want := range map[string]string{
			"": "",
			`,"scope":{"project":{"name":"ap-southeast-3"}}`:            project,
			`,"scope":{"project":{"id":"` + idA + `"}}`:                 project,
			`,"scope":{"domain":{"name":"main"}}`:                       domain,
			`,"scope":{"domain":{},"project":{"id":"` + idA + `"}}`:     project, // which has precedence
			`,"scope":{"domain":{"id":"` + mainDomain + `"}},"more":{}`: domain,
		} {
			got := send(t, client, http.MethodPost, iam+tokenPath+"?nocatalog=true", fmt.Sprintf(passwordBody, "open sesame", scope))
			if got.status != http.StatusCreated || len(got.header.Get("X-Subject-Token")) < 100 {
				t.Errorf("%s: status %d, headers %v", scope, got.status, got.header)
			}
			wantJSON(t, got.body, `{"token":{`+common+want+`}}`)
		}
	})
}

func TestPasswordsThatAreRefused(t *testing.T) {
	c := newIssuer()
	client := dial(t, c)
	const wrong = `{"error":{"code":401,"message":"The username or password is wrong.","title":"Unauthorized"}}`
	right := fmt.Sprintf(passwordBody, "open sesame", "")
	ask := func(body string) response { return send(t, client, http.MethodPost, iam+tokenPath, body) }
	for name, body := range map[string]string{
		"password": fmt.Sprintf(passwordBody, "x", ""),
		"user":     strings.Replace(right, "reader", "writer", 1),
		"domain":   strings.Replace(right, "main", "other", 1),
		"nowhere":  strings.Replace(right, `,"domain":{"name":"main"}`, "", 1),
	} {
		got := ask(body)
		wantStatus(t, name, got, http.StatusUnauthorized)
		wantJSON(t, got.body, wrong)
	}
	for name, body := range map[string]string{
		"no JSON":         "x",
		"another method":  strings.Replace(right, `"methods":["password"]`, `"methods":["totp"]`, 1),
		"unknown project": fmt.Sprintf(passwordBody, "open sesame", `,"scope":{"project":{"id":"nobody"}}`),
		"other's project": fmt.Sprintf(passwordBody, "open sesame", `,"scope":{"project":{"id":"`+other+`"}}`),
		"other's domain":  fmt.Sprintf(passwordBody, "open sesame", `,"scope":{"domain":{"name":"other"}}`),
		"empty project":   fmt.Sprintf(passwordBody, "open sesame", `,"scope":{"project":{}}`),
	} {
		got := ask(body)
		wantStatus(t, name, got, http.StatusBadRequest)
		if !strings.Contains(got.body, `"title":"Bad Request"`) {
			t.Errorf("%s: body %s, want IAM's shape", name, got.body)
		}
	}
	wantStatus(t, "before the change", ask(right), http.StatusCreated)
	c.SetPassword("main", "reader", "changed")
	wantStatus(t, "old password", ask(right), http.StatusUnauthorized)
	wantStatus(t, "new password", ask(fmt.Sprintf(passwordBody, "changed", "")), http.StatusCreated)
	if got := send(t, client, http.MethodGet, iam+tokenPath, ""); got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != "POST" {
		t.Errorf("GET: status %d, Allow %q", got.status, got.header.Get("Allow"))
	}
	wantPanic(t, "SetPassword of nobody", func() { c.SetPassword("main", "nobody", "") })
}

func TestScopeOfTokens(t *testing.T) {
	client := dial(t, newIssuer())
	scopes := map[string]string{
		"A": `,"scope":{"project":{"id":"` + idA + `"}}`, "sub": `,"scope":{"project":{"name":"ap-southeast-3_dev"}}`,
		"domain": `,"scope":{"domain":{"name":"main"}}`, "none": "",
	}
	for _, test := range []struct {
		name, issuer, scope, place string
		good                       bool
	}{
		{"its own project", iam, "A", quotaOfA, true},
		{"its own project, IAM of the region", "iam.ap-southeast-3" + cloud, "A", quotaOfA, true},
		{"its own project, no host names", "127.0.0.1", "A", "127.0.0.1/v2/" + idA + "/quota", true},
		{"its own project, another cloud", "iam.prod-cloud.example.com", "A", quotaOfA, true},
		{"sub-project", iam, "sub", "dcs.ap-southeast-3" + cloud + "/v2/" + idSub + "/quota", true},
		{"another project", iam, "sub", quotaOfA, false},
		{"project of another account", iam, "A", "localhost/v2/" + other + "/quota", false},
		{"a domain's token", iam, "domain", quotaOfA, false},
		{"no scope", iam, "none", quotaOfA, false},
		{"IAM of another region", "iam.eu-de" + cloud, "A", quotaOfA, false},
		{"host of another region", iam, "A", "dcs.eu-de" + cloud + "/v2/" + idA + "/quota", false},
		{"projects, by a project's token", iam, "A", iam + "/v3/projects", true},
		{"projects, by a domain's token", iam, "domain", iam + "/v3/projects", true},
		{"projects, no scope", iam, "none", iam + "/v3/projects", true},
		{"projects, IAM of another region", "iam.eu-de" + cloud, "A", iam + "/v3/projects", true},
	} {
		token := login(t, client, test.issuer, scopes[test.scope])
		got := send(t, client, http.MethodGet, test.place, "", "X-Auth-Token", token)
		if test.good {
			wantStatus(t, test.name, got, http.StatusOK)
			continue
		}
		wantStatus(t, test.name, got, http.StatusUnauthorized)
		wantJSON(t, got.body, `{"error_msg":"The token must be updated.","error_code":"APIGW.0307",
			"request_id":"`+got.header.Get("X-Request-Id")+`"}`)
	}
}

func TestIDToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newIssuer()
		client := dial(t, c)
		ask := func(provider, token, scope string) response {
			body := `{"auth":{"id_token":{"id":"` + token + `"}` + scope + `}}`
			return send(t, client, http.MethodPost, iam+idTokenPath, body, "X-Idp-Id", provider)
		}
		got := ask("idp", "id-token-1", "")
		wantStatus(t, "unscoped", got, http.StatusCreated)
		wantJSON(t, got.body, `{"token":{"expires_at":"2000-01-02T00:00:00.000000Z","issued_at":"2000-01-01T00:00:00.000000Z",
			"methods":["mapped"],"catalog":[],"roles":[],"user":{"domain":{"id":"`+mainDomain+`","name":"main"},
			"id":"0741f58da1ecd14ae0ea3b2972469378","name":"FederationUser",
			"OS-FEDERATION":{"groups":[],"identity_provider":{"id":"idp"},"protocol":{"id":"oidc"}}}}}`)
		token := ask("idp", "id-token-1", `,"scope":{"project":{"name":"ap-southeast-3"}}`).header.Get("X-Subject-Token")
		wantStatus(t, "scoped", send(t, client, http.MethodGet, quotaOfA, "", "X-Auth-Token", token), http.StatusOK)
		wantStatus(t, "unknown scope", ask("idp", "id-token-1", `,"scope":{"project":{"name":"x"}}`), http.StatusBadRequest)
		wantStatus(t, "no id token", ask("idp", "", ""), http.StatusBadRequest)
		wantStatus(t, "another provider", ask("x", "id-token-1", ""), http.StatusUnauthorized)
		c.SetIDToken("main", "id-token-2")
		got = ask("idp", "id-token-1", "")
		wantStatus(t, "old", got, http.StatusUnauthorized)
		wantJSON(t, got.body, `{"error":{"code":401,"message":"The identity provider or its id token is invalid","title":"Unauthorized"}}`)
		wantStatus(t, "new", ask("idp", "id-token-2", ""), http.StatusCreated)
		wantPanic(t, "SetIDToken without a provider", func() { c.SetIDToken("other", "") })
	})
}

func TestKeysForAToken(t *testing.T) {
	client := dial(t, newIssuer())
	token := login(t, client, iam, "")
	ask := func(body string, headers ...string) response {
		return send(t, client, http.MethodPost, iam+keysPath, body, headers...)
	}
	for _, test := range []struct {
		token, more string
		want        int
	}{
		{token, "", http.StatusCreated},
		{token, `,"duration_seconds":900`, http.StatusCreated},
		{token, `,"duration_seconds":86400`, http.StatusCreated},
		{token, `,"duration_seconds":899`, http.StatusBadRequest},
		{token, `,"duration_seconds":86401`, http.StatusBadRequest},
		{token, `,"duration_seconds":18446744074611`, http.StatusBadRequest}, // 900 s, if nanoseconds overflowed
		{token, `,"duration_seconds":"900"`, http.StatusBadRequest},
		{"unknown", "", http.StatusUnauthorized},
	} {
		wantStatus(t, test.more+" "+test.token, ask(fmt.Sprintf(tokenKeysBody, test.token, test.more)), test.want)
	}
	const inHeader = `{"auth":{"identity":{"methods":["token"]}}}`
	wantStatus(t, "token in the header", ask(inHeader, "X-Auth-Token", token), http.StatusCreated)
	wantStatus(t, "no token", ask(inHeader), http.StatusUnauthorized)
	wantStatus(t, "no method", ask(`{}`), http.StatusBadRequest)
	wantStatus(t, "no JSON", ask(``), http.StatusBadRequest)
}

func TestAgency(t *testing.T) {
	client := dial(t, newIssuer())
	for _, test := range []struct {
		agency, more string
		want         int
	}{
		{"watch", `"domain_name":"other"`, http.StatusCreated},
		{"watch", `"domain_id":"` + otherDomain + `","duration_seconds":86400`, http.StatusCreated},
		{"watch", `"domain_name":"other","duration_seconds":900`, http.StatusCreated},
		{"watch", `"domain_name":"other","duration_seconds":899`, http.StatusBadRequest},
		{"watch", `"domain_name":"other","duration_seconds":86401`, http.StatusBadRequest},
		{"closed", `"domain_name":"other"`, http.StatusForbidden},
		{"unknown", `"domain_name":"other"`, http.StatusNotFound},
		{"watch", `"domain_name":"nobody"`, http.StatusNotFound},
		{"watch", `"domain_name":"other","domain_id":"` + mainDomain + `"`, http.StatusNotFound},
		{"watch", `"duration_seconds":900`, http.StatusNotFound},
	} {
		got := mainKeys.assume(t, client, test.agency, test.more)
		wantStatus(t, test.agency+" "+test.more, got, test.want)
		if test.want >= http.StatusBadRequest && !strings.Contains(got.body, fmt.Sprintf(`{"error":{"code":%d,`, test.want)) {
			t.Errorf("%s: body %s, want IAM's shape", test.more, got.body)
		}
	}
	body := fmt.Sprintf(agencyBody, "watch", `"domain_name":"other"`)
	wantUnauthorized(t, "nobody", send(t, client, http.MethodPost, iam+keysPath, body), "x-auth-token not found")
	token := login(t, client, iam, `,"scope":{"domain":{"name":"main"}}`)
	wantStatus(t, "by token", send(t, client, http.MethodPost, iam+keysPath, body, "X-Auth-Token", token), http.StatusCreated)
	otherKeys := keys{access: "OTHERAK", secret: "other-secret"}
	wantStatus(t, "the account itself", otherKeys.assume(t, client, "watch", `"domain_name":"other"`), http.StatusForbidden)
}

func TestFaultsAndCountersOfTokenAPIs(t *testing.T) {
	c := newIssuer()
	client := dial(t, c)
	bodies := map[string]string{
		tokenPath: fmt.Sprintf(passwordBody, "open sesame", ""), idTokenPath: `{"auth":{"id_token":{"id":"id-token-1"}}}`,
		keysPath: fmt.Sprintf(tokenKeysBody, login(t, client, iam, ""), ""),
	}
	for path, body := range bodies {
		ask := func() response { return send(t, client, http.MethodPost, iam+path, body, "X-Idp-Id", "idp") }
		heal := c.Inject(cloudsim.Fault{Service: "iam", Path: path, Status: http.StatusServiceUnavailable})
		wantStatus(t, path, ask(), http.StatusServiceUnavailable)
		wantStatus(t, "projects", mainKeys.get(t, client, iam+"/v3/projects"), http.StatusOK)
		heal()
		got := ask()
		wantStatus(t, path, got, http.StatusCreated)
		if got.header.Get("X-Iam-Trace-Id") == "" {
			t.Errorf("%s: no X-IAM-Trace-Id", path)
		}
	}
	for name, want := range map[string]int{"POST " + tokenPath: 3, "POST " + idTokenPath: 2, "POST " + keysPath: 2} {
		if got := c.Requests()[name]; got != want {
			t.Errorf("%s: %d requests, want %d", name, got, want)
		}
	}
	if got := c.Issued()["password"]; got != 2 {
		t.Errorf("%d tokens issued, want none by a fault", got)
	}
	wantStatus(t, "not at a service's host",
		send(t, client, http.MethodPost, "dcs.ap-southeast-3"+cloud+tokenPath, bodies[tokenPath]), http.StatusNotFound)
}
