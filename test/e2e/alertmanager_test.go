package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/textproto"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// alertmanager is a running Alertmanager with the shipped configuration and template.
type alertmanager struct {
	at    string // the address at which it listens
	inbox *inbox // output
}

// startAlertmanager changes the group waits of the shipped configuration, and the addresses of the receivers. The receivers for mail and chat, which
// are shipped as comments, are enabled in addition to the webhook. More can be replaced, as with replace.
func startAlertmanager(t *testing.T, wait time.Duration, more ...string) *alertmanager {
	t.Helper()
	dir, in := t.TempDir(), newInbox(t)
	config := replace(t, readFile(t, deploy+"alertmanager/alertmanager.yml"),
		`(?m)^    # `, "    ",
		`(group_(?:wait|interval)): \d+\w`, "$1: "+wait.String(),
		`http://127\.0\.0\.1:5001`, in.http,
		`/etc/alertmanager/cloud_quota_chat_url`, save(t, dir+"/chat_url", in.http+"/chat/cloud_quota"),
		`smarthost: .*`, "smarthost: "+in.smtp+"\n        require_tls: false")
	config = replace(t, config, more...)
	save(t, dir+"/cloud_quota.tmpl", readFile(t, deploy+"alertmanager/cloud_quota.tmpl"))
	p := startProcess(t, alertmanagerBinary, "--config.file="+save(t, dir+"/alertmanager.yml", config), "--storage.path="+filepath.Join(dir, "data"),
		"--web.listen-address=127.0.0.1:0", "--web.external-url=http://alertmanager.example.com:9093", "--cluster.listen-address=")
	return &alertmanager{at: p.address(t), inbox: in}
}

// alerted runs a Prometheus that scrapes an exporter, evaluates the shipped rules, and sends alerts. It returns when Prometheus has discovered
// Alertmanager. minute is the length of a minute of the rules.
func (a *alertmanager) alerted(t *testing.T, exporter string, minute time.Duration) *prometheus {
	t.Helper()
	p := startPrometheus(t, fmt.Sprintf("rule_files: [%q]\nalerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}\n", rulesWithMinutesOf(t, minute), a.at)+
		scraping(exporter, time.Second))
	eventually(t, "Prometheus knows Alertmanager", func() (string, bool) {
		var data struct{ ActiveAlertmanagers []any }
		err := p.get("/api/v1/alertmanagers", nil, &data)
		return fmt.Sprint(err), len(data.ActiveAlertmanagers) == 1
	})
	return p
}

// rulesWithMinutesOf returns a file with the shipped rules, in which minutes have another length. Ranges of minutes are at least three seconds, which
// is three scrapes.
func rulesWithMinutesOf(t *testing.T, minute time.Duration) string {
	t.Helper()
	durations := regexp.MustCompile(`(?m)(^\s+(?:interval|for|keep_firing_for): |\[)(\d+[mh])(?:$|\])`)
	rules := durations.ReplaceAllStringFunc(readFile(t, shippedRules), func(text string) string {
		m := durations.FindStringSubmatch(text)
		d, err := time.ParseDuration(m[2])
		if err != nil {
			t.Fatal(err)
		}
		d = time.Duration(d.Minutes() * float64(minute))
		if m[1] == "[" {
			return fmt.Sprintf("[%dms]", max(d, 3*time.Second).Milliseconds())
		}
		return fmt.Sprintf("%s%dms", m[1], d.Milliseconds())
	})
	return save(t, filepath.Join(t.TempDir(), "rules.yml"), rules)
}

// alert is an alert in Alertmanager's API.
type alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations,omitempty"`
	StartsAt    time.Time         `json:"startsAt,omitzero"`
	EndsAt      time.Time         `json:"endsAt,omitzero"`
}

