package credentials_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
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

// issues responds with a token in the header.
func issues(token, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Subject-Token", token)
		refuses(http.StatusCreated, body)(w, nil)
	}
}

// echoes rejects a request, and quotes it.
func echoes(w http.ResponseWriter, r *http.Request) {
	body := make([]byte, 4096)
	n, _ := r.Body.Read(body)
	refuses(http.StatusUnauthorized, fmt.Sprintf(`{"error":{"code":401,"message":%q,"title":"Unauthorized"}}`, r.Header.Get("Authorization")+string(body[:n])))(w, nil)
}

func metadata(t *testing.T, a answers) credentials.Source {
	t.Helper()
	return source(t, machine(""), "instance_metadata: {endpoint: '"+serve(t, a)+"'}")
}

var (
	expires = time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05.000000Z")
	good    = `{"credential":{"access":"A","secret":"S","expires_at":"` + expires + `","securitytoken":"T"}}`
)

// TestSpellingsOfKeys: the metadata service, IAM, pod identity, and STS write keys differently.
func TestSpellingsOfKeys(t *testing.T) {
	origins := map[any]bool{}
	for name, body := range map[string]string{
		"metadata service and IAM": good,
		"pod identity":             `{"credentials":{"accessKeyId":"A","secretAccessKey":"S","securityToken":"T","expiration":"` + expires + `"}}`,
		"STS":                      `{"credentials":{"access_key_id":"A","secret_access_key":"S","security_token":"T","expiration":"` + expires + `"}}`,
		"bare":                     `{"access":"A","secret":"S","securitytoken":"T","expires_at":"` + expires + `","more":1}`,
	} {
		s := metadata(t, answers{session: says("S"), securityKey: says(body)}) // issued values are parsed regardless of the request
		wantKeys(t, name, s, "A S T")
		if got := s.Status().Expires.Format("2006-01-02T15:04:05.000000Z"); got != expires {
			t.Errorf("%s: they expire at %s, want %s", name, got, expires)
		}
		origins[origin(t, s)] = true
	}
	if len(origins) != 4 {
		t.Errorf("the keys have %d origins, want one for each source", len(origins))
	}
	for _, status := range []int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusServiceUnavailable} { // a service of version 1 has no tokens
		wantKeys(t, http.StatusText(status), metadata(t, answers{session: refuses(status, ""), securityKey: says(good)}), "A S T")
	}
}

// TestSpellingsOfTimes: the time zone can lack the colon, and UTC needs none.
func TestSpellingsOfTimes(t *testing.T) {
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	inChina := at.In(time.FixedZone("", 8*60*60))
	for _, text := range []string{
		at.Format(time.RFC3339), at.Format("2006-01-02T15:04:05.000000Z"), at.Format("2006-01-02T15:04:05"), at.Format("2006-01-02 15:04:05.000"),
		inChina.Format(time.RFC3339), inChina.Format("2006-01-02T15:04:05Z0700"), inChina.Format("2006-01-02T15:04:05.000Z0700"),
		inChina.Format("2006-01-02 15:04:05 -0700"), at.Format("2006-01-02t15:04:05z"),
		at.Format("2006-01-02 15:04:05 UTC"), " " + at.Format(time.RFC3339) + " ",
	} {
		keys := metadata(t, answers{securityKey: says(strings.ReplaceAll(good, expires, text))})
		wantKeys(t, text, keys, "A S T")
		token := source(t, machine(serve(t, answers{tokens: issues("T", `{"token":{"expires_at":"`+text+`"}}`)})), reader("password: p"))
		if _, err := token.Grant(t.Context(), huaweicloud.Scope{}); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		for _, s := range []credentials.Source{keys, token} {
			if got := s.Status().Expires; !got.Equal(at) {
				t.Errorf("%s is parsed as %s, want %s", text, got, at)
			}
		}
	}
}

