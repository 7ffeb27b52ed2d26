package cloudsim

import (
	"errors"
	"net"
	"net/http"
	"strings"
)

// routes finds APIs by host and path.
type routes struct {
	apis []*api
	root *segment
}

// segment is a part of a path.
type segment struct {
	below   map[string]*segment
	project *segment // below the ID of a project
	apis    []*api   // whose paths end here
}

// match is an API with the path of a request, and the ID of the project in it.
type match struct {
	api       *api
	projectID string
	prefixed  bool // the path begins with the label of the API's host, or with the name of the service
}

func newRoutes() routes {
	r := routes{root: &segment{}}
	iam := func(string) string { return "iam" }
	r.add(&api{API: API{Service: "iam", Method: http.MethodGet, Path: "/v3/projects", Host: iam}, own: (*Cloud).listProjects})
	return r
}

func (r *routes) publish(a API) {
	for _, published := range a.published() {
		r.add(published)
	}
}

func (r *routes) add(a *api) {
	r.apis = append(r.apis, a)
	r.root.add(a)
}

// check returns why the APIs of a service can't show quotas.
func (r routes) check(service string, quotas []Quota) error {
	err := errors.New("there is no quota API of that name")
	for _, a := range r.apis {
		if a.Service == service {
			if err = a.Shape.check(quotas); err != nil {
				return err
			}
		}
	}
	return err
}

// route finds the API of a request.
func (r routes) route(request *http.Request, projectOf func(id string) project) Call {
	q := Call{Request: request, Path: request.URL.Path}
	var label string
	label, q.Region = r.hostLabels(request.Host)
	regionOf := func(projectID string) string { return projectOf(projectID).Region }
	m, published := q.choose(label, r.find(request.URL.Path, regionOf))
	if m.api == nil {
		return q
	}
	q.api, q.published, q.Service, q.Path, q.ProjectID = m.api, published, m.api.Service, m.api.Path, m.projectID
	if q.api.byHeader {
		q.ProjectID = request.Header.Get("X-Project-Id")
	}
	return q
}

// choose returns the first API at the host of the request that has its method. If there is none, it returns the first API at the host, or
// else the first API.
func (q Call) choose(label string, found []match) (m match, published bool) {
	for _, other := range found {
		at := other.prefixed || label == "" || label == other.api.Host(q.Region)
		if at && other.api.Method == q.Method {
			return other, true
		}
		if m.api == nil || at && !published {
			m, published = other, at
		}
	}
	return m, published
}

// hostLabels returns the first two labels of a host name of the cloud. They are empty for other hosts, so that a cloud at 127.0.0.1 works
// too. The cloud's host names are those in its domain and, because partner clouds have their own domains, those that begin with the label
// of an API.
func (r routes) hostLabels(host string) (label, region string) {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(host)
	labels := strings.SplitN(host, ".", 3)
	if len(labels) < 3 || !strings.HasSuffix(host, ".myhuaweicloud.com") && !r.isLabel(labels[0], labels[1]) {
		return "", ""
	}
	return labels[0], labels[1]
}

// isLabel returns whether the host names of an API begin with a label in a region.
func (r routes) isLabel(name, region string) bool {
	for _, a := range r.apis {
		if a.Host(region) == name {
			return true
		}
	}
	return false
}

func (s *segment) add(a *api) {
	for name := range strings.SplitSeq(strings.TrimPrefix(a.Path, "/"), "/") {
		s = s.next(name)
	}
	s.apis = append(s.apis, a)
}

// next returns the segment below s of that name, which it makes if there is none.
func (s *segment) next(name string) *segment {
	if name == projectParameter {
		if s.project == nil {
			s.project = &segment{}
		}
		return s.project
	}
	if s.below == nil {
		s.below = map[string]*segment{}
	}
	if s.below[name] == nil {
		s.below[name] = &segment{}
	}
	return s.below[name]
}

// find returns the APIs with the path of a request. If the path has the label of a host in front of an API's path, or the name of a
// service, only the APIs of that host or service are returned. The label is that of the region of the project, which regionOf returns.
func (r routes) find(path string, regionOf func(projectID string) string) []match {
	if !strings.HasPrefix(path, "/") {
		return nil
	}
	prefix, rest := cutSegment(path)
	var labelled, named []match
	if prefix != "" {
		for _, m := range r.root.find(rest, "", nil) {
			m.prefixed = true
			switch prefix {
			case m.api.Host(regionOf(m.projectID)):
				labelled = append(labelled, m)
			case m.api.Service:
				named = append(named, m)
			}
		}
	}
	switch {
	case labelled != nil:
		return labelled
	case named != nil:
		return named
	}
	return r.root.find(path, "", nil)
}

// find adds the APIs below s that have the rest of a path, whose beginning has the ID of a project or none.
func (s *segment) find(rest, projectID string, found []match) []match {
	if rest == "" {
		for _, a := range s.apis {
			found = append(found, match{api: a, projectID: projectID})
		}
		return found
	}
	name, rest := cutSegment(rest)
	if below := s.below[name]; below != nil {
		found = below.find(rest, projectID, found)
	}
	if s.project != nil && name != "" && (projectID == "" || projectID == name) {
		found = s.project.find(rest, name, found)
	}
	return found
}

// cutSegment cuts the first segment from a path that begins with "/"; rest is empty or begins with "/".
func cutSegment(path string) (name, rest string) {
	end := strings.IndexByte(path[1:], '/') + 1
	if end == 0 {
		return path[1:], ""
	}
	return path[1:end], path[end:]
}