// nameOf writes the labels that distinguish alerts.
func nameOf(labels map[string]string) string {
	words := []string{labels["alertname"], labels["severity"]}
	for _, label := range []string{"account", "job", "instance", "project", "service", "resource_type"} {
		if value := labels[label]; value != "" {
			words = append(words, label+"="+value)
		}
	}
	return strings.Join(words, " ")
}

// labeled returns the labels in a name: "<alertname> <severity> <label>=<value>...".
func labeled(name string) map[string]string {
	words := strings.Fields(name)
	labels := map[string]string{"alertname": words[0], "severity": words[1]}
	for _, word := range words[2:] {
		label, value, _ := strings.Cut(word, "=")
		labels[label] = value
	}
	return labels
}

// post sends alerts as Prometheus does.
func (a *alertmanager) post(t *testing.T, alerts []alert) {
	t.Helper()
	body, err := json.Marshal(alerts)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post("http://"+a.at+"/api/v2/alerts", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("Alertmanager rejected alerts: %s", resp.Status)
	}
}

// has waits until Alertmanager has these alerts and no others: names, with " < " and the alertname of the alert that inhibits it.
func (a *alertmanager) has(t *testing.T, want ...string) {
	t.Helper()
	slices.Sort(want)
	eventually(t, "alerts and their inhibitions", func() (string, bool) {
		_, body, err := get("http://" + a.at + "/api/v2/alerts")
		var all []struct {
			Fingerprint string
			Labels      map[string]string
			Status      struct{ InhibitedBy []string }
		}
		if err = errors.Join(err, json.Unmarshal([]byte(body), &all)); err != nil {
			return err.Error(), false
		}
		alertnames := map[string]string{}
		for _, one := range all {
			alertnames[one.Fingerprint] = one.Labels["alertname"]
		}
		var got []string
		for _, one := range all {
			line := nameOf(one.Labels)
			for _, by := range one.Status.InhibitedBy {
				line += " < " + alertnames[by]
			}
			got = append(got, line)
		}
		slices.Sort(got)
		return "-got +want\n" + difference(strings.Join(got, "\n"), strings.Join(want, "\n")), slices.Equal(got, want)
	})
}

var update = flag.Bool("update", false, "write testdata/notifications; read the diff before you commit it")

// inbox receives notifications.
type inbox struct {
	http, smtp string // where

	mu      sync.Mutex
	letters []letter
}

// letter is a notification.
type letter struct {
	kind, receiver string // webhook, chat, or mail
	text           string // JSON of a webhook; otherwise title, empty line, and text
}

// newInbox listens until the test ends.
func newInbox(t *testing.T) *inbox {
	t.Helper()
	in := &inbox{}
	server := httptest.NewServer(http.HandlerFunc(in.serveHTTP))
	t.Cleanup(server.Close)
	in.http = server.URL
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	in.smtp = listener.Addr().String()
	go in.serveMail(listener)
	return in
}

// serveHTTP receives the notifications of webhooks at /<receiver>, and of chats at /chat/<receiver>.
func (in *inbox) serveHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // half a body is not JSON
	receiver := filepath.Base(r.URL.Path)
	l := letter{"webhook", receiver, string(body)}
	if r.URL.Path != "/"+receiver {
		var message struct {
			Attachments []struct{ Title, Text string }
		}
		if err := json.Unmarshal(body, &message); err != nil || len(message.Attachments) != 1 {
			http.Error(w, fmt.Sprintf("not one attachment: %v", err), http.StatusBadRequest)
			return
		}
		l = letter{"chat", receiver, message.Attachments[0].Title + "\n\n" + message.Attachments[0].Text}
	}
	in.add(l)
	_, _ = io.WriteString(w, "ok") // without it, Slack would have failed
}

func (in *inbox) add(l letter) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.letters = append(in.letters, l)
}

// all returns the letters of a kind, or of a kind to a receiver, in the order of arrival.
func (in *inbox) all(kind, receiver string) []letter {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(in.letters), func(l letter) bool {
		return l.kind != kind || receiver != "" && l.receiver != receiver
	})
}

