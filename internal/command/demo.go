package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/democloud"
	"cloud_quota_exporter/internal/web"
)

// demoConfig asks often, so that a person sees the numbers move. The ids of two projects are looked up, as with a real account. The hosts
// are those of the regions; TLS would need a file with the certificate, and a container may have no place for one. Services that are enabled
// by services.defaults need not be in every region.
const demoConfig = `accounts:
  - name: demo
    credentials:
      static: {access_key: %s, secret_key: %s}
    endpoints: {iam: "http://iam.{region}.myhuaweicloud.com", default: "http://{service}.{region}.myhuaweicloud.com"}
    projects:
      - {region: ap-southeast-3, name: prod}
      - {region: ap-southeast-1, name: staging}
      - {region: ap-southeast-1, name: dev, id: %s}
services:
  defaults: {enabled: true, cache_ttl: 10s}
`

// Demo runs the exporter against a simulated cloud, by the way that a real one is asked: signed requests to the hosts of the regions. Only
// the connections end in this process. hints is where it says what to look at.
func Demo(ctx context.Context, logs Logs, s Serving, hints io.Writer) error {
	cloud := democloud.Demo()
	pipe := cloudsim.NewPipe()
	defer cloudsim.ServePlain(cloud, pipe).Close()
	projects := cloud.Projects()
	text := fmt.Sprintf(demoConfig, democloud.AccessKey, democloud.SecretKey, projects[len(projects)-1].ID)
	c, err := config.Parse("demo", []byte(text), democloud.Services(), os.Getenv)
	if err != nil {
		return err
	}
	// A proxy leads out of this process, where the simulated cloud is not.
	if err := os.Setenv("NO_PROXY", "*"); err != nil {
		return fmt.Errorf("turn off the proxy: %w", err)
	}
	e, err := s.newExporter(logs, c, pipe.Dial)
	if err != nil {
		return err
	}
	hinted, end := context.WithCancelCause(ctx)
	defer end(nil)
	err = e.serve(hinted, func(a net.Addr) {
		go func() { // whoever reads them, or doesn't
			if err := s.demoHints(hints, a); err != nil && !errors.Is(err, syscall.EPIPE) {
				end(fmt.Errorf("print what to look at: %w", err))
			}
		}()
	})
	if cause := context.Cause(hinted); cause != context.Cause(ctx) { //nolint:errorlint // the same one
		err = errors.Join(err, cause)
	}
	return err
}

func (s Serving) demoHints(w io.Writer, a net.Addr) error {
	at := "http://" + a.String()
	if tcp, ok := a.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		at = fmt.Sprintf("http://localhost:%d", tcp.Port)
	}
	if routes, err := web.NewRoutes(s.ExternalURL, s.RoutePrefix); err == nil { // which was checked
		at += routes.Prefix
	}
	_, err := fmt.Fprintf(w, `A simulated Huawei Cloud with three projects; no account is needed. Open:

  %[1]s%[2]s                               all metrics
  %[1]s%[2]s?collect[]=dcs&project[]=prod  one service of one project (curl needs -g)
  %[1]s/                                      all quotas, the nearest to its limit first

What to look for:

  prod      is close to its limits, such as that on vCPUs of ECS: cloud_quota_used / cloud_quota_limit
  dev       has no limit on TaurusDB instances: cloud_quota_limit is +Inf
  staging   has a DBSS that fails one minute in three: cloud_quota_up, cloud_quota_last_failure_reason
            has no FunctionGraph, like dev: there is no cloud_quota_up, and nothing fails

Ctrl-C ends it.

`, at, s.TelemetryPath)
	return err //nolint:wrapcheck // Demo says what was written
}
