package command_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/command"
	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/providers/providerstest"
)

// The configured secrets. Each has a word in the middle that identifies it in every spelling.
const (
	leakyAccessKey = "AKIDaccessWORD01"
	leakySecretKey = `sk/+secretWORD02="&<`
	leakyToken     = "st/+tokenWORD03=="
	leakyPassword  = `pw"\&passwordWORD04</>'`
	leakyIDToken   = "id.tokenWORD05.x"
	leakyPodToken  = "pod/podWORD06+"
)

var leakyWords = []string{"accessWORD01", "secretWORD02", "tokenWORD03", "passwordWORD04", "tokenWORD05", "podWORD06"}

// leakyKinds are all kinds of credentials. URL is replaced by the cloud, DIR by a directory with files.
var leakyKinds = map[string]string{
	"static":            "static: {access_key: " + leakyAccessKey + ", secret_key_file: DIR/sk, security_token: " + leakyToken + "}",
	"environment":       "environment: {}",
	"profile":           "profile: {file: DIR/profile}",
	"instance_metadata": "instance_metadata: {endpoint: URL}",
	"pod_identity":      "pod_identity: {}",
	"oidc":              "oidc: {idp_id: idp, token_file: DIR/id_token}",
	"password":          "password: {domain_name: main, user_name: reader, password_file: DIR/password}",
	"assume_agency":     "static: {access_key: " + leakyAccessKey + ", secret_key_file: DIR/sk, security_token: " + leakyToken + "}, assume_agency: {domain_name: other, agency_name: quotas}",
}

// leakyModes select the requests that are echoed: all that issue keys, those of the second step, or all others. The others have no style of a
// rejection, or only that, because nothing more is sent with a rejected key.
var leakyModes = map[string]struct {
	echoes func(path string) bool
	styles []style
}{
	"keys":        {issues, slices.Concat(styles, refused)},
	"second step": {issuesSecond, slices.Concat(styles, refused)},
	"services":    {isOther, styles},
	"refused":     {isOther, refused},
}

func isOther(path string) bool { return !issues(path) }

func issuesSecond(path string) bool {
	return strings.HasSuffix(path, "/securitytokens") || strings.HasSuffix(path, "/securitykey")
}

func issues(path string) bool {
	return strings.HasPrefix(path, "/v3.0/") || strings.HasPrefix(path, "/v3/auth/") || strings.Contains(path, "/latest/") || strings.HasPrefix(path, "/pod-identity")
}

// leakySteps are the kinds for which keys are issued, and the number of steps.
var leakySteps = map[string]int{"instance_metadata": 2, "pod_identity": 1, "oidc": 2, "password": 1, "assume_agency": 1}

// TestNoSecretIsShown uses every kind of credentials with a cloud that echoes requests in every style, and checks all output of the program: logs,
// pages, output of commands, and errors.
func TestNoSecretIsShown(t *testing.T) {
	for kind, credentials := range leakyKinds {
		for name, mode := range leakyModes {
			if steps := map[string]int{"keys": 1, "second step": 2}[name]; leakySteps[kind] < steps {
				continue
			}
			t.Run(kind+" "+name, func(t *testing.T) {
				cloud := &echoing{cloud: leakyCloud(), echoes: mode.echoes, styles: mode.styles, asked: map[string]int{}, issued: map[string]bool{}}
				server := httptest.NewServer(cloud)
				defer server.Close()
				dir := leakyMachine(t, server.URL)
				yaml := "services: {defaults: {max_in_flight: 64}, ces: {enabled: false}, dcs: {enabled: false}}\naccounts:\n"
				for i := range styles {
					yaml += leakyAccount(i, strings.NewReplacer("URL", `"`+server.URL+`"`, "DIR", dir).Replace(credentials), server.URL)
				}
				said := everything(t, write(t, "config.yml", yaml))
				words := leakyWords
				for _, secret := range cloud.secrets() {
					words = append(words, secret[:12])
				}
				for _, secret := range append(cloud.secrets(), leakyToken, leakyPassword, leakyIDToken, leakyPodToken) {
					words = append(words, base64.StdEncoding.EncodeToString([]byte(secret[:12])))
				}
				for _, word := range words {
					if i := strings.Index(said, word); i >= 0 {
						t.Errorf("%s shows in\n%s", word, said[max(0, i-500):min(len(said), i+200)])
					}
				}
				if signature := regexp.MustCompile(`Signature(=|%3D)[0-9a-f]+`).FindString(said); signature != "" {
					t.Errorf("a signature is shown: %s", signature)
				}
				for i := range mode.styles { // there was something to hide, in each style that is shown at all
					if !strings.Contains(said, fmt.Sprint("echo-", i)) && (name == "services" || i == 0) {
						t.Errorf("nothing of style %d is shown in\n%.3000s", i, said)
					}
				}
				contains(t, said, "<hidden>")
			})
		}
	}
}

