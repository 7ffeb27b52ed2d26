package command_test

import (
	"bytes"
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
		echo := fmt.Sprintf("echo-%d", n%len(styles))
		for i := range bearers { // each comes first in turn, since only the beginning is shown
			name := bearers[(n/len(styles)+i)%len(bearers)]
			if value := r.Header.Get(name); value != "" {
				echo += "\n" + name + ": " + value
			}
		}
		styles[n%len(styles)](w, echo+"\n"+string(body))
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
	if strings.HasPrefix(answer.Header().Get("Content-Type"), "text/plain") && answer.Code == http.StatusOK { // of the metadata service
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

// styles are ways in which what was sent comes back.
var styles = []func(w http.ResponseWriter, echo string){
	func(w http.ResponseWriter, echo string) {
		reply(w, 403, `{"error_code":"X.1","error_msg":`+quote(echo)+`}`)
	},
	func(w http.ResponseWriter, echo string) { reply(w, 500, "<pre>"+html.EscapeString(echo)+"</pre>") },
	func(w http.ResponseWriter, echo string) { reply(w, 400, `{"sent":`+quote(quote(echo))+`}`) },
	func(w http.ResponseWriter, echo string) { reply(w, 401, url.QueryEscape(echo)) },
	func(w http.ResponseWriter, echo string) { reply(w, 200, echo) },
	func(w http.ResponseWriter, echo string) { reply(w, 200, whatever(echo)) },
	func(w http.ResponseWriter, echo string) {
		w.Header().Set("X-Request-Id", strings.ReplaceAll(echo, "\n", " "))
		reply(w, 404, `{"error_code":`+quote(echo)+`}`)
	},
	func(w http.ResponseWriter, echo string) {
		w.Header().Set("Location", "https://"+regexp.MustCompile(`[\s:]+`).ReplaceAllString(echo, ".")+"/"+url.PathEscape(echo))
		reply(w, 302, "")
	},
	func(w http.ResponseWriter, echo string) { raw(w, strings.Join(strings.Fields(echo), "_")+"\r\n\r\n") },
	func(w http.ResponseWriter, echo string) {
		raw(w, "HTTP/1.1 200 "+strings.ReplaceAll(echo, "\n", " ")+"\r\nContent-Length: 99\r\n\r\nhalf")
	},
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
