package web_test

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/democloud"
	"cloud_quota_exporter/internal/fleet/fleettest"
	"cloud_quota_exporter/internal/web"
)

// TestPolicy: nothing but the page's own style and script is let in, byte for byte, and nobody frames it.
func TestPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig).get(t, "/")
		hash := func(element string) string {
			m := regexp.MustCompile(`(?s)<`+element+`>(.*?)</`+element+`>`).FindAllStringSubmatch(page.Body.String(), -1)
			if len(m) != 1 {
				t.Fatalf("%d elements %s, want one", len(m), element)
			}
			sum := sha256.Sum256([]byte(m[0][1]))
			return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; style-src " + hash("style") + "; script-src " + hash("script") +
				"; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			"Content-Type":           "text/html; charset=utf-8",
			"X-Content-Type-Options": "nosniff",
			"X-Frame-Options":        "DENY",
			"Referrer-Policy":        "no-referrer",
			"Cache-Control":          "no-store",
		} {
			if got := page.Header().Get(name); got != want {
				t.Errorf("%s: %s\nwant %s", name, got, want)
			}
		}
		for _, m := range regexp.MustCompile(`(?:href|src|action)="([^"]*)"`).FindAllStringSubmatch(page.Body.String(), -1) {
			if !regexp.MustCompile(`^(/|#|\?|data:image/)`).MatchString(m[1]) || strings.HasPrefix(m[1], "//") {
				t.Errorf("the page has something from elsewhere: %s", m[0])
			}
		}
	})
}

// TestHostileTexts: what the cloud says is text, wherever it stands.
func TestHostileTexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const evil = `</td><script>alert(1)</script>" onload="x`
		cloud := cloudtest.New(cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: []cloudsim.Project{
			{ID: `"><img src=x>`, Name: "ap-southeast-3_<b>&{{.}}", Quotas: map[string][]cloudsim.Quota{
				"cts": {{Type: evil, Used: 1, Limit: 2}},
				"dcs": {{Type: "ram", Unit: "<i>GB</i>", Used: 1, Limit: 2}},
			}},
		}})
		cloud.Inject(cloudtest.Fault{Service: "ces", Status: http.StatusForbidden, Body: cloudsim.ErrorBody("ces", 403, evil)})
		s := newSite(t, cloud, "accounts:\n  - name: main\n    credentials: {static: {access_key: AK, secret_key: SK}}\n    ca_file: CA\n    discovery: {}\n")
		page := s.get(t, "/")
		says(t, page, evil, `ap-southeast-3_<b>&{{.}} cts `+evil+` 50.0 %`, "1 <i>GB</i> 2 <i>GB</i>", `"><img src=x>`)
		if got := regexp.MustCompile(`<(?:script|img|i|b)[ >]|" onload`).FindAllString(page.Body.String(), -1); len(got) != 1 {
			t.Errorf("markup %q, want the page's own script alone", got)
		}
	})
}

// TestNoSecret: a cloud that echoes what it was sent does not bring keys onto the page.
func TestNoSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := cloudtest.Scale(1)
		cloud.Inject(cloudtest.Fault{Service: "dcs", Status: http.StatusForbidden, Body: cloudsim.ErrorBody("dcs", 403,
			"signed by "+democloud.AccessKey+" with "+democloud.SecretKey)})
		cloud.Inject(cloudtest.Fault{Service: "cts", Status: http.StatusOK, Body: []byte(`{"resources": [
			{"type": "data_tracker", "used": 1, "quota": 2}, {"type": "x", "used": "` + democloud.SecretKey + `", "quota": 2}]}`)})
		page := newSite(t, cloud, scaleConfig(cloud)).get(t, "/")
		says(t, page, "forbidden dcs in", "<hidden>", "resources left out cts in", "<hidden>")
		if strings.Contains(page.Body.String(), democloud.SecretKey) {
			t.Errorf("the secret key is in\n%s", page.Body)
		}
	})
}

// TestOverHTTP is for what only a real server does.
func TestOverHTTP(t *testing.T) {
	s := newSite(t, fleettest.Documents(), fleettest.DocumentsConfig, func(o *web.Options) { o.TelemetryPath = "/quotas" })
	s.Scrape(t, time.Minute)
	server := httptest.NewServer(s.handler)
	defer server.Close()
	for _, tc := range []struct {
		method, path string
		code         int
		says         string
	}{
		{http.MethodGet, "/", http.StatusOK, `<a href="/quotas">Metrics</a>`},
		{http.MethodGet, "/", http.StatusOK, `<a href="/sd">Service discovery</a>`},
		{http.MethodGet, "/", http.StatusOK, `<a href="/-/healthy">Healthy</a>`},
		{http.MethodGet, "/", http.StatusOK, `<a href="/-/ready">Ready</a>`},
		{http.MethodGet, "/", http.StatusOK, `<footer>cloud_quota_exporter 1.2.3</footer>`},
		{http.MethodHead, "/", http.StatusOK, ""},
		{http.MethodGet, "/index.html", http.StatusNotFound, "404 page not found"},
		{http.MethodGet, "/status.css", http.StatusNotFound, "404 page not found"},
		{http.MethodPost, "/", http.StatusMethodNotAllowed, "Method Not Allowed"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), tc.method, server.URL+tc.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != tc.code || !strings.Contains(string(body), tc.says) || tc.method == http.MethodHead && len(body) > 0 {
			t.Errorf("%s %s: %d %v\n%s", tc.method, tc.path, resp.StatusCode, err, body)
		}
		if tc.code == http.StatusOK && resp.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s %s: headers %v", tc.method, tc.path, resp.Header)
		}
	}
}
