package command_test

import (
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// wrong is something that goes wrong with the cloud, and what the exporter is to make of it.
type wrong struct {
	name  string
	fault cloudtest.Fault
	body  func(asked string) string // of a 200, by the service that is asked

	keys bool // the account has another secret key in the cloud

	want string                    // the reason, or read
	but  map[string]string         // what another target makes of it
	says string                    // in the error that is logged, as a regular expression
	gone map[string]*regexp.Regexp // by target: the series that such an answer lacks
	new  int                       // resource types that such an answer adds
	half bool                      // the answer is of resources, of which some can be read

	asks time.Duration // how long the cloud asks to be left alone
}

// isRead is what becomes of an answer that is no trouble.
const isRead = "read"

// faults are all that goes wrong, in the order of the document.
var faults = slices.Concat(connections(), statuses(), unreadable(), halfReadable())

// connections are answers that don't come.
func connections() []wrong {
	return []wrong{
		{name: "connection refused", fault: cloudtest.Fault{Dial: syscall.ECONNREFUSED}, want: "network", says: "connection refused"},
		{
			name: "no such host", fault: cloudtest.Fault{Dial: &net.DNSError{Err: "no such host", Name: "host", IsNotFound: true}},
			want: "network", says: "no such host",
		},
		{name: "connection reset before the answer", fault: cloudtest.Fault{Reset: true}, want: "network", says: "EOF"},
		{name: "connection reset in the middle of the body", fault: cloudtest.Fault{CutBody: true}, want: "network", says: "broke off: unexpected EOF"},
		{name: "certificate of another host", fault: cloudtest.Fault{Certificate: cloudtest.OfAnotherHost}, want: "tls", says: "certificate is valid for another-host"},
		{name: "expired certificate", fault: cloudtest.Fault{Certificate: cloudtest.Expired}, want: "tls", says: "certificate has expired"},
		{name: "no answer at all", fault: cloudtest.Fault{Hang: true}, want: "timeout", says: tooLong},
		{name: "connections that died while they were idle", fault: cloudtest.Fault{Dead: true}, want: isRead},
		{name: "a body by one byte a second", fault: cloudtest.Fault{Drip: time.Second}, want: "timeout", says: tooLong},
	}
}

// tooLong is how the ends of several timeouts are told.
const tooLong = "deadline exceeded|not had in time|Client.Timeout exceeded"

// statuses are answers other than 200.
func statuses() []wrong {
	var all []wrong
	for _, s := range []struct {
		status int
		want   string
	}{
		{400, "client_error"},
		{401, "unauthorized"},
		{403, "forbidden"},
		{404, "not_found"},
		{408, "timeout"},
		{409, "client_error"},
		{429, "throttled"},
		{500, "server_error"},
		{502, "server_error"},
		{503, "server_error"},
	} {
		name := fmt.Sprint(s.status)
		w := wrong{name: name, want: s.want, says: name + " " + http.StatusText(s.status), fault: cloudtest.Fault{Status: s.status}}
		switch s.status {
		case http.StatusUnauthorized:
			w.fault.Body = cloudsim.ErrorBody("", s.status, "no")
			w.asks = 5 * time.Minute // the service is paused, or the key
		case http.StatusForbidden, http.StatusNotFound:
			w.but = map[string]string{instanceList: isRead}
			w.gone = map[string]*regexp.Regexp{instanceList: regexp.MustCompile("cloud_quota_(used|limit){.*audit_instance")}
		case http.StatusTooManyRequests:
			w.fault.Body = cloudsim.ErrorBody("", s.status, "slow down")
			asks := w
			asks.name += " with Retry-After: 120"
			asks.fault.Header = http.Header{"Retry-After": {"120"}}
			asks.asks = 2 * time.Minute
			all = append(all, asks)
		case http.StatusBadGateway:
			w.name += " with a page of HTML"
			w.fault.Body = []byte("<html><body><h1>Bad Gateway</h1></body></html>")
		default:
			w.fault.Body = cloudsim.ErrorBody("", s.status, "no")
		}
		all = append(all, w)
	}
	elsewhere := http.Header{"Location": {"https://elsewhere.example.com/"}}
	return append(
		all,
		wrong{name: "302 to another host", want: "client_error", says: "302 Found", fault: cloudtest.Fault{Status: http.StatusFound, Header: elsewhere}},
		wrong{name: "another secret key", keys: true, want: "unauthorized", says: "401 Unauthorized APIGW.0301", asks: 5 * time.Minute},
		wrong{name: "101, and the connection stays open", want: "malformed", says: "101 Switching Protocols", fault: cloudtest.Fault{Status: http.StatusSwitchingProtocols}},
		wrong{name: "204", want: "malformed", says: "it is empty", fault: cloudtest.Fault{Status: http.StatusNoContent}},
	)
}

// unreadable are answers of which nothing can be read.
func unreadable() []wrong {
	is := func(body string) func(string) string { return func(string) string { return body } }
	encoded := func(name, encoding, body, says string) wrong {
		fault := cloudtest.Fault{Header: http.Header{"Content-Encoding": {encoding}}}
		return wrong{name: name, want: "malformed", says: says, fault: fault, body: is(body)}
	}
	large := strings.Repeat(" ", 2<<20)
	whole := zipped(usual("cts"))
	bomb := zipped(strings.Repeat(" ", 16<<20))
	return []wrong{
		{name: "an empty 200", want: "malformed", says: "it is empty", body: is("")},
		{name: "invalid JSON", want: "malformed", says: "invalid character", body: is("{oops}")},
		{name: "JSON of another shape", want: "malformed", says: "there are no quotas in it|there is no list", body: is(`{"data":[1,"2",{}],"ok":true}`)},
		{name: "JSON that is cut off", want: "malformed", says: "unexpected end of JSON", body: func(asked string) string {
			whole := usual(asked)
			return whole[:len(whole)/2]
		}},
		{name: "2 MiB", want: "malformed", says: "longer than 1048576 bytes", body: is(large)},
		{name: "nested 20,000 deep", want: "malformed", says: "exceeded max depth", body: is(strings.Repeat("[", 20_000))},
		encoded("gzip that unpacks to 16 MiB", "gzip", bomb, "longer than 1048576 bytes"),
		encoded("gzip within gzip, which nobody asked for", "gzip, gzip", zipped(bomb), "invalid character"),
		encoded("plain text that says to be gzip", "gzip", usual("cts"), "gzip: invalid header"),
		encoded("gzip that is damaged", "gzip", whole[:len(whole)-8]+"checksum", "gzip: invalid checksum"),
		{name: "NaN for a number", want: "malformed", says: "invalid character 'N'", body: func(asked string) string {
			return strings.Replace(usual(asked), "{", `{"x":NaN,`, 1)
		}},
	}
}
