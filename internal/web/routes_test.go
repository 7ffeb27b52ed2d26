package web_test

import (
	"net/http"
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

// TestBehindAReverseProxy: which paths are served, and what /sd lists, as Prometheus has it for the same flags.
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
		for _, path := range []string{"/metrics", "/probe?target=prod", "/sd", "/-/healthy", "/-/ready", "/"} {
			if page := s.get(t, tc.prefix+path); page.Code != http.StatusOK {
				t.Errorf("%s %s: %s%s: %d", tc.externalURL, tc.routePrefix, tc.prefix, path, page.Code)
			}
			if page := s.get(t, path); tc.prefix != "" && path != "/" && page.Code != http.StatusNotFound {
				t.Errorf("%s %s: %s without the prefix: %d", tc.externalURL, tc.routePrefix, path, page.Code)
			}
		}
		for _, path := range []string{"/", tc.prefix + "?x"} {
			if tc.prefix == "" {
				break
			}
			if page := s.get(t, path); page.Code != http.StatusFound || page.Header().Get("Location") != tc.prefix+"/" {
				t.Errorf("%s %s: %s: %d to %s", tc.externalURL, tc.routePrefix, path, page.Code, page.Header().Get("Location"))
			}
		}
	}
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
		{"", "/{a...}"},
		{"", "/.."},
		{"", "/a//b"},
		{"", "/a b"},
		{"", "/a?b"},
		{"", "https://quota.example.org"},
	} {
		_, err := web.NewRoutes(flags[0], flags[1])
		if err == nil || !strings.Contains(err.Error(), "--web.") || !strings.Contains(err.Error(), "; want ") {
			t.Errorf("%q: got %v", flags, err)
		}
	}
}
