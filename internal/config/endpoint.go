package config

import (
	"cmp"
	"net/url"
	"strings"
	"unicode"

	"cloud_quota_exporter/internal/config/strictyaml"
	"cloud_quota_exporter/providers"
)

const (
	iam       = "iam"
	sts       = "sts"
	anyName   = "default" // all services, or all regions
	inService = "{service}"
	inRegion  = "{region}"
	inProject = "{project_id}"
	inDomain  = "{domain_id}"
)

// Endpoints are where services are reached, by the name of a service, "iam" or "sts". What is under "default" is for the services that are
// not named, but not for IAM and STS, so that no login goes there unasked.
type Endpoints map[string]Endpoint

// For returns the URL for a service, "iam" or "sts", in a region; empty if none is stated. label is the first label of the service's usual host
// in the region.
func (e Endpoints) For(service, label, region string) string {
	if stated := e[service].For(region); stated != "" || service == iam || service == sts {
		return stated
	}
	return strings.ReplaceAll(e[anyName].For(region), inService, label)
}

// Endpoint is where a service is reached: URLs by region, the one for all other regions under "default". A URL with {project_id} or {domain_id} in it
// is the whole URL of the call; others are what the path of the call is appended to.
type Endpoint map[string]string

// For returns the URL for a region; empty if none is stated for it. {region} is replaced, if the region is not empty; {project_id} and {domain_id} stay.
func (e Endpoint) For(region string) string {
	stated, ok := e[region]
	if !ok {
		stated = e[anyName]
	}
	return strings.ReplaceAll(stated, inRegion, cmp.Or(region, inRegion))
}

func readEndpoints(n strictyaml.Node, services []providers.Service) Endpoints {
	ids := map[string]string{iam: "", sts: "", anyName: ""} // what can be in the URL of a call
	names := []string{}
	for _, s := range services {
		if _, isOther := ids[s.Name]; !isOther {
			ids[s.Name] = idOf(s)
			names = append(names, s.Name)
		}
	}
	names = append(names, iam, sts, anyName)
	f, _ := n.Fields(names...)
	endpoints := make(Endpoints)
	for _, name := range names {
		if e := f.Get(name); e.Stated() {
			endpoints[name] = readEndpoint(e, name, ids[name])
		}
	}
	return endpoints
}

// idOf returns the placeholder of whose quotas a service has.
func idOf(s providers.Service) string {
	if s.API.Account {
		return inDomain
	}
	return inProject
}

// readEndpoint reads one URL for a service, iam, sts or default, or several by region.
func readEndpoint(n strictyaml.Node, name, id string) Endpoint {
	read := func(n strictyaml.Node) string {
		text, ok := n.Text()
		if problem := urlProblem(text, name, id); ok && problem != "" {
			n.Fail("%s", problem)
		}
		return text
	}
	var endpoint Endpoint
	switch {
	case n.IsScalar():
		endpoint = Endpoint{anyName: read(n)}
	case n.IsMapping():
		endpoint = providers.ByRegion(n, read)
	}
	if len(endpoint) == 0 {
		n.Fail("states no URL; want one, or one by region: {eu-west-101: https://...}")
	}
	return endpoint
}

// host cuts the host out of a URL that may hold placeholders.
func host(text string) string {
	_, rest, _ := strings.Cut(text, "://")
	before, _, _ := strings.Cut(rest, "/")
	before, _, _ = strings.Cut(before, "?")
	return before
}

// placeholders returns which placeholders of a URL are replaced, and what is wrong with a query if the URL is not the whole one of a call; problem is that
// the id stands where it is not replaced.
func placeholders(text, name, id string) (replaced []string, noQuery, problem string) {
	const appended = "; the path of each API is appended to it, remove "
	replaced, noQuery = []string{inRegion}, "a URL with a query"+appended+"the query"
	switch name {
	case anyName:
		replaced = []string{inService, inRegion}
	case iam, sts:
	default:
		return append(replaced, id), "a URL with a query; that needs the whole URL of the call, with " + id + " in it", ""
	}
	for _, stated := range []string{inProject, inDomain} {
		switch has := strings.Contains(text, stated); {
		case has && name == anyName:
			problem = "a URL with " + stated + appended + stated + " and the path"
		case has:
			problem = "a URL with " + stated + "; " + strings.ToUpper(name) + " is called with several paths, remove " + stated + " and the path"
		}
	}
	return replaced, noQuery, problem
}

// urlProblem says what is wrong with a URL for a service, iam, sts or default, and what would be right; empty if nothing is. id is the placeholder that
// makes it the whole URL of a call; empty if there is none.
func urlProblem(text, name, id string) string {
	const want = "want an absolute one such as https://cts.{region}.example.com"
	replaced, noQuery, problem := placeholders(text, name, id)
	if problem != "" {
		return problem
	}
	hasID := id != "" && strings.Contains(text, id)
	plain := text
	for _, placeholder := range replaced { // which would be no part of a valid host
		plain = strings.ReplaceAll(plain, placeholder, "p")
	}
	u, err := url.Parse(plain)
	switch {
	case strings.Contains(plain, inService):
		return "a URL with {service}, which is replaced under default alone; want the host of the service itself"
	case id == inDomain && strings.Contains(plain, inProject):
		return "a URL with {project_id}; the quotas belong to the account, want {domain_id}"
	case id == inProject && strings.Contains(plain, inDomain):
		return "a URL with {domain_id}; the quotas belong to a project, want {project_id}"
	case strings.ContainsAny(plain, "{}"):
		return "a URL with an unknown placeholder; only " + strings.Join(replaced, " and ") + " are replaced"
	case err != nil:
		return "not a URL; " + want
	case u.Scheme != "https" && u.Scheme != "http":
		return "not a URL of https or http; " + want
	case u.Hostname() == "":
		return "a URL without a host; " + want
	case strings.ContainsFunc(u.Host, func(r rune) bool { return r > unicode.MaxASCII }):
		return "a URL with a host that is not ASCII; want the host in Punycode, which starts with xn--"
	case strings.Contains(u.Host, "%"):
		return "a URL with an IPv6 zone, which no API receives; want a host without %"
	case u.User != nil:
		return "a URL with a user in it; remove what stands before the @"
	case strings.Contains(plain, "#"):
		return "a URL with a fragment; remove the # and what follows"
	case hasID && strings.Contains(host(text), id):
		return "a URL with " + id + " in the host; want it in the path or the query"
	case !hasID && strings.Contains(plain, "?"):
		return noQuery
	}
	_, rest, _ := strings.Cut(plain, "://")
	return providers.PathProblem(strings.TrimRight(rest[len(host(plain)):], "/")) // without the slashes that are not sent
}