// everything runs all commands with a configuration, and returns all their output.
func everything(t *testing.T, file string) string {
	t.Helper()
	r := serve(t, "", file, nil)
	r.log.waitFor(t, "redentials")
	said := ""
	for range 2 { // the second one shows what was too late for the first
		for _, path := range []string{"/metrics", "/", "/sd", "/probe?target=p00", "/metrics?collect[]=x", "/metrics?project[]=x", "/-/ready"} {
			said += r.get(t, path)
		}
	}
	said += check(t, file, false) + check(t, file, true)
	for _, q := range []command.Query{{Output: "json"}, {Projects: []string{"x"}}} {
		said += query(t, file, q)
	}
	c, err := config.Load(t.Context(), file, providerstest.Five(), os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	said += fmt.Sprintf("%v %+v %#v", c, c, c)
	for _, a := range c.Accounts {
		said += fmt.Sprintf("%+v %#v %+v %+v", a.Credentials, a.Credentials, a.Credentials.Static, a.Credentials.Password)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	bad := strings.Replace(string(text), "projects:", leakySecretKey+": {"+leakyToken+": x}\n    projectz: "+leakyIDToken+" #", 1)
	if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	reloaded := r.post(t, "/-/reload")
	contains(t, reloaded, "500\n", "the previous configuration is still active")
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	return said + reloaded + check(t, file, true) + r.log.String()
}

// leakyAccount has a configured project, one that is looked up, and everything that can be discovered.
func leakyAccount(i int, credentials, url string) string {
	return fmt.Sprintf(`  - name: a%02[1]d
    credentials: {%[2]s}
    endpoints: {default: %[3]q, iam: %[3]q}
    projects: [{id: "%032[1]d", region: ap-southeast-3, name: p%02[1]d}, {region: ap-southeast-1, name: q%02[1]d}]
    discovery: {exclude: "ap-southeast-3_p(0[1-9]|1.)"}
`, i, credentials, url)
}

// leakyCloud has all configured secrets.
func leakyCloud() *cloudtest.Cloud {
	var projects []cloudsim.Project
	for i := range styles {
		projects = append(projects, cloudsim.Project{ID: fmt.Sprintf("%032d", i), Name: fmt.Sprintf("ap-southeast-3_p%02d", i)})
	}
	cloud := cloudtest.New(
		cloudsim.Account{Name: "main", AccessKey: leakyAccessKey, SecretKey: leakySecretKey, SecurityToken: leakyToken, Projects: projects},
		cloudsim.Account{Name: "other"},
	)
	cloud.SetIdentities("main", cloudtest.Identities{
		Users:            []cloudtest.User{{Name: "reader", Password: leakyPassword}},
		IdentityProvider: cloudtest.IdentityProvider{ID: "idp", IDToken: leakyIDToken},
	})
	cloud.SetIdentities("other", cloudtest.Identities{Agencies: []cloudtest.Agency{{Name: "quotas", Trusts: "main"}}})
	cloud.SetMachine(cloudtest.Machine{Account: "main", PodAuthorization: leakyPodToken})
	return cloud
}

// leakyMachine has the files on the machine of the exporter.
func leakyMachine(t *testing.T, url string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, contents := range map[string]string{
		"sk": leakySecretKey, "id_token": leakyIDToken, "password": leakyPassword, "pod_token": leakyPodToken,
		"profile": "[basic]\nak = " + leakyAccessKey + "\nsk = " + leakySecretKey + "\nsecurity_token = " + leakyToken + "\n",
	} {
		if err := os.WriteFile(dir+"/"+name, []byte(contents), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range map[string]string{
		"HUAWEICLOUD_SDK_AK": leakyAccessKey, "HUAWEICLOUD_SDK_SK": leakySecretKey, "HUAWEICLOUD_SDK_SECURITY_TOKEN": leakyToken,
		"HC_CONTAINER_CREDENTIALS_FULL_URI": url + "/pod-identity/credentials", "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE": dir + "/pod_token",
	} {
		t.Setenv(name, value)
	}
	return dir
}

// echoing is a simulated cloud that echoes some requests. Requests of one kind get one style of echo after the other.
type echoing struct {
	cloud  *cloudtest.Cloud
	echoes func(path string) bool
	styles []style

	mu     sync.Mutex
	asked  map[string]int  // requests that were echoed, by kind
	issued map[string]bool // keys and tokens that the cloud has issued
}

// bearers are the headers with proofs of identity.
var bearers = []string{"Authorization", "X-Auth-Token", "X-Security-Token", "X-Metadata-Token"}

func (e *echoing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if e.echoes(r.URL.Path) {
		n := e.count(r)
		style := e.styles[n%len(e.styles)]
		echo := fmt.Sprintf("echo-%d", n%len(e.styles))
		for i := range bearers { // each is first in turn, because only the beginning is shown
			name := bearers[(n/len(e.styles)+i)%len(bearers)]
			if value := r.Header.Get(name); value != "" {
				echo += "\n" + name + ": " + style.spell(value)
			}
		}
		for _, value := range valuesIn(body) {
			echo += "\n" + style.spell(value)
		}
		style.reply(w, echo)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := httptest.NewRecorder()
	e.cloud.ServeHTTP(answer, r)
	e.remember(answer)
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// count numbers the requests of a kind: those for a project by the project, whose name ends in a number, others in order of arrival.
func (e *echoing) count(r *http.Request) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	kind := fmt.Sprint(r.URL.Path, r.URL.Query().Has("page"))
	n := e.asked[kind]
	e.asked[kind]++
	if m := regexp.MustCompile(`/0{30}(\d\d)/`).FindStringSubmatch(r.URL.Path); m != nil {
		return int(m[1][0]-'0')*10 + int(m[1][1]-'0') + n*len(e.styles)
	}
	return n
}

var issuedKeys = regexp.MustCompile(`"(?:access|secret|securitytoken|accessKeyId|secretAccessKey|securityToken)":\s*"([^"]+)"`)

func (e *echoing) remember(answer *httptest.ResponseRecorder) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range issuedKeys.FindAllStringSubmatch(answer.Body.String(), -1) {
		e.issued[m[1]] = true
	}
	if strings.HasPrefix(answer.Header().Get("Content-Type"), "text/asItIs") && answer.Code == http.StatusOK { // of the metadata service
		e.issued[answer.Body.String()] = true
	}
	if token := answer.Header().Get("X-Subject-Token"); token != "" {
		e.issued[token] = true
	}
}

// secrets returns the issued secrets so far.
func (e *echoing) secrets() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Keys(e.issued))
}

// valuesIn returns the texts in a JSON body, the longest first, because only the beginning is shown.
func valuesIn(body []byte) []string {
	var values []string
	for decoder := json.NewDecoder(bytes.NewReader(body)); ; {
		token, err := decoder.Token()
		if err != nil {
			slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) })
			return values
		}
		if value, ok := token.(string); ok {
			values = append(values, value)
		}
	}
}

