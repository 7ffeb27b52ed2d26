package fleet_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/providers/providerstest"
)

// parse reads a configuration that says itself how its cloud is reached.
func parse(t *testing.T, yaml string) *config.Config {
	t.Helper()
	c, err := config.Parse("test.yml", []byte(yaml), providerstest.Five(), os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestHosts asks where requests go: the dialer takes note, and leads nowhere.
func TestHosts(t *testing.T) {
	const keys = "credentials: {static: {access_key: AK, secret_key: SK}}"
	for _, tc := range []struct{ name, account, want string }{
		{
			"by default", "projects: [{id: p, region: ap-southeast-3, name: prod}]",
			"ces.ap-southeast-3.myhuaweicloud.com:443 cts.ap-southeast-3.myhuaweicloud.com:443 dbss.ap-southeast-3.myhuaweicloud.com:443 " +
				"dcs.ap-southeast-3.myhuaweicloud.com:443 gaussdb.ap-southeast-3.myhuaweicloud.com:443",
		},
		{
			"in a region where TaurusDB is called otherwise", "projects: [{id: p, region: tr-west-1, name: prod}]",
			"ces.tr-west-1.myhuaweicloud.com:443 cts.tr-west-1.myhuaweicloud.com:443 dbss.tr-west-1.myhuaweicloud.com:443 " +
				"dcs.tr-west-1.myhuaweicloud.com:443 gaussdbformysql.tr-west-1.myhuaweicloud.com:443",
		},
		{
			"in Europe, id looked up", "projects: [{region: eu-west-101}]", "iam.eu-west-101.myhuaweicloud.eu:443",
		},
		{
			"another cloud", "cloud: otc.t-systems.com\n    projects: [{id: p, region: eu-de, name: prod}]",
			"ces.eu-de.otc.t-systems.com:443 cts.eu-de.otc.t-systems.com:443 dbss.eu-de.otc.t-systems.com:443 " +
				"dcs.eu-de.otc.t-systems.com:443 gaussdb-mysql.eu-de.otc.t-systems.com:443",
		},
		{
			"endpoints", `endpoints:
      taurusdb: https://db.{region}.example.com/
      cts: {eu-de: "http://trace.example.com:8080", default: "https://cts.{region}.example.com"}
      dcs: {eu-nl: "https://elsewhere.example.com"}
      ces: "HTTP://ces.example.com/gateway/{project_id}?x=y"
      dbss: "http://10.0.0.1?project={project_id}"
    projects: [{id: p, region: eu-de, name: prod}]`,
			"10.0.0.1:80 ces.example.com:80 db.eu-de.example.com:443 dcs.eu-de.myhuaweicloud.com:443 trace.example.com:8080",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var mu sync.Mutex
			var dialled []string
			f := fleet.New(fleet.Options{
				Services: providerstest.Five(), Getenv: os.Getenv,
				Dial: func(_ context.Context, _, address string) (net.Conn, error) {
					mu.Lock()
					defer mu.Unlock()
					dialled = append(dialled, address)
					return nil, errors.New("nowhere")
				},
			})
			f.Load(parse(t, "accounts:\n  - "+keys+"\n    "+tc.account))
			f.Read(t.Context(), fleet.Filter{})
			slices.Sort(dialled)
			if got := strings.Join(dialled, " "); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// TestPaths asks what is asked for there: an endpoint may be a host, a gateway's path in front of the documented one, or a whole URL.
func TestPaths(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.URL.String()+" by "+r.UserAgent())
		http.NotFound(w, r)
	}))
	defer server.Close()
	f := fleet.New(fleet.Options{
		Services: providerstest.Five(), UserAgent: "test", Getenv: os.Getenv, Dial: new(net.Dialer).DialContext,
	})
	f.Load(parse(t, `accounts:
  - credentials: {static: {access_key: AK, secret_key: SK}}
    endpoints: {cts: "`+server.URL+`/", ces: "`+server.URL+`/gateway", dcs: "`+server.URL+`/own/{project_id}?x=y"}
    projects: [{id: p, region: eu-de, name: prod}]
services: {taurusdb: {enabled: false}, dbss: {enabled: false}}
`))
	f.Read(t.Context(), fleet.Filter{})
	slices.Sort(asked)
	if got := strings.Join(asked, ", "); got != "/gateway/V1.0/p/quotas by test, /own/p?x=y by test, /v3/p/quotas by test" {
		t.Errorf("asked for %s", got)
	}
}
