// Package democloud is the simulated cloud with the services of the catalogue: what the demo command shows, and what tests and benchmarks
// read.
package democloud

import (
	"strings"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/providers"
)

// New returns a cloud that publishes the quota APIs of all services, with these accounts. A project that states no quotas gets the example of
// the API's document.
func New(accounts ...cloudsim.Account) *cloudsim.Cloud {
	return cloudsim.New(APIsOf(providers.All(), providers.Example), accounts...)
}

// APIsOf returns the quota APIs of services, with their example answers.
func APIsOf(services []providers.Service, example func(service string) []byte) []cloudsim.API {
	var apis []cloudsim.API
	for _, s := range services {
		path, _, _ := strings.Cut(s.API.Path, "?")
		apis = append(apis, cloudsim.API{
			Service: s.Name, Path: path, Host: s.API.Host.Label, Action: s.API.Action.String(), Example: example(s.Name), Shape: shape(s.API),
		})
	}
	return apis
}

func shape(a *providers.API) cloudsim.Shape {
	shape := cloudsim.Shape{
		List: a.List[0], Type: strings.TrimSuffix(strings.TrimPrefix(a.Type, "{"), "}"),
		Used: a.Used, Limit: a.Limit, Remaining: a.Remaining, Unit: a.Unit, Min: a.Min, Max: a.Max,
	}
	if a.Type == "{key}" {
		shape.Type = a.Type
	}
	for _, p := range a.Pairs {
		shape.Pairs = append(shape.Pairs, cloudsim.Pair{Type: p.Type, Used: p.Used, Limit: p.Limit, Remaining: p.Remaining})
	}
	return shape
}