// style is a form of echo: the spelling of a value, and the kind of response.
type style struct {
	spell func(string) string
	reply func(w http.ResponseWriter, echo string)
}

func asItIs(text string) string { return text }

// inJSON encodes a text as in JSON, without the quotes.
func inJSON(text string) string { return strings.TrimSuffix(strings.TrimPrefix(quote(text), `"`), `"`) }

var styles = []style{
	{inJSON, func(w http.ResponseWriter, echo string) {
		reply(w, 403, `{"error_code":"X.1","error_msg":`+quote(echo)+`}`)
	}},
	{html.EscapeString, func(w http.ResponseWriter, echo string) { reply(w, 500, "<pre>"+echo+"</pre>") }},
	{asItIs, func(w http.ResponseWriter, echo string) { reply(w, 400, `{"sent":`+quote(echo)+`}`) }},
	{asItIs, func(w http.ResponseWriter, echo string) { reply(w, 200, echo) }},
	{asItIs, func(w http.ResponseWriter, echo string) { reply(w, 200, whatever(echo)) }},
	{asItIs, func(w http.ResponseWriter, echo string) {
		w.Header().Set("X-Request-Id", strings.ReplaceAll(echo, "\n", " "))
		reply(w, 404, `{"error_code":`+quote(echo)+`}`)
	}},
	{asItIs, func(w http.ResponseWriter, echo string) {
		w.Header().Set("Location", "https://"+regexp.MustCompile(`[\s:]+`).ReplaceAllString(echo, ".")+"/"+url.PathEscape(echo))
		reply(w, 302, "")
	}},
	{asItIs, func(w http.ResponseWriter, echo string) { raw(w, strings.Join(strings.Fields(echo), "_")+"\r\n\r\n") }},
	{asItIs, func(w http.ResponseWriter, echo string) {
		raw(w, "HTTP/1.1 200 "+strings.ReplaceAll(echo, "\n", " ")+"\r\nContent-Length: 99\r\n\r\nhalf")
	}},
	{inBase64, func(w http.ResponseWriter, echo string) { reply(w, 400, echo) }},
}

var refused = []style{{url.QueryEscape, func(w http.ResponseWriter, echo string) { reply(w, 401, echo) }}}

// inBase64 encodes a secret on its own; a signature has others next to it.
func inBase64(text string) string {
	if strings.HasPrefix(text, "SDK-HMAC-SHA256") {
		return "signed"
	}
	return base64.StdEncoding.EncodeToString([]byte(text))
}

func reply(w http.ResponseWriter, status int, body string) {
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// raw sends a response that net/http's server would not send.
func raw(w http.ResponseWriter, answer string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, answer)
}

func quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(quoted)
}

// whatever is a response that every API could send, with an echo in every text: a resource and a unit, the ID and the name of a project.
func whatever(echo string) string {
	name := quote(echo[:min(len(echo), 250)])
	list := `{"resources":[{"type":` + name + `,"unit":` + quote(echo[:min(len(echo), 30)]) + `,"used":1,"quota":2},{"type":"x","used":` + name + `}]}`
	return `{"quotas":` + list + `,` + list[1:len(list)-1] + `,"audit_quota":{"cpu":1,"ram":` + name + `},"instances":[],"total":0,` +
		`"projects":[{"id":` + name + `,"name":"ap-southeast-1"},{"id":"1","name":` + quote("ap-southeast-1_"+echo[:min(len(echo), 250)]) + `}]}`
}
