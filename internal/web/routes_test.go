package web_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/fleet/fleettest"
	"cloud_quota_exporter/internal/web"
)

func routes(t *testing.T, externalURL, routePrefix string) func(*web.Options) {
	t.Helper()
	r, err := web.NewRoutes(externalURL, routePrefix)
	if err != nil {
		t.Fatalf("%s %s: %v", externalURL, routePrefix, err)
	}
	return func(o *web.Options) { o.Routes = r }
}

// TestBehindAReverseProxy: which paths are served, and what /sd lists, as in Prometheus with the same flags.
func TestBehindAReverseProxy(t *testing.T) {
	const host = "example.com" // of the requests
	for _, tc := range []struct{ externalURL, routePrefix, prefix, target, path, scheme string }{
		{"", "", "", host, "/probe", ""},
		{"", "/quotas/", "/quotas", host, "/quotas/probe", ""},
		{"", "quotas", "/quotas", host, "/quotas/probe", ""},
		{"", "/", "", host, "/probe", ""},
		{"http://quota.example.org", "", "", "quota.example.org", "/probe", ""},
		{"https://quota.example.org:8443/a/quotas/", "", "/a/quotas", "quota.example.org:8443", "/a/quotas/probe", "https"},
		{"HTTPS://quota.example.org/quotas", "/", "", "quota.example.org", "/quotas/probe", "https"},
		{"https://[2001:db8::1]:8443/quotas", "/inner", "/inner", "[2001:db8::1]:8443", "/quotas/probe", "https"},
		{"/quotas", "", "/quotas", host, "/quotas/probe", ""},
		{"https://example.org/services/http:quota:10133/proxy/", "", "/services/http:quota:10133/proxy", "example.org", "/services/http:quota:10133/proxy/probe", "https"},
		{"", "/a._~+,=:@-", "/a._~+,=:@-", host, "/a._~+,=:@-/probe", ""},
	} {
		s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig, routes(t, tc.externalURL, tc.routePrefix))
		sd := s.get(t, tc.prefix+"/sd").Body.String()
		for _, want := range []string{`"targets":["` + tc.target + `"]`, `"__metrics_path__":"` + tc.path + `"`} {
			if !strings.Contains(sd, want) {
				t.Errorf("%s %s: no %s in %s", tc.externalURL, tc.routePrefix, want, sd)
			}
		}
		if strings.Contains(sd, `"__scheme__":"https"`) != (tc.scheme == "https") || strings.Count(sd, "__scheme__") != len(tc.scheme)/5 {
			t.Errorf("%s %s: want the scheme %q in %s", tc.externalURL, tc.routePrefix, tc.scheme, sd)
		}
		for _, path := range []string{"/metrics", "/probe?target=prod", "/sd", "/-/healthy", "/-/ready", "/runbooks/", "/runbooks/CloudQuotaStale", "/"} {
			if page := s.get(t, tc.prefix+path); page.Code != http.StatusOK {
				t.Errorf("%s %s: %s%s: %d", tc.externalURL, tc.routePrefix, tc.prefix, path, page.Code)
			}
			if page := s.get(t, path); tc.prefix != "" && path != "/" && page.Code != http.StatusNotFound {
				t.Errorf("%s %s: %s without the prefix: %d", tc.externalURL, tc.routePrefix, path, page.Code)
			}
		}
		for path, want := range map[string]string{
			"/": tc.prefix + "/", "/?project=a%2Fb": tc.prefix + "/?project=a%2Fb", tc.prefix + "?project=a%2Fb": strings.TrimSuffix(tc.path, "probe") + "?project=a%2Fb",
		} {
			if tc.prefix == "" {
				break
			}
			if page := s.get(t, path); page.Code != http.StatusFound || page.Header().Get("Location") != want {
				t.Errorf("%s %s: %s: %d to %s, want %s", tc.externalURL, tc.routePrefix, path, page.Code, page.Header().Get("Location"), want)
			}
		}
	}
}

// TestTargetsOfTLS: targets at the address of the request have its scheme, those at an external URL the scheme of the URL.
func TestTargetsOfTLS(t *testing.T) {
	for externalURL, want := range map[string]bool{"": true, "/quotas": true, "http://quota.example.org/quotas": false} {
		s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig, routes(t, externalURL, "/"))
		if sd := s.get(t, "https://example.com/sd").Body.String(); strings.Contains(sd, `"__scheme__":"https"`) != want {
			t.Errorf("%q: want https %v in %s", externalURL, want, sd)
		}
	}
}