func TestResponsesWithoutKeys(t *testing.T) {
	for body, want := range map[string]string{
		"":                                    "the response is not a JSON object",
		"<html>PRIVATE</html>":                "the response is not a JSON object",
		"[]":                                  "the response is not a JSON object",
		`{"credential":null}`:                 "the response has no valid access key",
		`{"credential":{"access":"PRIVATE"}}`: "no valid secret key",
		`{"credential":{"access":"PRIVATE","secret":"a b","securitytoken":"T","expires_at":"` + expires + `"}}`:                 "no valid secret key",
		`{"credential":{"access":"PRIVATE","secret":"PRIVATE","expires_at":"` + expires + `"}}`:                                 "no valid security token",
		`{"credential":{"access":"PRIVATE","secret":"PRIVATE","securitytoken":"PRIVATE"}}`:                                      "no valid expiry",
		`{"credential":{"access":"PRIVATE","secret":"PRIVATE","securitytoken":"PRIVATE","expires_at":"soon"}}`:                  "not an RFC 3339 time",
		`{"credential":{"access":"PRIVATE","secret":"PRIVATE","securitytoken":"PRIVATE","expires_at":1894000000}}`:              "not an RFC 3339 time",
		`{"credential":{"access":"PRIVATE","secret":"PRIVATE","securitytoken":"T","expires_at":"2020-01-08T03:50:07.574000Z"}}`: "have already expired at 2020-01-08T03:50:07Z",
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
		"no agency":            {answers{session: says("PRIVATE"), securityKey: refuses(401, "Please configure Cloud Service Agency first")}, []string{"401 Unauthorized: Please configure", "; assign an agency with permission to read quotas"}},
		"an echo":              {answers{session: says("PRIVATE"), securityKey: refuses(403, "who is PRIVATE?")}, []string{"403 Forbidden: who is <hidden>?; configure another kind of credentials, unless this is an ECS"}},
		"no session":           {answers{session: refuses(500, "down")}, []string{"PUT http://", "500 Internal Server Error: down"}},
		"an empty session":     {answers{session: says("\n")}, []string{"the token of the metadata service is empty"}},
		"a redirect":           {answers{securityKey: redirects}, []string{"302 Found"}},
		"a truncated response": {answers{securityKey: breaks}, []string{"but the body is incomplete: unexpected EOF"}},
		"an endless response":  {answers{securityKey: endless}, []string{"not shown because it may contain keys"}},
		"nothing there":        {nil, []string{"404 Not Found", "; configure another kind of credentials, unless this is an ECS"}},
	} {
		wantKeys(t, name, metadata(t, tc.answers), "", append(tc.says, "instance_metadata: ")...)
	}
}

// TestMetadataRemedies: the remedy only mentions an agency if there never were keys and the service reports that no agency is assigned.
func TestMetadataRemedies(t *testing.T) {
	const noAgency, changed, broken = "assign an agency with permission to read quotas to the ECS", "check what has changed on this ECS", "metadata service's side, and the exporter will retry"
	old := strings.ReplaceAll(good, expires, "1999-01-08T03:50:07.574000Z") // time in a bubble starts in 2000
	for name, tc := range map[string]struct {
		fault        cloudtest.Fault
		first, later string // the remedy if there never were keys, and if there were some before
	}{
		"no agency":     {cloudtest.Fault{Status: 401, Body: []byte("Please configure Cloud Service Agency first")}, noAgency, changed},
		"a 401":         {cloudtest.Fault{Status: 401}, "configure another kind of credentials", changed},
		"a 404":         {cloudtest.Fault{Status: 404}, "configure another kind of credentials", changed},
		"a 503":         {cloudtest.Fault{Status: 503}, broken, broken},
		"expired keys":  {cloudtest.Fault{Status: 200, Body: []byte(old)}, "synchronize this machine's clock with NTP", "synchronize this machine's clock with NTP"},
		"another time":  {cloudtest.Fault{Status: 200, Body: []byte(strings.ReplaceAll(good, expires, "tomorrow"))}, "configure another kind of credentials (the time format", "configure another kind of credentials (the time format"},
		"no connection": {cloudtest.Fault{Reset: true}, "configure another kind of credentials", changed},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "")
			w.SetMachine(cloudtest.Machine{Account: "main"})
			wantRemedy := func(s credentials.Source, want string) {
				t.Helper()
				_, err := s.Grant(t.Context(), huaweicloud.Scope{})
				if got := huaweicloud.Remedy(err); !strings.Contains(got, want) || want != noAgency && strings.Contains(got, "agency") {
					t.Errorf("%s: %v, want the remedy %q", name, err, want)
				}
			}
			s := source(t, w.deps, "instance_metadata: {}")
			w.wantRead(t, s, "at first", allRead)
			tc.fault.Path = metadataPath
			w.Inject(tc.fault)
			wantRemedy(source(t, w.deps, "instance_metadata: {}"), tc.first)
			<-time.After(25 * time.Hour)
			wantRemedy(s, tc.later)
		})
	}
}

