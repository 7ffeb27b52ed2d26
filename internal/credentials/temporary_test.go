package credentials_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/credentials"
	"cloud_quota_exporter/internal/huaweicloud"
)

const (
	securityKey = "GET /openstack/latest/securitykey"
	session     = "PUT /meta-data/latest/api/token"
	tokens      = "POST /v3/auth/tokens"
	exchange    = "POST /v3.0/OS-AUTH/id-token/tokens"
	issueKeys   = "POST /v3.0/OS-CREDENTIAL/securitytokens"
)

func says(body string) http.HandlerFunc { return refuses(http.StatusOK, body) }

func refuses(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// issues answers with a token in the header.
func issues(token, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Subject-Token", token)
		refuses(http.StatusCreated, body)(w, nil)
	}
}

// echoes refuses a request, and quotes it.
func echoes(w http.ResponseWriter, r *http.Request) {
	body := make([]byte, 4096)
	n, _ := r.Body.Read(body)
	refuses(http.StatusUnauthorized, fmt.Sprintf(`{"error":{"code":401,"message":%q,"title":"Unauthorized"}}`, r.Header.Get("Authorization")+string(body[:n])))(w, nil)
}

func metadata(t *testing.T, a answers) credentials.Source {
	t.Helper()
	return metadataAt(serve(t, a), dial)
}

func metadataAt(endpoint string, dial huaweicloud.Dial) credentials.Source {
	return credentials.New(config.Credentials{InstanceMetadata: &config.InstanceMetadata{Endpoint: endpoint}}, credentials.Deps{Dial: dial})
}

var (
	expires = time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05.000000Z")
	good    = `{"credential":{"access":"A","secret":"S","expires_at":"` + expires + `","securitytoken":"T"}}`
)

// TestSpellingsOfKeys: the metadata service and IAM, pod identity, and STS write keys differently.
func TestSpellingsOfKeys(t *testing.T) {
	for name, body := range map[string]string{
		"metadata service and IAM": good,
		"pod identity":             `{"credentials":{"accessKeyId":"A","secretAccessKey":"S","securityToken":"T","expiration":"` + expires + `"}}`,
		"STS":                      `{"credentials":{"access_key_id":"A","secret_access_key":"S","security_token":"T","expiration":"` + expires + `"}}`,
		"bare":                     `{"access":"A","secret":"S","securitytoken":"T","expires_at":"` + expires + `","more":1}`,
	} {
		s := metadata(t, answers{session: says("S"), securityKey: says(body)}) // what is issued is read as it is, whatever was sent
		wantKeys(t, name, s, "A S T")
		if got := s.Status().Expires.Format("2006-01-02T15:04:05.000000Z"); got != expires {
			t.Errorf("%s: they expire at %s, want %s", name, got, expires)
		}
	}
}

func TestAnswersWithoutKeys(t *testing.T) {
	for body, want := range map[string]string{
		"":                                    "the answer is no JSON object",
		"<html>PRIVATE</html>":                "the answer is no JSON object",
		"[]":                                  "the answer is no JSON object",
		`{"credential":null}`:                 "the answer has no access key",
		`{"credential":{"access":"PRIVATE"}}`: "no secret key that could be used",
		`{"credential":{"access":"PRIVATE","secret":"a b","securitytoken":"T","expires_at":"` + expires + `"}}`:                 "no secret key that could be used",
		`{"credential":{"access":"PRIVATE","secret":"PRIVATE","expires_at":"` + expires + `"}}`:                                 "no security token",
		`{"credential":{"access":"PRIVATE","secret":"PRIVATE","securitytoken":"PRIVATE"}}`:                                      "no expiry",
		`{"credential":{"access":"PRIVATE","secret":"PRIVATE","securitytoken":"PRIVATE","expires_at":"soon"}}`:                  "no time of RFC 3339",
		`{"credential":{"access":"PRIVATE","secret":"PRIVATE","securitytoken":"T","expires_at":"2020-01-08T03:50:07.574000Z"}}`: "has expired at 2020-01-08T03:50:07Z",
	} {
		wantKeys(t, body, metadata(t, answers{securityKey: says(body)}), "", want, "/openstack/latest/securitykey: ")
	}
}

func TestMetadataErrors(t *testing.T) {
	elsewhere := serve(t, answers{"GET /": func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }})
	redirects := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere+"/", http.StatusFound) }
	breaks := func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "9") }
	endless := func(w http.ResponseWriter, _ *http.Request) {
		for err := error(nil); err == nil; {
			_, err = w.Write(make([]byte, 1<<16))
		}
	}
	for name, tc := range map[string]struct {
		answers answers
		says    []string
	}{
		"no agency":         {answers{session: says("PRIVATE"), securityKey: refuses(401, "Please configure Cloud Service Agency first")}, []string{"401 Unauthorized: Please configure", "; assign an agency to the ECS"}},
		"an echo":           {answers{session: says("PRIVATE"), securityKey: refuses(403, "who is PRIVATE?")}, []string{"403 Forbidden: who is <hidden>?; an ECS needs an agency"}},
		"no session":        {answers{session: refuses(500, "down")}, []string{"PUT http://", "500 Internal Server Error: down"}},
		"an empty session":  {answers{session: says("\n")}, []string{"the token of the metadata service is empty"}},
		"a redirect":        {answers{securityKey: redirects}, []string{"302 Found"}},
		"a broken answer":   {answers{securityKey: breaks}, []string{"but its body broke off: unexpected EOF"}},
		"an endless answer": {answers{securityKey: endless}, []string{"it is not shown"}},
		"nothing there":     {nil, []string{"404 Not Found", "; an ECS needs an agency"}},
	} {
		wantKeys(t, name, metadata(t, tc.answers), "", append(tc.says, "instance_metadata: ")...)
	}
}

