package huaweicloud_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
)

func TestNoAnswer(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	abort := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "half")
	}
	packed := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			fmt.Fprint(w, body)
		}
	}
	const gzipHeader = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
	dialError := func(err error) huaweicloud.Dial {
		return func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
		}
	}
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		dial    huaweicloud.Dial
		base    string
		reason  string
		says    string
		events  string
	}{
		{name: "hang", handler: hang, reason: "timeout", says: "raise services.cts.timeout", events: "[cts error]"},
		{name: "reset", handler: abort, reason: "network", says: "check the network", events: "[cts error]"},
		{name: "reset in the body", handler: cut, reason: "network", says: `"200 OK", but its body broke off`, events: "[cts 200]"},
		{name: "no gzip, though it says so", handler: packed("{}, and more"), reason: "malformed", says: "gzip: invalid header; a proxy or a wrong endpoint", events: "[cts 200]"},
		{name: "damaged gzip", handler: packed(gzipHeader + "\xff\xff\xff"), reason: "malformed", says: "corrupt input", events: "[cts 200]"},
		{name: "gzip of something else", handler: packed(gzipHeader + "\x03\x00\x00\x00\x00\x01\x00\x00\x00\x00"), reason: "malformed", says: "invalid checksum", events: "[cts 200]"},
		{
			name: "headers without end", handler: func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Long", strings.Repeat("x", 300<<10)) },
			reason: "network", says: "check the network", events: "[cts error]",
		},
		{
			name: "no such host", dial: dialError(&net.DNSError{Err: "no such host", Name: "cts.nowhere.myhuaweicloud.com", IsNotFound: true}),
			reason: "network", says: "may not offer the service, or it has another host there: set endpoints.cts", events: "[cts error]",
		},
		{name: "name server out of order", dial: dialError(&net.DNSError{Err: "server misbehaving", IsTemporary: true}), reason: "network", says: "check the network", events: "[cts error]"},
		{name: "refused", dial: dialError(syscall.ECONNREFUSED), reason: "network", says: "connection refused", events: "[cts error]"},
		{name: "no route", dial: dialError(syscall.EHOSTUNREACH), reason: "network", says: "no route to host", events: "[cts error]"},
		{name: "no TLS there", base: "https", reason: "tls", says: "check endpoints", events: "[cts error]"},
		{name: "another protocol", dial: says("SSH-2.0-x\r\n"), base: "https", reason: "tls", says: "check endpoints", events: "[cts error]"},
		{name: "an echo that is no HTTP", dial: says("a-security-token\r\n"), reason: "network", says: `malformed HTTP response "<hidden>"`, events: "[cts error]"},
		{
			name: "an echo in the status", dial: says("HTTP/1.1 200 a-secret-key\r\nContent-Length: 9\r\n\r\nhalf"),
			reason: "timeout", says: `"200 <hidden>", but its body broke off`, events: "[cts 200]",
		},
		{name: "TLS that makes no sense", dial: says("\x16\x03\x03\x00\x04\xff\x00\x00\x00"), base: "https", reason: "tls", says: "check endpoints", events: "[cts error]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, _, events := client(t, tc.handler)
			if tc.dial != nil {
				c.HTTP = huaweicloud.NewHTTPClient(tc.dial, "", 1)
			}
			if tc.base != "" {
				c.BaseURL = strings.Replace(c.BaseURL, "http", tc.base, 1)
			}
			patience := time.Minute
			if tc.reason == "timeout" {
				patience = 100 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := c.Get(ctx, "/v3/{project_id}/quotas")
			var e *huaweicloud.TransportError
			if !errors.As(err, &e) || huaweicloud.Reason(err) != tc.reason {
				t.Fatalf("got %v, reason %s; want a TransportError, %s", err, huaweicloud.Reason(err), tc.reason)
			}
			if text := err.Error(); !strings.Contains(text, tc.says) || strings.Count(text, "http://")+strings.Count(text, "https://") != 1 {
				t.Errorf("the error says\n%s\nwant %q, and the URL once", text, tc.says)
			}
			if got := fmt.Sprint(*events); got != tc.events {
				t.Errorf("events = %s, want %s", got, tc.events)
			}
		})
	}
}

// says is a host that answers with text, whatever it is asked. It waits for a request: what comes before any is not taken for an answer.
func says(text string) huaweicloud.Dial {
	return func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			_, _ = far.Read(make([]byte, 1))
			go func() { _, _ = io.Copy(io.Discard, far) }()
			_, _ = io.WriteString(far, text)
		}()
		return near, nil
	}
}

// TestBrokenAnswerHidesSecrets: errors of net/http quote what is wrong with an answer. Of one that should hold keys, nothing is shown.
func TestBrokenAnswerHidesSecrets(t *testing.T) {
	c, _, _ := client(t, nil)
	c.HTTP = huaweicloud.NewHTTPClient(says("HTTP/1.1 200 OK\r\na-new-token for a-secret-key\r\n\r\n"), "", 1)
	if _, err := c.Get(t.Context(), "/"); err == nil || !strings.Contains(err.Error(), `missing colon: "a-new-token for <hidden>"; check the network`) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Issue(t.Context(), http.MethodPost, "/", nil, "x"); err == nil || !strings.Contains(err.Error(), `missing colon: "..."; check the network`) {
		t.Errorf("got %v", err)
	}
}
