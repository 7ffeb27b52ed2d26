package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// Routes are the paths at which pages are served, and the URLs at which clients reach them.
type Routes struct {
	Prefix string // of the paths of this process; empty, or as in /quotas

	scheme, host string // of --web.external-url; empty: that of the request
	path         string // in front of the paths for clients, in the format of Prefix
}

// prefixPath matches valid prefixes. Paths of the proxy in the Kubernetes API have colons.
var prefixPath = regexp.MustCompile(`^(/[A-Za-z0-9._~+,=:@-]+)*$`)

// NewRoutes parses the values of --web.external-url and --web.route-prefix like Prometheus: the prefix defaults to the path of the URL.
func NewRoutes(externalURL, routePrefix string) (Routes, error) {
	const want = "; expected a URL such as https://example.com/quotas"
	u, err := url.Parse(externalURL)
	if err != nil {
		return Routes{}, errors.New("--web.external-url is not a URL" + want)
	}
	isPath := u.Scheme == "" && u.Host == "" && (u.Path == "" || u.Path[0] == '/')
	switch {
	case !isPath && (u.Scheme != "http" && u.Scheme != "https" || u.Host == ""):
		return Routes{}, errors.New("--web.external-url is not an http or https URL" + want)
	case !isPath && !isAddress(u.Host):
		return Routes{}, errors.New("--web.external-url has a host that cannot be scraped" + want)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return Routes{}, errors.New("--web.external-url has a user, a query or a fragment" + want)
	}
	r := Routes{scheme: u.Scheme, host: u.Host}
	if r.path, err = cleanPrefix("--web.external-url", u.EscapedPath()); err != nil {
		return Routes{}, err
	}
	r.Prefix = r.path
	if routePrefix != "" {
		r.Prefix, err = cleanPrefix("--web.route-prefix", routePrefix)
		if externalURL == "" {
			r.path = r.Prefix
		}
	}
	return r, err
}

// cleanPrefix returns a path with a leading slash and without a trailing one.
func cleanPrefix(flag, text string) (string, error) {
	text = strings.Trim(text, "/")
	if text != "" {
		text = "/" + text
	}
	if !prefixPath.MatchString(text) || text != "" && path.Clean(text) != text {
		return "", fmt.Errorf("%s has an invalid path; expected letters, digits and -._~+,=:@ between slashes, such as /quotas", flag)
	}
	return text, nil
}

// mount serves the pages below the prefix, and redirects / and the prefix itself to the status page. Clients that request the prefix come through the
// reverse proxy, so they are redirected to its path.
func (r Routes) mount(pages http.Handler) http.Handler {
	if r.Prefix == "" {
		return pages
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", redirect(r.Prefix+"/"))
	mux.HandleFunc("GET "+r.Prefix, redirect(r.path+"/"))
	mux.Handle(r.Prefix+"/", http.StripPrefix(r.Prefix, pages))
	return mux
}

// redirect redirects to a path with the query of the request, which can select projects and services.
func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, (&url.URL{Path: to, RawQuery: r.URL.RawQuery}).String(), http.StatusFound)
	}
}