// TestMetadataVersionOne is about how a service says that it has no tokens.
func TestMetadataVersionOne(t *testing.T) {
	for _, status := range []int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusServiceUnavailable} {
		wantKeys(t, http.StatusText(status), metadata(t, answers{session: refuses(status, ""), securityKey: says(good)}), "A S T")
	}
}

// TestNoProxyForTheMachine has a proxy that must not be used. The service has a name, since no proxy is used for 127.0.0.1.
func TestNoProxyForTheMachine(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	url := serve(t, answers{securityKey: says(good)})
	var dialed []string
	s := metadataAt("http://metadata.example.com", func(ctx context.Context, network, address string) (net.Conn, error) {
		dialed = append(dialed, address)
		return dial(ctx, network, strings.TrimPrefix(url, "http://"))
	})
	if wantKeys(t, "by name", s, "A S T"); dialed[0] != "metadata.example.com:80" {
		t.Errorf("dialed %s", dialed)
	}
}

func TestMetadataThatNeverAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := time.Now()
		_, err := reveal(t, metadataAt("", func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}))
		if took := time.Since(before); err == nil || took != 3*time.Second {
			t.Errorf("%v after %s", err, took)
		}
	})
}

func TestPodIdentity(t *testing.T) {
	tokenFile := filepath.Join(t.TempDir(), "token")
	url := serve(t, answers{"POST /keys": func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "pod-token" {
			echoes(w, r)
			return
		}
		fmt.Fprint(w, good)
	}}) + "/keys"
	for _, tc := range []struct{ url, file, token, want, says string }{
		{says: "pod_identity: HC_CONTAINER_CREDENTIALS_FULL_URI is not set; let the pod's service account have an identity in CCE"},
		{url: url, says: "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE is not set"},
		{url: url, file: tokenFile, says: "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE " + tokenFile + " is empty"},
		{url: url, file: tokenFile, token: "PRIVATE", says: "401 Unauthorized: <hidden>{}; check the identity of the pod's service account"},
		{url: url, file: tokenFile, token: "pod-token\n", want: "A S T"},
	} {
		write(t, tokenFile, tc.token)
		if tc.says == "" {
			wantKeys(t, "good", pod(tc.url, tc.file), tc.want)
		} else {
			wantKeys(t, tc.says, pod(tc.url, tc.file), "", tc.says)
		}
	}
}

func TestIAMErrors(t *testing.T) {
	tokenFile := filepath.Join(t.TempDir(), "id_token")
	write(t, tokenFile, "PRIVATE-ID-TOKEN")
	login := func(url string) credentials.Source { return password(url, text(`PASS"WORD&`)) }
	byOIDC := func(url string) credentials.Source { return oidc(url, tokenFile) }
	byAgency := func(url string) credentials.Source {
		return agency(url, staticKeys(text("AK"), text("PRIVATE-KEY"), config.Secret{}))
	}
	for name, tc := range map[string]struct {
		source  func(string) credentials.Source
		answers answers
		says    []string
	}{
		"a wrong password":      {login, answers{tokens: echoes}, []string{"password: POST http://", "401 Unauthorized", "<hidden>", "; check domain_name, user_name and password"}},
		"a user without access": {login, answers{tokens: refuses(403, "no")}, []string{"; let the user have programmatic access"}},
		"no token":              {login, answers{tokens: says("{}")}, []string{"password: POST http://", "/v3/auth/tokens: there is no token in the header X-Subject-Token"}},
		"no expiry":             {login, answers{tokens: issues("PRIVATE", "{}")}, []string{"password: POST http://", "/v3/auth/tokens: the answer doesn't tell when the token expires"}},
		"an expired token":      {login, answers{tokens: issues("PRIVATE", `{"token":{"expires_at":"2020-01-09T15:20:17.574000Z"}}`)}, []string{"; set the clock"}},
		"a wrong id token":      {byOIDC, answers{exchange: echoes}, []string{"oidc: POST http://", "<hidden>", "; check that the token in token_file"}},
		"an unknown provider":   {byOIDC, nil, []string{"404 Not Found", "; check idp_id"}},
		"no subject token":      {byOIDC, answers{exchange: says("{}")}, []string{"oidc: there is no token in the header"}},
		"keys refused":          {byOIDC, answers{exchange: issues("PRIVATE", "{}"), issueKeys: echoes}, []string{"oidc: POST http://", "<hidden>"}},
		"keys unreadable":       {byOIDC, answers{exchange: issues("PRIVATE", "{}"), issueKeys: issues("", "PRIVATE")}, []string{"oidc: ", "no JSON object"}},
		"keys too long":         {byOIDC, answers{exchange: issues("PRIVATE", "{}"), issueKeys: issues("", strings.Repeat("PRIVATE", 200_000))}, []string{"it is not shown, as keys may stand in it"}},
		"an agency's distrust":  {byAgency, answers{issueKeys: refuses(403, "no")}, []string{"assume_agency: quotas of main: POST http://", "403 Forbidden", "; grant the role Agent Operator"}},
		"an unknown agency":     {byAgency, nil, []string{"404 Not Found", "; check domain_name and agency_name"}},
		"an agency's keys":      {byAgency, answers{issueKeys: issues("", `{"credential":{}}`)}, []string{"assume_agency: quotas of main: POST http://", "/v3.0/OS-CREDENTIAL/securitytokens: the answer has no access key"}},
	} {
		wantKeys(t, name, tc.source(serve(t, tc.answers)), "", tc.says...)
	}
}

