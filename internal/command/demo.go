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

// demoConfig has a short cache_ttl so that values visibly change. Two project IDs are looked up, as for a real account. The
// endpoints are the regions' hosts, without TLS because that would need a certificate file. Services enabled by services.defaults
// need not be offered in every region.
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

// Demo runs the exporter against a simulated cloud. Requests are signed and sent to the regions' hosts as usual, but connections end
// in this process. It prints what to try to hints.
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
	// A proxy could not reach the simulated cloud, which is in this process.
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
		go func() { // hints may never be read
			if err := s.demoHints(hints, a); err != nil && !errors.Is(err, syscall.EPIPE) {
				end(fmt.Errorf("print the introduction: %w", err))
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
	if routes, err := web.NewRoutes(s.ExternalURL, s.RoutePrefix); err == nil { // already checked
		at += routes.Prefix
	}
	_, err := fmt.Fprintf(w, `Simulating a Huawei Cloud account with three projects. Open:

  %[1]s%[2]s                               all metrics
  %[1]s%[2]s?collect[]=dcs&project[]=prod  one service of one project (curl needs -g)
  %[1]s/                                      status page: all quotas, highest utilization first

What to look at:

  prod          Close to its limits, for example of ECS vCPUs: cloud_quota_used / cloud_quota_limit.
  dev           No limit for TaurusDB instances: cloud_quota_limit is +Inf.
  staging       DBSS fails for one minute in three: see cloud_quota_up and cloud_quota_last_failure_reason.
  dev, staging  The region does not offer FunctionGraph: no cloud_quota_up, and no failure.

Press Ctrl-C to stop.

`, at, s.TelemetryPath)
	return err //nolint:wrapcheck // wrapped by Demo
}
