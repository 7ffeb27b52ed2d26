package credentials_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/credentials"
	"cloud_quota_exporter/internal/huaweicloud"
)

// iam is a client for IAM at a URL.
func iam(url string) credentials.IAM {
	return func(string) *huaweicloud.Client {
		return &huaweicloud.Client{
			HTTP: huaweicloud.NewHTTPClient(dial, "", 1), Service: "iam", BaseURL: url, Events: func(string, string, time.Duration) {},
		}
	}
}

const tokenBody = `{"token":{"expires_at":"2099-01-09T15:20:17.574000Z","methods":["password"]}}`

// issues answers with a token in the header.
func issues(token, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Subject-Token", token)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, body)
	}
}

func TestIAMErrors(t *testing.T) {
	tokenFile := filepath.Join(t.TempDir(), "id_token")
	write(t, tokenFile, "ID-TOKEN")
	echo := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		body := make([]byte, 4096)
		n, _ := r.Body.Read(body)
		fmt.Fprintf(w, `{"error":{"code":401,"message":%q,"title":"Unauthorized"}}`, body[:n])
	}
	const login, exchange, keys = "POST /v3/auth/tokens", "POST /v3.0/OS-AUTH/id-token/tokens", "POST /v3.0/OS-CREDENTIAL/securitytokens"
	password := func(url string) credentials.Source {
		return credentials.Password(iam(url), "", credentials.User{DomainName: "main", Name: "reader", Password: text(`PASS"WORD&`)}, credentials.NewLogins())
	}
	oidc := func(url string) credentials.Source { return credentials.OIDC(iam(url), "", "idp", tokenFile) }
	agency := func(url string) credentials.Source {
		return credentials.AssumeAgency(credentials.Static(text("AK"), text("SECRET-KEY"), credentials.Value{}), iam(url), "",
			credentials.Agency{DomainName: "main", Name: "quotas", Duration: time.Hour})
	}
	for name, tc := range map[string]struct {
		source  func(string) credentials.Source
		answers map[string]http.HandlerFunc
		says    []string
	}{
		"a wrong password":      {password, map[string]http.HandlerFunc{login: echo}, []string{"password: POST http://", "401 Unauthorized", "<hidden>", "; check domain_name, user_name and password"}},
		"a user without access": {password, map[string]http.HandlerFunc{login: refuses(403, "no")}, []string{"; let the user have programmatic access"}},
		"no token":              {password, map[string]http.HandlerFunc{login: says(tokenBody)}, []string{"password: POST http://", "/v3/auth/tokens: there is no token in the header X-Subject-Token"}},
		"no expiry":             {password, map[string]http.HandlerFunc{login: issues("PRIVATE", "{}")}, []string{"password: POST http://", "/v3/auth/tokens: the answer doesn't tell when the token expires"}},
		"an expired token":      {password, map[string]http.HandlerFunc{login: issues("PRIVATE", `{"token":{"expires_at":"2020-01-09T15:20:17.574000Z"}}`)}, []string{"; set the clock"}},
		"a wrong id token":      {oidc, map[string]http.HandlerFunc{exchange: echo}, []string{"oidc: POST http://", "<hidden>", "; check that the token in token_file"}},
		"an unknown provider":   {oidc, nil, []string{"404 Not Found", "; check idp_id"}},
		"no subject token":      {oidc, map[string]http.HandlerFunc{exchange: says("{}")}, []string{"oidc: there is no token in the header"}},
		"keys refused":          {oidc, map[string]http.HandlerFunc{exchange: issues("PRIVATE", "{}"), keys: echo}, []string{"oidc: POST http://", "<hidden>"}},
		"keys unreadable":       {oidc, map[string]http.HandlerFunc{exchange: issues("PRIVATE", "{}"), keys: issues("", "PRIVATE")}, []string{"oidc: ", "no JSON object"}},
		"keys too long":         {oidc, map[string]http.HandlerFunc{exchange: issues("PRIVATE", "{}"), keys: issues("", strings.Repeat("PRIVATE", 200_000))}, []string{"it is not shown, as keys may stand in it"}},
		"an agency's distrust":  {agency, map[string]http.HandlerFunc{keys: refuses(403, "no")}, []string{"assume_agency: quotas of main: POST http://", "403 Forbidden", "; grant the role Agent Operator"}},
		"an unknown agency":     {agency, nil, []string{"404 Not Found", "; check domain_name and agency_name"}},
		"an agency's keys":      {agency, map[string]http.HandlerFunc{keys: issues("", `{"credential":{}}`)}, []string{"assume_agency: quotas of main: POST http://", "/v3.0/OS-CREDENTIAL/securitytokens: the answer has no access key"}},
	} {
		_, err := reveal(t, tc.source(serve(t, tc.answers)))
		for _, part := range tc.says {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v, want %q", name, err, part)
			}
		}
		for _, hidden := range []string{"PASS", "WORD", "ID-TOKEN", "PRIVATE", "SECRET-KEY"} {
			if err != nil && strings.Contains(err.Error(), hidden) {
				t.Errorf("%s: %s shows in %v", name, hidden, err)
			}
		}
	}
}