// TestLinksBehindAReverseProxy follows every link of the status page, those of the runbooks, and every target of /sd through a proxy that keeps the
// path, removes its prefix, or replaces it.
func TestLinksBehindAReverseProxy(t *testing.T) {
	for _, tc := range []struct{ inner, routePrefix string }{{"/a/quotas", ""}, {"", "/"}, {"/inner", "/inner"}} {
		proxy := httptest.NewUnstartedServer(nil)
		external := "http://" + proxy.Listener.Addr().String() + "/a/quotas"
		s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig, routes(t, external, tc.routePrefix),
			func(o *web.Options) { o.Reload = func() error { return nil } })
		exporter := httptest.NewServer(s.handler)
		defer exporter.Close()
		proxy.Config.Handler = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			path, ok := strings.CutPrefix(r.In.URL.Path, "/a/quotas")
			if !ok {
				path = "/outside"
			}
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.URL.Path = "http", exporter.Listener.Addr().String(), tc.inner+path
		}}
		proxy.Start()
		defer proxy.Close()
		if tc.inner != "" { // otherwise the exporter does not see that the slash is missing
			ask(t, http.MethodGet, external)
		}
		ask(t, http.MethodGet, external+"/runbooks")
		pages := map[string]string{}
		follow(t, external+"/", pages)
		for path, want := range map[string]string{"/": "runbooks/", "/runbooks/": "CloudQuotaStale", "/runbooks/CloudQuotaStale": "CloudQuotaReadFailing.md"} {
			if text := pages[external+path]; !strings.Contains(text, `href="`+want+`"`) {
				t.Errorf("%v: no link to %s on the page %s:\n%s", tc, want, path, text)
			}
		}
		var groups []struct {
			Targets []string
			Labels  map[string]string
		}
		if err := json.Unmarshal([]byte(ask(t, http.MethodGet, external+"/sd")), &groups); err != nil || len(groups) == 0 {
			t.Fatalf("%v: %v, %v", tc, groups, err)
		}
		for _, g := range groups {
			ask(t, http.MethodGet, "http://"+g.Targets[0]+g.Labels["__metrics_path__"]+"?target="+url.QueryEscape(g.Labels["__param_target"]))
		}
		ask(t, http.MethodPost, external+"/-/reload")
	}
}

// follow collects a page, and recursively those of its relative links.
func follow(t *testing.T, page string, pages map[string]string) {
	t.Helper()
	base, err := url.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	pages[page] = ask(t, http.MethodGet, page)
	for _, link := range regexp.MustCompile(`href="([^"#:]+)"`).FindAllStringSubmatch(pages[page], -1) {
		to, err := base.Parse(link[1])
		if err != nil {
			t.Fatal(err)
		}
		if _, known := pages[to.String()]; !known {
			follow(t, to.String(), pages)
		}
	}
}

// ask returns the page, after redirects. Everything else fails the test.
func ask(t *testing.T, method, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s %s: %s %s, %v", method, url, resp.Status, text, err)
	}
	return string(text)
}

func TestBadRoutes(t *testing.T) {
	for _, flags := range [][2]string{
		{"quota.example.org/quotas", ""},
		{"ftp://quota.example.org", ""},
		{"https:///quotas", ""},
		{"https:quotas", ""},
		{"//quota.example.org/", ""},
		{"https://a b/", ""},
		{`"https://quota.example.org"`, ""},
		{"https://user@quota.example.org", ""},
		{"https://quota.example.org/?a=b", ""},
		{"https://quota.example.org/#a", ""},
		{"https://quöta.example.org", ""},
		{"https://quota.example.org/a/../b", ""},
		{"https://quota.example.org/{a}", ""},
		{"https://quota.example.org/a b", "/"},
		{"quotas", ""},
		{"https://quota.example.org:99999", ""},
		{"https://quota.example.org:0", ""},
		{"https://quota.example.org/a%2Fb", ""},
		{"", "/{a...}"},
		{"", "/.."},
		{"", "/a//b"},
		{"", "/a b"},
		{"", "/a?b"},
		{"", "https://quota.example.org"},
	} {
		_, err := web.NewRoutes(flags[0], flags[1])
		if err == nil || !strings.Contains(err.Error(), "--web.") || !strings.Contains(err.Error(), "; expected ") {
			t.Errorf("%q: got %v", flags, err)
		}
	}
}
