package config

import (
	"net/url"
	"slices"
	"strings"

	"cloud_quota_exporter/internal/config/strictyaml"
)

const (
	iam       = "iam"
	anyRegion = "default"
	inRegion  = "{region}"
	inProject = "{project_id}"
)

// Endpoint is where a service is reached: URLs by region, the one for all other regions under "default". A URL with {project_id} in it is
// the whole URL of the call; others are what the path of the call is appended to.
type Endpoint map[string]string

// For returns the URL for a region, "" where none is stated for it. {region} is replaced, {project_id} stays.
func (e Endpoint) For(region string) string {
	stated, ok := e[region]
	if !ok {
		stated = e[anyRegion]
	}
	return strings.ReplaceAll(stated, inRegion, region)
}

func readEndpoints(n strictyaml.Node, services []string) map[string]Endpoint {
	names := append(slices.Clone(services), iam)
	f, ok := n.Fields(names...)
	if !ok {
		return nil
	}
	endpoints := make(map[string]Endpoint)
	for _, name := range names {
		if e := f.Get(name); e.Stated() {
			endpoints[name] = readEndpoint(e, name != iam)
		}
	}
	return endpoints
}

// readEndpoint reads one URL or several by region; whole tells whether they may be whole URLs of a call.
func readEndpoint(n strictyaml.Node, whole bool) Endpoint {
	endpoint := make(Endpoint)
	if n.IsScalar() {
		endpoint[anyRegion] = readURL(n, whole)
		return endpoint
	}
	if !n.IsMapping() || n.Len() == 0 {
		n.Fail("states no URL; want one, or one by region: {eu-west-101: https://...}")
		return endpoint
	}
	entries, _ := n.Entries(isRegion)
	for _, e := range entries {
		if !isRegion(e.Key) {
			e.Fail("a key that is no region (not shown: it may be a secret); want %s, or default", regionWant)
			continue
		}
		endpoint[e.Key] = readURL(e.Node, whole)
	}
	return endpoint
}

func readURL(n strictyaml.Node, whole bool) string {
	text, ok := n.Text()
	if !ok {
		return ""
	}
	if problem := checkURL(text, whole); problem != "" {
		n.Fail("%s", problem)
	}
	return text
}

// host cuts the host out of a URL that may hold placeholders.
func host(text string) string {
	_, rest, _ := strings.Cut(text, "://")
	before, _, _ := strings.Cut(rest, "/")
	before, _, _ = strings.Cut(before, "?")
	return before
}

// checkURL tells what is wrong with a URL and what would be right, or nothing.
func checkURL(text string, whole bool) string {
	const want = "want an absolute one such as https://cts.{region}.example.com"
	hasProject := strings.Contains(text, inProject)
	// The placeholders would be no part of a valid host.
	plain := strings.NewReplacer(inRegion, "r", inProject, "p").Replace(text)
	if strings.ContainsAny(plain, "{}") {
		return "a URL with an unknown placeholder; only {region} and {project_id} are replaced"
	}
	u, err := url.Parse(plain)
	switch {
	case err != nil:
		return "not a URL; " + want
	case u.Scheme != "https" && u.Scheme != "http":
		return "not a URL of https or http; " + want
	case u.Hostname() == "":
		return "a URL without a host; " + want
	case u.User != nil:
		return "a URL with a user in it; remove what stands before the @"
	case strings.Contains(plain, "#"):
		return "a URL with a fragment; remove the # and what follows"
	case hasProject && strings.Contains(host(text), inProject):
		return "a URL with {project_id} in the host; want it in the path or the query"
	case hasProject && !whole:
		return "a URL with {project_id}; IAM is called with several paths, remove {project_id} and the path"
	case !hasProject && strings.Contains(plain, "?"):
		return "a URL with a query; that needs the whole URL of the call, with {project_id} in it"
	}
	return ""
}
