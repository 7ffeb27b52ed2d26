package huaweicloud_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/huaweicloud"
)

// proxied returns a client that can only reach a proxy, which handler implements. environment has the other variables, with PROXY for its URL.
func proxied(t *testing.T, handler http.HandlerFunc, environment map[string]string) *huaweicloud.Client {
	t.Helper()
	proxy := httptest.NewServer(handler)
	t.Cleanup(proxy.Close)
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"} {
		t.Setenv(name, strings.ReplaceAll(environment[name], "PROXY", proxy.Listener.Addr().String()))
	}
	return clientOf(func(ctx context.Context, network, address string) (net.Conn, error) {
		if !strings.HasPrefix(address, "127.0.0.1:") {
			return nil, fmt.Errorf("dialed %s", address)
		}
		return new(net.Dialer).DialContext(ctx, network, address) // the proxy is running
	})
}

// connects responds to CONNECT requests.
func connects(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect {
		w.Header().Set("X-Squid-Error", "ERR_SEEN "+r.Host)
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	fmt.Fprintf(w, "proxied %s", r.URL)
}

func TestProxy(t *testing.T) {
	c := proxied(t, connects, map[string]string{"HTTP_PROXY": "http://PROXY", "NO_PROXY": "direct.example.com"})
	c.BaseURL = "http://cts.ap-southeast-3.example.com"
	answer, err := c.Get(t.Context(), "/v3/x/quotas")
	if err != nil || string(answer.Body) != "proxied http://cts.ap-southeast-3.example.com/v3/x/quotas" {
		t.Errorf("got %v, %v; want the proxy's response", answer, err)
	}
	c.BaseURL = "http://direct.example.com"
	if _, err := c.Get(t.Context(), "/"); err == nil || !strings.Contains(err.Error(), "dialed direct.example.com:80") {
		t.Errorf("got %v, want NO_PROXY honored", err)
	}
}

func TestCheckProxy(t *testing.T) {
	for _, tc := range []struct {
		env  map[string]string
		says []string // the variables that the error names, one per line
	}{
		{nil, nil},
		{map[string]string{"HTTPS_PROXY": "http://user:pa%25ss@127.0.0.1:1", "HTTP_PROXY": "socks5://host"}, nil},
		{map[string]string{"HTTPS_PROXY": "host:3128", "HTTP_PROXY": "10.0.0.1:3128"}, nil}, // another scheme than http
		{map[string]string{"HTTPS_PROXY": "user:password@host:3128", "HTTP_PROXY": ":3128"}, nil},
		{map[string]string{"https_proxy": "user:pa%ss@host"}, []string{"https_proxy"}},
		{map[string]string{"HTTP_PROXY": " http://pa:ss@host:1"}, []string{"HTTP_PROXY"}},
		{map[string]string{"http_proxy": "http://"}, []string{"http_proxy"}},
		{map[string]string{"HTTPS_PROXY": "http://user:pa#ss@host", "http_proxy": "http://pa ss@host"}, []string{"HTTPS_PROXY", "http_proxy"}},
		{map[string]string{"HTTPS_PROXY": "http://host:1", "https_proxy": "pa%ss"}, nil}, // the first counts
		{map[string]string{"ALL_PROXY": "socks5h://user:password@host:1080"}, nil},
		{map[string]string{"all_proxy": "host", "ALL_PROXY": "pa%ss"}, nil},
		{map[string]string{"ALL_PROXY": "pa%ss"}, []string{"ALL_PROXY"}},
		{map[string]string{"ALL_PROXY": "socks4://host:1080"}, []string{"ALL_PROXY"}},
		{map[string]string{"HTTPS_PROXY": "HTTPS://host"}, nil},
		{map[string]string{"all_proxy": "pa%ss", "HTTPS_PROXY": "http://host:1"}, []string{"all_proxy"}}, // of http
		{map[string]string{"all_proxy": "pa%ss", "HTTPS_PROXY": "http://host:1", "HTTP_PROXY": "http://host:1"}, nil},
	} {
		err := huaweicloud.CheckProxy(func(name string) string { return tc.env[name] })
		var lines []string
		if err != nil {
			lines = strings.Split(err.Error(), "\n")
		}
		if len(lines) != len(tc.says) {
			t.Fatalf("%v: got %v", tc.env, err)
		}
		for i, name := range tc.says {
			if !strings.HasPrefix(lines[i], name+" is not a valid proxy URL") || strings.Contains(lines[i], "pa%") || strings.Contains(lines[i], "pa ss") {
				t.Errorf("%v: got %s", tc.env, lines[i])
			}
		}
	}
}

// TestAllProxy applies to schemes without their own proxy variable, as in curl.
func TestAllProxy(t *testing.T) {
	for _, tc := range []struct {
		environment map[string]string
		url, want   string
	}{
		{map[string]string{"ALL_PROXY": "http://PROXY"}, "http://a.example.com/", "proxied http://a.example.com/"},
		{map[string]string{"ALL_PROXY": "http://PROXY"}, "https://a.example.com/", "the proxy PROXY responded with 502 Bad Gateway (ERR_SEEN)"},
		{map[string]string{"all_proxy": "PROXY", "ALL_PROXY": "http://127.0.0.1:1"}, "https://a.example.com/", "the proxy PROXY responded with 502"},
		{map[string]string{"ALL_PROXY": "http://127.0.0.1:1", "https_proxy": "http://PROXY"}, "https://a.example.com/", "the proxy PROXY responded with 502"},
		{map[string]string{"ALL_PROXY": "http://PROXY", "HTTP_PROXY": "http://127.0.0.1:1"}, "http://a.example.com/", "127.0.0.1:1: connect: connection refused"},
		{map[string]string{"ALL_PROXY": "http://PROXY", "NO_PROXY": ".example.com"}, "https://a.example.com/", "dialed a.example.com:443"},
		{map[string]string{"ALL_PROXY": "http://PROXY", "no_proxy": "*"}, "http://a.example.com/", "dialed a.example.com:80"},
		{map[string]string{"ALL_PROXY": "socks5h://127.0.0.1:1"}, "https://a.example.com/", "127.0.0.1:1: connect: connection refused"},
	} {
		c := proxied(t, connects, tc.environment)
		c.BaseURL = strings.TrimSuffix(tc.url, "/")
		answer, err := c.Get(t.Context(), "/")
		got := fmt.Sprint(err)
		if err == nil {
			got = string(answer.Body)
		}
		got = regexp.MustCompile(`127\.0\.0\.1:\d\d+`).ReplaceAllString(got, "PROXY")
		if !strings.Contains(got, tc.want) {
			t.Errorf("%v, %s: got %s, want %s", tc.environment, tc.url, got, tc.want)
		}
	}
}

// TestProxyResponses: responses of a proxy are distinguished from those of the API, and only a host that does not exist is not offered.
func TestProxyResponses(t *testing.T) {
	for _, tc := range []struct {
		status                int
		header                map[string]string
		squid                 string // in the text
		isNotOffered, isPlain bool   // whether a response without a tunnel is also recognized as the proxy's
		remedy                string
	}{
		{503, map[string]string{"X-Squid-Error": "ERR_DNS_FAIL 0"}, " (ERR_DNS_FAIL)", true, true, "set endpoints.cts if the service has another host"},
		{503, map[string]string{"X-Squid-Error": "ERR_CONNECT_FAIL 111"}, " (ERR_CONNECT_FAIL)", false, true, "check the proxy, and whether it can reach"},
		{403, map[string]string{"X-Squid-Error": "ERR_ACCESS_DENIED 0"}, " (ERR_ACCESS_DENIED)", false, true, "allow the API's host in the proxy"},
		{407, map[string]string{"Proxy-Authenticate": "Basic realm=x"}, "", false, true, "set the proxy's user and password"},
		{404, map[string]string{"X-Squid-Error": "; open https://evil.example"}, "", false, true, "check the proxy, and"},
		{502, map[string]string{"Proxy-Agent": "x"}, "", false, true, "check the proxy, and"},
		{502, map[string]string{"Proxy-Status": "proxy; error=dns_error"}, "", false, true, "check the proxy, and"},
		{511, nil, "", false, true, "check the proxy, and"},
		{503, nil, "", false, true, "check the proxy, and"},
		{502, map[string]string{"Content-Type": "text/html"}, "", false, true, "check the proxy, and"},
		{403, nil, "", false, true, "allow the API's host in the proxy"},
		{429, nil, "", false, false, "check the proxy, and"},
		{404, map[string]string{"Via": "1.1 proxy (squid)", "X-Cache": "MISS"}, "", false, false, "check the proxy, and"},
		{503, map[string]string{"Via": "1.1 proxy", "Proxy-Connection": "close", "Proxy-Status": "proxy"}, "", false, false, "check the proxy, and"},
	} {
		c := proxied(t, func(w http.ResponseWriter, _ *http.Request) {
			for name, value := range tc.header {
				w.Header().Set(name, value)
			}
			w.WriteHeader(tc.status)
		}, map[string]string{"HTTP_PROXY": "http://me:pass-word@PROXY", "HTTPS_PROXY": "http://me:pass-word@PROXY"})
		for _, scheme := range []string{"https", "http"} {
			c.BaseURL = scheme + "://cts.example.com"
			_, err := c.Get(t.Context(), "/")
			if scheme == "http" && !tc.isPlain {
				if !errors.As(err, new(*huaweicloud.APIError)) {
					t.Errorf("%s %d %v: got %v, want the API's", scheme, tc.status, tc.header, err)
				}
				continue
			}
			text := regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(fmt.Sprint(err), "PROXY")
			want := fmt.Sprintf("the proxy PROXY responded with %d %s%s; %s", tc.status, http.StatusText(tc.status), tc.squid, tc.remedy)
			if huaweicloud.Reason(err) != "network" || huaweicloud.IsNotOffered("cts", err) != tc.isNotOffered || !strings.Contains(text, want) {
				t.Errorf("%s %d %v: reason %s, not offered %t, text\n%s\nwant\n%s", scheme, tc.status, tc.header, huaweicloud.Reason(err), huaweicloud.IsNotOffered("cts", err), text, want)
			}
		}
	}
}

// TestProxyPassesOn: an error of the API, which is JSON, is not a response of the proxy.
func TestProxyPassesOn(t *testing.T) {
	c := proxied(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"error_code":"cts.1","error_msg":"full"}`)
	}, map[string]string{"HTTP_PROXY": "http://PROXY"})
	c.BaseURL = "http://cts.example.com"
	if _, err := c.Get(t.Context(), "/"); huaweicloud.Reason(err) != "server_error" || !strings.Contains(err.Error(), "503 Service Unavailable cts.1: full") {
		t.Errorf("got %v", err)
	}
}

// TestWithoutAProxy: the headers of a proxy have no meaning.
func TestWithoutAProxy(t *testing.T) {
	c, _, _ := client(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Squid-Error", "ERR_DNS_FAIL 0")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	if _, err := c.Get(t.Context(), "/"); huaweicloud.Reason(err) != "server_error" || huaweicloud.IsNotOffered("cts", err) {
		t.Errorf("got %v", err)
	}
}

// TestProxySecretsAreHidden: a proxy or a server behind it can echo a request in its status line, in an error, and in a page.
func TestProxySecretsAreHidden(t *testing.T) {
	const user, password = "proxy-user", "p@ss/wörd"
	var echo string
	status := http.StatusForbidden
	c := proxied(t, func(w http.ResponseWriter, r *http.Request) {
		sent := r.Header.Get("Proxy-Authorization")
		_, encoded, _ := strings.Cut(sent, "Basic ")
		_, signature, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
		echo = strings.NewReplacer("HEADER", sent, "BASE64", encoded, "USER", user, "PASSWORD", password, "SIGNATURE", signature,
			"QUERY", url.QueryEscape(encoded)).Replace(echo)
		if r.Method == http.MethodConnect {
			conn, _, _ := w.(http.Hijacker).Hijack()
			fmt.Fprintf(conn, "HTTP/1.1 403 %s\r\n\r\n", echo)
			conn.Close()
			return
		}
		w.WriteHeader(status)
		fmt.Fprint(w, echo)
	}, map[string]string{"HTTP_PROXY": "http://proxy-user:p%40ss%2Fw%C3%B6rd@PROXY", "ALL_PROXY": "http://proxy-user:p%40ss%2Fw%C3%B6rd@PROXY"})
	secrets := []string{user, password, base64.StdEncoding.EncodeToString([]byte(user + ":" + password)), "p%40ss"}
	for _, text := range []string{"seen HEADER", "seen BASE64", "seen USER and PASSWORD", "seen USER:PASSWORD", "seen p%40ss%2Fw%C3%B6rd", "seen SIGNATURE", "seen QUERY"} {
		for _, response := range []struct {
			status       int
			scheme, form string
		}{
			{200, "https", "%s"}, {400, "http", "%s"}, {403, "http", `{"error_msg":"%s"}`}, {200, "http", "<h1>%s</h1>"}, {200, "http", `{"error":"%s",}`},
		} {
			if response.form == `{"error":"%s",}` && strings.HasPrefix(text, "seen USER and") {
				continue // in JSON, they are ordinary words
			}
			if response.scheme == "https" && strings.Contains(text, "SIGNATURE") {
				continue // the proxy does not see it
			}
			echo, status = fmt.Sprintf(response.form, text), response.status
			c.BaseURL = response.scheme + "://cts.example.com"
			answer, err := c.Get(t.Context(), "/")
			if err == nil {
				err = answer.Malformed("no JSON")
			}
			if said := err.Error(); !strings.Contains(said, "seen") || !strings.Contains(said, "<hidden>") ||
				slices.ContainsFunc(secrets, func(s string) bool { return strings.Contains(said, s) }) || regexp.MustCompile("[0-9a-f]{32}").MatchString(said) {
				t.Errorf("%s by %s: %s", text, response.form, said)
			}
		}
	}
}

// TestProxyUserIsAWord: a user and a short password that occur in a valid response do not change it.
func TestProxyUserIsAWord(t *testing.T) {
	const good = `{"quotas":{"resources":[{"type":"used","used":1,"quota":20}]}}`
	c := proxied(t, body(good), map[string]string{"HTTP_PROXY": "http://quota:used@PROXY"})
	c.BaseURL = "http://cts.example.com"
	if answer, err := c.Get(t.Context(), "/"); err != nil || string(answer.Body) != good {
		t.Errorf("got %v, %v", answer, err)
	}
}
