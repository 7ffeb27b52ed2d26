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

// Endpoints are URLs by the name of a service, "iam", or "sts". "default" applies to all other services, but not to IAM and STS, so
// that no login is sent there unintentionally.
type Endpoints map[string]Endpoint

// For returns the URL for a service, "iam", or "sts" in a region; empty if none is configured. label is the first label of the
// service's usual host in the region.
func (e Endpoints) For(service, label, region string) string {
	if stated := e[service].For(region); stated != "" || service == iam || service == sts {
		return stated
	}
	return strings.ReplaceAll(e[anyName].For(region), inService, label)
}

// Endpoint has the URLs of a service by region, with "default" for all other regions. A URL with {project_id} or {domain_id} is the
// whole URL of the request; others are the prefix of the API's path.
type Endpoint map[string]string

// For returns the URL for a region; empty if none is configured. {region} is replaced, if the region is not empty; {project_id} and
// {domain_id} are kept.
func (e Endpoint) For(region string) string {
	stated, ok := e[region]
	if !ok {
		stated = e[anyName]
	}
	return strings.ReplaceAll(stated, inRegion, cmp.Or(region, inRegion))
}

func readEndpoints(n strictyaml.Node, services []providers.Service) Endpoints {
	ids := map[string]string{iam: "", sts: "", anyName: ""} // allowed in a whole URL
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

// idOf returns the placeholder of the ID that a service's quotas belong to.
func idOf(s providers.Service) string {
	if s.API.Account {
		return inDomain
	}
	return inProject
}

// readEndpoint reads one URL for a service, iam, sts, or default, or several by region.
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
		n.Fail("is empty; expected a URL, or URLs by region: {eu-west-101: https://...}")
	}
	return endpoint
}

// host returns the host of a URL that may have placeholders.
func host(text string) string {
	_, rest, _ := strings.Cut(text, "://")
	before, _, _ := strings.Cut(rest, "/")
	before, _, _ = strings.Cut(before, "?")
	return before
}

// placeholders returns the replaced placeholders of a URL, and the error for a query if it is not a whole URL. problem is set if an
// ID is used where it is not replaced.
func placeholders(text, name, id string) (replaced []string, noQuery, problem string) {
	const appended = ", to which the path of each API is appended; remove "
	replaced, noQuery = []string{inRegion}, "a URL with a query"+appended+"the query"
	switch name {
	case anyName:
		replaced = []string{inService, inRegion}
	case iam, sts:
	default:
		return append(replaced, id), "a URL with a query but without " + id + "; set the whole URL of the request, with " + id + " in it", ""
	}
	for _, stated := range []string{inProject, inDomain} {
		switch has := strings.Contains(text, stated); {
		case has && name == anyName:
			problem = "a URL with " + stated + appended + stated + " and the path"
		case has:
			problem = "a URL with " + stated + ", but requests to " + strings.ToUpper(name) + " have several paths; remove " + stated + " and the path"
		}
	}
	return replaced, noQuery, problem
}

// urlProblem returns what is wrong with a URL for a service, iam, sts, or default, and what is expected; empty if nothing is wrong.
// id is the placeholder of a whole URL; empty if there is none.
func urlProblem(text, name, id string) string {
	const want = "expected an absolute URL such as https://cts.{region}.example.com"
	replaced, noQuery, problem := placeholders(text, name, id)
	if problem != "" {
		return problem
	}
	hasID := id != "" && strings.Contains(text, id)
	plain := text
	for _, placeholder := range replaced { // placeholders are not valid in a host
		plain = strings.ReplaceAll(plain, placeholder, "p")
	}
	u, err := url.Parse(plain)
	switch {
	case strings.Contains(plain, inService):
		return "a URL with {service}, which is only replaced in default; expected the host of the service"
	case id == inDomain && strings.Contains(plain, inProject):
		return "a URL with {project_id}, but the quotas belong to the account; expected {domain_id}"
	case id == inProject && strings.Contains(plain, inDomain):
		return "a URL with {domain_id}, but the quotas belong to a project; expected {project_id}"
	case strings.ContainsAny(plain, "{}"):
		return "a URL with an unknown placeholder; only " + strings.Join(replaced, " and ") + " are replaced"
	case err != nil:
		return "not a URL; " + want
	case u.Scheme != "https" && u.Scheme != "http":
		return "not an https or http URL; " + want
	case u.Hostname() == "":
		return "a URL without a host; " + want
	case strings.ContainsFunc(u.Host, func(r rune) bool { return r > unicode.MaxASCII }):
		return "a URL with a host that is not ASCII; expected the host in Punycode, which starts with xn--"
	case strings.Contains(u.Host, "%"):
		return "a URL with an IPv6 zone; expected a host without %"
	case u.User != nil:
		return "a URL with a user; remove the part before the @"
	case strings.Contains(plain, "#"):
		return "a URL with a fragment; remove the # and the text after it"
	case hasID && strings.Contains(host(text), id):
		return "a URL with " + id + " in the host; expected it in the path or the query"
	case !hasID && strings.Contains(plain, "?"):
		return noQuery
	}
	_, rest, _ := strings.Cut(plain, "://")
	return providers.PathProblem(strings.TrimRight(rest[len(host(plain)):], "/")) // ignoring trailing slashes, which are not sent
}
