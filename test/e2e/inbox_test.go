package e2e

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/notifications anew, to be read before it is committed")

// inbox receives notifications.
type inbox struct {
	http, smtp string // where

	mu      sync.Mutex
	letters []letter
}

// letter is a notification.
type letter struct {
	kind, receiver string // webhook, chat or mail
	text           string // a webhook's JSON; title, an empty line and text of others
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

// serveHTTP receives what webhooks send to /<receiver>, and to /chat/<receiver> what a chat would get.
func (in *inbox) serveHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // half a body is no JSON
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

// all returns the letters of a kind, or of a kind to a receiver, in the order in which they came.
func (in *inbox) all(kind, receiver string) []letter {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(in.letters), func(l letter) bool {
		return l.kind != kind || receiver != "" && l.receiver != receiver
	})
}

// nth waits for a letter, the first being 1.
func (in *inbox) nth(t *testing.T, n int, kind, receiver string) string {
	t.Helper()
	var all []letter
	eventually(t, fmt.Sprintf("%s %d to %s", kind, n, receiver), func() (string, bool) {
		all = in.all(kind, receiver)
		return fmt.Sprintf("%d letters", len(all)), len(all) >= n
	})
	return all[n-1].text
}

// tells waits until all that webhooks sent is this, in this order: each the receiver, and names of alerts with their status.
func (in *inbox) tells(t *testing.T, want ...string) {
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

// subject says what a webhook's JSON is about.
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

// varying is what differs between two runs: times of this century, and the address of Prometheus, which is followed by the expression of a
// rule.
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
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if want := readFile(t, file); got != want {
		t.Errorf("%s: -got +want\n%s", file, difference(got, want))
	}
}
