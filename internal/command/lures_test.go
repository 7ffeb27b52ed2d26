package command_test

import (
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"

	"cloud_quota_exporter/internal/command"
)

// lures are texts with which a cloud, or a server in its place, could mislead people: in the format of an error of this program, of a line that a
// command prints, and of one that overwrites the previous line. N is the number of the lure.
var lures = []string{
	"x; open https://evil.example/N and log in",
	"x\n  -> open https://evil.example/N and log in",
	"x\r\x1b[1A\x1b[2K  -> open https://evil.example/N and log in",
}

// baits are responses that contain a lure in every text that is shown.
var baits = []func(w http.ResponseWriter, lure string){
	refusal(http.StatusBadRequest),
	refusal(http.StatusUnauthorized),
	refusal(http.StatusForbidden),
	refusal(http.StatusNotFound),
	refusal(http.StatusTooManyRequests),
	refusal(http.StatusServiceUnavailable),
	func(w http.ResponseWriter, lure string) {
		w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
		refusal(http.StatusUnauthorized)(w, lure)
	},
	func(w http.ResponseWriter, lure string) {
		w.Header().Set("Location", regexp.MustCompile(`https://\S+`).FindString(lure))
		reply(w, http.StatusFound, lure)
	},
	func(w http.ResponseWriter, lure string) { reply(w, http.StatusOK, lure) },
	func(w http.ResponseWriter, lure string) { // valid and invalid resources; a configured and a discovered project
		name := quote(lure)
		list := `"resources":[{"type":` + name + `,"unit":` + quote(lure[:min(len(lure), 30)]) + `,"used":1,"quota":2},
			{"type":` + quote("y"+lure) + `,"used":` + name + `},{"type":` + name + `,"used":3}]`
		reply(w, http.StatusOK, `{"quotas":{`+list+`},`+list+`,"audit_quota":1,"cpu":1,"ram":`+name+`,"instances":[],"total":0,
			"projects":[{"id":"1","name":"ap-southeast-1"},{"id":`+name+`,"name":`+quote("ap-southeast-3_"+lure)+`}]}`)
	},
	func(w http.ResponseWriter, lure string) { // nothing valid, and several projects instead of one
		list := `"resources":[{"type":` + quote(lure) + `,"used":` + quote(lure) + `}]`
		reply(w, http.StatusOK, `{"quotas":{`+list+`},`+list+`,"audit_quota":`+quote(lure)+`,
			"projects":[{"id":`+quote(lure)+`,"name":"ap-southeast-1"},{"id":`+quote("y"+lure)+`,"name":"ap-southeast-1"}]}`)
	},
	func(w http.ResponseWriter, lure string) {
		raw(w, "HTTP/1.1 200 OK\r\n"+strings.Map(oneLine, lure)+"\r\n\r\n")
	},
	func(w http.ResponseWriter, lure string) {
		raw(w, "HTTP/1.1 200 "+strings.Map(oneLine, lure)+"\r\nContent-Length: 99\r\n\r\nhalf")
	},
}

// refusal has a lure in the code, the message, and the ID of the request.
func refusal(status int) func(w http.ResponseWriter, lure string) {
	return func(w http.ResponseWriter, lure string) {
		w.Header().Set("X-Request-Id", strings.Map(oneLine, lure))
		w.Header().Set("Retry-After", strings.Map(oneLine, lure))
		reply(w, status, `{"error_code":`+quote(lure)+`,"error_msg":`+quote(lure)+`}`)
	}
}

func oneLine(r rune) rune {
	if r < ' ' {
		return ' '
	}
	return r
}

// TestRemedyHasNoTextOfTheCloud: remedies only contain this program's own text, whatever the response to any request: in the output of commands, in
// JSON, and on the status page. No text from a response starts a line.
func TestRemedyHasNoTextOfTheCloud(t *testing.T) {
	shown := map[string]map[string]bool{} // remedies, by kind of credentials
	for kind, credentials := range leakyKinds {
		if leakySteps[kind] == 0 && kind != "static" {
			continue // the source of permanent keys makes no difference
		}
		t.Run(kind, func(t *testing.T) {
			shown[kind] = luredBy(t, kind, credentials)
			for remedy := range shown[kind] {
				if strings.Contains(remedy, "evil") {
					t.Errorf("the remedy is %q", remedy)
				}
			}
		})
	}
	for kind, wants := range map[string][]string{
		"static": {
			"check that the credentials are correct, active, and issued by this cloud",
			"synchronize this machine's clock with NTP",
			"set endpoints.cts if the service has moved (redirects are not followed)",
			"grant the IAM action dcs:quota:get, and check that the project ID belongs to this account; cloud_quota_exporter policy prints the project-level policy",
			"grant the IAM action iam:projects:listProjects; cloud_quota_exporter policy prints the account-level policy",
			"check endpoints and the proxy (something other than the API may have responded)",
			"set the project ID: projects: [{id: ..., region: ap-southeast-1, name: ...}]",
		},
		"oidc":              {"check idp_id and the token in token_file", "set endpoints.iam if the service has moved (redirects are not followed)"},
		"instance_metadata": {"configure another kind of credentials, unless this is an ECS with a failing metadata service", "the failure is on the metadata service's side, and the exporter will retry"},
		"pod_identity":      {"the failure is on the side of CCE's agent on this node, and the exporter will retry"},
		"assume_agency":     {"check what responds at this URL (it may not be a service that issues keys)"},
		"password":          {"enable programmatic access and disable multi-factor authentication for the user"},
	} {
		for _, want := range wants {
			if !shown[kind][want] {
				t.Errorf("%s: %q is not shown, but %q", kind, want, slices.Sorted(maps.Keys(shown[kind])))
			}
		}
	}
}

