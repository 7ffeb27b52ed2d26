package command_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/command"
	"cloud_quota_exporter/internal/democloud"
)

func TestDiscoveryForPeople(t *testing.T) {
	p := newPeople(t, 2)
	discovering := fmt.Sprintf(`accounts:
  - credentials: {static: {access_key: %s, secret_key: %s}}
    endpoints: {default: %[3]q, iam: %[3]q}
    discovery: {regions: [ap-southeast-1, ap-southeast-3], include: "ap-.*", exclude: ".*x", name_prefix: "x/"}
`, democloud.AccessKey, democloud.SecretKey, p.at)
	config := write(t, "config.yml", discovering)
	golden(t, "check-discovery", check(t, config, false))
	golden(t, "check-discovery-online", check(t, config, true))
	p.cloud.Inject(cloudtest.Fault{Service: "dbss", Status: http.StatusNotFound})
	golden(t, "check-discovery-not-offered", check(t, config, true))
	for _, service := range []string{"cts", "ces", "taurusdb", "dcs"} {
		p.cloud.Inject(cloudtest.Fault{Service: service, Status: http.StatusNotFound})
	}
	golden(t, "check-discovery-nothing-offered", check(t, config, true))
	mistyped := write(t, "config.yml", strings.Replace(discovering, "ap-.*", "ap_.*", 1))
	golden(t, "check-discovery-empty", check(t, mistyped, true))
	golden(t, "query-discovery-empty", p.query(t, mistyped, command.Query{}))
	golden(t, "query-discovery-empty-json", p.query(t, mistyped, command.Query{Output: "json"}))
	p.cloud.Inject(cloudtest.Fault{Service: "iam", Status: http.StatusForbidden, Body: cloudsim.ErrorBody("iam", 403, "no permission")})
	golden(t, "check-discovery-forbidden", check(t, config, true))
	golden(t, "query-discovery-forbidden", p.query(t, config, command.Query{}))
}

// TestServeTellsThatNothingIsDiscovered: IAM leaves out what the keys may not see, so that an empty list is an answer like any other.
func TestServeTellsThatNothingIsDiscovered(t *testing.T) {
	p := newPeople(t, 1)
	r := serve(t, "", write(t, "config.yml", fmt.Sprintf(`accounts:
  - credentials: {static: {access_key: %s, secret_key: %s}}
    endpoints: {iam: %q}
    discovery: {include: nothing}
`, democloud.AccessKey, democloud.SecretKey, p.at)))
	for range 2 {
		r.get(t, "/metrics")
	}
	const says = `account=default msg="no project is discovered" err="none of the projects that IAM lists (1) is read; check that `
	if n := strings.Count(r.log.String(), says); n != 1 {
		t.Errorf("it is told %d times in the log:\n%s", n, r.log)
	}
	contains(t, r.get(t, "/"), "no projects", "none of the projects that IAM lists (1) is read")
}
