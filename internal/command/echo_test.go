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
	"regexp"
	"slices"
	"strings"
	"sync"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// echoing is a simulated cloud that answers some requests with what it was sent. Requests of one kind get one style of echo after the other.
type echoing struct {
	cloud  *cloudtest.Cloud
	echoes func(path string) bool

	mu     sync.Mutex
	asked  map[string]int  // requests that were echoed, by kind
	issued map[string]bool // keys and tokens that the cloud gave out
}

// bearers are the headers that prove who asks.
var bearers = []string{"Authorization", "X-Auth-Token", "X-Security-Token", "X-Metadata-Token"}

func (e *echoing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if e.echoes(r.URL.Path) {
		n := e.count(r)
		style := styles[n%len(styles)]
		echo := fmt.Sprintf("echo-%d", n%len(styles))
		for i := range bearers { // each comes first in turn, since only the beginning is shown
			name := bearers[(n/len(styles)+i)%len(bearers)]
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

// count numbers the requests of a kind: those for a project by the project, which ends in a number, others as they come.
func (e *echoing) count(r *http.Request) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	kind := fmt.Sprint(r.URL.Path, r.URL.Query().Has("page"))
	n := e.asked[kind]
	e.asked[kind]++
	if m := regexp.MustCompile(`/0{30}(\d\d)/`).FindStringSubmatch(r.URL.Path); m != nil {
		return int(m[1][0]-'0')*10 + int(m[1][1]-'0') + n*len(styles)
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

// secrets returns what was given out so far.
func (e *echoing) secrets() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Keys(e.issued))
}

// valuesIn returns the texts in a body of JSON, the longest first, since only the beginning is shown.
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

// style is a way in which what was sent comes back: how a value is spelled, and in which answer.
type style struct {
	spell func(string) string
	reply func(w http.ResponseWriter, echo string)
}

func asItIs(text string) string { return text }

// inJSON spells a text as it stands between quotes.
func inJSON(text string) string { return strings.TrimSuffix(strings.TrimPrefix(quote(text), `"`), `"`) }

var styles = []style{
	{inJSON, func(w http.ResponseWriter, echo string) {
		reply(w, 403, `{"error_code":"X.1","error_msg":`+quote(echo)+`}`)
	}},
	{html.EscapeString, func(w http.ResponseWriter, echo string) { reply(w, 500, "<pre>"+echo+"</pre>") }},
	{asItIs, func(w http.ResponseWriter, echo string) { reply(w, 400, `{"sent":`+quote(echo)+`}`) }},
	{url.QueryEscape, func(w http.ResponseWriter, echo string) { reply(w, 401, echo) }},
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

// inBase64 spells a secret that is alone; a signature has others beside it.
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

// raw sends an answer that net/http's server would not.
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

// whatever is an answer that every API could give, with an echo wherever there is a text: a resource and a unit, the id and the name of a
// project.
func whatever(echo string) string {
	name := quote(echo[:min(len(echo), 250)])
	list := `{"resources":[{"type":` + name + `,"unit":` + quote(echo[:min(len(echo), 30)]) + `,"used":1,"quota":2},{"type":"x","used":` + name + `}]}`
	return `{"quotas":` + list + `,` + list[1:len(list)-1] + `,"audit_quota":{"cpu":1,"ram":` + name + `},"instances":[],"total":0,` +
		`"projects":[{"id":` + name + `,"name":"ap-southeast-1"},{"id":"1","name":` + quote("ap-southeast-1_"+echo[:min(len(echo), 250)]) + `}]}`
}
