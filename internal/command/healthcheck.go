package command

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	toolkit "github.com/prometheus/exporter-toolkit/web"
	"gopkg.in/yaml.v3"

	"cloud_quota_exporter/internal/files"
	"cloud_quota_exporter/internal/web"
)

const healthTimeout = 5 * time.Second // for the response

// Healthcheck requests /-/healthy from an exporter that was started with the same --web flags, at its first listen address. A 401
// counts as healthy: the exporter is alive and requires a password.
func Healthcheck(ctx context.Context, s Serving) error {
	ctx, cancel := context.WithTimeoutCause(ctx, healthTimeout, fmt.Errorf("no response within %s", healthTimeout))
	defer cancel()
	client, page, err := s.healthRequest(ctx)
	if err != nil {
		return err
	}
	resp, err := client.Do((&http.Request{URL: page}).WithContext(ctx)) // url.Parse would reject a port that is a service name
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("not healthy: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusUnauthorized {
		return fmt.Errorf("not healthy: GET %s: %s; set the same --web flags as for the exporter", page, resp.Status)
	}
	return nil
}

// healthRequest returns the client and the URL to request.
func (s Serving) healthRequest(ctx context.Context) (*http.Client, *url.URL, error) {
	routes, err := web.NewRoutes(s.ExternalURL, s.RoutePrefix)
	if err != nil {
		return nil, nil, err
	}
	if *s.Web.WebSystemdSocket {
		return nil, nil, errors.New("healthcheck does not support --web.systemd-socket; set --web.listen-address to the address of the socket instead")
	}
	address := (*s.Web.WebListenAddresses)[0]
	if strings.Contains(address, "://") {
		return nil, nil, fmt.Errorf("healthcheck does not support --web.listen-address=%s; set a TCP address", address)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, nil, fmt.Errorf("--web.listen-address: %w", err)
	}
	scheme, err := s.scheme(ctx)
	if err != nil {
		return nil, nil, err
	}
	hosts := []string{host}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() { // the exporter listens on all addresses
		hosts = []string{"127.0.0.1", "::1"}
	}
	client := &http.Client{
		Transport: &http.Transport{ // without a proxy
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				var all error
				for _, host := range hosts {
					conn, err := new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(host, port))
					if err == nil {
						return conn, nil
					}
					all = errors.Join(all, err)
				}
				return nil, all
			},
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the certificate is for the names that other clients use, and no secret is sent
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return client, &url.URL{Scheme: scheme, Host: net.JoinHostPort(hosts[0], port), Path: routes.Prefix + "/-/healthy"}, nil
}

// scheme returns http or https, depending on --web.config.file.
func (s Serving) scheme(ctx context.Context) (string, error) {
	name := *s.Web.WebConfigFile
	if name == "" {
		return "http", nil
	}
	text, err := files.Read(ctx, name, maxWebFile)
	var c toolkit.Config
	if err == nil {
		err = yaml.Unmarshal(text, &c)
	}
	if err != nil {
		return "", fmt.Errorf("failed to load --web.config.file=%s: %s", name, quoted.ReplaceAllString(err.Error(), "..."))
	}
	if c.TLSConfig.IsEnabled() {
		return "https", nil
	}
	return "http", nil
}
