package huaweicloud

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"cloud_quota_exporter/internal/secret"
)

// proxies are the proxy settings in the environment.
type proxies struct {
	httpproxy.Config

	secrets []secret.Text // user and password in all spellings that are distinguishable from other text
	whole   []secret.Text // those that cannot occur in a good response by chance
}

// proxyVariables are the variables for a scheme, and for exceptions; the first one that is not empty is used. As in curl, all_proxy
// applies to schemes without their own proxy.
var proxyVariables = map[string][]string{
	"https": {"HTTPS_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"},
	"http":  {"HTTP_PROXY", "http_proxy", "all_proxy", "ALL_PROXY"},
	"no":    {"NO_PROXY", "no_proxy"},
}

// proxyVariable returns the variable that is used, and its value.
func proxyVariable(getenv func(string) string, kind string) (name, value string) {
	for _, name := range proxyVariables[kind] {
		if value := getenv(name); value != "" {
			return name, value
		}
	}
	return "", ""
}

// environmentProxies reads the variables.
func environmentProxies() *proxies {
	value := func(kind string) string {
		_, value := proxyVariable(os.Getenv, kind)
		return value
	}
	p := &proxies{Config: httpproxy.Config{
		HTTPProxy: value("http"), HTTPSProxy: value("https"), NoProxy: value("no"), CGI: os.Getenv("REQUEST_METHOD") != "",
	}}
	for _, text := range []string{p.HTTPProxy, p.HTTPSProxy} {
		u, err := parseProxy(text)
		if err != nil || u.User == nil {
			continue
		}
		const least, sure = 4, 8 // characters
		user := u.User.Username()
		password, _ := u.User.Password()
		p.whole = append(p.whole, secret.New(user+":"+password))
		if only := cmp.Or(password, user); len(only) >= sure { // some proxies take a token as the user
			p.whole = append(p.whole, secret.New(only))
		}
		for _, text := range []string{password, user} {
			if len(text) >= least {
				p.secrets = append(p.secrets, secret.New(text))
			}
		}
	}
	p.secrets = slices.Concat(p.whole, p.secrets) // longer ones first
	return p
}

// parseProxy parses the value of a variable. As in net/http, the scheme is optional.
func parseProxy(value string) (*url.URL, error) {
	if !strings.Contains(value, "://") {
		value = "http://" + value
	}
	u, err := url.Parse(value)
	if err == nil && (u.Host == "" || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme)) {
		err = errors.New("no host, or an unsupported scheme")
	}
	return u, err //nolint:wrapcheck // it may hold a password, and is not shown
}

// CheckProxy returns an error if the environment has a proxy URL that cannot be parsed: net/http ignores it, and requests would
// bypass the proxy.
func CheckProxy(getenv func(string) string) error {
	var all error
	checked := ""
	for _, scheme := range []string{"https", "http"} {
		name, value := proxyVariable(getenv, scheme)
		if name == "" || name == checked {
			continue
		}
		checked = name
		if _, err := parseProxy(value); err != nil {
			all = errors.Join(all, fmt.Errorf("%s is not a valid proxy URL, so requests would bypass the proxy (the URL is not shown because it might contain a password); "+
				"use the format http://user:password@host:port, with special characters percent-encoded", name))
		}
	}
	return all
}

// ProxyError is a response of a proxy instead of the API.
type ProxyError struct {
	Proxy       string // its host
	Status      string // of its response, such as "407 Proxy Authentication Required"
	Code        int
	Squid       string // cause according to a Squid, such as ERR_ACCESS_DENIED; may be empty
	UnknownHost bool   // the proxy reports that the API's host does not exist
}

func (e *ProxyError) Error() string {
	text := fmt.Sprintf("the proxy %s responded with %s", e.Proxy, e.Status)
	if e.Squid != "" {
		text += " (" + e.Squid + ")"
	}
	return text
}

// advice returns the remedy, unless the API's host does not exist.
func (e *ProxyError) advice() string {
	switch e.Code {
	case http.StatusProxyAuthRequired:
		return "set the proxy's user and password in its variable, for example HTTPS_PROXY=http://user:password@host:port"
	case http.StatusForbidden:
		return "allow the API's host in the proxy, or add the host to NO_PROXY"
	default:
		return "check the proxy, and whether it can reach the API's host"
	}
}

// squidCause matches the cause in the header X-Squid-Error of Squid's own responses.
var squidCause = regexp.MustCompile(`^ERR_[A-Z0-9_]{1,40}`)

func newProxyError(proxy *url.URL, resp *http.Response) *ProxyError {
	cause := squidCause.FindString(resp.Header.Get("X-Squid-Error"))
	return &ProxyError{Proxy: proxy.Host, Status: oneLine(resp.Status), Code: resp.StatusCode, Squid: cause, UnknownHost: cause == "ERR_DNS_FAIL"}
}

// refuseTunnel is an http.Transport.OnProxyConnectResponse: it returns the proxy's response to CONNECT as an error unless a tunnel
// was opened.
func refuseTunnel(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return newProxyError(proxy, resp)
}

// proxyResponse returns an error if a response without a tunnel comes from the proxy itself: it has a header that only proxies send,
// or the status of an unreachable API without the JSON or the headers of a forwarded response. Via and Proxy-Connection also occur
// in forwarded responses.
func proxyResponse(proxy *url.URL, resp *http.Response) error {
	h := resp.Header
	switch {
	case proxy == nil || strings.HasPrefix(proxy.Scheme, "socks"):
		return nil
	case resp.StatusCode == http.StatusProxyAuthRequired, resp.StatusCode == http.StatusNetworkAuthenticationRequired:
	case resp.StatusCode < http.StatusBadRequest:
		return nil
	case h.Get("X-Squid-Error") != "", h.Get("Proxy-Authenticate") != "", h.Get("Proxy-Agent") != "":
	case resp.StatusCode >= http.StatusInternalServerError && strings.Contains(h.Get("Proxy-Status"), "error="):
	case slices.Contains(unreached, resp.StatusCode) && h.Get("Via") == "" && !startsAsJSON(resp):
	default:
		return nil
	}
	_ = resp.Body.Close()
	return newProxyError(proxy, resp)
}

// unreached are the status codes for hosts that a proxy does not allow or cannot reach.
var unreached = []int{http.StatusForbidden, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}

// startsAsJSON reports whether the body of a response may be JSON, without consuming it.
func startsAsJSON(resp *http.Response) bool {
	body := bufio.NewReader(resp.Body)
	resp.Body = struct {
		io.Reader
		io.Closer
	}{body, resp.Body}
	first, _ := body.Peek(1)
	return len(first) > 0 && isJSON(first)
}