// TestNoProxyForTheMachine has a proxy that must not be used. The service has a name, because no proxy is used for 127.0.0.1.
func TestNoProxyForTheMachine(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	url := serve(t, answers{securityKey: says(good)})
	var dialed []string
	m := machine("")
	m.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		dialed = append(dialed, address)
		return new(net.Dialer).DialContext(ctx, network, strings.TrimPrefix(url, "http://"))
	}
	s := source(t, m, "instance_metadata: {endpoint: 'http://metadata.example.com'}")
	if wantKeys(t, "by name", s, "A S T"); dialed[0] != "metadata.example.com:80" {
		t.Errorf("dialed %s", dialed)
	}
}

// TestMetadataWithoutResponse: its timeout ends the fetch, and a request does not wait longer than its own timeout.
func TestMetadataWithoutResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := machine("")
		m.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		before := time.Now()
		_, err := reveal(t, source(t, m, "instance_metadata: {}"))
		if took := time.Since(before); took != 3*time.Second {
			t.Errorf("took %s", took)
		}
		wantText(t, err, "instance_metadata: PUT http://169.254.169.254/meta-data/latest/api/token: no response after 3s: ")
		late := source(t, m, "instance_metadata: {}")
		_, err = late.Grant(within(t, time.Second), huaweicloud.Scope{})
		wantText(t, err, "no keys or token received in time (context deadline exceeded); check the network")
		wantText(t, late.Status().Err, "no keys or token received in time")
		_, err = source(t, m, "").Grant(within(t, time.Second), huaweicloud.Scope{})
		wantText(t, err, "timed out while looking for credentials in the default chain")
		<-time.After(time.Minute)
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
	}, "POST /keys/busy": refuses(http.StatusServiceUnavailable, "busy")}) + "/keys"
	for _, tc := range []struct{ url, file, token, want, says string }{
		{says: "pod_identity: HC_CONTAINER_CREDENTIALS_FULL_URI is not set; associate the pod's service account with an identity in CCE"},
		{url: url, says: "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE is not set"},
		{url: url, file: tokenFile, says: "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE " + tokenFile + " is empty"},
		{url: url, file: tokenFile, token: "PRIVATE", says: "401 Unauthorized: <hidden>{}; check the identity of the pod's service account"},
		{url: url + "/busy", file: tokenFile, token: "pod-token", says: "503 Service Unavailable: busy; the failure is on the side of CCE's agent on this node, and the exporter will retry"},
		{url: url, file: tokenFile, token: "pod-token\n", want: "A S T"},
	} {
		write(tokenFile, tc.token)
		wantKeys(t, tc.says, source(t, machine("", podURI, tc.url, podFile, tc.file), "pod_identity: {}"), tc.want, parts(tc.says)...)
	}
}