// nth waits for the nth letter, starting with 1.
func (in *inbox) nth(t *testing.T, n int, kind, receiver string) string {
	t.Helper()
	var all []letter
	eventually(t, fmt.Sprintf("%s %d to %s", kind, n, receiver), func() (string, bool) {
		all = in.all(kind, receiver)
		return fmt.Sprintf("%d letters", len(all)), len(all) >= n
	})
	return all[n-1].text
}

// sends waits until the webhooks have sent exactly these notifications, in this order. Each is the receiver, and the names and states of its alerts.
func (in *inbox) sends(t *testing.T, want ...string) {
	t.Helper()
	eventually(t, "notifications", func() (string, bool) {
		var got []string
		for _, l := range in.all("webhook", "") {
			got = append(got, l.receiver+": "+subject(t, l.text))
		}
		if len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
			t.Fatalf("notifications:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		return strings.Join(got, "\n"), len(got) == len(want)
	})
}

// subject summarizes the JSON of a webhook.
func subject(t *testing.T, text string) string {
	t.Helper()
	var message struct {
		Alerts []struct {
			Status string
			Labels map[string]string
		}
	}
	if err := json.Unmarshal([]byte(text), &message); err != nil {
		t.Fatal(err)
	}
	var alerts []string
	for _, a := range message.Alerts {
		alerts = append(alerts, nameOf(a.Labels)+" "+a.Status)
	}
	return strings.Join(alerts, ", ")
}

// varying matches what differs between two runs: times, and the address of Prometheus with the expression of a rule after it.
var varying = regexp.MustCompile(`20\d\d-\d\d-\d\d[T ]\d\d:\d\d(:[\d.]+Z)?|http://[^/]+/graph\?[^"]+`)

// isGolden compares a notification with a file.
func isGolden(t *testing.T, file, got string) {
	t.Helper()
	var indented bytes.Buffer
	if json.Indent(&indented, []byte(got), "", "  ") == nil {
		got = indented.String()
	}
	got = strings.TrimSpace(varying.ReplaceAllString(got, "VARIES")) + "\n"
	file = filepath.Join("testdata", "notifications", file)
	if *update {
		save(t, file, got)
	}
	if want := readFile(t, file); got != want {
		t.Errorf("%s: -got +want\n%s", file, difference(got, want))
	}
}

// serveMail receives mail until the listener is closed.
func (in *inbox) serveMail(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go in.receiveMail(textproto.NewConn(conn))
	}
}

// receiveMail implements as much SMTP as one mail needs. If a mail fails, the test that waits for it fails.
func (in *inbox) receiveMail(conn *textproto.Conn) {
	defer conn.Close()
	_ = conn.PrintfLine("220 inbox")
	for {
		switch line, err := conn.ReadLine(); {
		case err != nil:
			return
		case line == "QUIT":
			_ = conn.PrintfLine("221 bye")
			return
		case line == "DATA":
			_ = conn.PrintfLine("354 continue")
			message, err := conn.ReadDotBytes()
			if err != nil {
				return
			}
			text, err := readMail(message)
			if err != nil {
				text = err.Error()
			}
			in.add(letter{"mail", "cloud_quota", text})
			_ = conn.PrintfLine("250 received")
		default:
			_ = conn.PrintfLine("250 ok")
		}
	}
}

// readMail returns the subject, and the text of all parts.
func readMail(message []byte) (string, error) {
	m, err := mail.ReadMessage(bytes.NewReader(message))
	if err != nil {
		return "", err
	}
	text, errSubject := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	_, parameters, errType := mime.ParseMediaType(m.Header.Get("Content-Type"))
	err = errors.Join(errSubject, errType)
	text += "\n\n"
	for parts := multipart.NewReader(m.Body, parameters["boundary"]); err == nil; {
		var part *multipart.Part
		if part, err = parts.NextPart(); err == nil {
			var read []byte
			read, err = io.ReadAll(part)
			text += string(read)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return text, err
}