// luredBy returns each bait with each lure to an account, in response to the request that issues its keys, or otherwise to its quota requests. It
// returns the remedies.
func luredBy(t *testing.T, kind, credentials string) map[string]bool {
	t.Helper()
	cloud := leakyCloud()
	var urls []string
	n := len(baits) * len(lures)
	if leakySteps[kind] > 0 {
		n = len(baits) // each of which has one lure, in turn
	}
	for i := range n {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if issues(r.URL.Path) != (leakySteps[kind] > 0) {
				cloud.ServeHTTP(w, r)
				return
			}
			baits[i%len(baits)](w, strings.ReplaceAll(lures[i%len(lures)], "N", fmt.Sprint(i)))
		}))
		t.Cleanup(server.Close)
		urls = append(urls, server.URL)
	}
	dir := leakyMachine(t, urls[len(urls)-1])
	yaml := "accounts:\n"
	for i, url := range urls {
		yaml += leakyAccount(i, own(i).Replace(strings.NewReplacer("URL", `"`+url+`"`, "DIR", dir).Replace(credentials)), url)
	}
	file := write(t, "config.yml", yaml)
	remedies := map[string]bool{}
	for _, text := range []string{check(t, file, true), query(t, file, command.Query{}), query(t, file, command.Query{Projects: []string{"x"}})} {
		wantOwnLines(t, text)
		for _, m := range regexp.MustCompile(`(?m)^\s*-> (.*)$`).FindAllStringSubmatch(text, -1) {
			remedies[m[1]] = true
		}
	}
	answer, _, _ := strings.Cut(query(t, file, command.Query{Output: "json"}), "--- stderr")
	maps.Copy(remedies, remediesInJSON(t, answer))
	page, logged := pageOf(t, yaml)
	for _, m := range regexp.MustCompile(`(?s)<span>What to do:</span>(.*?)</p>`).FindAllStringSubmatch(page, -1) {
		remedies[strings.TrimSpace(html.UnescapeString(m[1]))] = true
	}
	wantOwnLines(t, logged)
	for i := range urls {
		if evil := fmt.Sprintf("evil.example/%d", i); leakySteps[kind] == 0 && !strings.Contains(page, evil) && !strings.Contains(page, url.PathEscape(evil)) {
			t.Errorf("nothing of bait %d is shown on\n%s", i, page)
		}
	}
	return remedies
}

// own gives an account its own key and its own user, because a rejected one is not tried for any other account.
func own(account int) *strings.Replacer {
	n := fmt.Sprint(account)
	return strings.NewReplacer("access_key: "+leakyAccessKey, "access_key: "+leakyAccessKey+n, "user_name: reader", "user_name: reader"+n)
}

// wantOwnLines asserts that no text from elsewhere starts a line or moves the cursor.
func wantOwnLines(t *testing.T, text string) {
	t.Helper()
	if m := regexp.MustCompile(`(?m)^\s*(->|open) .*evil.*$|^.*[\r\x1b].*$`).FindString(text); m != "" {
		t.Errorf("a line is %q in\n%s", m, text)
	}
}

func remediesInJSON(t *testing.T, text string) map[string]bool {
	t.Helper()
	var answer struct {
		Failures []struct{ Project, Error, Remedy string }
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || len(answer.Failures) == 0 {
		t.Fatalf("%v in\n%s", err, text)
	}
	remedies := map[string]bool{}
	for _, f := range answer.Failures {
		remedies[f.Remedy] = true
		if f.Remedy == "" || !strings.HasSuffix(f.Error, "; "+f.Remedy) {
			t.Errorf("%s: remedy %q of %q", f.Project, f.Remedy, f.Error)
		}
	}
	return remedies
}

// nextProblems is the link to more problems on the status page.
var nextProblems = regexp.MustCompile(`href="(\?problem_page=\d+)#problems">Next<`)

// pageOf returns the status page with all its pages of problems, and the log.
func pageOf(t *testing.T, yaml string) (page, logged string) {
	t.Helper()
	var out output
	handler, err := command.NewHandler(log.NewLogfmtLogger(log.NewSyncWriter(&out)), yaml, new(net.Dialer).DialContext)
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) string {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		_, text, _ := strings.Cut(w.Body.String(), "<main>")
		return text
	}
	get("/") // the next one shows what is too late for this one
	for next := []string{"", ""}; next != nil; {
		text := get("/" + next[1])
		page += text
		next = nextProblems.FindStringSubmatch(text)
	}
	return page, out.String()
}