// TestCorrectedProofIsTriedAtOnce: after a refusal, requests wait for the pause unless the file has changed.
func TestCorrectedProofIsTriedAtOnce(t *testing.T) {
	tokenFile := filepath.Join(t.TempDir(), "token")
	asked := 0
	s := pod(serve(t, answers{"POST /": func(w http.ResponseWriter, r *http.Request) {
		if asked++; r.Header.Get("Authorization") == "right" {
			says(good)(w, r)
			return
		}
		echoes(w, r)
	}})+"/", tokenFile)
	write(t, tokenFile, "PRIVATE")
	for range 3 {
		wantKeys(t, "refused", s, "", "401 Unauthorized")
	}
	write(t, tokenFile, "right")
	if wantKeys(t, "corrected", s, "A S T"); asked != 2 {
		t.Errorf("%d requests, want one with each token", asked)
	}
}

// TestRenewedKeysHaveOneOrigin: by it, keys count as proven if those before them were.
func TestRenewedKeysHaveOneOrigin(t *testing.T) {
	var granted []*huaweicloud.Keys
	for range 2 {
		s := metadata(t, answers{securityKey: says(good)})
		for range 2 {
			grant, err := s.Grant(t.Context(), huaweicloud.Scope{})
			if err != nil {
				t.Fatal(err)
			}
			s.Reject(grant)
			granted = append(granted, grant.(*huaweicloud.Keys))
		}
	}
	if g := granted; g[0] == g[1] || g[0].Origin == nil || g[0].Origin != g[1].Origin || g[0].Origin == g[2].Origin {
		t.Errorf("granted %+v", g)
	}
}

// TestCorrectedPasswordIsTriedWhileTokensAreValid: the account is up again although no request needs its token.
func TestCorrectedPasswordIsTriedWhileTokensAreValid(t *testing.T) {
	passwordFile := filepath.Join(t.TempDir(), "password")
	p := password(serve(t, answers{tokens: func(w http.ResponseWriter, r *http.Request) {
		if sent, _ := io.ReadAll(r.Body); strings.Contains(string(sent), `"right"`) {
			issues("TOKEN", `{"token":{"expires_at":"2099-01-09T15:20:17.574000Z"}}`)(w, r)
			return
		}
		refuses(http.StatusUnauthorized, "no")(w, r)
	}}), file(passwordFile))
	grant := func(s huaweicloud.Scope) huaweicloud.Grant {
		g, err := p.Grant(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	account, project := huaweicloud.Scope{}, huaweicloud.Scope{ProjectID: "1"}
	write(t, passwordFile, "right")
	grant(project)
	p.Reject(grant(account))
	write(t, passwordFile, "wrong")
	if grant(account); p.Status().Err == nil {
		t.Error("the status has no error, though the password was refused")
	}
	write(t, passwordFile, "right")
	for start := time.Now(); p.Status().Err != nil; grant(project) {
		if time.Since(start) > 5*time.Second {
			t.Fatalf("%+v", p.Status())
		}
	}
}

// byScope issues tokens that expire after an hour to accounts, and after two to projects.
type byScope struct{}

func (byScope) RoundTrip(r *http.Request) (*http.Response, error) {
	life := time.Hour
	if sent, _ := io.ReadAll(r.Body); strings.Contains(string(sent), `"project"`) {
		life *= 2
	}
	return answering{"TOKEN", `{"token":{"expires_at":"` + time.Now().Add(life).Format(time.RFC3339) + `"}}`}.RoundTrip(r)
}

func TestStatusHasTheFirstExpiryOfValidTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := byTransport(byScope{})
		if _, err := p.Grant(t.Context(), huaweicloud.Scope{ProjectID: "1"}); err != nil {
			t.Fatal(err)
		}
		for after, want := range []time.Duration{time.Hour, 2 * time.Hour, time.Hour} { // of the account, the project, and the account if both have expired
			if got := p.Status().Expires.Sub(start); got != want {
				t.Errorf("after %d hours and a minute, the first token expires %s after the start, want %s", after, got, want)
			}
			<-time.After(time.Hour + time.Minute)
		}
	})
}
