package cloudsim

import (
	"net"
	"net/http"
	"strings"
)

// call is a request on its way through the gateway.
type call struct {
	*http.Request

	id        string // of the request
	body      []byte
	label     string // of the service, first in a host name of the cloud's own; empty at another host
	region    string // after it
	api       *api   // nil for a path at which there is nothing
	published bool   // the API is at the host that was asked
	path      string // the API's, or what was asked for
	projectID string // as the path or, for some APIs, the header has it
	project   Project
	caller    *account
}

func (r routes) newCall(request *http.Request, regionOf func(projectID string) string) call {
	q := call{Request: request, path: request.URL.Path}
	q.label, q.region = r.hostLabels(request.Host)
	m, published := q.choose(r.find(request.URL.Path, regionOf))
	if m.api == nil {
		return q
	}
	q.api, q.published, q.path, q.projectID = m.api, published, m.api.path, m.projectID
	if q.api.byHeader {
		q.projectID = request.Header.Get("X-Project-Id")
	}
	return q
}

// choose returns the first API at the host of the request that has its method; else, the first at the host; else, the first.
func (q call) choose(found []match) (m match, published bool) {
	for _, other := range found {
		at := other.prefixed || q.label == "" || q.label == other.api.host(q.region)
		if at && other.api.method == q.Method {
			return other, true
		}
		if m.api == nil || at && !published {
			m, published = other, at
		}
	}
	return m, published
}

// elsewhere returns whether the request was sent to another region than its project's. The region is empty if the project does not
// exist, which fits any.
func (q call) elsewhere() bool {
	return q.region != "" && q.project.Region != "" && q.region != q.project.Region
}

// hostLabels returns the first two labels of the cloud's own host names, and nothing for others, so that a cloud under 127.0.0.1
// works too. Its own are those in its domain and, because partner clouds have domains of theirs, those that begin with the label of
// an API.
func (r routes) hostLabels(host string) (service, region string) {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(host)
	labels := strings.SplitN(host, ".", 3)
	if len(labels) < 3 || !strings.HasSuffix(host, ".myhuaweicloud.com") && !r.isServiceLabel(labels[0], labels[1]) {
		return "", ""
	}
	return labels[0], labels[1]
}

// isServiceLabel returns whether the host names of an API begin with that label in a region.
func (r routes) isServiceLabel(name, region string) bool {
	for i := range r.apis {
		if r.apis[i].host(region) == name {
			return true
		}
	}
	return false
}