func TestIAMErrors(t *testing.T) {
	tokenFile := filepath.Join(t.TempDir(), "id_token")
	write(tokenFile, "PRIVATE-ID-TOKEN")
	login, provider := reader(`password: 'PASS"WORD&'`), oidc(tokenFile)
	const assume = "static: {access_key: AK, secret_key: PRIVATE-KEY}" + quotas
	for name, tc := range map[string]struct {
		yaml    string
		answers answers
		says    []string
	}{
		"a wrong password":      {login, answers{tokens: echoes}, []string{"password: POST http://", "401 Unauthorized", "<hidden>", "; check domain_name, user_name, and password"}},
		"a user without access": {login, answers{tokens: refuses(403, "no")}, []string{"; enable programmatic access"}},
		"no token":              {login, answers{tokens: says("{}")}, []string{"password: POST http://", "/v3/auth/tokens: the response has no token in the header X-Subject-Token"}},
		"no valid expiry":       {login, answers{tokens: issues("PRIVATE", "{}")}, []string{"password: POST http://", "/v3/auth/tokens: the response has no expiry of the token"}},
		"an expired token":      {login, answers{tokens: issues("PRIVATE", `{"token":{"expires_at":"2020-01-09T15:20:17.574000Z"}}`)}, []string{"; synchronize this machine's clock"}},
		"a wrong id token":      {provider, answers{exchange: echoes}, []string{"oidc: POST http://", "<hidden>", "; check that the token in token_file"}},
		"an unknown provider":   {provider, nil, []string{"404 Not Found", "; check idp_id"}},
		"no subject token":      {provider, answers{exchange: says("{}")}, []string{"oidc: the response has no token in the header"}},
		"keys refused":          {provider, answers{exchange: issues("PRIVATE", "{}"), issueKeys: echoes}, []string{"oidc: POST http://", "<hidden>"}},
		"keys unreadable":       {provider, answers{exchange: issues("PRIVATE", "{}"), issueKeys: issues("", "PRIVATE")}, []string{"oidc: ", "not a JSON object"}},
		"keys too long":         {provider, answers{exchange: issues("PRIVATE", "{}"), issueKeys: issues("", strings.Repeat("PRIVATE", 200_000))}, []string{"not shown because it may contain keys"}},
		"an agency's distrust":  {assume, answers{issueKeys: refuses(403, "no")}, []string{"assume_agency: quotas of main: POST http://", "403 Forbidden", "; grant the role Agent Operator"}},
		"an unknown agency":     {assume, nil, []string{"404 Not Found", "; check domain_name and agency_name"}},
		"an agency's keys":      {assume, answers{issueKeys: issues("", `{"credential":{}}`)}, []string{"assume_agency: quotas of main: POST http://", "/v3.0/OS-CREDENTIAL/securitytokens: the response has no valid access key"}},
	} {
		wantKeys(t, name, source(t, machine(serve(t, tc.answers)), tc.yaml), "", tc.says...)
	}
}

// TestCorrectedProofIsTriedAtOnce: after a rejection, requests wait for the pause unless the file has changed.
func TestCorrectedProofIsTriedAtOnce(t *testing.T) {
	tokenFile := filepath.Join(t.TempDir(), "token")
	asked := 0
	url := serve(t, answers{"POST /": func(w http.ResponseWriter, r *http.Request) {
		if asked++; r.Header.Get("Authorization") == "right" {
			says(good)(w, r)
			return
		}
		echoes(w, r)
	}})
	s := source(t, machine("", podURI, url+"/", podFile, tokenFile), "pod_identity: {}")
	write(tokenFile, "PRIVATE")
	for range 3 {
		wantKeys(t, "refused", s, "", "401 Unauthorized")
	}
	write(tokenFile, "right")
	if wantKeys(t, "corrected", s, "A S T"); asked != 2 {
		t.Errorf("%d requests, want one with each token", asked)
	}
}
