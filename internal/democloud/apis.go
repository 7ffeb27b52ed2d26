// Package democloud is the simulated cloud with the services of the catalogue, for the demo command, tests, and benchmarks.
package democloud

import (
	"regexp"
	"strings"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/providers"
)

// APIsOf returns the quota APIs of services, with their example responses. Services without one get a generated response.
func APIsOf(services []providers.Service, example func(service string) []byte) []cloudsim.API {
	var apis []cloudsim.API
	for _, s := range services {
		path, query, _ := strings.Cut(s.API.Path, "?")
		api := cloudsim.API{
			Service: s.Name, Path: path, Host: s.API.Host.Label, Action: s.API.Action.String(), Example: example(s.Name), Shape: shape(s.API),
		}
		if api.Example == nil {
			api.Example = Made(s.API)
		}
		if s.API.Account {
			api.Account, api.At = true, hostsOf(s)
			api.NeedsDomain, api.NeedsProject = strings.Contains(query, "{domain_id}"), s.Name == "dns" || s.Name == "ga"
		}
		apis = append(apis, api)
	}
	return apis
}

// hostsOf returns a function that reports whether an account-level service is at a host: at the hosts of its entry for Huawei
// Cloud's sites and for the region of the host. DNS is at regional hosts too.
func hostsOf(s providers.Service) func(host string) bool {
	sites := map[string]bool{s.API.Host.BaseURL("eu-west-101", ""): true}
	for region := range s.API.Host.Regions() { // includes "default"
		sites[s.API.Host.BaseURL(region, "")] = true
	}
	return func(host string) bool {
		label, rest, _ := strings.Cut(host, ".")
		region, cloud, _ := strings.Cut(rest, ".")
		isRegional := strings.Contains(region, "-")
		return sites["https://"+host] || isRegional && s.API.Host.BaseURL(region, cloud) == "https://"+host || isRegional && s.Name == "dns" && label == "dns"
	}
}

// NoExample is for APIsOf if no service has an example response.
func NoExample(string) []byte { return nil }

// Made returns a response generated from the description of an API, with two resources if it can have several. The last one has no
// limit if the API has a value for that, and the first one has a unit and a range.
func Made(a *providers.API) []byte {
	quotas := []cloudsim.Quota{{Used: 4, Limit: 10, Unit: "GB", Min: 1, Max: 100}, {Limit: 20}}
	switch {
	case len(a.Pairs) > 0:
		quotas = nil
		for i, p := range a.Pairs {
			quotas = append(quotas, cloudsim.Quota{Type: p.Type, Used: int64(i), Limit: int64(10 * (i + 1))})
		}
	case strings.Contains(a.Type, "{"):
		for i, name := range []string{"first", "second"} {
			quotas[i].Type = field.ReplaceAllString(a.Type, name)
		}
	default:
		quotas = quotas[:1]
		quotas[0].Type = a.Type
	}
	if last := &quotas[len(quotas)-1]; a.NoLimit != nil {
		last.Limit = int64(*a.NoLimit)
	}
	return shape(a).Encode(quotas)
}

var field = regexp.MustCompile(`\{[^}]*\}`)

func shape(a *providers.API) cloudsim.Shape {
	shape := cloudsim.Shape{
		List: a.List[0], Type: a.Type, Used: a.Used, Limit: a.Limit, Remaining: a.Remaining, Unit: a.Unit, Min: a.Min, Max: a.Max,
	}
	for _, p := range a.Pairs {
		shape.Pairs = append(shape.Pairs, cloudsim.Pair{Type: p.Type, Used: p.Used, Limit: p.Limit, Remaining: p.Remaining})
	}
	return shape
}
