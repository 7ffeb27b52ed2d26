// Package providerstest names the services that a test is about, so that no test depends on which others there are.
package providerstest

import (
	"fmt"
	"slices"

	"cloud_quota_exporter/providers"
)

// Five returns CTS, CES, TaurusDB, DCS and DBSS, which are enabled by default.
func Five() []providers.Service { return Named("cts", "ces", "taurusdb", "dcs", "dbss") }

// Named returns built-in services. It panics if there is no such service, which is a mistake in a test.
func Named(names ...string) []providers.Service {
	var services []providers.Service
	for _, name := range names {
		i := slices.IndexFunc(providers.All(), func(s providers.Service) bool { return s.Name == name })
		if i < 0 {
			panic(fmt.Sprintf("providerstest: there is no service %q", name))
		}
		services = append(services, providers.All()[i])
	}
	return services
}
