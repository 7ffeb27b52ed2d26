package command_test

import (
	"fmt"
	"net/http"
	"testing"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/command"
)

func TestDiscoveryForPeople(t *testing.T) {
	p := newPeople(t, 2)
	discovering := fmt.Sprintf(`accounts:
  - credentials: {static: {access_key: %s, secret_key: %s}}
    endpoints: {cts: %[3]q, ces: %[3]q, taurusdb: %[3]q, dcs: %[3]q, dbss: %[3]q, iam: %[3]q}
    discovery: {regions: [ap-southeast-1, ap-southeast-3], include: "ap-.*", exclude: ".*x", name_prefix: "x/"}
`, cloudsim.DemoAccessKey, cloudsim.DemoSecretKey, p.at)
	config := write(t, "config.yml", discovering)
	golden(t, "check-discovery", check(t, config, false))
	golden(t, "check-discovery-online", check(t, config, true))
	p.cloud.Inject(cloudsim.Fault{Service: "dbss", Status: http.StatusNotFound})
	golden(t, "check-discovery-not-offered", check(t, config, true))
	p.cloud.Inject(cloudsim.Fault{Service: "iam", Status: http.StatusForbidden, Body: cloudsim.ErrorBody("iam", 403, "no permission")})
	golden(t, "check-discovery-forbidden", check(t, config, true))
	golden(t, "query-discovery-forbidden", p.query(t, config, command.Query{}))
}
